//! Memory that reads land in. In front of the data is room for the reply's header, so
//! that header and data are sent as one piece.
//!
//! Reads up to a block use slots; the slot that came back last is used first, because
//! the processor still has it in its cache. Longer ones use a ring.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Room in front of the data. Longer than any header, so that data begins at a sector
/// of memory, as direct I/O wants it.
const FRONT: usize = 512;
/// Data a slot holds.
const SLOT: usize = 4096;
/// How many slots there are.
const SLOTS: u16 = 64;
/// Bytes of all slots.
pub const SLOT_BYTES: usize = SLOTS as usize * (FRONT + SLOT);

/// A place for one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hold {
    /// A slot, by number.
    Slot(u16),
    /// A piece of the ring, by number.
    Ring(u64),
}

/// A piece of the ring.
#[derive(Debug, Serialize, Deserialize)]
struct Piece {
    start: u64,
    free: bool,
}

/// The memory for reads.
#[derive(Debug, Serialize, Deserialize)]
pub struct Arena {
    at: usize,
    slots: Vec<u16>,
    ring: usize,
    capacity: u64,
    tail: u64,
    pieces: VecDeque<Piece>,
    first: u64,
}

impl Arena {
    /// An arena over `bytes` bytes at `at`, a multiple of 512, of the connection's memory.
    pub fn new(at: usize, bytes: usize) -> Self {
        assert!(at.is_multiple_of(FRONT) && bytes > 2 * SLOT_BYTES, "memory is laid out with room");
        let ring = at + SLOT_BYTES;
        let capacity = ((bytes - SLOT_BYTES) / FRONT * FRONT) as u64;
        let (slots, pieces) = ((0..SLOTS).rev().collect(), VecDeque::with_capacity(256));
        Self { at, slots, ring, capacity, tail: 0, pieces, first: 0 }
    }

    /// The longest read there can ever be room for, in bytes.
    pub fn longest(&self) -> u64 {
        self.capacity - FRONT as u64
    }

    /// Whether there is a place for so many bytes now.
    #[inline]
    pub fn fits(&self, bytes: usize) -> bool {
        bytes <= SLOT && !self.slots.is_empty() || self.place(bytes).is_some()
    }

    /// A place for so many bytes, which must fit, and where the data begins in the
    /// connection's memory.
    #[inline]
    pub fn take(&mut self, bytes: usize) -> (Hold, usize) {
        if bytes <= SLOT
            && let Some(slot) = self.slots.pop()
        {
            let at = self.at + usize::from(slot) * (FRONT + SLOT) + FRONT;
            return (Hold::Slot(slot), at);
        }
        let start = self.place(bytes).expect("asked whether there is a place");
        // What is passed over at the ring's end comes free with the piece before it.
        self.pieces.push_back(Piece { start, free: false });
        self.tail = start + Self::need(bytes);
        let number = self.first + self.pieces.len() as u64 - 1;
        (Hold::Ring(number), self.ring + (start % self.capacity) as usize + FRONT)
    }

    /// What so many bytes take up in the ring.
    fn need(bytes: usize) -> u64 {
        (bytes.next_multiple_of(FRONT) + FRONT) as u64
    }

    /// Where in the ring there is room for so many bytes.
    fn place(&self, bytes: usize) -> Option<u64> {
        let need = Self::need(bytes);
        let Some(head) = self.pieces.front() else {
            // An empty ring begins at its start again.
            return (need <= self.capacity).then_some(0);
        };
        let index = self.tail % self.capacity;
        let passed = if index + need > self.capacity { self.capacity - index } else { 0 };
        let start = self.tail + passed;
        (start - head.start + need <= self.capacity).then_some(start)
    }

    /// A place is not used any more.
    #[inline]
    pub fn give_back(&mut self, hold: Hold) {
        match hold {
            Hold::Slot(slot) => self.slots.push(slot),
            Hold::Ring(number) => {
                self.pieces[(number - self.first) as usize].free = true;
                while self.pieces.front().is_some_and(|piece| piece.free) {
                    self.pieces.pop_front();
                    self.first += 1;
                }
            }
        }
    }
}
