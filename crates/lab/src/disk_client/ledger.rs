//! What a client knows of a disk, and whether the disk keeps to it.
//!
//! Every block that is written carries who wrote it, where, and its version: the
//! number of times that the block was written. The ledger knows, by what the client
//! saw and nothing else, which versions a read may give:
//!
//! - not below the last that was acknowledged, or that a read has given, before this
//!   read was sent;
//! - not above the last that was sent.
//!
//! At most one write of a block is under way at a time, so versions come in order.
//!
//! A discard says that nobody needs the block. The disk may give what was there, or zeros
//! (VIRTIO 1.3, 5.2.6.2, promises neither; only a write of zeros is one). So a discard is a
//! version that may be zeros, and it never makes an older one wrong. Once zeros were read
//! the older one is gone, though: a disk that changes by itself is of no use to anybody.

use std::collections::BTreeMap;

use super::queue::BLOCK;

const SECTOR: usize = 512;
const MAGIC: u64 = 0x6c70_6465_4253_6b64;

/// What a block says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Zeros.
    Zeros,
    /// Written under this version.
    Version(u32),
    /// Sectors of several versions.
    Torn,
    /// Another volume's, or another place's: volume and block.
    Foreign(u64, u64),
    /// Nothing that a client wrote.
    Garbage,
}

/// How a disk broke its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// An acknowledged write is not there.
    Lost,
    /// An older version came back after a newer one was read.
    Reordered,
    /// A request was answered twice, or one that was never sent.
    Doubled,
    /// A block is of two versions.
    Torn,
    /// Another volume's data, or another place's.
    Foreign,
    /// Data that nobody wrote.
    Garbage,
}

/// What is known of one block.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The oldest version that a read may give from now on.
    floor: u32,
    /// The newest that was sent.
    sent: u32,
    /// The newest that a read has given.
    seen: u32,
    /// The newest version that is zeros, or may be.
    zeros: u32,
    /// The one before it.
    older_zeros: u32,
    /// A write is under way.
    busy: bool,
}

/// What a client knows of a disk.
#[derive(Clone, Debug)]
pub struct Ledger {
    volume: u64,
    blocks: Vec<Known>,
    /// How often the disk was wrong.
    pub wrongs: BTreeMap<Wrong, u64>,
    /// The first of each, told.
    pub told: Vec<String>,
}

/// The versions that a moment of a disk may have: what a snapshot is checked against.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    floors: Vec<u32>,
    ceilings: Vec<u32>,
}

impl Ledger {
    /// A disk of zeros.
    pub fn new(volume: u64, blocks: usize) -> Self {
        let blocks = vec![Known::default(); blocks];
        Self { volume, blocks, wrongs: BTreeMap::new(), told: Vec::new() }
    }
    /// Whose blocks these are.
    pub fn volume(&self) -> u64 {
        self.volume
    }
    /// How many blocks it has.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }
    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
    /// Whether a write of any of these is under way.
    pub fn busy(&self, first: u32, count: u16) -> bool {
        let first = first as usize;
        self.blocks[first..first + usize::from(count)].iter().any(|known| known.busy)
    }
    /// A block is about to be written, zeroed or discarded (`zeros`): under which version.
    pub fn send(&mut self, block: u32, zeros: bool) -> u32 {
        let known = &mut self.blocks[block as usize];
        assert!(!known.busy, "one write of a block at a time");
        known.busy = true;
        known.sent += 1;
        if zeros {
            (known.zeros, known.older_zeros) = (known.sent, known.zeros);
        }
        known.sent
    }
    /// A block that was discarded is settled, well or not: it is as it was, or zeros.
    pub fn discarded(&mut self, block: u32) {
        self.blocks[block as usize].busy = false;
    }
    /// It was acknowledged, or failed; then it may be there or not.
    pub fn settle(&mut self, block: u32, well: bool) {
        let known = &mut self.blocks[block as usize];
        known.busy = false;
        if well {
            known.floor = known.sent;
        }
    }
    /// What a read that is sent now may not be below.
    pub fn floor(&self, block: u32) -> u32 {
        self.blocks[block as usize].floor
    }
    /// The newest that was sent.
    pub fn sent(&self, block: u32) -> u32 {
        self.blocks[block as usize].sent
    }

    /// What a read gave that was sent when the floor was this.
    pub fn check(&mut self, block: u32, floor: u32, data: &[u8]) {
        let known = self.blocks[block as usize];
        let content = content(self.volume, block, data);
        let version = match version(known, floor, content) {
            Ok(version) => version,
            Err(wrong) => return self.blame(wrong, block, floor, content),
        };
        if version > known.sent {
            return self.blame(Wrong::Garbage, block, floor, content);
        }
        if version < floor {
            let wrong = if version < known.seen { Wrong::Reordered } else { Wrong::Lost };
            return self.blame(wrong, block, floor, content);
        }
        let known = &mut self.blocks[block as usize];
        known.seen = known.seen.max(version);
        known.floor = known.floor.max(version);
    }

