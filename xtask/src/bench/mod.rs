//! What every benchmark has: a setting (program, folders, cores), rows that are measured
//! one after the other, and a report.
//!
//! Server and client are each on a core of their own. The sides of a row take turns, and
//! the median of the rounds counts: a busy machine is slow for both. A row that cannot be
//! measured here says why and leaves its figures out.

pub mod process;
pub mod report;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::packages;
use crate::run::{command, run as run_command, top};
use report::{Report, Table};

/// A row: its name, and how it is measured.
pub type Row = (&'static str, fn(&Bench, &mut Report) -> Result<()>);

/// A benchmark.
pub struct Plan {
    /// Its name in the line at the end.
    pub name: &'static str,
    /// What it measures.
    pub table: Table,
    /// How.
    pub rows: &'static [Row],
    /// What it needs.
    pub packages: &'static [&'static str],
    /// Seconds of each measurement and turns of each side, when nothing is said.
    pub usual: (f64, usize),
    /// More flags with a number each, and the usual one.
    pub more: &'static [(&'static str, u64)],
}

/// How it is measured.
pub struct Bench {
    /// The program of ours.
    pub program: PathBuf,
    /// Seconds of each measurement.
    pub seconds: f64,
    /// Turns of each side.
    pub rounds: usize,
    /// A folder in memory, for sockets and for what must not be a disk.
    pub memory: PathBuf,
    /// A folder on a disk.
    pub disk: PathBuf,
    /// Cores of server and client; none on a machine with one.
    cores: std::cell::Cell<Option<(usize, usize)>>,
    numbers: BTreeMap<&'static str, u64>,
    made: std::cell::Cell<u32>,
}

impl Bench {
    /// The core of the servers.
    pub fn server_core(&self) -> Option<usize> {
        self.cores.get().map(|(server, _)| server)
    }
    /// The core of the clients.
    pub fn client_core(&self) -> Option<usize> {
        self.cores.get().map(|(_, client)| client)
    }
    /// Servers go where clients were from now on, and the other way round.
    pub fn exchange_cores(&self) {
        self.cores.set(self.cores.get().map(|(server, client)| (client, server)));
    }
    /// A program that is started on the core of the servers, or on that of the clients.
    pub fn pinned(&self, server: bool, program: &str) -> std::process::Command {
        let mut command = std::process::Command::new("taskset");
        let core = if server { self.server_core() } else { self.client_core() };
        let core = core.map_or_else(|| "0-1023".to_owned(), |core| core.to_string());
        command.args(["-c", &core, program]);
        command
    }
    /// A path in memory that was not used before.
    pub fn path(&self, name: &str) -> PathBuf {
        self.made.set(self.made.get() + 1);
        self.memory.join(format!("{}-{name}", self.made.get()))
    }
    /// The number of a flag of this benchmark.
    pub fn number(&self, flag: &str) -> u64 {
        *self.numbers.get(flag).expect("the flag is in the plan")
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.memory);
        let _ = std::fs::remove_dir_all(&self.disk);
    }
}

fn usage(plan: &Plan) -> String {
    let rows: Vec<&str> = plan.rows.iter().map(|(name, _)| *name).collect();
    let more: String = plan.more.iter().map(|(flag, _)| format!(" [{flag} N]")).collect();
    format!(
        "usage: cargo xtask {} [--seconds N] [--rounds N] [--rows {}] [--disk-dir DIR] \
         [--program FILE]{more}",
        plan.name,
        rows.join(",")
    )
}

/// Runs a benchmark with the arguments after its name. An error means that nothing could
/// be measured.
pub fn run(plan: &Plan, arguments: &[String]) -> Result<()> {
    let (bench, wanted) = prepare(plan, arguments)?;
    let mut report = Report::new(plan.name, plan.table);
    for (name, row) in plan.rows {
        if wanted.as_ref().is_some_and(|wanted| !wanted.iter().any(|it| it == name)) {
            continue;
        }
        eprintln!("==> {name}");
        if let Err(error) = row(&bench, &mut report) {
            report.cannot(name, &error);
        }
    }
    report.print()
}

fn prepare(plan: &Plan, arguments: &[String]) -> Result<(Bench, Option<Vec<String>>)> {
    let ((mut seconds, mut rounds), mut wanted) = (plan.usual, None);
    let (mut disk, mut program) = (top().join("target"), None);
    let mut numbers: BTreeMap<&str, u64> = plan.more.iter().copied().collect();
    let mut arguments = arguments.iter();
    while let Some(flag) = arguments.next() {
        let value = arguments.next().with_context(|| usage(plan))?;
        let number = || value.parse().with_context(|| usage(plan));
        match flag.as_str() {
            "--seconds" => seconds = value.parse().with_context(|| usage(plan))?,
            "--rounds" => rounds = (number()? as usize).max(1),
            "--rows" => wanted = Some(value.split(',').map(str::to_owned).collect::<Vec<_>>()),
            "--disk-dir" => disk = value.into(),
            "--program" => program = Some(PathBuf::from(value)),
            other => match numbers.get_mut(other) {
                Some(known) => *known = number()?,
                None => bail!(usage(plan)),
            },
        }
    }
    packages::ensure(plan.packages)?;
    let program = match program {
        Some(program) => program,
        None => {
            run_command(command("cargo", &["build", "--release", "-p", "bedplate", "--locked"]))?;
            top().join("target/release/bedplate")
        }
    };
    let name = format!("bedplate-bench-{}", std::process::id());
    let (memory, disk) = (PathBuf::from("/dev/shm").join(&name), disk.join(&name));
    std::fs::create_dir_all(&memory)?;
    std::fs::create_dir_all(&disk)?;
    let cpus = std::thread::available_parallelism()?.get();
    let cores = std::cell::Cell::new((cpus > 1).then_some((0, 1)));
    let made = std::cell::Cell::new(0);
    Ok((Bench { program, seconds, rounds, memory, disk, cores, numbers, made }, wanted))
}
