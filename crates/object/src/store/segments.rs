//! The segment files of a store: `00000007.log` and `00000008.data`, numbered in one
//! row. They are opened at start and stay open.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use world::files::{File, Files};

use super::StoreError;

/// Bodies in segments begin at multiples of this, so that each can be punched.
pub const ALIGN: u64 = 4096;

/// What a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Records.
    Log,
    /// Bodies.
    Data,
}

/// A segment.
#[derive(Debug)]
pub struct Segment<T> {
    /// Its number.
    pub number: u32,
    /// What it holds.
    pub kind: Kind,
    /// Its file.
    pub file: Arc<T>,
    /// Nothing more is written to it.
    pub sealed: AtomicBool,
    /// Bodies in it that are finished and that the writer has not seen.
    pub flight: AtomicI64,
    /// One bit for each [`ALIGN`] bytes in which a body begins that was verified.
    verified: Mutex<Vec<u64>>,
}

/// All segments.
#[derive(Debug)]
pub struct Segments<F: Files> {
    /// Where they are.
    pub files: F,
    known: RwLock<BTreeMap<u32, Arc<Segment<F::File>>>>,
    next: AtomicU32,
    unsynced_names: AtomicBool,
    /// How often something was synced.
    pub syncs: AtomicU64,
}

fn name(number: u32, kind: Kind) -> String {
    match kind {
        Kind::Log => format!("{number:08x}.log"),
        Kind::Data => format!("{number:08x}.data"),
    }
}

fn parse(name: &str) -> Option<(u32, Kind)> {
    let (number, kind) = name.split_once('.')?;
    let kind = match kind {
        "log" => Kind::Log,
        "data" => Kind::Data,
        _ => return None,
    };
    let plain = number.len() == 8 && number.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u32::from_str_radix(number, 16).ok())?.map(|number| (number, kind))
}

impl<F: Files> Segments<F> {
    /// Opens what is there. All of it is sealed.
    pub fn open(files: F) -> Result<Self, StoreError> {
        let mut known = BTreeMap::new();
        for (found, (number, kind)) in
            files.names()?.iter().filter_map(|name| Some((name, parse(name)?)))
        {
            let file = Arc::new(files.open(found)?);
            known.insert(number, Arc::new(Segment::new(number, kind, file, true)));
        }
        let next = known.keys().next_back().map_or(1, |last| last + 1);
        Ok(Self {
            files,
            known: RwLock::new(known),
            next: AtomicU32::new(next),
            unsynced_names: AtomicBool::new(false),
            syncs: AtomicU64::new(0),
        })
    }

    /// A new one.
    pub fn create(&self, kind: Kind) -> io::Result<Arc<Segment<F::File>>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let file = Arc::new(self.files.open(&name(number, kind))?);
        self.unsynced_names.store(true, Ordering::Release);
        let segment = Arc::new(Segment::new(number, kind, file, false));
        self.write().insert(number, Arc::clone(&segment));
        Ok(segment)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<u32, Arc<Segment<F::File>>>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the names of new ones last, when there are any.
    pub fn sync_names(&self) -> io::Result<()> {
        if self.unsynced_names.swap(false, Ordering::AcqRel) {
            self.syncs.fetch_add(1, Ordering::Relaxed);
            self.files
                .sync_names()
                .inspect_err(|_| self.unsynced_names.store(true, Ordering::Release))?;
        }
        Ok(())
    }

    /// Syncs a file.
    pub fn sync(&self, file: &F::File) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        file.sync()
    }

    /// One of them.
    pub fn get(&self, number: u32) -> Option<Arc<Segment<F::File>>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
    }

    /// One of them, or what to say when it is not there.
    pub fn need(&self, number: u32) -> Result<Arc<Segment<F::File>>, StoreError> {
        self.get(number)
            .ok_or_else(|| StoreError::Damaged(format!("segment {number:08x} is not there")))
    }

    /// All of a kind, in order.
    pub fn of(&self, kind: Kind) -> Vec<Arc<Segment<F::File>>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.values().filter(|segment| segment.kind == kind).cloned().collect()
    }

    /// Removes one: its space is given back when nobody has it open.
    pub fn remove(&self, segment: &Segment<F::File>) -> io::Result<()> {
        self.files.remove(&name(segment.number, segment.kind))?;
        self.write().remove(&segment.number);
        Ok(())
    }

    /// The number that the next one will have.
    pub fn next(&self) -> u32 {
        self.next.load(Ordering::Relaxed)
    }

    /// No new one has a number below this.
    pub fn skip_to(&self, next: u32) {
        self.next.fetch_max(next, Ordering::Relaxed);
    }
}

impl<T> Segment<T> {
    fn new(number: u32, kind: Kind, file: Arc<T>, sealed: bool) -> Self {
        let (sealed, flight) = (AtomicBool::new(sealed), AtomicI64::new(0));
        Self { number, kind, file, sealed, flight, verified: Mutex::new(Vec::new()) }
    }

    /// Whether the body that begins here was verified since start.
    pub fn verified(&self, offset: u64) -> bool {
        let bit = offset / ALIGN;
        let bits = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        bits.get((bit / 64) as usize).is_some_and(|word| word & 1 << (bit % 64) != 0)
    }

    /// Remembers that it was.
    pub fn remember(&self, offset: u64) {
        let bit = offset / ALIGN;
        let mut bits = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        let word = (bit / 64) as usize;
        if bits.len() <= word {
            bits.resize(word + 1, 0);
        }
        bits[word] |= 1 << (bit % 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_segments_names_are_segments() {
        assert_eq!(parse(&name(0xabc, Kind::Log)), Some((0xabc, Kind::Log)));
        assert_eq!(parse(&name(7, Kind::Data)), Some((7, Kind::Data)));
        for other in ["index", "7.log", "+0000007.log", "00000007.tmp", "00000007.log.old"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
