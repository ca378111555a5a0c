//! `bedplate lab`: virtual racks, simulated sites, and the demo.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use lab::simulated::{Findings, Options, matrix, run as simulate};
use lab::{LabMachine, Rack, RackSpec, Remains};

use crate::{
    bench_fleet, demo, disk_client, disk_instructions, sim_disk, sim_gateway, sim_rollout,
};

/// Virtual racks and simulated sites.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Bring a virtual rack up, and hold it until it is told to end (needs root).
    #[command(after_help = "Example:\n  bedplate lab up --machines 2")]
    Up(Up),
    /// Take down the rack on a directory, also what a killed one left.
    #[command(after_help = "Example:\n  bedplate lab down")]
    Down,
    /// List the machines of the rack, with their BMCs and accounts.
    #[command(after_help = "Example:\n  bedplate lab list")]
    List,
    /// Enrol a machine of the rack in the control plane.
    #[command(after_help = "Example:\n  bedplate lab enroll node-1")]
    Enroll(Enroll),
    /// Run a part of the cloud in simulated time, with faults and kills.
    #[command(after_help = "Examples:
  bedplate lab sim machines --seeds 20
  bedplate lab sim machines --seed 7 --machines 1000     one run, told in full
  bedplate lab sim disk --states 1000000
  bedplate lab sim disk --sequence 1234                  one short run, told in full
  bedplate lab sim disk --tail                           the longest waits alone
  bedplate lab sim gateway --states 1000000
  bedplate lab sim rollout
  bedplate lab sim rollout --seed 7 --machines 20000     another run, told in full")]
    Sim(Sim),
    /// Measure the engines of the fleet, beside the plain ways of doing the same.
    #[command(after_help = "Examples:
  bedplate lab bench placement --machines 100000
  bedplate lab bench packing --trace requests.csv.zst")]
    Bench(bench_fleet::Arguments),
    /// From a powered-off virtual server to an attested, running system, and back.
    #[command(after_help = "Example:\n  bedplate lab demo")]
    Demo(demo::Arguments),
    /// A guest's disk driver without a guest: measure and check what serves a volume.
    #[command(after_help = "Examples:
  bedplate lab disk-client --socket disk.sock --depth 32 --seconds 3
  bedplate lab disk-client --socket disk.sock --write 500 --verify 1    check as well
  bedplate lab disk-client                                              this client alone")]
    DiskClient(disk_client::Arguments),
    /// What a request costs in instructions, for callgrind: see `cargo xtask bench disk`.
    #[command(after_help = "Example:
  valgrind --tool=callgrind --toggle-collect='*serve_batch*' \\
    bedplate lab disk-instructions --layer thin --write")]
    DiskInstructions(disk_instructions::Arguments),
}

/// Where the rack is, and how it is shown.
#[derive(Clone, Debug)]
pub struct Place {
    /// The data directory of the control plane.
    pub directory: PathBuf,
    /// JSON instead of a table.
    pub json: bool,
}

