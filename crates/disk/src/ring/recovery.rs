//! Queues after a crash: what is in the ring and in the record says where they go on.
//!
//! All that was fetched is either used, as the guest can see, or in the record. So the
//! next to fetch is as far after the next to use as the record has entries (in a packed
//! ring: as they have descriptors).

use crate::in_flight::{Found, InFlight, Kept};

use super::packed::Lap;
use super::queue::{Layout, Pending, Queue, Slots, Stage};
use super::{Broken, SavedQueue};

impl Queue {
    /// Takes over what a dead process left.
    pub(super) fn recover(&mut self) -> Result<(), Broken> {
        let size = self.pending.len() as u16;
        let mut found = self.record.found(size);
        let noted = self.record.noted();
        let happened = noted.filter(|(first, next)| match &self.ring {
            Layout::Split(ring) => ring.used_index() == *next,
            Layout::Packed(ring) => ring.was_used(Lap::of(*first)),
        });
        let used = match (&self.ring, happened) {
            (_, Some((_, next))) => next,
            (Layout::Split(ring), None) => ring.used_index(),
            (Layout::Packed(_), None) => self.record.used(),
        };
        if happened.is_some() {
            let done: Vec<u16> = found.iter().filter(|f| f.finished).map(|f| f.head).collect();
            found.retain(|entry| !entry.finished);
            self.record.visible(&done, used);
        }
        self.record.forget_note();
        found.iter().for_each(|entry| self.record.again(*entry));
        self.order = found.last().map_or(1, |last| last.order.saturating_add(1));
        self.take_over(&found, used)?;
        // It may have died between the store and the notice.
        self.owes_notice = true;
        Ok(())
    }

    fn take_over(&mut self, found: &[Found], used: u16) -> Result<(), Broken> {
        for entry in found {
            let (slot, descriptors) = entry.slots;
            let pending = &mut self.pending[usize::from(entry.head)];
            *pending = Pending { stage: Stage::Again, slot, descriptors, ..Pending::FREE };
        }
        self.again = found.iter().rev().map(|entry| entry.head).collect();
        match &mut self.ring {
            Layout::Split(ring) => ring.go_to(used.wrapping_add(found.len() as u16), used),
            Layout::Packed(ring) => {
                let size = self.pending.len() as u16;
                let taken: u32 = found.iter().map(|entry| u32::from(entry.slots.1)).sum();
                let taken = u16::try_from(taken)
                    .ok()
                    .filter(|taken| *taken <= size)
                    .ok_or(Broken::Record)?;
                let at = Lap::of(used);
                let inside = at.slot < size && found.iter().all(|entry| entry.slots.1 > 0);
                if !inside {
                    return Err(Broken::Record);
                }
                ring.go_to(at.plus(taken, size), at, taken)?;
                ring.take_back(at, taken);
                self.slots.take_over(found, &self.record)?;
            }
        }
        Ok(())
    }

    /// Puts the ring where a predecessor left it.
    pub(super) fn restore_ring(&mut self, saved: &SavedQueue) -> Result<(), Broken> {
        let size = self.pending.len() as u16;
        match &mut self.ring {
            Layout::Split(ring) => ring.go_to(saved.position.0 as u16, saved.used),
            Layout::Packed(ring) => {
                let found = self.record.found(size);
                let taken: u32 = found.iter().map(|entry| u32::from(entry.slots.1)).sum();
                let taken = u16::try_from(taken).map_err(|_| Broken::Record)?;
                let next = Lap::of(saved.position.0 as u16);
                ring.go_to(next, Lap::of((saved.position.0 >> 16) as u16), taken)?;
                self.slots.take_over(&found, &self.record)?;
                for entry in found {
                    let pending = &mut self.pending[usize::from(entry.head)];
                    (pending.slot, pending.descriptors) = entry.slots;
                }
            }
        }
        Ok(())
    }
}

impl Slots {
    /// Keeps the descriptors of a head of a packed ring; the first slot.
    #[inline]
    pub(super) fn keep(&mut self, head: u16, taken: &[Kept], record: &InFlight) -> u16 {
        let mut last: Option<u16> = None;
        let (next, free) = (&mut self.next, &mut self.free);
        let mut first = 0;
        let slots = taken.iter().map(|kept| {
            let slot = free.pop().expect("a ring has as many slots as descriptors");
            match last {
                Some(before) => next[usize::from(before)] = slot,
                None => first = slot,
            }
            last = Some(slot);
            (slot, *kept)
        });
        record.keep(head, slots);
        first
    }
    #[inline]
    pub(super) fn give_back(&mut self, first: u16, count: u16) {
        let mut slot = first;
        for _ in 0..count {
            self.free.push(slot);
            slot = self.next[usize::from(slot)];
        }
    }
    /// Takes the slots over that the record says are used, each by one head.
    fn take_over(&mut self, found: &[Found], record: &InFlight) -> Result<(), Broken> {
        let mut taken = vec![false; self.next.len()];
        for entry in found {
            let mut last: Option<u16> = None;
            let mut count = 0;
            for (slot, _) in record.kept(entry.slots) {
                let mark = taken.get_mut(usize::from(slot)).ok_or(Broken::Record)?;
                if std::mem::replace(mark, true) {
                    return Err(Broken::Record);
                }
                if let Some(before) = last.replace(slot) {
                    self.next[usize::from(before)] = slot;
                }
                count += 1;
            }
            if count != entry.slots.1 {
                return Err(Broken::Record);
            }
        }
        self.free =
            (0..self.next.len() as u16).rev().filter(|slot| !taken[usize::from(*slot)]).collect();
        Ok(())
    }
}
