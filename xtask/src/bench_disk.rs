//! `cargo xtask bench disk`: the disk service beside its peers, on the same machine, in
//! the same minutes, asked by the same client.
//!
//! Server and client are each on a core of their own. The sides take turns, and the
//! median of the rounds counts: a busy machine is slow for both. A row that cannot be
//! measured here says why and leaves its figures out.

mod client;
mod peer;
mod report;
mod rows;
mod rows_disk;
mod rows_instructions;
mod rows_qos;
mod rows_rest;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::packages;
use crate::run::{command, run as run_command, top};
use report::Report;

const USAGE: &str = "usage: cargo xtask bench disk [--seconds N] [--rounds N] \
                     [--rows null,full,thin,disk,nbd,qos,tail,rest,instructions] \
                     [--disk-dir DIR] [--program FILE]";

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
    pub cores: Option<(usize, usize)>,
    /// Qualified so that no two directories are one.
    pub made: std::cell::Cell<u32>,
}

impl Bench {
    /// The core of the servers.
    pub fn server_core(&self) -> Option<usize> {
        self.cores.map(|(server, _)| server)
    }
    /// A path in memory that was not used before.
    pub fn path(&self, name: &str) -> PathBuf {
        self.made.set(self.made.get() + 1);
        self.memory.join(format!("{}-{name}", self.made.get()))
    }
    /// A service of ours.
    pub fn service(&self) -> Result<crate::disk_service::Service> {
        let directory = self.path("ours");
        crate::disk_service::Service::start(&self.program, directory, self.server_core())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.memory);
        let _ = std::fs::remove_dir_all(&self.disk);
    }
}

type Row = (&'static str, fn(&Bench, &mut Report) -> Result<()>);
const ROWS: [Row; 9] = [
    ("null", rows::null),
    ("full", rows::full),
    ("thin", rows::thin),
    ("disk", rows_disk::disk),
    ("nbd", rows_disk::nbd),
    ("qos", rows_qos::qos),
    ("tail", rows_rest::tail),
    ("rest", rows_rest::rest),
    ("instructions", rows_instructions::instructions),
];

/// Runs `bench disk` with the arguments after these two words. An error means that
/// nothing could be measured.
pub fn run(arguments: &[String]) -> Result<()> {
    let (mut seconds, mut rounds, mut wanted) = (1.0, 3, None);
    let (mut disk, mut program) = (top().join("target"), None);
    let mut arguments = arguments.iter();
    while let Some(flag) = arguments.next() {
        let value = arguments.next().context(USAGE)?;
        match flag.as_str() {
            "--seconds" => seconds = value.parse().context(USAGE)?,
            "--rounds" => rounds = value.parse::<usize>().context(USAGE)?.max(1),
            "--rows" => wanted = Some(value.split(',').map(str::to_owned).collect::<Vec<_>>()),
            "--disk-dir" => disk = value.into(),
            "--program" => program = Some(PathBuf::from(value)),
            _ => bail!(USAGE),
        }
    }
    packages::ensure(packages::DISK)?;
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
    let cores = (cpus > 1).then_some((0, 1));
    let made = std::cell::Cell::new(0);
    let bench = Bench { program, seconds, rounds, memory, disk, cores, made };
    let mut report = Report::default();
    for (name, row) in ROWS {
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
