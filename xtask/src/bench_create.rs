//! `cargo xtask bench create`: durable creates a second through the real API, beside a loop
//! that commits each of the same creates by itself.
//!
//! The control plane is a process of its own on SQLite with a full sync at every commit;
//! many clients (`wrk`, TLS, a token, an idempotency key each) make instances, and each
//! answer means that the instance is placed and durable. The loop writes the very same rows,
//! read back from the record, one commit each, on the same disk. The two take turns.

mod load;
mod seed;
mod single;

use anyhow::{Result, ensure};

use crate::bench::report::{Aim, Report, Table, median};
use crate::bench::{Bench, Plan, Row};
use load::{Plane, Seen};

const ROWS: [Row; 1] = [("create", create)];

/// What is measured, in the order of the table in SPECIFICATION.md.
const FIGURES: Table = &[
    ("per_s", Aim::None),
    ("ratio_group_commit", Aim::Least(20.0)),
    ("p50_ms", Aim::None),
    ("p99_ms", Aim::None),
    ("single_per_s", Aim::None),
    ("creates_per_commit", Aim::None),
    ("server_us_per_create", Aim::None),
    ("acknowledged", Aim::None),
    ("lost", Aim::Most(0.0)),
];

/// What it needs.
const PACKAGES: &[&str] = &["wrk", "curl"];

/// Runs `bench create` with the arguments after these two words.
pub fn run(arguments: &[String]) -> Result<()> {
    let plan = Plan {
        name: "bench create",
        table: FIGURES,
        rows: &ROWS,
        packages: PACKAGES,
        usual: (5.0, 5),
        more: &[("--clients", 512), ("--hosts", 2_000)],
    };
    crate::bench::run(&plan, arguments)
}

fn create(bench: &Bench, report: &mut Report) -> Result<()> {
    let directory = bench.disk.join("plane");
    std::fs::create_dir_all(&directory)?;
    seed::hosts(&directory, bench.number("--hosts"))?;
    let plane = Plane::start(bench, &directory)?;
    let clients = bench.number("--clients");
    // The first creates open connections and fill caches; their rows are what the loop writes.
    let mut acknowledged = plane.create(bench, clients, 1.0)?.count;
    let mut peer = single::Loop::of(&directory, &bench.disk.join("single.db"))?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let before = plane.commits()?;
    for round in 1..=bench.rounds {
        let seen = plane.create(bench, clients, bench.seconds)?;
        acknowledged += seen.count;
        let single = peer.run(bench.seconds)?;
        report.say(&format!(
            "{round}: {:.0} creates/s, half within {:.1} ms, 99 of 100 within {:.1} ms, {:.0} us \
             of the server each; one by one {single:.0}/s",
            seen.per_s, seen.p50_ms, seen.p99_ms, seen.server_us
        ));
        theirs.push(single);
        ours.push(seen);
    }
    let commits = plane.commits()? - before;
    let counted: u64 = ours.iter().map(|seen| seen.count).sum();
    let recorded = plane.stop_and_count(&directory)?;
    ensure!(recorded > 0, "nothing was recorded");
    let of = |part: fn(&Seen) -> f64| median(&ours.iter().map(part).collect::<Vec<_>>());
    // Each round beside its neighbour: the disk is not the same for long.
    let pairs = ours.iter().zip(&theirs).map(|(our, their)| our.per_s / their);
    report.figure("per_s", of(|it| it.per_s));
    report.figure("ratio_group_commit", median(&pairs.collect::<Vec<_>>()));
    report.figure("p50_ms", of(|it| it.p50_ms));
    report.figure("p99_ms", of(|it| it.p99_ms));
    report.figure("single_per_s", median(&theirs));
    report.figure("creates_per_commit", counted as f64 / commits.max(1.0));
    report.figure("server_us_per_create", of(|it| it.server_us));
    report.figure("acknowledged", acknowledged as f64);
    report.figure("lost", acknowledged.saturating_sub(recorded) as f64);
    Ok(())
}
