//! How soon the next engine is started after one has died.
//!
//! One that served and was killed from outside, by a person or for want of memory, did not
//! die of itself: guests wait, and the next one is started at once, as long as that does
//! not happen all the time. One that ended by a fault of its own, or before it served, would
//! probably do so again: the keeper waits longer each time, and gives up in the end.

use std::time::Duration;

/// An engine that lived so long did not die of its start.
const HEALTHY: Duration = Duration::from_secs(10);
/// The first wait between two deaths at the start; each is twice the one before.
const FIRST: Duration = Duration::from_millis(20);
/// Between restarts at most.
const LONGEST: Duration = Duration::from_secs(5);
/// So many deaths at the start, one after the other, and the keeper gives up.
pub const DEATHS: u32 = 12;
/// Engines that are killed are started again this often on average.
const EACH: Duration = Duration::from_millis(50);
/// And for so long they may be killed more often than that.
const CREDIT: Duration = Duration::from_secs(2);

/// How an engine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// It had said that it serves.
    pub served: bool,
    /// SIGKILL ended it.
    pub killed: bool,
    /// How long it lived.
    pub lived: Duration,
}

/// What is remembered of deaths.
#[derive(Debug, Default)]
pub struct Restarts {
    /// Deaths at the start, one after the other.
    deaths: u32,
    /// Until then the kills so far would have come if they had come [`EACH`].
    kills: Duration,
}

impl Restarts {
    /// One has taken over, and serves.
    pub fn well(&mut self) {
        self.deaths = 0;
    }

    /// One has died, at `now` of any clock. How long to wait before the next; `None`: not
    /// any more.
    pub fn died(&mut self, end: End, now: Duration) -> Option<Duration> {
        if end.served && end.killed {
            self.deaths = 0;
            self.kills = self.kills.max(now) + EACH;
            return Some(self.kills.saturating_sub(now + CREDIT));
        }
        self.deaths = if end.lived >= HEALTHY { 1 } else { self.deaths + 1 };
        match self.deaths {
            1 => Some(Duration::ZERO),
            some if some <= DEATHS => Some((FIRST * 2_u32.pow(some - 2)).min(LONGEST)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILLED: End = End { served: true, killed: true, lived: Duration::from_millis(30) };

    #[test]
    fn who_is_killed_now_and_then_is_followed_at_once() {
        let (mut restarts, mut now) = (Restarts::default(), Duration::ZERO);
        for _ in 0..1000 {
            assert_eq!(restarts.died(KILLED, now), Some(Duration::ZERO));
            now += EACH;
        }
    }

    #[test]
    fn who_is_killed_all_the_time_is_followed_at_a_bounded_rate() {
        let (mut restarts, mut now) = (Restarts::default(), Duration::ZERO);
        for _ in 0..1000 {
            now += restarts.died(KILLED, now).expect("it goes on");
        }
        assert!(now > EACH * 900 && now <= EACH * 1000, "{now:?}");
    }

    #[test]
    fn who_dies_of_itself_is_followed_later_and_later_and_then_not() {
        for end in [
            End { served: false, killed: true, lived: Duration::ZERO },
            End { served: true, killed: false, lived: Duration::from_secs(1) },
        ] {
            let mut restarts = Restarts::default();
            let waits: Vec<_> = (0..DEATHS).map(|_| restarts.died(end, Duration::ZERO)).collect();
            assert_eq!(waits[0], Some(Duration::ZERO));
            assert!(waits.is_sorted() && waits[1] > waits[0], "{waits:?}");
            assert_eq!(waits.last(), Some(&Some(LONGEST)));
            assert_eq!(restarts.died(end, Duration::ZERO), None);
            restarts.well();
            assert_eq!(restarts.died(end, Duration::ZERO), Some(Duration::ZERO));
        }
    }
}
