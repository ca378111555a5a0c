//! `bedplate lab sim disk`: the engine of the volumes on a model disk, crashed at every
//! moment.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Result, bail};
use lab::simulated_disk::{Care, Findings, Job, Shelf, Starts, run, tail as waits};
use serde_json::{Map, Value, json};

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// So many long random runs, and as many in which the disk keeps things back.
    pub seeds: u64,
    /// Short sequences, until there are so many different crash states.
    pub states: u64,
    /// Only the long run and the one with a late disk of this number.
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
    let starts = Starts::new().map_err(anyhow::Error::msg)?;
    let seed = plan.seed.into_iter().flat_map(|seed| [Job::Long(seed), Job::Late(seed)]);
    let only: Vec<Job> = seed.chain(plan.sequence.map(Job::Short)).collect();
    for job in &only {
        let (_, mut findings) = run(*job, &starts, Care::default(), Shelf::default());
        let states = std::mem::take(&mut findings.states).len();
        println!("{job:?}: {findings:#?}\n{states} crash states");
        anyhow::ensure!(findings.clean(), "{job:?} found something wrong");
    }
    if !only.is_empty() {
        return Ok(());
    }
    let total = Total::new(plan);
    std::thread::scope(|scope| {
        for _ in 0..plan.threads {
            scope.spawn(|| total.work(&starts));
        }
    });
    total.end()
}

/// Requests of the run that looks for the longest waits: enough for its last quantile.
const WAITS: u64 = 1_000_000;

/// How long requests take in time that is made up, by kind, in microseconds.
pub fn tail(seed: u64) -> Result<Value> {
    let kinds = waits::tail(WAITS, seed).map_err(anyhow::Error::msg)?;
    let each = kinds.into_iter().map(|(kind, took)| {
        let of = |part| took.quantile(part).unwrap_or(0) as f64 / 1000.0;
        let told = json!({
            "count": took.count(), "p50_us": of(0.5), "p999_us": of(0.999),
            "p99999_us": of(0.99999), "most_us": of(1.0),
        });
        (format!("{kind:?}").to_lowercase(), told)
    });
    let disk = waits::TIMES;
    let mut line: Map<String, Value> = each.collect();
    let times = json!({
        "read_us": disk.read / 1000, "write_us": disk.write / 1000, "sync_us": disk.sync / 1000,
    });
    line.insert("disk".into(), times);
    Ok(Value::Object(line))
}

/// What all jobs came to.
struct Total {
    plan: Plan,
    next: AtomicU64,
    done: AtomicBool,
    sum: Mutex<Sum>,
}

#[derive(Default)]
struct Sum {
    findings: Findings,
    states: HashSet<u64>,
    mismatches: u64,
    told: u64,
    blame: Vec<String>,
}

impl Total {
    fn new(plan: Plan) -> Self {
        let (next, done, sum) = (AtomicU64::new(0), AtomicBool::new(false), Mutex::default());
        Self { plan, next, done, sum }
    }

    /// Long runs and late disks first, then short sequences, from the shortest on.
    fn job(&self) -> Option<Job> {
        if self.done.load(Ordering::Relaxed) {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Some(match number.checked_sub(2 * self.plan.seeds) {
            None if number.is_multiple_of(2) => Job::Long(number / 2),
            None => Job::Late(number / 2),
            Some(short) => Job::Short(short),
        })
    }

    fn work(&self, starts: &Starts) {
        let mut shelf = Shelf::default();
        let care = Care::default();
        while let Some(job) = self.job() {
            let (back, findings) = run(job, starts, care, shelf);
            let number = match job {
                Job::Short(number) | Job::Long(number) | Job::Late(number) => number,
            };
            let (back, same) = if number.is_multiple_of(self.plan.twice_every.max(1)) {
                let (back, again) = run(job, starts, care, back);
                (back, again == findings)
            } else {
                (back, true)
            };
            shelf = back;
            self.add(job, findings, same);
        }
    }

    fn add(&self, job: Job, mut findings: Findings, same: bool) {
        let mut sum = self.sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        sum.states.extend(std::mem::take(&mut findings.states));
        if !findings.clean() || !same {
            let twice = if same { "" } else { ", and runs otherwise the second time" };
            let blame = format!("{job:?}{twice}: {:#?}", findings.faults);
            // Now, for whoever wants to look at this job while the others run.
            eprintln!("{blame}");
            sum.blame.push(blame);
        }
        sum.mismatches += u64::from(!same);
        sum.findings.add(findings);
        let states = sum.states.len() as u64;
        if states >= self.plan.states && sum.findings.runs >= 2 * self.plan.seeds
            || sum.blame.len() >= 50
        {
            self.done.store(true, Ordering::Relaxed);
        }
        if states / 20_000 > sum.told {
            sum.told = states / 20_000;
            let found = &sum.findings;
            eprintln!(
                "{} runs, {states} crash states, {} recoveries, {} sectors judged; lost {}, wrong reads {}, \
                 otherwise wrong {}",
                found.runs,
                found.recoveries,
                found.sectors,
                found.lost,
                found.wrong_reads,
                found.wrong,
            );
        }
    }

    fn end(self) -> Result<()> {
        let sum = self.sum.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let found = &sum.findings;
        let states = sum.states.len() as u64;
        let wrong = found.lost + found.wrong_reads + found.wrong + sum.mismatches;
        let line = json!({
            "name": "sim disk",
            "figures": {
                "crash_states": states,
                "lost": found.lost,
                "wrong_reads": found.wrong_reads,
                "otherwise_wrong": found.wrong,
                "replay_mismatches": sum.mismatches,
                "runs": found.runs,
                "recoveries": found.recoveries,
                "sectors_judged": found.sectors,
                "replacements": found.replacements,
                "corruption_reported": found.detected,
                "waits": tail(1)?,
            },
            "aims": {
                "crash_states": 1_000_000, "lost": 0, "wrong_reads": 0, "otherwise_wrong": 0,
                "replay_mismatches": 0,
            },
            "met": wrong == 0 && states >= 1_000_000,
        });
        println!("{line}");
        if wrong > 0 {
            bail!("{} jobs found something wrong", sum.blame.len());
        }
        Ok(())
    }
}
