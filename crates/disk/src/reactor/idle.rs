//! When a lane that found nothing to do stops looking and sleeps.
//!
//! Looking again costs a core; sleeping costs the next request a wake-up, some
//! microseconds. So a lane looks for as long as the next request is likely to come:
//! twice the usual gap between two pieces of work, and never more than [`LONGEST`].
//! When gaps are usually longer than that, looking is hardly ever worth it.

/// Nanoseconds that a lane looks at most.
pub const LONGEST: u64 = 50_000;
/// Nanoseconds that it looks at least: a sleep costs as much.
const SHORTEST: u64 = 4_000;
/// A gap counts at most as this, so that one long pause is soon forgotten.
const CAP: u64 = 1_000_000;

/// How a lane polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polling {
    /// It never sleeps: lowest latency, a whole core.
    Always,
    /// It sleeps when nothing comes.
    Adaptive,
}

/// The usual gap between pieces of work, and since when there was none.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    polling: Polling,
    /// Moving average, nanoseconds times 8.
    gap: u64,
    last: u64,
}

impl Idle {
    /// Begins, with nothing known.
    pub fn new(polling: Polling, now: u64) -> Self {
        Self { polling, gap: 8 * CAP, last: now }
    }
    /// There was work in this turn.
    #[inline]
    pub fn worked(&mut self, now: u64) {
        let gap = now.saturating_sub(self.last).min(CAP);
        self.gap = self.gap - self.gap / 8 + gap;
        self.last = now;
    }
    /// Whether it never sleeps.
    pub fn always(&self) -> bool {
        self.polling == Polling::Always
    }
    /// When there was work last.
    pub fn last(&self) -> u64 {
        self.last
    }
    /// Whether to sleep, in a turn without work.
    #[inline]
    pub fn is_over(&self, now: u64) -> bool {
        self.polling == Polling::Adaptive && now.saturating_sub(self.last) > self.patience()
    }
    /// How long to look.
    fn patience(&self) -> u64 {
        let twice = self.gap / 4;
        if twice > LONGEST { SHORTEST } else { twice.max(SHORTEST) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(gaps: impl IntoIterator<Item = u64>) -> (Idle, u64) {
        let mut now = 1_000;
        let mut idle = Idle::new(Polling::Adaptive, now);
        for gap in gaps {
            now += gap;
            idle.worked(now);
        }
        (idle, now)
    }

    #[test]
    fn it_looks_twice_the_usual_gap() {
        let (idle, now) = after(std::iter::repeat_n(10_000, 200));
        assert!(!idle.is_over(now + 19_000));
        assert!(idle.is_over(now + 21_000));
    }

    #[test]
    fn rare_work_is_not_looked_for() {
        let (idle, now) = after(std::iter::repeat_n(900_000, 50));
        assert!(idle.is_over(now + SHORTEST + 1));
    }

    #[test]
    fn it_never_looks_longer_than_the_longest() {
        for gap in [0, 1, 24_000, 26_000, 10_000_000] {
            let (idle, now) = after(std::iter::repeat_n(gap, 300));
            assert!(!idle.is_over(now + SHORTEST) && idle.is_over(now + LONGEST + 1), "{gap}");
        }
    }

    #[test]
    fn always_means_always() {
        let idle = Idle::new(Polling::Always, 0);
        assert!(!idle.is_over(u64::MAX));
    }
}
