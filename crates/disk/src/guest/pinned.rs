//! Guests' memory that the kernel was told of, so that it need not find and hold the
//! pages of each request: one twentieth of what a read of 4 KiB from a disk costs.
//!
//! Memory that is told of stays where it is until it is taken back, so only memory that
//! is there anyway is: a file without holes, as a VMM makes that allocates its guest's
//! memory beforehand, mostly of huge pages. Telling takes the kernel some tens of
//! nanoseconds a page, so a lane does it in slices, one a turn. When the kernel refuses
//! (a limit of locked memory, a full table), everything works all the same.

#![allow(unsafe_code, reason = "the kernel is given addresses")]

use std::sync::Arc;

use volume::Segment;
use world::disk::Ring;

use super::Mapping;
use crate::shared::submit;

/// Pages of a slice: 4 MiB of small ones, 64 MiB of huge ones of 2 MiB.
const SMALL: usize = 4 << 20;
const HUGE: usize = 64 << 20;

/// What the kernel was told of, and what it is still to be told.
#[derive(Debug, Default)]
pub struct Pinned {
    held: Vec<Held>,
    /// Some of it may still be to be told.
    unfinished: bool,
}

/// One mapping. It stays mapped as long as it is held.
#[derive(Debug)]
struct Held {
    mapping: Arc<Mapping>,
    /// So many of its bytes have been told, or refused.
    told: usize,
}

impl Pinned {
    /// From now on only these mappings are in use: others are taken back.
    pub fn follow(&mut self, ring: &mut Ring, wanted: &[Arc<Mapping>]) {
        let used = |held: &Held| wanted.iter().any(|it| Arc::ptr_eq(it, &held.mapping));
        for gone in self.held.extract_if(.., |held| !used(held)) {
            let start = gone.mapping.start().as_ptr();
            if let Err(error) = ring.remove_memory(start, gone.mapping.len()) {
                // The addresses would mean other memory soon.
                panic!("{error}");
            }
        }
        for mapping in wanted.iter().filter(|mapping| mapping.is_there()) {
            if !self.held.iter().any(|held| Arc::ptr_eq(&held.mapping, mapping)) {
                self.held.push(Held { mapping: Arc::clone(mapping), told: 0 });
                self.unfinished = true;
            }
        }
    }

    /// Tells the kernel of one slice more, if there is any.
    #[inline]
    pub fn go_on(&mut self, ring: &mut Ring) {
        if self.unfinished {
            self.tell(ring);
        }
    }

    #[cold]
    fn tell(&mut self, ring: &mut Ring) {
        let Some(held) = self.held.iter_mut().find(|held| held.told < held.mapping.len()) else {
            self.unfinished = false;
            return;
        };
        let slice = if held.mapping.has_huge_pages() { HUGE } else { SMALL };
        let length = slice.min(held.mapping.len() - held.told);
        // SAFETY: inside the mapping.
        let memory = unsafe { Segment::new(held.mapping.start().add(held.told), length as u32) };
        // SAFETY: the mapping is held here until `follow` has taken it back.
        let told = unsafe { submit::register(ring, memory) };
        held.told = if told { held.told + length } else { held.mapping.len() };
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::fs::{FallocateFlags, MemfdFlags, fallocate, ftruncate, memfd_create};
    use world::disk::RingSettings;

    use super::*;

    const SIZE: u64 = 9 << 20;

    fn memory(there: bool) -> Arc<Mapping> {
        let file = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&file, SIZE).unwrap();
        if there {
            fallocate(&file, FallocateFlags::empty(), 0, SIZE).unwrap();
        }
        Arc::new(Mapping::new(file.as_fd(), 0, SIZE).unwrap())
    }

    #[test]
    fn memory_that_is_there_is_told_in_slices_and_taken_back() {
        let mut ring = Ring::new(RingSettings::default()).unwrap();
        let (mut pinned, memory) = (Pinned::default(), memory(true));
        pinned.follow(&mut ring, &[Arc::clone(&memory)]);
        let mut told = Vec::new();
        for _ in 0..4 {
            pinned.go_on(&mut ring);
            told.push(ring.registered_bytes());
        }
        if told[0] == 0 {
            println!("skipped: too little memory may be locked here");
            return;
        }
        assert_eq!(told, [SMALL, 2 * SMALL, SIZE as usize, SIZE as usize]);
        pinned.follow(&mut ring, &[]);
        assert_eq!(ring.registered_bytes(), 0);
        assert_eq!(Arc::strong_count(&memory), 1);
    }

    #[test]
    fn memory_with_holes_is_not_held() {
        let mut ring = Ring::new(RingSettings::default()).unwrap();
        let (mut pinned, memory) = (Pinned::default(), memory(false));
        pinned.follow(&mut ring, &[Arc::clone(&memory)]);
        pinned.go_on(&mut ring);
        assert_eq!(ring.registered_bytes(), 0);
        assert_eq!(Arc::strong_count(&memory), 1);
    }
}
