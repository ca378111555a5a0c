//! `bedplate lab bench`: the engines of the fleet, measured beside the plain ways.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use lab::placement::demand::{Asked, Dice, size, two_weeks};
use lab::placement::packing::{Host, Packed, Way, by_engine, by_scorer};
use lab::placement::plain::Scorer;
use lab::placement::speed::{Fleet, HOST, Speed, plain_speed};
use lab::placement::trace;
use serde_json::json;

/// What is measured.
#[derive(Debug, Args)]
pub struct Arguments {
    /// `placement` (how quickly hosts are chosen) or `packing` (how many hosts recorded
    /// requests need).
    what: String,
    /// For placement: hosts.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(40..=4_000_000))]
    machines: u32,
    /// For placement: instances that come and go in each measurement.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(100..))]
    decisions: u32,
    /// For packing: recorded requests (CSV, also compressed by zstd); without it, requests
    /// are made up in the proportions that were published.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// For packing: how many hours the optimiser rests between two times.
    #[arg(long, default_value_t = 6.0)]
    optimise_hours: f64,
    /// The fleet and the requests that are made up.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Does it, and prints the figures.
pub fn run(arguments: &Arguments) -> Result<()> {
    match arguments.what.as_str() {
        "placement" => placement(arguments),
        "packing" => packing(arguments),
        other => bail!("there is no benchmark of {other:?} here; there are: placement, packing"),
    }
}

fn placement(arguments: &Arguments) -> Result<()> {
    let decisions = arguments.decisions as usize;
    let measure = |machines: u32| {
        eprintln!("filling {machines} hosts");
        let mut fleet = Fleet::filled(machines, arguments.seed);
        let speed = fleet.measure(decisions);
        told(&speed);
        (fleet, speed)
    };
    let (_, small) = measure(10_000);
    let (_, middle) = measure(100_000);
    let (fleet, speed) = measure(arguments.machines);
    let plain = fleet.plain();
    drop(fleet);
    let mut best_fit = 0.0;
    for scorer in Scorer::ALL {
        // Enough to take about two seconds each.
        let few = (200_000_000 / arguments.machines).clamp(20, 10_000);
        let per_s = plain_speed(&plain, scorer, few, &mut Dice(arguments.seed));
        println!("{:24} {per_s:>12.0} decisions/s", scorer.name());
        if scorer == Scorer::BestFit {
            best_fit = per_s;
        }
    }
    let ratio_sizes = small.decisions_per_s / middle.decisions_per_s;
    let met = speed.machines >= 1_000_000
        && speed.decisions_per_s >= 500_000.0
        && speed.p99_us <= 20.0
        && speed.bytes_per_machine <= 256.0
        && ratio_sizes <= 1.5;
    let line = json!({
        "name": "bench placement",
        "figures": {
            "machines": speed.machines,
            "instances": speed.instances,
            "states": speed.states,
            "decisions_per_s": speed.decisions_per_s.round(),
            "p50_us": speed.p50_us,
            "p99_us": speed.p99_us,
            "max_us": speed.max_us,
            "bytes_per_machine": speed.bytes_per_machine.round(),
            "bytes_per_instance": speed.bytes_per_instance.round(),
            "ratio_100k_to_10k": (ratio_sizes * 1000.0).round() / 1000.0,
            "ratio_to_linear": (speed.decisions_per_s / best_fit).round(),
            "refused": speed.refused,
        },
        "aims": {
            "machines": 1_000_000, "decisions_per_s": ">= 500000", "p99_us": "<= 20",
            "bytes_per_machine": "<= 256", "ratio_100k_to_10k": "<= 1.5",
        },
        "met": met,
    });
    println!("{line}");
    Ok(())
}

fn told(speed: &Speed) {
    println!(
        "{:24} {:>12.0} decisions/s, half within {} us, 99 of 100 within {} us; {} instances, \
         {} states; {:.0} bytes a host, {:.0} an instance",
        format!("{} hosts", speed.machines),
        speed.decisions_per_s,
        speed.p50_us,
        speed.p99_us,
        speed.instances,
        speed.states,
        speed.bytes_per_machine,
        speed.bytes_per_instance,
    );
}

/// Requests that run when the made-up recording begins.
const RUNNING: usize = 50_000;

fn packing(arguments: &Arguments) -> Result<()> {
    ensure!(
        arguments.optimise_hours > 0.0,
        "--optimise-hours is a time above 0: the way without optimiser is measured anyway"
    );
    let asked = match &arguments.trace {
        Some(path) => recorded(path)?,
        None => two_weeks(RUNNING, &mut Dice(arguments.seed)),
    };
    println!("{} requests", asked.len());
    let host = Host { whole: size(HOST.0, HOST.1) };
    let row = |name: &str, packed: Packed| {
        println!("{name:24} {:>7} hosts, {:>8} moved", packed.machines, packed.migrations);
        packed
    };
    let engine = row("engine", by_engine(&asked, host, Way::default()));
    let way =
        Way { optimise_hours: arguments.optimise_hours, moves: 20_000, hosts: 4_000, worth: 200 };
    let optimised = row("engine with optimiser", by_engine(&asked, host, way));
    let best = row("best fit", by_scorer(&asked, host, Scorer::BestFit));
    let most = row("MostAllocated", by_scorer(&asked, host, Scorer::MostAllocated));
    let least = row("LeastAllocated", by_scorer(&asked, host, Scorer::LeastAllocated));
    let of = |one: usize, other: usize| (one as f64 / other as f64 * 10_000.0).round() / 10_000.0;
    let moved = optimised.migrations as f64 / optimised.instance_days * 100.0;
    let line = json!({
        "name": "bench packing",
        "figures": {
            "machines_needed": engine.machines,
            "machines_needed_optimised": optimised.machines,
            "machines_best_fit": best.machines,
            "machines_most_allocated": most.machines,
            "machines_least_allocated": least.machines,
            "ratio_to_best_fit": of(engine.machines, best.machines),
            "ratio_to_least_allocated": of(engine.machines, least.machines),
            "migrations": optimised.migrations,
            "migrations_per_100_vm_days": (moved * 1000.0).round() / 1000.0,
            "refused": engine.refused,
        },
        "aims": {
            "machines_needed": "<= 10250 of the recorded requests", "refused": 0,
            "machines_needed_optimised": "< machines_needed",
            "ratio_to_least_allocated": "<= 0.92",
        },
        "met": engine.refused == 0
            && engine.machines as f64 <= 0.92 * least.machines as f64
            && optimised.machines < engine.machines
            && (arguments.trace.is_none() || engine.machines <= 10_250),
    });
    println!("{line}");
    Ok(())
}

fn recorded(path: &Path) -> Result<Vec<Asked>> {
    let bytes =
        std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let bytes = if path.extension().is_some_and(|end| end == "zst") {
        zstd::decode_all(bytes.as_slice())
            .with_context(|| format!("{} is not compressed by zstd", path.display()))?
    } else {
        bytes
    };
    let text = String::from_utf8(bytes)
        .with_context(|| format!("{} is not text: it should be CSV", path.display()))?;
    trace::read(&text).with_context(|| format!("{} is no recording of requests", path.display()))
}
