//! The simulated side: files in memory that do to us what file systems do. What is
//! written is seen at once and lasts only after a sync; names last only after a sync of
//! the directory; and, when told to, reads, writes and syncs fail, and room runs out.
//!
//! What a power cut leaves of what was not durable is decided by a [`Fate`] for each
//! block of each write, and for each change of a length or a name: so all outcomes of a
//! short history can be enumerated, and some of a long one drawn.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::content::{BLOCK, Content, mix};
use super::{File, Files};
use crate::disk::Fate;
use crate::entropy::{Entropy, Seeded};

/// How often, in a million operations, something fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Troubles {
    /// A read.
    pub read_error: u32,
    /// A write. Any of its blocks may have been written.
    pub write_error: u32,
    /// A sync. What it should have covered may be dropped, and no later sync brings it
    /// back; reads may show it all the same until the power goes.
    pub sync_error: u32,
    /// Bytes that there are for all files; none: as many as wanted.
    pub room: Option<u64>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { inode: usize, offset: u64, bytes: Arc<[u8]> },
    Length { inode: usize, length: u64 },
    Punch { inode: usize, offset: u64, length: u64 },
    Name { name: String, inode: Option<usize> },
}

impl Change {
    fn inode(&self) -> Option<usize> {
        match self {
            Self::Write { inode, .. } | Self::Length { inode, .. } | Self::Punch { inode, .. } => {
                Some(*inode)
            }
            Self::Name { .. } => None,
        }
    }
}

/// What is on the medium, and what is only seen.
#[derive(Clone, Debug, Default)]
struct Medium {
    names: BTreeMap<String, usize>,
    inodes: Vec<Content>,
}

impl Medium {
    fn inode(&mut self, inode: usize) -> &mut Content {
        if self.inodes.len() <= inode {
            self.inodes.resize(inode + 1, Content::default());
        }
        &mut self.inodes[inode]
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Write { inode, offset, bytes } => self.inode(*inode).write(*offset, bytes),
            Change::Length { inode, length } => self.inode(*inode).set_length(*length),
            Change::Punch { inode, offset, length } => self.inode(*inode).punch(*offset, *length),
            Change::Name { name, inode: Some(inode) } => {
                self.inode(*inode);
                self.names.insert(name.clone(), *inode);
            }
            Change::Name { name, inode: None } => drop(self.names.remove(name)),
        }
    }
}

/// What a power cut decides about, piece by piece.
#[derive(Clone, Debug)]
pub struct Pieces(Vec<(Change, bool)>);

impl Pieces {
    /// How many they are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// For each, whether it can be torn.
    pub fn tears(&self) -> impl Iterator<Item = bool> {
        self.0.iter().map(|(_, tears)| *tears)
    }
}

/// The files at one moment.
#[derive(Clone, Debug)]
pub struct Moment {
    durable: Medium,
    seen: Medium,
    pending: Vec<Change>,
    troubles: Troubles,
    entropy: Seeded,
    operations: u64,
    faults: u64,
}

/// Files in memory.
#[derive(Clone, Debug)]
pub struct ModelFiles(Arc<Mutex<Inside>>);

#[derive(Debug)]
struct Inside {
    moment: Moment,
    history: Option<Vec<Moment>>,
    /// Nothing is written any more.
    off: bool,
}

/// A file in memory.
#[derive(Clone, Debug)]
pub struct ModelFile {
    files: ModelFiles,
    inode: usize,
}

impl Moment {
    /// How many writes, syncs and changes of names were asked for until now.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// How many reads, writes and syncs failed until now.
    pub fn faults(&self) -> u64 {
        self.faults
    }

    /// What a power cut now would decide about.
    pub fn pieces(&self) -> Pieces {
        Pieces(self.pending.iter().flat_map(cut).collect())
    }

    /// The files after the process that used them was killed: all that was written is
    /// seen, and as volatile as before.
    pub fn after_kill(&self, entropy: Seeded) -> ModelFiles {
        ModelFiles::of(Self { entropy, troubles: Troubles::default(), ..self.clone() })
    }

