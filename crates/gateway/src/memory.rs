//! Memory that was needed for a while (a crowd of uploads, a walk through a million keys)
//! and is kept by the allocator of each thread that had it.

use world::clock::monotonic_nanos;
use world::memory::{give_back, resident};

/// Between two looks, in nanoseconds.
const OFTEN: u64 = 2_000_000_000;
/// So much more than after the last time is worth the few milliseconds that it takes.
const MUCH: u64 = 8 << 20;

/// Looks now and then.
#[derive(Debug, Default)]
pub struct Memory {
    looked: u64,
    /// What was held after the last time, or less than that since.
    least: u64,
}

impl Memory {
    /// Gives back what is not used, when it is time, and has become much.
    pub fn look(&mut self) {
        let now = monotonic_nanos();
        if now.saturating_sub(self.looked) < OFTEN {
            return;
        }
        self.looked = now;
        let Some(held) = resident() else { return };
        if self.is_much(held) {
            give_back();
            self.least = resident().unwrap_or(held);
        }
    }

    fn is_much(&mut self, held: u64) -> bool {
        self.least = self.least.min(held);
        held - self.least >= MUCH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_came_since_the_last_time_counts() {
        let mut memory = Memory { looked: 0, least: 100 << 20 };
        assert!(!memory.is_much(107 << 20) && memory.is_much(108 << 20));
        assert!(!memory.is_much(50 << 20), "it went by itself");
        assert!(!memory.is_much(57 << 20) && memory.is_much(58 << 20));
    }
}
