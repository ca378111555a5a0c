//! What a client does to a disk, and which request comes next.

use super::ledger::Ledger;
use super::queue::Work;

/// The most blocks of a request.
pub const MOST_BLOCKS: u16 = 16;

/// In which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Anywhere in the range.
    Random,
    /// One after the other, and from the beginning again.
    Sequential,
    /// One after the other, once.
    Once,
}

/// What to do. Parts are of a thousand requests.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In which order.
    pub pattern: Pattern,
    /// When to end, in nanoseconds from the beginning; otherwise somebody says so.
    pub nanos: Option<u64>,
    /// Writes.
    pub writes: u32,
    /// Writes of zeros.
    pub zeroes: u32,
    /// Discards.
    pub discards: u32,
    /// Flushes.
    pub flushes: u32,
    /// Look for answers all the time, and never ask to be told.
    pub polling: bool,
    /// First block of the range.
    pub first: u32,
    /// Blocks of the range.
    pub blocks: u32,
    /// Blocks of a request.
    pub request: u16,
    /// Requests of 1 to `request` blocks, instead of all of that size.
    pub sizes: bool,
    /// Where chance begins.
    pub seed: u64,
    /// Gaps between two answers longer than this, in nanoseconds, are kept one by one.
    pub pause: u64,
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// What it is.
    pub work: Work,
    /// From which block.
    pub block: u32,
    /// How many blocks.
    pub count: u16,
}

/// Chance, and how far a pass is.
#[derive(Clone, Debug)]
pub struct Chooser {
    state: u64,
    cursor: u32,
}

impl Chooser {
    /// The beginning.
    pub fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, cursor: 0 }
    }

    /// Marsaglia's xorshift with a multiplication: quick, and even enough for places.
    #[inline]
    pub fn chance(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// The next request; `None` at the end of a pass.
    #[inline]
    pub fn next(&mut self, plan: &Plan, ledger: Option<&Ledger>) -> Option<Next> {
        let chance = self.chance();
        let part = (((chance >> 32) * 1000) >> 32) as u32;
        let mut work = kind(plan, part);
        if work == Work::Flush {
            return Some(Next { work, block: 0, count: 0 });
        }
        let mut count = plan.request;
        if plan.sizes {
            count = 1 + (self.chance() % u64::from(plan.request)) as u16;
        }
        let mut block = self.place(plan, chance, count)?;
        count = count.min(u16::try_from(plan.blocks - block).unwrap_or(u16::MAX));
        if let Some(ledger) = ledger
            && work != Work::Read
        {
            for _ in 0..8 {
                if !ledger.busy(plan.first + block, count) {
                    break;
                }
                block = self.place(plan, self.clone().chance(), count)?;
                self.chance();
                count = count.min(u16::try_from(plan.blocks - block).unwrap_or(u16::MAX));
            }
            if ledger.busy(plan.first + block, count) {
                // All is being written: then something is read.
                work = Work::Read;
            }
        }
        Some(Next { work, block: plan.first + block, count })
    }

    #[inline]
    fn place(&mut self, plan: &Plan, chance: u64, count: u16) -> Option<u32> {
        if plan.pattern == Pattern::Random {
            return Some((((chance & 0xffff_ffff) * u64::from(plan.blocks)) >> 32) as u32);
        }
        if self.cursor >= plan.blocks {
            if plan.pattern == Pattern::Once {
                return None;
            }
            self.cursor = 0;
        }
        let block = self.cursor;
        self.cursor = block.saturating_add(u32::from(count));
        Some(block)
    }
}

#[inline]
fn kind(plan: &Plan, part: u32) -> Work {
    let mut below = plan.writes;
    if part < below {
        return Work::Write;
    }
    for (share, work) in
        [(plan.zeroes, Work::Zero), (plan.discards, Work::Discard), (plan.flushes, Work::Flush)]
    {
        below += share;
        if part < below {
            return work;
        }
    }
    Work::Read
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            pattern: Pattern::Random,
            nanos: None,
            writes: 300,
            zeroes: 50,
            discards: 0,
            flushes: 10,
            polling: true,
            first: 100,
            blocks: 50,
            request: 4,
            sizes: true,
            seed: 1,
            pause: u64::MAX,
        }
    }

    #[test]
    fn requests_stay_in_the_range_and_come_in_the_parts_that_are_asked() {
        let (plan, mut chooser) = (plan(), Chooser::new(1));
        let mut writes = 0;
        for _ in 0..100_000 {
            let next = chooser.next(&plan, None).expect("there is always one");
            writes += u32::from(next.work == Work::Write);
            if next.work != Work::Flush {
                assert!(next.block >= 100 && next.block + u32::from(next.count) <= 150, "{next:?}");
                assert!((1..=4).contains(&next.count));
            }
        }
        assert!((29_000..31_000).contains(&writes), "{writes}");
    }

    #[test]
    fn a_pass_takes_every_block_once() {
        let plan = Plan {
            pattern: Pattern::Once,
            sizes: false,
            writes: 0,
            zeroes: 0,
            flushes: 0,
            ..plan()
        };
        let mut chooser = Chooser::new(1);
        let mut at = 100;
        while let Some(next) = chooser.next(&plan, None) {
            assert_eq!(next.block, at);
            at += u32::from(next.count);
        }
        assert_eq!(at, 150);
    }
}