    /// The files after a power cut: `fates` for the pieces, in their order.
    pub fn after_power_cut(&self, pieces: &Pieces, fates: &[Fate], entropy: Seeded) -> ModelFiles {
        assert!(fates.len() == pieces.count(), "each fate has a piece");
        let mut durable = self.durable.clone();
        for ((piece, _), fate) in pieces.0.iter().zip(fates) {
            match (piece, fate) {
                (_, Fate::Lost) => {}
                (Change::Write { inode, offset, bytes }, Fate::Torn(sectors)) => {
                    tear(&mut durable, (*inode, *offset, bytes), *sectors);
                }
                (whole, _) => durable.apply(whole),
            }
        }
        ModelFiles::of(Moment {
            seen: durable.clone(),
            durable,
            pending: Vec::new(),
            troubles: Troubles::default(),
            entropy,
            operations: 0,
            faults: 0,
        })
    }
}

/// A change in pieces that last or do not, each on its own; and whether it can be torn.
fn cut(change: &Change) -> Vec<(Change, bool)> {
    let Change::Write { inode, offset, bytes } = change else {
        return vec![(change.clone(), false)];
    };
    let (mut pieces, mut done) = (Vec::new(), 0);
    while done < bytes.len() {
        let at = offset + done as u64;
        let end = bytes.len().min(done + (BLOCK - at % BLOCK) as usize);
        let bytes = Arc::from(&bytes[done..end]);
        pieces.push((Change::Write { inode: *inode, offset: at, bytes }, true));
        done = end;
    }
    pieces
}

/// Writes some sectors of a piece.
fn tear(medium: &mut Medium, (inode, offset, bytes): (usize, u64, &[u8]), sectors: u8) {
    for sector in (0..8_u64).filter(|sector| sectors & 1 << sector != 0) {
        let block = offset / BLOCK * BLOCK;
        let start = (block + sector * 512).max(offset);
        let end = (block + sector * 512 + 512).min(offset + bytes.len() as u64);
        if start < end {
            let part = &bytes[(start - offset) as usize..(end - offset) as usize];
            medium.inode(inode).write(start, part);
        }
    }
}

impl ModelFiles {
    /// No files yet.
    pub fn new(troubles: Troubles, entropy: Seeded) -> Self {
        let (durable, seen, pending) = (Medium::default(), Medium::default(), Vec::new());
        let (operations, faults) = (0, 0);
        Self::of(Moment { durable, seen, pending, troubles, entropy, operations, faults })
    }

    fn of(moment: Moment) -> Self {
        Self(Arc::new(Mutex::new(Inside { moment, history: None, off: false })))
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever uses them is dead: from now on nothing is written, whatever it still tries.
    pub fn cut_off(&self) {
        self.inside().off = true;
    }

    /// The present moment.
    pub fn moment(&self) -> Moment {
        self.inside().moment.clone()
    }

    /// From now on every moment between two operations is kept.
    pub fn keep_history(&self) {
        self.inside().history = Some(Vec::new());
    }

    /// What was kept.
    pub fn take_history(&self) -> Vec<Moment> {
        self.inside().history.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Changes what goes wrong.
    pub fn set_troubles(&self, troubles: Troubles) {
        self.inside().moment.troubles = troubles;
    }

    /// Bytes that all files take.
    pub fn used(&self) -> u64 {
        self.inside().moment.used()
    }

    /// A number for what is in all files: alike for alike files.
    pub fn digest(&self) -> u64 {
        let inside = self.inside();
        let seen = &inside.moment.seen;
        let names = seen.names.iter().map(|(name, inode)| {
            let name = name.bytes().fold(0, |sum: u64, byte| mix(sum, u64::from(byte)));
            mix(name, seen.inodes[*inode].digest())
        });
        names.fold(0, mix)
    }

    /// Turns a bit of a file over, durably and without a word.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn corrupt(&self, name: &str, offset: u64, bit: u8) {
        let mut inside = self.inside();
        let inode = inside.moment.seen.names[name];
        for medium in [0, 1] {
            let Moment { durable, seen, .. } = &mut inside.moment;
            let content = if medium == 0 { durable } else { seen }.inode(inode);
            let mut byte = [0];
            if content.read(offset, &mut byte) {
                content.write(offset, &[byte[0] ^ 1 << (bit % 8)]);
            }
        }
    }
}

impl Moment {
    fn used(&self) -> u64 {
        let inodes: std::collections::BTreeSet<&usize> = self.seen.names.values().collect();
        inodes.into_iter().map(|inode| self.seen.inodes[*inode].used()).sum()
    }

    /// Whether so many more bytes find room.
    fn room(&self, more: u64) -> bool {
        self.troubles.room.is_none_or(|room| self.used() + more <= room)
    }

    /// Whether something fails that does so often in a million.
    fn fails(&mut self, often: u32) -> bool {
        let fails = self.entropy.chance(often);
        self.faults += u64::from(fails);
        fails
    }

