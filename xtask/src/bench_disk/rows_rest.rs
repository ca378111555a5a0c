//! The rows of the tail, and of a service that nobody asks anything.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use model::volume::PoolMedium;

use super::client::{alone, ours, told};
use super::rows::null_service;
use super::{Bench, service};
use crate::bench::process::{cpu_seconds, resident_kib};
use crate::bench::report::{Report, median};
use crate::disk_service::Wish;

/// Volumes that nobody uses.
const IDLE: u32 = 1_000;

/// The longest answers of the engine by its own account, beside what the machine does to
/// a thread that only spins on the same core, and beside time that is made up, in which
/// there is no machine.
pub fn tail(bench: &Bench, report: &mut Report) -> Result<()> {
    let service = null_service(bench)?;
    let socket = service.attach("null", false)?;
    let (mut noises, mut machine) = (Vec::new(), Vec::new());
    let mut seen = Vec::new();
    for _ in 0..bench.rounds {
        let noise = alone(bench, &["--noise"])?;
        machine.push(noise["work_p99999_us"].as_f64().unwrap_or(0.0));
        noises.push(noise);
        seen.push(ours(bench, &socket, &["--depth", "1"])?);
    }
    for noise in &noises {
        report.say(&format!(
            "the twin: a microsecond of work p50 {} us, p99.9 {}, p99.999 {}; held up {} times, \
             at most {} us",
            noise["work_p50_us"],
            noise["work_p999_us"],
            noise["work_p99999_us"],
            noise["held_up"],
            noise["max_us"]
        ));
    }
    for read in seen.iter().map(|seen| &seen.line["read"]) {
        report.say(&format!(
            "the client saw p50 {} us, p99.9 {}, p99.99 {}, p99.999 {}, at most {}",
            read["p50_us"], read["p999_us"], read["p9999_us"], read["p99999_us"], read["max_us"]
        ));
    }
    for latency in service.show("null")?.latency.iter().filter(|kind| kind.count > 0) {
        let micros = |nanos: u64| nanos as f64 / 1000.0;
        report.say(&format!(
            "the engine took for {} {}s: p50 {} us, p99.9 {}, p99.999 {}, at most {}",
            latency.count,
            latency.kind,
            micros(latency.p50),
            micros(latency.p999),
            micros(latency.p99999),
            micros(latency.most)
        ));
        report.figure("tail_engine_p99999_us", micros(latency.p99999));
    }
    report.figure("tail_machine_p99999_us", median(&machine));
    made_up(bench, report)
}

/// The same in the simulator's time: a disk of fixed times, and an engine that costs
/// nothing.
fn made_up(bench: &Bench, report: &mut Report) -> Result<()> {
    let waits = told(bench, &["lab", "sim", "disk", "--tail"])?;
    let disk = &waits["disk"];
    report.say(&format!(
        "in made-up time, with a disk of {} us for a read, {} for a write, {} for a sync:",
        disk["read_us"], disk["write_us"], disk["sync_us"]
    ));
    for kind in ["read", "write", "flush"] {
        let took = &waits[kind];
        report.say(&format!(
            "  {kind} ({}): p50 {} us, p99.9 {}, p99.999 {}, at most {}",
            took["count"], took["p50_us"], took["p999_us"], took["p99999_us"], took["most_us"]
        ));
    }
    let read = waits["read"]["p99999_us"].as_f64().context("no reads were simulated")?;
    report.figure("tail_virtual_read_p99999_us", read);
    Ok(())
}

/// What a service at rest holds and uses.
pub fn rest(bench: &Bench, report: &mut Report) -> Result<()> {
    let service = service(bench)?;
    let engine = service.status()?.pid;
    report.figure("engine_mib", resident_kib(engine)? as f64 / 1024.0);
    service.pool("memory", PoolMedium::Memory, 1024)?;
    service.volume(Wish::in_pool("first", "memory", 64))?;
    let before = resident_kib(engine)?;
    for index in 0..IDLE {
        service.volume(Wish::in_pool(&format!("idle{index}"), "memory", 64))?;
    }
    let grown = resident_kib(engine)?.saturating_sub(before);
    report.figure("idle_volume_kib", grown as f64 / f64::from(IDLE));
    // After what making them left to do.
    std::thread::sleep(Duration::from_secs(2));
    let (used, began) = (cpu_seconds(engine)?, Instant::now());
    std::thread::sleep(Duration::from_secs_f64(bench.seconds.max(2.0)));
    let percent = (cpu_seconds(engine)? - used) / began.elapsed().as_secs_f64() * 100.0;
    report.say(&format!("{IDLE} idle volumes use {percent:.1} % of a core"));
    Ok(())
}
