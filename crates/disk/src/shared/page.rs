//! One page that all engines of a directory share: which generation owns each lane,
//! and how long the last cut-overs took.
//!
//! The owner's number is the commit of a live replacement. The successor writes it just
//! before its first poll; when it dies, the old engine looks here to know whether it may
//! go on.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

use super::Shared;

/// Lanes that a page has room for.
pub const LANES: usize = 64;
/// Cut-overs that are remembered.
const REMEMBERED: usize = 256;
const OWNERS: usize = 0;
const STOPPED: usize = OWNERS + LANES * 8;
const COUNT: usize = STOPPED + LANES * 8;
const CUTS: usize = COUNT + 8;

/// The page.
#[derive(Debug)]
pub struct StatusPage {
    memory: Shared,
}

impl StatusPage {
    /// A new one.
    pub fn create() -> io::Result<Self> {
        const { assert!(CUTS + REMEMBERED * 8 <= 4096, "it is one page") };
        Ok(Self { memory: Shared::create("bedplate-status", 4096)? })
    }
    /// The one that an engine before us made.
    pub fn open(file: OwnedFd) -> io::Result<Self> {
        Ok(Self { memory: Shared::open(file)? })
    }
    /// Its file.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.memory.file()
    }
    /// Which generation owns a lane.
    pub fn owner(&self, lane: usize) -> u64 {
        assert!(lane < LANES, "a lane that exists");
        self.memory.number(OWNERS + lane * 8).load(Ordering::SeqCst)
    }
    /// A lane is now a generation's.
    pub fn own(&self, lane: usize, generation: u64) {
        assert!(lane < LANES, "a lane that exists");
        self.memory.number(OWNERS + lane * 8).store(generation, Ordering::SeqCst);
    }
    /// The old engine fetched its last request of a lane at this moment.
    pub fn stopped(&self, lane: usize, now: u64) {
        assert!(lane < LANES, "a lane that exists");
        self.memory.number(STOPPED + lane * 8).store(now, Ordering::Release);
    }
    /// The new engine polls a lane for the first time; the gap in nanoseconds.
    pub fn polled(&self, lane: usize, now: u64) -> u64 {
        assert!(lane < LANES, "a lane that exists");
        let stopped = self.memory.number(STOPPED + lane * 8).load(Ordering::Acquire);
        let gap = now.saturating_sub(stopped);
        let count = self.memory.number(COUNT).fetch_add(1, Ordering::AcqRel) as usize;
        self.memory.number(CUTS + count % REMEMBERED * 8).store(gap, Ordering::Release);
        gap
    }
    /// How many cut-overs there were, and the nanoseconds of the latest 256, newest last.
    pub fn cut_overs(&self) -> (u64, Vec<u64>) {
        let count = self.memory.number(COUNT).load(Ordering::Acquire);
        let first = count.saturating_sub(REMEMBERED as u64);
        let at = |index: u64| CUTS + index as usize % REMEMBERED * 8;
        (count, (first..count).map(|i| self.memory.number(at(i)).load(Ordering::Acquire)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_cut_overs_are_kept() {
        let page = StatusPage::create().expect("page");
        for round in 0..300 {
            page.stopped(3, 1000);
            assert_eq!(page.polled(3, 1000 + round), round);
        }
        let (count, cuts) = page.cut_overs();
        assert_eq!((count, cuts.len()), (300, REMEMBERED));
        assert_eq!((cuts[0], cuts[REMEMBERED - 1]), (44, 299));
    }

    #[test]
    fn both_mappings_see_the_owner() {
        let page = StatusPage::create().expect("page");
        let other = StatusPage::open(page.file().try_clone_to_owned().expect("fd")).expect("open");
        other.own(0, 7);
        assert_eq!(page.owner(0), 7);
    }
}