    fn change(&mut self, change: Change) {
        self.seen.apply(&change);
        self.pending.push(change);
    }

    fn write(&mut self, inode: usize, offset: u64, from: &[u8]) -> io::Result<()> {
        if self.troubles.room.is_some() {
            let more = self.seen.inode(inode).grows(offset, from.len() as u64);
            if more > 0 && !self.room(more) {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        let whole = Change::Write { inode, offset, bytes: from.into() };
        if self.fails(self.troubles.write_error) {
            for (piece, _) in cut(&whole) {
                if self.entropy.below(2) == 0 {
                    self.change(piece);
                }
            }
            return Err(failed());
        }
        self.change(whole);
        Ok(())
    }

    fn sync(&mut self, covered: impl Fn(&Change) -> bool) -> io::Result<()> {
        let fails = self.fails(self.troubles.sync_error);
        // What the page cache shows of what was dropped, it may show on.
        let shows = !fails || self.entropy.below(2) == 0;
        let pending = std::mem::take(&mut self.pending);
        for change in pending {
            if !covered(&change) {
                self.pending.push(change);
            } else if !fails || self.entropy.below(2) == 0 {
                self.durable.apply(&change);
            }
        }
        if !shows {
            self.seen = self.durable.clone();
            let pending = std::mem::take(&mut self.pending);
            pending.iter().for_each(|change| self.seen.apply(change));
            self.pending = pending;
        }
        if fails { Err(failed()) } else { Ok(()) }
    }
}

fn failed() -> io::Error {
    io::Error::from_raw_os_error(5)
}

impl Inside {
    /// Does something that a power cut may come before or after.
    fn step<T>(&mut self, work: impl FnOnce(&mut Moment) -> io::Result<T>) -> io::Result<T> {
        if self.off {
            return Err(failed());
        }
        let done = work(&mut self.moment);
        self.moment.operations += 1;
        if let Some(history) = &mut self.history {
            history.push(self.moment.clone());
        }
        done
    }

    fn change(&mut self, change: Change) -> io::Result<()> {
        self.step(|moment| {
            moment.change(change);
            Ok(())
        })
    }
}

impl Files for ModelFiles {
    type File = ModelFile;

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.inside().moment.seen.names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<ModelFile> {
        let mut inside = self.inside();
        let inode = match inside.moment.seen.names.get(name) {
            Some(inode) => *inode,
            None => inside.step(|moment| {
                let inode = moment.seen.inodes.len().max(moment.durable.inodes.len());
                moment.change(Change::Name { name: name.to_owned(), inode: Some(inode) });
                Ok(inode)
            })?,
        };
        Ok(ModelFile { files: self.clone(), inode })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut inside = self.inside();
        if !inside.moment.seen.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        inside.change(Change::Name { name: name.to_owned(), inode: None })
    }

    fn sync_names(&self) -> io::Result<()> {
        self.inside().step(|moment| moment.sync(|change| change.inode().is_none()))
    }

    fn free(&self) -> io::Result<u64> {
        let inside = self.inside();
        let used = inside.moment.used();
        Ok(inside.moment.troubles.room.map_or(1 << 40, |room| room.saturating_sub(used)))
    }
}

impl File for ModelFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let mut inside = self.files.inside();
        let moment = &mut inside.moment;
        if moment.fails(moment.troubles.read_error) {
            return Err(failed());
        }
        match moment.seen.inode(self.inode).read(offset, into) {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn write_at(&self, offset: u64, from: &[u8]) -> io::Result<()> {
        self.files.inside().step(|moment| moment.write(self.inode, offset, from))
    }

    fn sync(&self) -> io::Result<()> {
        self.files.inside().step(|moment| moment.sync(|change| change.inode() == Some(self.inode)))
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.files.inside().moment.seen.inode(self.inode).length())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.files.inside().change(Change::Length { inode: self.inode, length })
    }

    fn allocate(&self, offset: u64, length: u64) -> io::Result<()> {
        let mut inside = self.files.inside();
        let moment = &mut inside.moment;
        if moment.troubles.room.is_none() {
            return Ok(());
        }
        let more = moment.seen.inode(self.inode).grows(offset, length);
        if !moment.room(more) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        moment.seen.inode(self.inode).reserve(offset, length);
        Ok(())
    }

    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        self.files.inside().change(Change::Punch { inode: self.inode, offset, length })
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
