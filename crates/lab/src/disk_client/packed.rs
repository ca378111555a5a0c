//! The packed ring, the driver's side (virtio 1.2, section 2.8).

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use super::chain::{Chain, NEXT, wanted};
use super::memory::Memory;
use super::split::Parts;

const AVAILABLE: u16 = 1 << 7;
const USED: u16 = 1 << 15;
/// What the suppression areas say: tell me always, never, at a place.
const ALWAYS: u16 = 0;
const NEVER: u16 = 1;
const AT: u16 = 2;

/// A packed ring.
#[derive(Debug)]
pub struct Packed {
    memory: Arc<Memory>,
    parts: Parts,
    event_index: bool,
    /// Where the next descriptor goes, and the counter of the driver's rounds.
    next: u16,
    round: bool,
    /// Where the next one is given back, and the counter of the device's rounds.
    seen: u16,
    seen_round: bool,
    /// Descriptors put in and not yet shown.
    fresh: u16,
    /// Descriptors that each slot has in the ring.
    lengths: Vec<u16>,
}

impl Packed {
    /// A ring that nothing was put into. It asks for no notice until [`Packed::arm`].
    pub fn new(memory: Arc<Memory>, parts: Parts, slots: u16, event_index: bool) -> Self {
        memory.word(parts.driver + 2).store(NEVER, Ordering::Relaxed);
        let lengths = vec![0; usize::from(slots)];
        let (next, seen, fresh) = (0, 0, 0);
        Self {
            memory,
            parts,
            event_index,
            next,
            round: true,
            seen,
            seen_round: true,
            fresh,
            lengths,
        }
    }

    /// Puts a slot's request in. The device may see it at once.
    #[inline]
    pub fn submit(&mut self, slot: u16, chain: &Chain) {
        let pieces = chain.pieces();
        self.lengths[usize::from(slot)] = pieces.len() as u16;
        let mut first = None;
        for (index, piece) in pieces.iter().enumerate() {
            let more = if index + 1 < pieces.len() { NEXT } else { 0 };
            let turn = if self.round { AVAILABLE } else { USED };
            let flags = piece.flags | more | turn;
            let rest = u64::from(piece.length) | u64::from(slot) << 32 | u64::from(flags) << 48;
            let place = self.parts.descriptors + usize::from(self.next) * 16;
            self.memory.store(place, piece.address);
            match index {
                0 => first = Some((place + 8, rest)),
                _ => self.memory.store(place + 8, rest),
            }
            self.next += 1;
            if self.next == self.parts.size {
                (self.next, self.round) = (0, !self.round);
            }
        }
        // The first one last: its flags show the whole chain.
        let (place, rest) = first.expect("a chain has pieces");
        self.memory.number(place).store(rest, Ordering::Release);
        self.fresh += pieces.len() as u16;
    }

    /// Whether the device wants to be told of what was put in.
    #[inline]
    pub fn publish(&mut self) -> bool {
        fence(Ordering::SeqCst);
        let fresh = std::mem::take(&mut self.fresh);
        match self.memory.word(self.parts.device + 2).load(Ordering::Acquire) {
            ALWAYS => true,
            AT if self.event_index => {
                let told = self.memory.word(self.parts.device).load(Ordering::Relaxed);
                let place = told & 0x7fff;
                let same = (told & 0x8000 != 0) == self.round;
                let event = if same { place } else { place.wrapping_sub(self.parts.size) };
                wanted(event, self.next, self.next.wrapping_sub(fresh))
            }
            _ => false,
        }
    }

    #[inline]
    fn given_back(&self) -> Option<u64> {
        let place = self.parts.descriptors + usize::from(self.seen) * 16 + 8;
        let rest = self.memory.number(place).load(Ordering::Acquire);
        let flags = (rest >> 48) as u16;
        let (available, used) = (flags & AVAILABLE != 0, flags & USED != 0);
        (available == used && used == self.seen_round).then_some(rest)
    }

    /// Calls with each slot that the device gave back; `None` for an id that is none.
    #[inline]
    pub fn poll(&mut self, mut each: impl FnMut(Option<u16>)) -> usize {
        let mut count = 0;
        while let Some(rest) = self.given_back() {
            let slot = (rest >> 32) as u16;
            let length = self.lengths.get_mut(usize::from(slot)).map_or(0, std::mem::take);
            count += 1;
            if length == 0 {
                // Where the next one is cannot be known now: the ring is broken.
                each(None);
                break;
            }
            self.seen += length;
            if self.seen >= self.parts.size {
                self.seen -= self.parts.size;
                self.seen_round = !self.seen_round;
            }
            each(Some(slot));
        }
        count
    }

    /// Asks for a notice with the next that is given back; whether one came already.
    pub fn arm(&mut self) -> bool {
        let place = self.seen | if self.seen_round { 0x8000 } else { 0 };
        self.memory.word(self.parts.driver).store(place, Ordering::Relaxed);
        let how = if self.event_index { AT } else { ALWAYS };
        self.memory.word(self.parts.driver + 2).store(how, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.given_back().is_some()
    }
}