    /// The disk was wrong.
    pub fn blame(&mut self, wrong: Wrong, block: u32, floor: u32, content: Content) {
        let count = self.wrongs.entry(wrong).or_default();
        *count += 1;
        if *count <= 5 {
            let known = self.blocks.get(block as usize).copied().unwrap_or_default();
            let volume = self.volume;
            self.told.push(format!(
                "{wrong:?}: volume {volume} block {block} is {content:?}, wanted from {floor}; {known:?}"
            ));
        }
    }

    /// The oldest versions that a snapshot may have that is asked for from now on.
    pub fn begin_moment(&self) -> Moment {
        let floors = self.blocks.iter().map(|known| known.floor).collect();
        Moment { floors, ceilings: Vec::new() }
    }
    /// The newest that it may have, once it was acknowledged.
    pub fn end_moment(&self, moment: &mut Moment) {
        moment.ceilings = self.blocks.iter().map(|known| known.sent).collect();
    }
    /// A ledger by which what a snapshot holds is checked.
    pub fn at(&self, moment: &Moment) -> Ledger {
        let mut ledger = Ledger::new(self.volume, self.blocks.len());
        for (index, known) in ledger.blocks.iter_mut().enumerate() {
            known.floor = moment.floors[index];
            known.sent = moment.ceilings[index];
            // Of versions that are zeros only the newest is known; with that, zeros
            // inside the range count as the newest that they can be.
            known.zeros = self.blocks[index].zeros.min(known.sent);
            known.older_zeros = self.blocks[index].older_zeros.min(known.sent);
        }
        ledger
    }
}

/// The version that a block shows to a read with such a floor. Where it could be one of
/// several, the oldest.
fn version(known: Known, floor: u32, content: Content) -> Result<u32, Wrong> {
    match content {
        // Zeros that were written, or that the disk began with.
        Content::Zeros if known.older_zeros >= floor => Ok(floor),
        Content::Zeros => Ok(known.zeros),
        Content::Version(version) => Ok(version),
        Content::Torn => Err(Wrong::Torn),
        Content::Foreign(..) => Err(Wrong::Foreign),
        Content::Garbage => Err(Wrong::Garbage),
    }
}

/// Writes what a block of a version holds. Every sector says all of it, and its bytes
/// follow from that, so that any change of any byte is seen.
pub fn stamp(volume: u64, block: u32, version: u32, into: &mut [u8; BLOCK]) {
    for (index, sector) in into.chunks_exact_mut(SECTOR).enumerate() {
        let place = u64::from(block) << 8 | index as u64;
        let mut word = [MAGIC, volume, place, u64::from(version)];
        for (eight, value) in sector.chunks_exact_mut(8).zip(word) {
            eight.copy_from_slice(&value.to_le_bytes());
        }
        word[0] = volume ^ place.rotate_left(24) ^ u64::from(version).rotate_left(48);
        let mut state = word[0];
        for eight in sector[32..].chunks_exact_mut(8) {
            state = next(state);
            eight.copy_from_slice(&state.to_le_bytes());
        }
    }
}

