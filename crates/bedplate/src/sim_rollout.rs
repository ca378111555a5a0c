//! `bedplate lab sim rollout`: releases on a simulated fleet, some of them bad.

use anyhow::{Result, ensure};
use lab::simulated_rollout::pilot::Engine;
use lab::simulated_rollout::plain::Plain;
use lab::simulated_rollout::releases::Harm;
use lab::simulated_rollout::{Findings, Options, median, run};
use serde_json::{Value, json};
use world::clock::monotonic_nanos;

/// Days after which it ends in any case.
const DAYS: u32 = 500;
/// Rollouts at once.
const AT_ONCE: usize = 20;

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Which run.
    pub seed: u64,
    /// Machines.
    pub machines: u32,
    /// Releases.
    pub releases: usize,
    /// Say each verdict with its evidence.
    pub told: bool,
}

/// Runs it, and prints the figures.
pub fn simulate(plan: Plan) -> Result<()> {
    let began = monotonic_nanos();
    let options = Options {
        seed: plan.seed,
        machines: plan.machines,
        releases: plan.releases,
        at_once: AT_ONCE,
        days: DAYS,
    };
    let mut tell = |line: &str| {
        if plan.told || line.starts_with("day") && line.contains("0:") {
            eprintln!("{line}");
        }
    };
    let mut engine = Engine::default();
    let found = run(options, &mut engine, &mut tell);
    let plain = run(options, &mut Plain::default(), &mut |_| {});
    table(&found, &plain);
    for last in found.unfinished() {
        println!("not ended: {last}");
    }
    let seconds = (monotonic_nanos() - began) / 1_000_000_000;
    let exposed = median(&found.exposed_percent(None));
    let met = found.recall_percent() >= 100.0
        && found.precision_percent() >= 95.0
        && exposed <= 0.5
        && found.mismatches == 0
        && engine.refused == 0
        && found.unfinished().is_empty();
    let line = json!({
        "name": "sim rollout",
        "figures": {
            "releases": found.outcomes.len(),
            "recall_percent": rounded(found.recall_percent()),
            "precision_percent": rounded(found.precision_percent()),
            "exposed_median_percent": rounded(exposed),
            "exposed_most_percent": rounded(most(&found)),
            "replay_mismatches": found.mismatches,
            "refused": engine.refused,
            "unfinished": found.unfinished().len(),
            "machines": found.machines,
            "days": rounded(found.days),
            "verdict_hours_median": rounded(median(&found.verdict_hours())),
            "verdict_hours_mean": rounded(mean(&found.verdict_hours())),
            "good_days_median": rounded(median(&found.good_days())),
            "plain": figures(&plain),
            "seconds": seconds,
        },
        "aims": {
            "recall_percent": 100, "precision_percent": ">= 95",
            "exposed_median_percent": "<= 0.5", "replay_mismatches": 0, "refused": 0,
            "unfinished": 0,
        },
        "met": met,
    });
    println!("{line}");
    ensure!(found.mismatches == 0, "the second engine said something else");
    Ok(())
}

fn figures(found: &Findings) -> Value {
    json!({
        "recall_percent": rounded(found.recall_percent()),
        "precision_percent": rounded(found.precision_percent()),
        "exposed_median_percent": rounded(median(&found.exposed_percent(None))),
        "exposed_most_percent": rounded(most(found)),
        "verdict_hours_median": rounded(median(&found.verdict_hours())),
        "good_days_median": rounded(median(&found.good_days())),
    })
}

/// By kind of harm: how many there were, how many were found, and how far they came.
fn table(found: &Findings, plain: &Findings) {
    println!("{:10} {:>5} {:>34} {:>34}", "harm", "bad", "engine", "plain gate");
    for (kind, name) in Harm::NAMES.iter().enumerate() {
        let of = |found: &Findings| {
            let all = found.exposed_percent(Some(kind));
            let last = all.last().copied().unwrap_or_default();
            let caught = found.caught_of(kind);
            format!("{caught} found, {:.3} % reached, {last:.2} % at most", median(&all))
        };
        let count = found.exposed_percent(Some(kind)).len();
        println!("{name:10} {count:>5} {:>34} {:>34}", of(found), of(plain));
    }
    println!(
        "good ones condemned: {} by the engine, {} by the plain gate",
        found.wronged(),
        plain.wronged()
    );
}

fn most(found: &Findings) -> f64 {
    found.exposed_percent(None).last().copied().unwrap_or_default()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
