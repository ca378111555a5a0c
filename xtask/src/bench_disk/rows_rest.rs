//! The rows of the tail, and of a service that nobody asks anything.

use std::time::{Duration, Instant};

use anyhow::Result;
use model::volume::PoolMedium;

use super::Bench;
use super::client::{alone, ours};
use super::report::Report;
use super::rows::null_service;
use crate::disk_service::{Wish, cpu_seconds, resident_kib};

/// Volumes that nobody uses.
const IDLE: u32 = 1_000;

/// The longest answers, beside what the machine does to a thread that only spins.
pub fn tail(bench: &Bench, report: &mut Report) -> Result<()> {
    let service = null_service(bench)?;
    let socket = service.attach("null", false)?;
    let noise = alone(bench, &["--noise"])?;
    report.say(&format!(
        "the machine held a spinning thread up {} times, p99 {} us, at most {} us",
        noise["held_up"], noise["p99_us"], noise["max_us"]
    ));
    let seen = ours(bench, &socket, &["--depth", "1"])?;
    let read = &seen.line["read"];
    report.say(&format!(
        "the client saw p99.9 {} us, p99.99 {}, p99.999 {}, at most {}",
        read["p999_us"], read["p9999_us"], read["p99999_us"], read["max_us"]
    ));
    for latency in service.show("null")?.latency {
        let micros = |nanos: u64| nanos as f64 / 1000.0;
        report.say(&format!(
            "the engine took for a {}: p50 {} us, p99.9 {}, p99.999 {}, at most {}",
            latency.kind,
            micros(latency.p50),
            micros(latency.p999),
            micros(latency.p99999),
            micros(latency.most)
        ));
    }
    Ok(())
}

/// What a service at rest holds and uses.
pub fn rest(bench: &Bench, report: &mut Report) -> Result<()> {
    let service = bench.service()?;
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
