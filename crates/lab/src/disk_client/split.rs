//! The split ring, the driver's side (virtio 1.2, section 2.7).
//!
//! Each slot of the client has its own descriptors, at the same places for ever: when
//! a request has the shape of the one before, the table is not touched and stays in
//! the server's cache.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use super::chain::{Chain, NEXT, wanted};
use super::memory::Memory;

/// Where the three parts of a ring lie.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// Descriptors.
    pub descriptors: usize,
    /// What the driver tells.
    pub driver: usize,
    /// What the device tells.
    pub device: usize,
    /// Descriptors in the ring.
    pub size: u16,
}

/// A split ring.
#[derive(Debug)]
pub struct Split {
    memory: Arc<Memory>,
    parts: Parts,
    /// Descriptors of each slot.
    each: u16,
    event_index: bool,
    next: u16,
    published: u16,
    seen: u16,
}

impl Split {
    /// A ring that nothing was put into. It asks for no notice until [`Split::arm`].
    pub fn new(memory: Arc<Memory>, parts: Parts, each: u16, event_index: bool) -> Self {
        memory.word(parts.driver).store(1, Ordering::Relaxed);
        Self { memory, parts, each, event_index, next: 0, published: 0, seen: 0 }
    }

    /// Puts a slot's request in; the device does not see it yet.
    #[inline]
    pub fn submit(&mut self, slot: u16, chain: &Chain, changed: bool) {
        let head = slot * self.each;
        if changed {
            self.describe(head, chain);
        }
        let place = self.parts.driver + 4 + usize::from(self.next & (self.parts.size - 1)) * 2;
        self.memory.word(place).store(head, Ordering::Relaxed);
        self.next = self.next.wrapping_add(1);
    }

    fn describe(&self, head: u16, chain: &Chain) {
        let pieces = chain.pieces();
        assert!(pieces.len() <= usize::from(self.each), "a slot has room for its chain");
        for (index, piece) in (head..).zip(pieces) {
            let more = index + 1 < head + pieces.len() as u16;
            let flags = piece.flags | if more { NEXT } else { 0 };
            let rest =
                u64::from(piece.length) | u64::from(flags) << 32 | u64::from(index + 1) << 48;
            let place = self.parts.descriptors + usize::from(index) * 16;
            self.memory.store(place, piece.address);
            self.memory.store(place + 8, rest);
        }
    }

    /// Shows the device what was put in; whether it wants to be told.
    #[inline]
    pub fn publish(&mut self) -> bool {
        let old = std::mem::replace(&mut self.published, self.next);
        self.memory.word(self.parts.driver + 2).store(self.next, Ordering::Release);
        fence(Ordering::SeqCst);
        if self.event_index {
            let place = self.parts.device + 4 + usize::from(self.parts.size) * 8;
            let event = self.memory.word(place).load(Ordering::Relaxed);
            return wanted(event, self.next, old);
        }
        self.memory.word(self.parts.device).load(Ordering::Relaxed) & 1 == 0
    }

    /// Calls with each slot that the device gave back; `None` for a head that is none.
    #[inline]
    pub fn poll(&mut self, mut each: impl FnMut(Option<u16>)) -> usize {
        let used = self.memory.word(self.parts.device + 2).load(Ordering::Acquire);
        let count = used.wrapping_sub(self.seen);
        for _ in 0..count {
            let index = usize::from(self.seen & (self.parts.size - 1));
            let place = self.parts.device + 4 + index * 8;
            // The ring begins at a multiple of 4 and not of 8: a head is two words.
            let low = self.memory.word(place).load(Ordering::Relaxed);
            let slot = low.is_multiple_of(self.each).then_some(low / self.each);
            each(slot);
            self.seen = self.seen.wrapping_add(1);
        }
        usize::from(count)
    }

    /// Asks for a notice with the next that is given back; whether one came already.
    pub fn arm(&mut self) -> bool {
        let event = self.parts.driver + 4 + usize::from(self.parts.size) * 2;
        self.memory.word(event).store(self.seen, Ordering::Relaxed);
        self.memory.word(self.parts.driver).store(0, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.memory.word(self.parts.device + 2).load(Ordering::Acquire) != self.seen
    }
}
