//! A disk that does to us what disks do: it answers in any order, keeps what it was
//! told in a cache that a power cut empties, writes sectors and not blocks, and, when
//! told to, fails, corrupts, loses and misdirects. A seed gives the same disk twice.
//!
//! What may be on it after a cut is decided by a [`Fate`] for each block of each write
//! that no sync covers: so all outcomes of a short history can be enumerated, and
//! some of a long one drawn.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use super::Ended;
use super::fate::{Fate, Piece, apply, cut, parts};
use super::image::{Image, SECTOR};
use crate::entropy::{Entropy, Seeded};

const BLOCK: usize = 4096;
/// What is spared, is spared in such pieces: two blocks.
const PAIR: u64 = 2 * BLOCK as u64;
/// `EIO`.
const FAILED: i32 = 5;
/// `ENOSPC`.
const FULL: i32 = 28;
/// `EINVAL`.
const BEYOND: i32 = 22;

/// How often, in a million operations, what goes wrong. The disk says so in the first
/// four; the other three it keeps to itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ills {
    /// A read fails.
    pub read_error: u32,
    /// A write fails. Any of its sectors may have been written.
    pub write_error: u32,
    /// A sync fails. Of what it should have covered, any part is dropped, and no later
    /// sync brings it back.
    pub sync_error: u32,
    /// A write finds no room.
    pub full: u32,
    /// A bit of what was written is another.
    pub corrupt: u32,
    /// What was acknowledged was not written.
    pub lost: u32,
    /// It was written somewhere else.
    pub misdirected: u32,
    /// The last three happen to writes in this range of bytes only, and hit only it,
    /// without what is spared ([`ModelDisk::spare`]).
    pub within: Range<u64>,
}

/// What an operation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Did {
    /// Read this; nothing when it failed.
    Read(Vec<u8>),
    /// Took this to write, when it was asked.
    Wrote(Arc<[u8]>),
    /// Synced.
    Synced,
}

/// An operation that came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The number it was asked with.
    pub user_data: u64,
    /// What it did.
    pub did: Did,
    /// How it ended.
    pub result: Ended,
}

#[derive(Clone, Debug)]
enum Work {
    Read {
        at: u64,
        length: usize,
    },
    Write {
        at: u64,
        data: Arc<[u8]>,
    },
    /// Covers what had been answered when it was asked.
    Sync {
        answered: u64,
    },
}

#[derive(Clone, Debug)]
struct Waiting {
    user_data: u64,
    work: Work,
}

/// A write that was answered and is not durable.
#[derive(Clone, Debug)]
struct Volatile {
    number: u64,
    at: u64,
    data: Arc<[u8]>,
}

/// The disk.
#[derive(Clone, Debug)]
pub struct ModelDisk {
    durable: Image,
    seen: Image,
    volatile: Vec<Volatile>,
    waiting: Vec<Waiting>,
    answered: u64,
    ills: Ills,
    silent: u64,
    /// What it said that it had and has not, since somebody asked.
    missing: Vec<Arc<[u8]>>,
    spared: BTreeSet<u64>,
    entropy: Seeded,
}

impl ModelDisk {
    /// An empty disk of so many bytes, a multiple of 4,096.
    pub fn new(size: u64, ills: Ills, entropy: Seeded) -> Self {
        Self::holding(Image::new(size), ills, entropy)
    }

    /// A disk with this on it, all of it durable.
    pub fn holding(image: Image, ills: Ills, entropy: Seeded) -> Self {
        let seen = image.clone();
        let (volatile, waiting) = (Vec::new(), Vec::new());
        let spared = BTreeSet::new();
        Self {
            durable: image,
            seen,
            volatile,
            waiting,
            answered: 0,
            ills,
            silent: 0,
            missing: Vec::new(),
            spared,
            entropy,
        }
    }

