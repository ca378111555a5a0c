//! `bedplate lab sim gateway`: the object store on files in memory, with the power gone at
//! every write, sync and change of a name.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail, ensure};
use lab::simulated_objects::{Findings, Job, job};
use serde_json::json;
use world::clock::monotonic_nanos;

/// How many crash states lie between two words of progress.
const TELL: u64 = 20_000;
/// Jobs that found something, after which it ends.
const ENOUGH: usize = 20;

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// So many long random runs, with media that fail.
    pub seeds: u64,
    /// Short sequences, until there are so many different crash states.
    pub states: u64,
    /// Only this long run.
    pub seed: Option<u64>,
    /// Only this short sequence.
    pub sequence: Option<u64>,
    /// Of so many jobs one is done twice.
    pub twice_every: u64,
    /// Jobs at once.
    pub threads: usize,
}

/// Runs it, and prints the figures.
pub fn simulate(plan: Plan) -> Result<()> {
    let only = plan.seed.map(Job::Long).or(plan.sequence.map(Job::Short));
    if let Some(only) = only {
        let mut findings = job(only);
        let states = std::mem::take(&mut findings.states).len();
        println!("{findings:#?}\n{states} crash states");
        ensure!(findings.clean(), "{only:?} found something wrong");
        return Ok(());
    }
    let (next, done, sum) = (AtomicU64::new(0), AtomicBool::new(false), Mutex::default());
    let total = Total { plan, began: monotonic_nanos(), next, done, sum };
    std::thread::scope(|scope| {
        for _ in 0..plan.threads {
            scope.spawn(|| total.work());
        }
    });
    total.end()
}

/// What all jobs came to.
struct Total {
    plan: Plan,
    /// Nanoseconds of a clock that only goes on.
    began: u64,
    next: AtomicU64,
    done: AtomicBool,
    sum: Mutex<Sum>,
}

#[derive(Default)]
struct Sum {
    jobs: u64,
    findings: Findings,
    mismatches: u64,
    told: u64,
    blame: Vec<Job>,
}

impl Total {
    /// Long runs first, then short sequences.
    fn job(&self) -> Option<Job> {
        if self.done.load(Ordering::Relaxed) {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Some(match number.checked_sub(self.plan.seeds) {
            None => Job::Long(number),
            Some(short) => Job::Short(short),
        })
    }

    fn seconds(&self) -> u64 {
        (monotonic_nanos() - self.began) / 1_000_000_000
    }

    fn work(&self) {
        while let Some(next) = self.job() {
            let findings = job(next);
            let number = match next {
                Job::Short(number) | Job::Long(number) => number,
            };
            let twice = number.is_multiple_of(self.plan.twice_every.max(1));
            let same = !twice || job(next) == findings;
            self.add(next, findings, same);
        }
    }

    fn add(&self, job: Job, findings: Findings, same: bool) {
        let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        if !findings.clean() || !same {
            let twice = if same { "" } else { ", and runs otherwise the second time" };
            // Now, for whoever wants to look at this job while the others run.
            eprintln!("{job:?}{twice}: {:#?}", findings.told);
            sum.blame.push(job);
        }
        sum.jobs += 1;
        sum.mismatches += u64::from(!same);
        sum.findings.merge(findings);
        let states = sum.findings.states.len() as u64;
        let through = states >= self.plan.states && sum.jobs >= self.plan.seeds;
        if through || sum.blame.len() >= ENOUGH {
            self.done.store(true, Ordering::Relaxed);
        }
        if states / TELL > sum.told {
            sum.told = states / TELL;
            let found = &sum.findings;
            eprintln!(
                "{} s: {} runs, {states} crash states of {}, {} changes acknowledged; lost {}, \
                 wrong bytes {}",
                self.seconds(),
                sum.jobs,
                self.plan.states,
                found.acknowledged,
                found.lost,
                found.wrong_bytes,
            );
        }
    }

    fn end(self) -> Result<()> {
        let seconds = self.seconds();
        let sum = self.sum.into_inner().unwrap_or_else(PoisonError::into_inner);
        let found = &sum.findings;
        let states = found.states.len() as u64;
        let clean = found.clean() && sum.mismatches == 0;
        let line = json!({
            "name": "sim gateway",
            "figures": {
                "crash_states": states,
                "lost": found.lost,
                "wrong_bytes": found.wrong_bytes,
                "replay_mismatches": sum.mismatches,
                "runs": sum.jobs,
                "acknowledged": found.acknowledged,
                "seconds": seconds,
            },
            "aims": {
                "crash_states": 1_000_000, "lost": 0, "wrong_bytes": 0, "replay_mismatches": 0,
            },
            "met": clean && states >= 1_000_000,
        });
        println!("{line}");
        if !clean {
            bail!("something is wrong in {:?}", sum.blame);
        }
        Ok(())
    }
}
