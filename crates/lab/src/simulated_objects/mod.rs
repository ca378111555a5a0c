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

/// The figures of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Different states that a crash left.
    pub crash_states: u64,
    /// See [`Findings::lost`].
    pub lost: u64,
    /// See [`Findings::wrong_bytes`].
    pub wrong_bytes: u64,
}

/// Does one job: up to `fates` ways for each moment in which the power can go.
pub fn job(job: Job, fates: u64) -> Findings {
    match job {
        Job::Short(seed) => explore::explore(seed, fates),
        Job::Long(seed) => long::run(seed, fates),
    }
}

/// Does jobs from a seed on, until there were so many different crash states.
pub fn run(seed: u64, states: u64, fates: u64) -> (Figures, Vec<String>) {
    let mut all = Findings::default();
    for next in seed.. {
        // Long runs find few states each, and others than short ones.
        let next = if next % 8 == 7 { Job::Long(next) } else { Job::Short(next) };
        all.merge(job(next, fates));
        if all.states.len() as u64 >= states || !all.clean() {
            break;
        }
    }
    let (crash_states, lost, wrong_bytes) = (all.states.len() as u64, all.lost, all.wrong_bytes);
    (Figures { crash_states, lost, wrong_bytes }, all.told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crashes_lose_nothing_that_was_acknowledged() {
        let (figures, told) = run(0, 600, 24);
        assert_eq!((figures.lost, figures.wrong_bytes), (0, 0), "{told:#?}");
        assert!(figures.crash_states >= 600);
    }

    #[test]
    #[ignore = "it is long: run it with --release"]
    fn a_hundred_thousand_crashes_lose_nothing() {
        let (figures, told) = run(1_000, 100_000, 64);
        assert_eq!((figures.lost, figures.wrong_bytes), (0, 0), "{told:#?}");
        for seed in 5_000..5_400 {
            let findings = job(Job::Long(seed), 8);
            assert!(findings.clean(), "{:#?}", findings.told);
        }
    }

    #[test]
    fn media_that_fail_lose_nothing_that_was_acknowledged() {
        // The last one found an end of the log that was cut off and not synced.
        for seed in [0, 1, 2, 3, 4, 1079] {
            let findings = job(Job::Long(seed), 4);
            assert!(findings.clean(), "{:#?}", findings.told);
            assert!(findings.acknowledged > 20, "{seed}");
        }
    }
}