    /// Changes how ill it is.
    pub fn set_ills(&mut self, ills: Ills) {
        self.ills = ills;
    }
    /// From now on it tells the truth about these 8 KiB: for what nobody could notice.
    pub fn spare(&mut self, at: u64) {
        self.spared.insert(at / PAIR);
    }
    fn spares(&self, at: u64, length: usize) -> bool {
        let last = (at + length as u64).saturating_sub(1) / PAIR;
        self.spared.range(at / PAIR..=last).next().is_some()
    }
    /// How often it did wrong and kept it to itself.
    pub fn silent(&self) -> u64 {
        self.silent
    }
    /// What it said that it had and has not, since this was last asked: writes that it
    /// did not do as it was told, and what other writes went over instead.
    pub fn take_missing(&mut self) -> Vec<Arc<[u8]>> {
        std::mem::take(&mut self.missing)
    }
    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.seen.size()
    }
    /// What reads show.
    pub fn seen(&self) -> &Image {
        &self.seen
    }
    /// What a power cut leaves at least.
    pub fn durable(&self) -> &Image {
        &self.durable
    }
    /// How many operations have not come back.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Asks for bytes.
    pub fn read(&mut self, user_data: u64, at: u64, length: usize) {
        self.waiting.push(Waiting { user_data, work: Work::Read { at, length } });
    }
    /// Asks to write; whole sectors.
    pub fn write(&mut self, user_data: u64, at: u64, data: impl Into<Arc<[u8]>>) {
        self.waiting.push(Waiting { user_data, work: Work::Write { at, data: data.into() } });
    }
    /// Asks for what was answered until now to become durable.
    pub fn sync(&mut self, user_data: u64) {
        let work = Work::Sync { answered: self.answered };
        self.waiting.push(Waiting { user_data, work });
    }

    /// Does one of the waiting operations, whichever it likes. `None` when there is none.
    pub fn finish(&mut self) -> Option<Finished> {
        let count = self.waiting.len() as u64;
        (count > 0).then(|| {
            let which = self.entropy.below(count) as usize;
            self.finish_one(which)
        })
    }

    /// Does the operation that waits as the `which`-th.
    pub fn finish_one(&mut self, which: usize) -> Finished {
        let Waiting { user_data, work } = self.waiting.remove(which);
        let (did, result) = match work {
            Work::Read { at, length } => self.do_read(at, length),
            Work::Write { at, data } => {
                let result = self.do_write(at, &data);
                (Did::Wrote(data), result)
            }
            Work::Sync { answered } => (Did::Synced, self.do_sync(answered)),
        };
        Finished { user_data, did, result }
    }

    fn do_read(&mut self, at: u64, length: usize) -> (Did, Ended) {
        if self.entropy.chance(self.ills.read_error) {
            return (Did::Read(Vec::new()), Err(FAILED));
        }
        let there = usize::try_from(self.size().saturating_sub(at)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length.min(there)];
        self.seen.read(at.min(self.size()), &mut bytes);
        let moved = bytes.len() as u32;
        (Did::Read(bytes), Ok(moved))
    }

    fn do_write(&mut self, at: u64, data: &Arc<[u8]>) -> Ended {
        if !self.seen.holds(at, data.len()) {
            return Err(BEYOND);
        }
        if self.entropy.chance(self.ills.full) {
            return Err(FULL);
        }
        if self.entropy.chance(self.ills.write_error) {
            for (sector, bytes) in data.chunks(SECTOR).enumerate() {
                if self.entropy.below(2) == 0 {
                    self.take(at + (sector * SECTOR) as u64, bytes.into());
                }
            }
            return Err(FAILED);
        }
        let moved = data.len() as u32;
        match self.wrong(at, data) {
            None => self.take(at, data.clone()),
            Some(None) => {
                self.silent += 1;
                self.missing.push(data.clone());
            }
            Some(Some((elsewhere, other))) => {
                self.silent += 1;
                let mut over = vec![0; other.len()];
                self.seen.read(elsewhere, &mut over);
                self.missing.extend([data.clone(), over.into()]);
                self.take(elsewhere, other);
            }
        }
        Ok(moved)
    }

    /// What it does instead of writing: nothing, or another write.
    fn wrong(&mut self, at: u64, data: &Arc<[u8]>) -> Option<Option<(u64, Arc<[u8]>)>> {
        let within = self.ills.within.clone();
        if at < within.start || at + data.len() as u64 > within.end {
            return None;
        }
        if self.spares(at, data.len()) {
            return None;
        }
        if self.entropy.chance(self.ills.lost) {
            return Some(None);
        }
        if self.entropy.chance(self.ills.corrupt) {
            let mut other = data.to_vec();
            let bit = self.entropy.below(other.len() as u64 * 8) as usize;
            other[bit / 8] ^= 1 << (bit % 8);
            return Some(Some((at, other.into())));
        }
        if self.entropy.chance(self.ills.misdirected) {
            let places = (within.end - within.start - data.len() as u64) / BLOCK as u64 + 1;
            let elsewhere = within.start + self.entropy.below(places) * BLOCK as u64;
            let hits = elsewhere != at && !self.spares(elsewhere, data.len());
            return hits.then(|| Some((elsewhere, data.clone())));
        }
        None
    }

    fn take(&mut self, at: u64, data: Arc<[u8]>) {
        self.seen.write(at, &data);
        self.answered += 1;
        self.volatile.push(Volatile { number: self.answered, at, data });
    }

    fn do_sync(&mut self, answered: u64) -> Ended {
        let failed = self.entropy.chance(self.ills.sync_error);
        let covered = self.volatile.partition_point(|write| write.number <= answered);
        for write in self.volatile.drain(..covered) {
            if !failed || self.entropy.below(2) == 0 {
                self.durable.write(write.at, &write.data);
            }
        }
        if failed {
            // What it dropped is not read any more either: nothing is between us and it.
            self.seen = self.durable.clone();
            self.volatile.iter().for_each(|write| self.seen.write(write.at, &write.data));
        }
        if failed { Err(FAILED) } else { Ok(0) }
    }

    /// What a power cut now would decide about, in the order of writing. Writes that
    /// were not answered come last.
    pub fn pieces(&self) -> Vec<Piece> {
        let answered = self.volatile.iter().map(|write| (true, write.at, &write.data));
        let waiting = self.waiting.iter().filter_map(|waiting| match &waiting.work {
            Work::Write { at, data } if self.seen.holds(*at, data.len()) => {
                Some((false, *at, data))
            }
            _ => None,
        });
        answered.chain(waiting).flat_map(|(answered, at, data)| cut(answered, at, data)).collect()
    }

    /// The disk after a power cut: `fates` for the pieces, in their order.
    pub fn after_power_cut(&self, pieces: &[Piece], fates: &[Fate], entropy: Seeded) -> Self {
        assert!(pieces.len() == fates.len(), "each piece has a fate");
        let mut image = self.durable.clone();
        for (piece, fate) in pieces.iter().zip(fates) {
            apply(&mut image, piece, *fate);
        }
        let spared = self.spared.clone();
        Self { spared, ..Self::holding(image, self.ills.clone(), entropy) }
    }

    /// The disk after the process that used it was killed: what was answered is there
    /// and as volatile as before; what was not has the fates of the last pieces.
    pub fn after_kill(&self, pieces: &[Piece], fates: &[Fate], entropy: Seeded) -> Self {
        let mut disk = self.clone();
        disk.waiting.clear();
        disk.entropy = entropy;
        let waiting = pieces.iter().filter(|piece| !piece.answered);
        for (piece, fate) in waiting.zip(fates) {
            for (at, bytes) in parts(piece, *fate) {
                disk.take(at, bytes.into());
            }
        }
        disk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(ills: Ills) -> ModelDisk {
        ModelDisk::new(1 << 20, ills, Seeded::new(1))
    }

    fn settle(disk: &mut ModelDisk) -> Vec<Finished> {
        std::iter::from_fn(|| disk.finish()).collect()
    }

    fn byte(image: &Image, at: u64) -> u8 {
        let mut byte = [0];
        image.read(at, &mut byte);
        byte[0]
    }

    #[test]
    fn what_was_answered_before_a_sync_is_durable_after_it() {
        let mut disk = disk(Ills::default());
        disk.write(1, 0, vec![1; 4096]);
        settle(&mut disk);
        disk.write(2, 4096, vec![2; 4096]);
        disk.sync(3);
        // The second is answered after the sync was asked: the sync need not cover it.
        assert_eq!(disk.finish_one(0).user_data, 2);
        assert_eq!(disk.finish_one(0).result, Ok(0));
        assert_eq!((byte(disk.durable(), 0), byte(disk.durable(), 4096)), (1, 0));
        assert_eq!(byte(disk.seen(), 4096), 2);
    }

    #[test]
    fn a_cut_leaves_what_its_fates_say() {
        let mut disk = disk(Ills::default());
        disk.write(1, 0, vec![1; 8192]);
        settle(&mut disk);
        disk.write(2, 0, vec![2; 512]);
        let pieces = disk.pieces();
        assert_eq!(
            pieces.iter().map(|piece| piece.answered).collect::<Vec<_>>(),
            [true, true, false]
        );
        let fates = [Fate::Kept, Fate::Torn(0b10), Fate::Lost];
        let after = disk.after_power_cut(&pieces, &fates, Seeded::new(2));
        let seen = [0, 4095, 4096, 4608, 5120].map(|at| byte(after.seen(), at));
        assert_eq!(seen, [1, 1, 0, 1, 0]);
        let killed = disk.after_kill(&pieces, &[Fate::Kept], Seeded::new(2));
        assert_eq!((byte(killed.seen(), 0), byte(killed.seen(), 4096)), (2, 1));
        assert_eq!(byte(killed.durable(), 0), 0);
    }

    #[test]
    fn a_failed_sync_drops_what_no_later_one_brings_back() {
        let mut forgot = 0;
        for seed in 0..20 {
            let ills = Ills { sync_error: 1_000_000, ..Ills::default() };
            let mut disk = ModelDisk::new(1 << 20, ills, Seeded::new(seed));
            disk.write(1, 0, vec![1; 4096]);
            settle(&mut disk);
            disk.sync(2);
            assert_eq!(settle(&mut disk)[0].result, Err(FAILED));
            disk.set_ills(Ills::default());
            disk.sync(3);
            assert_eq!(settle(&mut disk)[0].result, Ok(0));
            assert_eq!(byte(disk.seen(), 0), byte(disk.durable(), 0));
            forgot += u32::from(byte(disk.durable(), 0) == 0);
        }
        assert!(forgot > 2 && forgot < 18, "{forgot} of 20");
    }

    #[test]
    fn silent_ills_stay_where_they_are_allowed() {
        let ills = Ills {
            lost: 300_000,
            corrupt: 500_000,
            misdirected: 900_000,
            within: 65536..131072,
            ..Ills::default()
        };
        let mut disk = disk(ills);
        for block in 0..64 {
            disk.write(block, block * 4096, vec![1; 4096]);
        }
        settle(&mut disk);
        assert!(disk.silent() > 8, "{}", disk.silent());
        let whole = (0..16).chain(32..64).all(|block| {
            let mut bytes = [0; 4096];
            disk.seen().read(block * 4096, &mut bytes);
            bytes == [1; 4096]
        });
        assert!(whole);
    }

    #[test]
    fn a_seed_gives_the_same_disk_twice() {
        let run = |seed| {
            let ills = Ills {
                write_error: 100_000,
                corrupt: 100_000,
                within: 0..1 << 20,
                ..Ills::default()
            };
            let mut disk = ModelDisk::new(1 << 20, ills, Seeded::new(seed));
            (0..200).for_each(|block| disk.write(block, block * 4096, vec![block as u8; 4096]));
            let order: Vec<u64> = settle(&mut disk).iter().map(|done| done.user_data).collect();
            (order, disk.seen().digest())
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }
}
