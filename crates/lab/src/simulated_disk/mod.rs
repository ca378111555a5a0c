//! A simulated pool: the real engine of the volumes on a model disk, with clients that
//! remember what they were told. Crashes at any moment, disks that fail and lie, and
//! takeovers by a next engine, in one thread; the same job gives the same run.
//!
//! Read in this order: [`stamp`] (what is written), [`history`] (what may be read),
//! [`client`] (who asks), [`workload`] (what is asked), `port` and [`engine`] (the lane
//! and its disk), [`rig`] (the order of things), [`explore`] (short sequences, every
//! crash), [`long`] (random runs, some crashes), [`late`] (a disk that keeps things back);
//! and for itself [`tail`] (the longest waits).

pub mod client;
pub mod engine;
pub mod explore;
pub mod findings;
pub mod history;
mod keys;
pub mod late;
pub mod long;
mod memory;
mod port;
pub mod rig;
pub mod stamp;
pub mod start;
pub mod tail;
pub mod workload;

use world::entropy::Seeded;

pub use explore::Depth;
pub use findings::Findings;
pub use long::{Illness, Length};
pub use memory::Shelf;
pub use start::Start;

/// A piece of work that depends on nothing but its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// The short sequence of this number; see [`workload::short`].
    Short(u64),
    /// The long run of this seed.
    Long(u64),
    /// The run of this seed in which the disk keeps things back.
    Late(u64),
}

/// How thoroughly jobs are done.
#[derive(Clone, Copy, Debug)]
pub struct Care {
    /// Of short ones.
    pub depth: Depth,
    /// Of long ones.
    pub length: Length,
}

impl Default for Care {
    fn default() -> Self {
        Self { depth: Depth { fates: 64 }, length: Length { acts: 400, fates: 16 } }
    }
}

/// The pools that jobs begin with.
pub struct Starts {
    short: Vec<Start>,
    long: Vec<Start>,
}

/// The pools of long runs: eight seeds each, in turn.
const LONG: [start::Kind; 8] = [
    start::Kind::Large,
    start::Kind::Tight,
    start::Kind::Sealed,
    start::Kind::Large,
    start::Kind::Memory,
    start::Kind::Tight,
    start::Kind::TightSealed,
    start::Kind::Large,
];

impl Starts {
    /// Makes them, by the engine itself. `Err` says what is wrong with it.
    pub fn new() -> Result<Self, String> {
        let short = [start::Kind::Empty, start::Kind::Written, start::Kind::Crashed];
        let short = short.into_iter().map(Start::new).collect::<Result<_, _>>()?;
        let long = LONG.into_iter().map(Start::new).collect::<Result<_, _>>()?;
        Ok(Self { short, long })
    }
}

/// Does a job with memory from the shelf, which comes back.
pub fn run(job: Job, starts: &Starts, care: Care, shelf: Shelf) -> (Shelf, Findings) {
    match job {
        Job::Short(number) => {
            let ways = starts.short.len() as u64;
            let start = &starts.short[(number % ways) as usize];
            let acts = workload::short(number / ways);
            explore::explore(start, &acts, care.depth, Seeded::new(number), shelf)
        }
        Job::Long(seed) => {
            let start = &starts.long[(seed / 8) as usize % LONG.len()];
            long::run(start, seed, care.length, shelf)
        }
        Job::Late(seed) => {
            let slow = starts.long.iter().filter(|start| start.manner().slow);
            let slow: Vec<_> = slow.collect();
            late::run(slow[seed as usize % slow.len()], seed, care.length, shelf)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs that found something: a record that recovery had dropped came back after a
    /// kill, a takeover waited for a pool that could not be opened, what a dropped write
    /// had replaced was free, since the snapshot that had it too was deleted, and what the
    /// snapshots of a deleted volume had freed was usable again in extents of others.
    #[test]
    fn what_was_wrong_once_is_right() {
        let starts = Starts::new().expect("pools to begin with");
        let jobs = [6923, 8629].map(Job::Short).into_iter().chain([59, 67, 183].map(Job::Long));
        let mut shelf = Shelf::default();
        for job in jobs {
            let (back, findings) = run(job, &starts, Care::default(), shelf);
            assert!(findings.clean(), "{job:?}: {:#?}", findings.faults);
            shelf = back;
        }
    }

    #[test]
    fn short_sequences_and_long_runs_are_right_and_come_again() {
        let starts = Starts::new().expect("pools to begin with");
        let care = Care { depth: Depth { fates: 8 }, length: Length { acts: 50, fates: 4 } };
        let jobs = (0..24).map(Job::Short).chain((0..2).map(Job::Long)).chain([Job::Late(1)]);
        let mut shelf = Shelf::default();
        for job in jobs {
            let (back, findings) = run(job, &starts, care, shelf);
            assert!(findings.clean(), "{job:?}: {:#?}", findings.faults);
            assert!(!findings.states.is_empty(), "{job:?} crashed nowhere");
            let (back, again) = run(job, &starts, care, back);
            assert!(findings == again, "{job:?} runs otherwise the second time");
            shelf = back;
        }
    }
}
