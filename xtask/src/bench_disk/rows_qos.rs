//! The row of limits: how exactly they are kept, and what neighbours do to a volume.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use model::volume::{Backing, DiskOrder, Limits, PoolMedium};
use serde_json::Value;

use super::client::ours;
use super::{Bench, service};
use crate::bench::report::{Report, median};
use crate::disk_service::{Service, Wish};

/// From what a small volume has to what one core can serve.
const LIMITS: [u64; 5] = [100, 1_000, 10_000, 100_000, 500_000];
/// Volumes beside the victim.
const AGGRESSORS: usize = 7;

/// Both.
pub fn qos(bench: &Bench, report: &mut Report) -> Result<()> {
    let service = service(bench)?;
    exactness(bench, report, &service)?;
    victim(bench, report, &service)
}

fn exactness(bench: &Bench, report: &mut Report, service: &Service) -> Result<()> {
    service.volume(null("limited"))?;
    let socket = service.attach("limited", false)?;
    let seconds = bench.seconds.max(1.0).to_string();
    let mut worst = 0.0_f64;
    for limit in LIMITS {
        let limits = Limits { iops: Some(limit), ..Limits::NONE };
        service.order(&DiskOrder::VolumeLimit { volume: "limited".into(), limits })?;
        let mut errors = Vec::new();
        for _ in 0..bench.rounds {
            let seen = ours(bench, &socket, &["--depth", "32", "--seconds", &seconds])?;
            errors.push((seen.iops / limit as f64 - 1.0).abs() * 100.0);
        }
        let error = median(&errors);
        report.say(&format!("a limit of {limit} IOPS: {error:.2} % off"));
        worst = worst.max(error);
    }
    report.figure("qos_error_percent", worst);
    Ok(())
}

fn null(name: &str) -> Wish<'_> {
    let (backing, mebibytes) = (Backing::Null, Some(1024));
    Wish { name, backing, mebibytes, limits: Limits::NONE, encrypt: false }
}

/// A volume that is asked little, alone and beside seven that are asked all they can
/// bear. Clients sleep between answers, and the victim's goes first on their core (by
/// real-time priority where we may): what is measured is the server.
fn victim(bench: &Bench, report: &mut Report, service: &Service) -> Result<()> {
    service.pool("memory", PoolMedium::Memory, 2048)?;
    service.volume(Wish::in_pool("victim", "memory", 64))?;
    let socket = service.attach("victim", false)?;
    super::rows::fill(bench, &socket)?;
    let mut aggressors = Vec::new();
    for index in 0..AGGRESSORS {
        let name = format!("aggressor{index}");
        service.volume(Wish::in_pool(&name, "memory", 64))?;
        let socket = service.attach(&name, false)?;
        super::rows::fill(bench, &socket)?;
        aggressors.push(socket);
    }
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        alone.push(victim_p99(bench, &socket)?);
        let load: Result<Vec<Load>> = aggressors.iter().map(|it| Load::start(bench, it)).collect();
        let load = load?;
        beside.push(victim_p99(bench, &socket)?);
        drop(load);
    }
    let (alone, beside) = (median(&alone), median(&beside));
    report.say(&format!("a victim's p99: {alone:.1} us alone, {beside:.1} us beside {AGGRESSORS}"));
    report.figure("ratio_victim_p99", beside / alone);
    Ok(())
}

fn victim_p99(bench: &Bench, socket: &PathBuf) -> Result<f64> {
    let mut command = client(bench, socket, first_of_all());
    command.args(["--depth", "1", "--seconds", &bench.seconds.to_string()]);
    let output = command.output().context("the victim could not be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line: Value = serde_json::from_str(text.lines().last().unwrap_or_default())
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    line["read"]["p99_us"].as_f64().context("the victim told no latency")
}

/// How a program is started that goes before all others on its core: before it is told
/// so, the scheduler lets those that run finish a slice of milliseconds.
fn first_of_all() -> Command {
    let real_time = ["--fifo", "1"];
    let may = Command::new("chrt").args(real_time).arg("true").output();
    if may.is_ok_and(|said| said.status.success()) {
        let mut command = Command::new("chrt");
        command.args(real_time);
        return command;
    }
    let mut command = Command::new("nice");
    command.args(["-n", "-20"]);
    command
}

fn client(bench: &Bench, socket: &PathBuf, mut command: Command) -> Command {
    command.arg(&bench.program).args(["lab", "disk-client", "--sleep", "--socket"]).arg(socket);
    if let Some(core) = bench.client_core() {
        command.args(["--cpu", &core.to_string()]);
    }
    command
}

/// An aggressor, until it is dropped.
struct Load(Child);

impl Load {
    fn start(bench: &Bench, socket: &PathBuf) -> Result<Self> {
        let mut nice = Command::new("nice");
        nice.args(["-n", "10"]);
        let mut command = client(bench, socket, nice);
        command.args(["--depth", "32", "--seconds", "600", "--write", "300"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let load = Self(command.spawn().context("an aggressor could not be started")?);
        // Until it is connected.
        std::thread::sleep(std::time::Duration::from_millis(50));
        Ok(load)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