#[inline]
fn next(state: u64) -> u64 {
    (state ^ state >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(0x9e37_79b9_7f4a_7c15)
}

/// What a block says of itself.
pub fn content(volume: u64, block: u32, data: &[u8]) -> Content {
    let word = |at: usize| u64::from_le_bytes(data[at..at + 8].try_into().expect("8 bytes"));
    if word(0) == 0 {
        let zeros = data.iter().all(|byte| *byte == 0);
        return if zeros { Content::Zeros } else { Content::Garbage };
    }
    if word(0) != MAGIC {
        return Content::Garbage;
    }
    let (owner, place, version) = (word(8), word(16) >> 8, word(24) as u32);
    let mut expected = [0; BLOCK];
    if owner != volume || place != u64::from(block) {
        return Content::Foreign(owner, place);
    }
    stamp(volume, block, version, &mut expected);
    if data == expected {
        return Content::Version(version);
    }
    let sectors = data.chunks_exact(SECTOR).enumerate();
    let whole = sectors.filter(|(index, sector)| {
        let version = u64::from_le_bytes(sector[24..32].try_into().expect("8 bytes")) as u32;
        stamp(volume, block, version, &mut expected);
        **sector == expected[index * SECTOR..][..SECTOR] || sector.iter().all(|byte| *byte == 0)
    });
    if whole.count() == BLOCK / SECTOR { Content::Torn } else { Content::Garbage }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(volume: u64, block: u32, version: u32) -> [u8; BLOCK] {
        let mut data = [0; BLOCK];
        stamp(volume, block, version, &mut data);
        data
    }

    fn wrongs(ledger: &Ledger) -> Vec<Wrong> {
        ledger.wrongs.keys().copied().collect()
    }

    #[test]
    fn a_block_says_what_it_is() {
        let mut data = block(7, 3, 9);
        assert_eq!(content(7, 3, &data), Content::Version(9));
        assert_eq!(content(8, 3, &data), Content::Foreign(7, 3));
        assert_eq!(content(7, 4, &data), Content::Foreign(7, 3));
        data[512..1024].copy_from_slice(&block(7, 3, 8)[512..1024]);
        assert_eq!(content(7, 3, &data), Content::Torn);
        data[4095] ^= 1;
        assert_eq!(content(7, 3, &data), Content::Garbage);
        assert_eq!(content(7, 3, &[0; BLOCK]), Content::Zeros);
    }

    #[test]
    fn acknowledged_writes_must_be_there() {
        let mut ledger = Ledger::new(1, 8);
        assert_eq!(ledger.send(5, false), 1);
        let during = ledger.floor(5);
        ledger.check(5, during, &[0; BLOCK]);
        ledger.check(5, during, &block(1, 5, 1));
        // A read sent now may not give what was before what was read.
        let after = ledger.floor(5);
        ledger.settle(5, true);
        assert_eq!(wrongs(&ledger), []);
        ledger.check(5, after, &[0; BLOCK]);
        assert_eq!(wrongs(&ledger), [Wrong::Reordered]);
        ledger.send(6, false);
        ledger.settle(6, true);
        ledger.check(6, ledger.floor(6), &[0; BLOCK]);
        assert_eq!(wrongs(&ledger), [Wrong::Lost, Wrong::Reordered]);
        ledger.check(6, 0, &block(1, 6, 2));
        assert_eq!(wrongs(&ledger), [Wrong::Lost, Wrong::Reordered, Wrong::Garbage]);
    }

    #[test]
    fn failed_writes_may_be_there_or_not() {
        let mut ledger = Ledger::new(1, 8);
        ledger.send(0, false);
        ledger.settle(0, false);
        ledger.check(0, ledger.floor(0), &[0; BLOCK]);
        ledger.check(0, ledger.floor(0), &block(1, 0, 1));
        assert_eq!(wrongs(&ledger), []);
        assert_eq!(ledger.send(0, true), 2);
        ledger.settle(0, true);
        ledger.check(0, ledger.floor(0), &[0; BLOCK]);
        assert_eq!(wrongs(&ledger), []);
        ledger.check(0, ledger.floor(0), &block(1, 0, 1));
        assert_eq!(wrongs(&ledger), [Wrong::Reordered]);
    }

    #[test]
    fn what_was_discarded_is_as_it_was_or_zeros() {
        let mut ledger = Ledger::new(1, 2);
        ledger.send(0, false);
        ledger.settle(0, true);
        assert_eq!(ledger.send(0, true), 2);
        assert!(ledger.busy(0, 1), "a write at the same time could come before or after");
        ledger.discarded(0);
        ledger.check(0, ledger.floor(0), &block(1, 0, 1));
        ledger.check(0, ledger.floor(0), &[0; BLOCK]);
        assert_eq!(wrongs(&ledger), []);
        ledger.check(0, ledger.floor(0), &block(1, 0, 1));
        assert_eq!(wrongs(&ledger), [Wrong::Reordered], "it does not come back");
        ledger.send(0, false);
        ledger.settle(0, true);
        ledger.check(0, ledger.floor(0), &[0; BLOCK]);
        assert_eq!(wrongs(&ledger), [Wrong::Lost, Wrong::Reordered], "written after it");
    }

    #[test]
    fn zeros_that_were_read_before_do_not_count_as_zeros_that_were_sent_since() {
        let mut ledger = Ledger::new(1, 1);
        // A read is sent and finds the zeros of the beginning, but is looked at late.
        let early = ledger.floor(0);
        ledger.send(0, false);
        ledger.settle(0, true);
        ledger.send(0, true);
        ledger.check(0, early, &[0; BLOCK]);
        // The zeros are not there yet.
        ledger.check(0, ledger.floor(0), &block(1, 0, 1));
        assert_eq!(wrongs(&ledger), []);
    }

    #[test]
    fn a_moment_has_what_was_acknowledged_before_and_nothing_sent_after() {
        let mut ledger = Ledger::new(1, 4);
        ledger.send(0, false);
        ledger.settle(0, true);
        let mut moment = ledger.begin_moment();
        ledger.send(0, false);
        ledger.end_moment(&mut moment);
        ledger.settle(0, true);
        ledger.send(0, false);
        ledger.settle(0, true);
        for (version, wrong) in [(1, false), (2, false), (3, true)] {
            let mut then = ledger.at(&moment);
            then.check(0, then.floor(0), &block(1, 0, version));
            assert_eq!(!then.wrongs.is_empty(), wrong, "{version}");
        }
        let mut then = ledger.at(&moment);
        then.check(0, then.floor(0), &[0; BLOCK]);
        assert_eq!(wrongs(&then), [Wrong::Lost]);
    }
}