#[derive(Debug, Args)]
struct Up {
    /// How many machines.
    #[arg(long, default_value_t = 1)]
    machines: usize,
    /// A certificate (PEM) that the machines' firmware trusts, beside Microsoft's.
    #[arg(long)]
    trust: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Enroll {
    /// The machine's name.
    machine: String,
}

#[derive(Debug, Args)]
struct Sim {
    /// What is simulated: `machines` (the control plane and its servers), `disk` (the
    /// engine of the volumes), `gateway` (the store of the objects) or `rollout` (releases on
    /// a fleet).
    what: String,
    /// How many seeds; 20 for machines, 200 for disk and gateway when absent.
    #[arg(long)]
    seeds: Option<u64>,
    /// Only this seed, told in full.
    #[arg(long)]
    seed: Option<u64>,
    /// Machines in each run; 1,000 for machines and 100,000 for rollout when absent.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
    machines: Option<u32>,
    /// For rollout: releases.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    releases: u32,
    /// Of so many seeds one is run twice, to show that a seed gives one run.
    #[arg(long, default_value_t = 10)]
    twice_every: u64,
    /// Runs at once; one a core when absent.
    #[arg(long)]
    threads: Option<usize>,
    /// For disk and gateway: short sequences are run until there are so many different
    /// crash states.
    #[arg(long, default_value_t = 1_000_000)]
    states: u64,
    /// For disk and gateway: only this short sequence, told in full.
    #[arg(long)]
    sequence: Option<u64>,
    /// For disk: only the longest waits, in time that is made up.
    #[arg(long)]
    tail: bool,
}

/// Does it.
pub async fn run(arguments: Arguments, place: Place) -> Result<()> {
    match arguments.verb {
        Verb::Up(up) => hold(up, &place).await,
        Verb::Down => down(&place.directory.join("lab")).await,
        Verb::List => show(remains(&place.directory)?.machines(), place.json),
        Verb::Enroll(enroll) => enrol(enroll, &place).await,
        Verb::Sim(sim) => tokio::task::spawn_blocking(move || simulate_it(&sim)).await?,
        Verb::Bench(arguments) => {
            tokio::task::spawn_blocking(move || bench_fleet::run(&arguments)).await?
        }
        Verb::Demo(arguments) => demo::run(arguments, &place.directory).await,
        Verb::DiskClient(arguments) => {
            tokio::task::spawn_blocking(move || disk_client::run(&arguments)).await?
        }
        Verb::DiskInstructions(arguments) => disk_instructions::run(&arguments),
    }
}

async fn hold(up: Up, place: &Place) -> Result<()> {
    let mut spec = RackSpec::new("lab", place.directory.join("lab"), up.machines);
    spec.trust = up.trust;
    let rack = Rack::up(spec, |line| eprintln!("  {line}")).await?;
    show(&rack.machines(), place.json)?;
    eprintln!("The rack is up. Ctrl-C takes it down; so does `bedplate lab down`.");
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    Ok(rack.down().await?)
}

async fn down(dir: &Path) -> Result<()> {
    match Rack::attach(dir)? {
        None => println!("no rack is up on {}", dir.display()),
        Some(remains) => {
            remains.clear().await?;
            println!("the rack on {} is down", dir.display());
        }
    }
    Ok(())
}

fn remains(dir: &Path) -> Result<Remains> {
    let dir = dir.join("lab");
    let found = Rack::attach(&dir)?;
    found.with_context(|| {
        format!("no rack is up on {}; start one: bedplate up --lab 1", dir.display())
    })
}

fn show(machines: &[LabMachine], json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(machines)?);
        return Ok(());
    }
    println!("{:<10} {:<26} {:<18} {:<10} PASSWORD", "NAME", "BMC", "MAC", "USER");
    for machine in machines {
        let (name, bmc, mac, user) =
            (&machine.name, &machine.bmc_address, &machine.mac, &machine.username);
        println!("{name:<10} {bmc:<26} {mac:<18} {user:<10} {}", machine.password.expose());
    }
    Ok(())
}

async fn enrol(enroll: Enroll, place: &Place) -> Result<()> {
    let remains = remains(&place.directory)?;
    let machine = remains.machines().iter().find(|machine| machine.name == enroll.machine);
    let machine = machine.with_context(|| {
        format!("the rack has no machine {}; see `bedplate lab list`", enroll.machine)
    })?;
    let client = demo::client_of(&place.directory)?;
    let operation = client.enroll(&demo::enrolment(machine)).await?;
    println!("operation {}; watch it: bedplate operation wait {}", operation.id, operation.id);
    Ok(())
}

fn simulate_it(sim: &Sim) -> Result<()> {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = sim.threads.unwrap_or_else(cores);
    match sim.what.as_str() {
        "machines" => simulate_machines(sim, sim.seeds.unwrap_or(20), threads),
        "disk" if sim.tail => sim_disk::tail(sim.seed.unwrap_or(1)).map(|line| println!("{line}")),
        "disk" => sim_disk::simulate(sim_disk::Plan {
            seeds: sim.seeds.unwrap_or(200),
            states: sim.states,
            seed: sim.seed,
            sequence: sim.sequence,
            twice_every: sim.twice_every,
            threads,
        }),
        "gateway" => sim_gateway::simulate(sim_gateway::Plan {
            seeds: sim.seeds.unwrap_or(200),
            states: sim.states,
            seed: sim.seed,
            sequence: sim.sequence,
            twice_every: sim.twice_every,
            threads,
        }),
        "rollout" => sim_rollout::simulate(sim_rollout::Plan {
            seed: sim.seed.unwrap_or(1),
            machines: sim.machines.unwrap_or(100_000),
            releases: sim.releases as usize,
            told: sim.seed.is_some(),
        }),
        other => {
            bail!(
                "there is no simulation of {other:?}; there are: machines, disk, gateway, rollout"
            )
        }
    }
}

