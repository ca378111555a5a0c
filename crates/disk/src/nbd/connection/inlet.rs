//! Bytes from the client: a ring in the connection's memory. The data of writes stays
//! where it was received until the engine has answered.
//!
//! Positions count bytes since the ring was last empty. When it is empty it begins
//! anew at its start: a connection that is answered at once always uses the same few
//! kilobytes, which the processor has in its cache.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use volume::{Region, Segment};

/// So much is received at once at most.
const RECEIVE: u64 = 256 << 10;
/// An unfinished request up to this long is moved to the ring's start ...
const MOVED: u64 = 8 << 10;
/// ... when it lies further in than this.
const FAR: u64 = 128 << 10;

/// Data of a write that the engine has.
#[derive(Debug, Serialize, Deserialize)]
struct Pin {
    start: u64,
    answered: bool,
}

/// The ring.
#[derive(Debug, Serialize, Deserialize)]
pub struct Inlet {
    at: usize,
    capacity: u64,
    parsed: u64,
    tail: u64,
    pins: VecDeque<Pin>,
    first_pin: u64,
}

impl Inlet {
    /// A ring of `capacity` bytes, a power of two, at `at` of the connection's memory.
    pub fn new(at: usize, capacity: usize) -> Self {
        assert!(capacity.is_power_of_two(), "positions are masked");
        let pins = VecDeque::with_capacity(256);
        Self { at, capacity: capacity as u64, parsed: 0, tail: 0, pins, first_pin: 0 }
    }

    fn index(&self, position: u64) -> usize {
        (position & (self.capacity - 1)) as usize
    }

    /// Where bytes may be received now: offset in the memory, and how many. 0 when full.
    pub fn space(&mut self, memory: &mut Region) -> (usize, usize) {
        if self.pins.is_empty() {
            self.rewind(memory);
        }
        let used = self.tail - self.pins.front().map_or(self.parsed, |pin| pin.start);
        let to_end = self.capacity - self.index(self.tail) as u64;
        let space = (self.capacity - used).min(to_end).min(RECEIVE);
        (self.at + self.index(self.tail), space as usize)
    }

    /// Nobody else uses the ring: begins at its start again if that is cheap.
    fn rewind(&mut self, memory: &mut Region) {
        let left = self.tail - self.parsed;
        let from = self.index(self.parsed);
        let whole = from as u64 + left <= self.capacity;
        if left > 0 && (left > MOVED || (from as u64) < FAR || !whole) {
            return;
        }
        if left > 0 {
            let ring = memory.bytes_mut(self.at, self.capacity as usize);
            ring.copy_within(from..from + left as usize, 0);
        }
        (self.parsed, self.tail) = (0, left);
    }

    /// So many bytes were received where [`Inlet::space`] said.
    pub fn received(&mut self, bytes: usize) {
        self.tail += bytes as u64;
        assert!(self.tail - self.parsed <= self.capacity, "no more than there was space for");
    }

    /// Bytes that were received and not looked at.
    #[inline]
    pub fn available(&self) -> u64 {
        self.tail - self.parsed
    }

    /// Takes the next bytes out by value, if they are there.
    #[inline]
    pub fn take<const N: usize>(&mut self, memory: &Region) -> Option<[u8; N]> {
        if self.available() < N as u64 {
            return None;
        }
        let index = self.index(self.parsed);
        let mut bytes = [0; N];
        let first = N.min(self.capacity as usize - index);
        bytes[..first].copy_from_slice(memory.bytes(self.at + index, first));
        bytes[first..].copy_from_slice(memory.bytes(self.at, N - first));
        self.parsed += N as u64;
        Some(bytes)
    }

    /// Passes over up to so many bytes; says how many.
    pub fn skip(&mut self, bytes: u64) -> u64 {
        let bytes = bytes.min(self.available());
        self.parsed += bytes;
        bytes
    }

    /// Takes the next bytes, which must be there, as data of a write: they stay until
    /// [`Inlet::unpin`]. Gives the pin's number and where they begin.
    #[inline]
    pub fn pin(&mut self, bytes: u64) -> (u64, u64) {
        assert!(bytes <= self.available(), "the data has been received");
        let start = self.parsed;
        self.pins.push_back(Pin { start, answered: false });
        self.parsed += bytes;
        (self.first_pin + self.pins.len() as u64 - 1, start)
    }

    /// The engine is done with them.
    #[inline]
    pub fn unpin(&mut self, number: u64) {
        self.pins[(number - self.first_pin) as usize].answered = true;
        while self.pins.front().is_some_and(|pin| pin.answered) {
            self.pins.pop_front();
            self.first_pin += 1;
        }
    }

    /// Pinned bytes as memory for the engine: one piece, or two at the ring's end.
    #[inline]
    pub fn segments(&self, memory: &Region, start: u64, bytes: u32) -> ([Segment; 2], u8) {
        let index = self.index(start);
        let first = bytes.min((self.capacity as usize - index) as u32);
        let rest = memory.segment(self.at, bytes - first);
        ([memory.segment(self.at + index, first), rest], if rest.is_empty() { 1 } else { 2 })
    }
}
