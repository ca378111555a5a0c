//! When may a place that was freed be written again? Not before the last read that
//! might still be on its way to it.
//!
//! Each read has a number, its ticket, and what must be known is the lowest of those in
//! flight. Reads are counted in two generations; a new one begins when the one before
//! the current has no reads left. That costs two counters, however many reads are in
//! flight and however slow one of them is, and is late by one generation at most.

use serde::{Deserialize, Serialize};

/// The reads in flight of one pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tickets {
    current: u8,
    counts: [u32; 2],
    first: [u64; 2],
}

impl Tickets {
    /// A read with this ticket begins. What it gives back is for [`Self::end`].
    #[inline]
    pub fn begin(&mut self, ticket: u64) -> u8 {
        let (current, before) = (self.current, 1 - self.current);
        let generation =
            if self.counts[usize::from(before)] == 0 && self.counts[usize::from(current)] != 0 {
                before
            } else {
                current
            };
        let index = usize::from(generation);
        if self.counts[index] == 0 {
            self.first[index] = ticket;
        }
        self.counts[index] += 1;
        self.current = generation;
        generation
    }
    /// A read of a generation is over.
    #[inline]
    pub fn end(&mut self, generation: u8) {
        let count = &mut self.counts[usize::from(generation)];
        assert!(*count > 0, "what ends has begun");
        *count -= 1;
    }
    /// No read in flight has a lower ticket. The highest number when none is in flight.
    #[inline]
    pub fn oldest(&self) -> u64 {
        let of = |index: usize| if self.counts[index] == 0 { u64::MAX } else { self.first[index] };
        of(0).min(of(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_never_higher_than_what_is_in_flight() {
        let mut tickets = Tickets::default();
        let mut flying: Vec<(u64, u8)> = Vec::new();
        let mut state = 7_u64;
        for ticket in 1..10_000_u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            flying.push((ticket, tickets.begin(ticket)));
            while flying.len() > (state >> 60) as usize {
                let (_, generation) = flying.swap_remove((state >> 33) as usize % flying.len());
                tickets.end(generation);
            }
            let oldest = flying.iter().map(|(ticket, _)| *ticket).min().unwrap_or(u64::MAX);
            assert!(tickets.oldest() <= oldest, "{} but {oldest} is in flight", tickets.oldest());
        }
        for (_, generation) in flying {
            tickets.end(generation);
        }
        assert_eq!(tickets.oldest(), u64::MAX);
    }

    #[test]
    fn it_comes_forward_when_slow_ones_end() {
        let mut tickets = Tickets::default();
        let slow = tickets.begin(1);
        for ticket in 2..100 {
            let quick = tickets.begin(ticket);
            tickets.end(quick);
        }
        let last = tickets.begin(100);
        assert_eq!(tickets.oldest(), 1);
        tickets.end(slow);
        assert!(tickets.oldest() > 1 && tickets.oldest() <= 100);
        tickets.end(last);
    }
}
