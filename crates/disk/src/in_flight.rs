//! Which requests were fetched and not yet seen by the guest as used: kept in memory
//! that outlives the process, so that after a crash they are done again, all of them
//! and no others.
//!
//! Each queue has a header and one entry for each head. An entry says *in flight* from
//! before a request is looked at until after the guest could see its answer. The moment
//! between the two is one store (the used index of a split ring, the flags of the first
//! descriptor of a packed one), so a batch is noted before it: heads that are *finished*,
//! and what the store will be. Who recovers looks whether the store happened. If it did,
//! the finished heads are done; if not, they are done again, which no guest can notice.
//! A kill at any instruction leaves one of the two.
//!
//! In a packed ring an answer may overwrite the descriptor of another request that is
//! still in flight, so there the descriptors are kept too.
//!
//! All of it may have gone through a VMM (`SET_INFLIGHT_FD`), so what is read is checked.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use volume::Region;

use crate::guest::Mapping;

/// The largest queue.
pub const QUEUE_MAX: u16 = 1024;

const MAGIC: u64 = 0x4245_4451;
const HEADS: usize = 64;
const HEAD: usize = 16;
const SLOTS: usize = HEADS + HEAD * QUEUE_MAX as usize;
const SLOT: usize = 24;

/// Bytes of the record of one queue. Pages that a small queue does not touch cost nothing.
pub const RECORD: usize = (SLOTS + SLOT * QUEUE_MAX as usize).next_multiple_of(4096);

const IN_FLIGHT: u64 = 1;
const FINISHED: u64 = 2;
const NOTED: u64 = 1 << 32;

/// The record of one queue.
#[derive(Debug)]
pub struct InFlight {
    region: Region,
    base: usize,
    /// Unmaps it when the last is gone; `None` for memory that is never freed.
    _mapping: Option<Arc<Mapping>>,
}

/// An entry, as found after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub head: u16,
    /// When it was fetched, counted in requests.
    pub order: u64,
    /// It was about to be seen as used.
    pub finished: bool,
    /// Its first slot, and how many descriptors; none in split rings.
    pub slots: (u16, u16),
}

/// A descriptor that is kept: its address, and length | flags << 32.
pub type Kept = [u64; 2];

