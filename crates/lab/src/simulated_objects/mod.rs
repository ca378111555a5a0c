//! A simulated object store: the real engine on files in memory, and beside it a small
//! model of what it should hold. The power goes at every write, sync and change of a
//! name, and each time what comes up again must be what the model held at some point
//! between the last change that was acknowledged and the last that was asked for.
//!
//! Read in this order: [`act`] (what is asked), [`world`] (what should be there),
//! [`rig`] (both together), [`judge`] (whether they agree), [`explore`] (every crash of
//! short sequences), [`long`] (random runs with failing media, some crashes).

pub mod act;
pub mod explore;
pub mod judge;
pub mod long;
pub mod rig;
pub mod world;

use std::collections::HashSet;

/// A piece of work that depends on nothing but its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// The short sequence of this seed, crashed everywhere.
    Short(u64),
    /// The long run of this seed, crashed here and there.
    Long(u64),
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// States of files that a store was opened on: their digests.
    pub states: HashSet<u64>,
    /// Changes that were acknowledged.
    pub acknowledged: u64,
    /// Crashes after which something acknowledged was not there, or something was there
    /// that nobody asked for.
    pub lost: u64,
    /// Bodies that were not what was written, and were handed out all the same.
    pub wrong_bytes: u64,
    /// What was wrong, in words; the first few.
    pub told: Vec<String>,
}

impl Findings {
    /// Nothing was wrong.
    pub fn clean(&self) -> bool {
        self.lost == 0 && self.wrong_bytes == 0
    }

    /// Counts what is wrong.
    pub fn blame(&mut self, wrong: &judge::Wrong) {
        match wrong {
            judge::Wrong::Bytes(_) => self.wrong_bytes += 1,
            judge::Wrong::Other(_) => self.lost += 1,
        }
    }

    /// Takes another's in.
    pub fn merge(&mut self, other: Self) {
        self.states.extend(other.states);
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.wrong_bytes += other.wrong_bytes;
        self.told.extend(other.told);
        self.told.truncate(10);
    }
}

/// Up to so many ways for each moment of a short sequence in which the power can go…
const SHORT_FATES: u64 = 64;
/// …and of a long run.
const LONG_FATES: u64 = 16;

/// Does one job.
pub fn job(job: Job) -> Findings {
    match job {
        Job::Short(seed) => explore::explore(seed, SHORT_FATES),
        Job::Long(seed) => long::run(seed, LONG_FATES),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crashes_lose_nothing_that_was_acknowledged() {
        let mut all = Findings::default();
        for seed in 0..6 {
            all.merge(explore::explore(seed, 8));
        }
        assert!(all.clean(), "{:#?}", all.told);
        assert!(all.states.len() >= 600, "{}", all.states.len());
    }

    #[test]
    fn media_that_fail_lose_nothing_that_was_acknowledged() {
        // The last one found an end of the log that was cut off and not synced.
        for seed in [0, 1, 2, 3, 4, 1079] {
            let findings = long::run(seed, 4);
            assert!(findings.clean(), "{:#?}", findings.told);
            assert!(findings.acknowledged > 20, "{seed}");
        }
    }
}