fn simulate_machines(sim: &Sim, seeds: u64, threads: usize) -> Result<()> {
    if let Some(seed) = sim.seed {
        let findings = simulate(Options::seed(seed, sim.machines.unwrap_or(1_000)));
        println!("{findings:#?}");
        anyhow::ensure!(findings.clean(), "seed {seed} found something wrong");
        return Ok(());
    }
    let mut total = Total::default();
    cells_of_matrix(&mut total);
    let next = std::sync::atomic::AtomicU64::new(0);
    let (send, results) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (send, next) = (send.clone(), &next);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    let options = || Options::seed(seed, sim.machines.unwrap_or(1_000));
                    let first = simulate(options());
                    // The second run must be the first, byte for byte.
                    let twice = seed.is_multiple_of(sim.twice_every.max(1));
                    let same = !twice || simulate(options()) == first;
                    let _ = send.send((first, same));
                }
            });
        }
        drop(send);
        for (findings, same) in results {
            total.add(&findings, same);
            total.tell(seeds);
        }
    });
    total.end()
}

/// Every step of every operation, faulted once each way.
fn cells_of_matrix(total: &mut Total) {
    let cells = matrix::cells();
    let count = cells.len();
    for (index, target) in cells.into_iter().enumerate() {
        let (findings, used) = matrix::run(index as u64, target.clone());
        let rests = findings.ended.keys().all(|lifecycle| matrix::rests(*lifecycle));
        if !used || !findings.clean() || !rests {
            total.unexplained += 1;
            total.blame.push(format!("{target:?}: {findings:?}"));
        }
    }
    eprintln!("{count} cells of operation, step and fault: {} wrong", total.unexplained);
    total.cells = count as u64;
}

/// What all seeds came to.
#[derive(Default)]
struct Total {
    seeds: u64,
    cells: u64,
    machines: u64,
    faulty: u64,
    kills: u64,
    acknowledged: u64,
    stuck: u64,
    lost: u64,
    doubled: u64,
    unexplained: u64,
    replay_mismatches: u64,
    blame: Vec<String>,
}

impl Total {
    fn add(&mut self, findings: &Findings, same: bool) {
        self.seeds += 1;
        self.machines += findings.machines;
        self.faulty += findings.faulty;
        self.kills += findings.kills;
        self.acknowledged += findings.acknowledged;
        self.stuck += findings.stuck;
        self.lost += findings.lost;
        self.doubled += findings.doubled;
        self.unexplained += findings.unexplained;
        self.replay_mismatches += findings.replay_mismatches + u64::from(!same);
        if !findings.clean() || !same {
            let twice = if same { "" } else { ", and runs otherwise the second time" };
            let blame = format!("seed {}{twice}: {:?}", findings.seed, findings.faults);
            // Now, for whoever wants to look at this seed while the others run.
            eprintln!("{blame}");
            self.blame.push(blame);
        }
    }

    fn tell(&self, seeds: u64) {
        eprintln!(
            "{} of {seeds} seeds: {} machines, {} faulty, {} kills, {} operations acknowledged; \
             stuck {}, lost {}, doubled {}, unexplained {}, mismatches {}",
            self.seeds,
            self.machines,
            self.faulty,
            self.kills,
            self.acknowledged,
            self.stuck,
            self.lost,
            self.doubled,
            self.unexplained,
            self.replay_mismatches,
        );
    }

    fn end(&self) -> Result<()> {
        for fault in self.blame.iter().take(20) {
            eprintln!("{fault}");
        }
        let aims = serde_json::json!({
            "stuck": 0, "lost": 0, "doubled": 0, "unexplained": 0, "replay_mismatches": 0,
        });
        let wrong =
            self.stuck + self.lost + self.doubled + self.unexplained + self.replay_mismatches;
        let line = serde_json::json!({
            "name": "sim machines",
            "figures": {
                "seeds": self.seeds,
                "matrix_cells": self.cells,
                "machines": self.machines,
                "faulty": self.faulty,
                "kills": self.kills,
                "acknowledged": self.acknowledged,
                "stuck": self.stuck,
                "lost": self.lost,
                "doubled": self.doubled,
                "unexplained": self.unexplained,
                "replay_mismatches": self.replay_mismatches,
            },
            "aims": aims,
            "met": wrong == 0,
        });
        println!("{line}");
        Ok(())
    }
}