impl InFlight {
    /// New memory for the records of so many queues, sealed to its size.
    pub fn create(queues: u16) -> std::io::Result<OwnedFd> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = memfd_create("bedplate-in-flight", flags)?;
        ftruncate(&file, (RECORD * usize::from(queues)) as u64)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok(file)
    }

    /// The record of a queue in such memory.
    pub fn of(mapping: &Arc<Mapping>, queue: u16) -> InFlight {
        let base = usize::from(queue) * RECORD;
        assert!(base + RECORD <= mapping.len(), "the memory has a record for each queue");
        InFlight { region: mapping.region(), base, _mapping: Some(Arc::clone(mapping)) }
    }

    /// A record that is lost with the process.
    pub fn unshared() -> InFlight {
        InFlight { region: Region::leaked(RECORD), base: 0, _mapping: None }
    }

    #[inline]
    fn word(&self, at: usize) -> &AtomicU64 {
        self.region.shared(self.base + at)
    }
    #[inline]
    fn head(&self, head: u16) -> &AtomicU64 {
        self.word(HEADS + HEAD * usize::from(head))
    }
    fn header(size: u16, packed: bool) -> u64 {
        MAGIC << 32 | u64::from(size) << 8 | u64::from(packed) << 1 | 1
    }

    /// Whether a queue of this shape was served and not ended.
    pub fn is_active(&self, size: u16, packed: bool) -> bool {
        self.word(0).load(Ordering::Acquire) == Self::header(size, packed)
    }
    /// A queue begins: nothing is in flight.
    pub fn begin(&self, size: u16, packed: bool, used: u16) {
        self.word(0).store(0, Ordering::Release);
        (0..size).for_each(|head| self.head(head).store(0, Ordering::Release));
        self.word(8).store(0, Ordering::Release);
        self.word(16).store(u64::from(used), Ordering::Release);
        self.word(0).store(Self::header(size, packed), Ordering::Release);
    }
    /// A queue ended, or begins anew: the record says nothing about it any more.
    pub fn end(&self) {
        self.word(0).store(0, Ordering::Release);
    }

    /// Has its memory mapped here, as far as a queue of this size uses it.
    pub fn warm(&self, size: u16) {
        let last = HEADS + HEAD * usize::from(size);
        (0..last).step_by(4096).for_each(|at| {
            std::hint::black_box(self.word(at).load(Ordering::Relaxed));
        });
    }

    /// A request is about to be looked at.
    #[inline]
    pub fn fetched(&self, head: u16, order: u64) {
        self.head(head).store(order << 2 | IN_FLIGHT, Ordering::Release);
    }
    /// Notes where the descriptors of a head of a packed ring are kept, before `fetched`.
    #[inline]
    pub fn keep(&self, head: u16, slots: impl Iterator<Item = (u16, Kept)>) {
        let (mut first, mut count, mut last) = (0, 0u64, None);
        for (slot, kept) in slots {
            let at = SLOTS + SLOT * usize::from(slot);
            self.word(at).store(kept[0], Ordering::Release);
            self.word(at + 8).store(kept[1], Ordering::Release);
            match last {
                Some(before) => self.word(before + 16).store(u64::from(slot), Ordering::Release),
                None => first = u64::from(slot),
            }
            (last, count) = (Some(at), count + 1);
        }
        let at = HEADS + HEAD * usize::from(head) + 8;
        self.word(at).store(count << 16 | first, Ordering::Release);
    }
    /// The descriptors that are kept in so many slots from a first, with their slots.
    /// Stops at what makes no sense: the caller compares the number.
    pub fn kept(&self, slots: (u16, u16)) -> impl Iterator<Item = (u16, Kept)> + '_ {
        let mut next = u64::from(slots.0);
        (0..slots.1).map_while(move |_| {
            let slot = u16::try_from(next).ok().filter(|slot| *slot < QUEUE_MAX)?;
            let at = SLOTS + SLOT * usize::from(slot);
            let load = |at| self.word(at).load(Ordering::Acquire);
            next = load(at + 16);
            Some((slot, [load(at), load(at + 8)]))
        })
    }
    /// A request is answered, but not yet for the guest to see.
    #[inline]
    pub fn finished(&self, head: u16) {
        let entry = self.head(head);
        entry.store(entry.load(Ordering::Relaxed) | FINISHED, Ordering::Release);
    }
    /// The next store makes all that is finished visible: it takes the used position
    /// from `first` to `next`.
    #[inline]
    pub fn note(&self, first: u16, next: u16) {
        let batch = NOTED | u64::from(first) << 16 | u64::from(next);
        self.word(8).store(batch, Ordering::Release);
    }
    /// The store has happened.
    #[inline]
    pub fn visible(&self, heads: &[u16], next: u16) {
        heads.iter().for_each(|head| self.head(*head).store(0, Ordering::Release));
        self.word(16).store(u64::from(next), Ordering::Release);
        self.word(8).store(0, Ordering::Release);
    }

    /// The batch that was noted when the process died: from which used position to which.
    pub fn noted(&self) -> Option<(u16, u16)> {
        let batch = self.word(8).load(Ordering::Acquire);
        (batch & NOTED != 0).then_some(((batch >> 16) as u16, batch as u16))
    }
    /// The used position after the last batch that is known to be visible.
    pub fn used(&self) -> u16 {
        self.word(16).load(Ordering::Acquire) as u16
    }
    /// What was in flight, oldest first.
    pub fn found(&self, size: u16) -> Vec<Found> {
        let of = |head| {
            let entry = self.head(head).load(Ordering::Acquire);
            let at = self.word(HEADS + HEAD * usize::from(head) + 8).load(Ordering::Acquire);
            let slots = (at as u16, (at >> 16) as u16);
            let found = Found { head, order: entry >> 2, finished: entry & FINISHED != 0, slots };
            (entry & IN_FLIGHT != 0).then_some(found)
        };
        let mut found: Vec<Found> = (0..size).filter_map(of).collect();
        found.sort_by_key(|entry| entry.order);
        found
    }
    /// The batch that was noted is no more: the next one notes itself.
    pub fn forget_note(&self) {
        self.word(8).store(0, Ordering::Release);
    }
    /// Takes the mark away that a head was about to be seen: it is done again.
    pub fn again(&self, found: Found) {
        self.fetched(found.head, found.order);
    }
}

#[cfg(test)]
impl InFlight {
    /// As if a process died while it cleared entries.
    pub(crate) fn clear_for_test(&self, head: u16) {
        self.head(head).store(0, Ordering::Release);
    }
    /// As if a VMM wrote to it.
    pub(crate) fn set_for_test(&self, word: usize, value: u64) {
        self.word(8 * word).store(value, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn what_is_in_flight_outlives_who_served_it() {
        let file = InFlight::create(2).unwrap();
        let map = || Arc::new(Mapping::new(file.as_fd(), 0, 2 * RECORD as u64).unwrap());
        let record = InFlight::of(&map(), 1);
        record.begin(8, true, 0);
        record.keep(3, [(5, [1, 2]), (0, [3, 4])].into_iter());
        record.fetched(3, 10);
        record.fetched(1, 9);
        record.finished(1);
        record.note(0, 1);
        drop(record);

        let record = InFlight::of(&map(), 1);
        assert!(record.is_active(8, true) && !record.is_active(8, false));
        let found = record.found(8);
        assert_eq!(
            found.iter().map(|f| (f.head, f.finished)).collect::<Vec<_>>(),
            [(1, true), (3, false)]
        );
        assert_eq!(record.kept(found[1].slots).collect::<Vec<_>>(), [(5, [1, 2]), (0, [3, 4])]);
        assert_eq!(record.noted(), Some((0, 1)));
        record.visible(&[1], 1);
        assert_eq!((record.noted(), record.used(), record.found(8).len()), (None, 1, 1));
        assert!(!InFlight::of(&map(), 0).is_active(8, true));
    }

    #[test]
    fn nonsense_in_the_record_is_bounded() {
        let record = InFlight::unshared();
        record.begin(8, true, 0);
        record.fetched(3, 10);
        record.word(HEADS + HEAD * 3 + 8).store(u64::MAX, Ordering::Relaxed);
        assert_eq!(record.kept(record.found(8)[0].slots).count(), 0);
    }
}
