//! The clients: our own for vhost-user, fio for NBD and for plain disks.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Bench;

/// What a client measured.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Requests a second.
    pub iops: f64,
    /// Half of the requests took no longer, in microseconds.
    pub p50_us: f64,
    /// 99 of a hundred took no longer.
    pub p99_us: f64,
    /// Everything that the client told.
    pub line: Value,
}

/// Runs our client on a socket, with more arguments.
pub fn ours(bench: &Bench, socket: &Path, arguments: &[&str]) -> Result<Seen> {
    let mut command = Command::new(&bench.program);
    command.args(["lab", "disk-client", "--socket"]).arg(socket).args(arguments);
    if let Some(core) = bench.client_core() {
        command.args(["--cpu", &core.to_string()]);
    }
    if !arguments.contains(&"--seconds") && !arguments.contains(&"--once") {
        command.args(["--seconds", &bench.seconds.to_string()]);
    }
    seen(&mut command)
}

/// Runs a part of our client where servers are: `--noise` or `--cipher`.
pub fn alone(bench: &Bench, arguments: &[&str]) -> Result<Value> {
    let mut command = Command::new("taskset");
    let core = bench.server_core().map_or_else(|| "0-1023".to_owned(), |core| core.to_string());
    command.args(["-c", &core]).arg(&bench.program);
    command.args(["lab", "disk-client", "--seconds", &bench.seconds.to_string()]).args(arguments);
    last_line(&mut command)
}

/// What the program tells in the last line.
pub fn told(bench: &Bench, arguments: &[&str]) -> Result<Value> {
    last_line(Command::new(&bench.program).args(arguments))
}

fn seen(command: &mut Command) -> Result<Seen> {
    let line = last_line(command)?;
    if line["errors"].as_u64() != Some(0) || line["strange"].as_u64() != Some(0) {
        bail!("the disk answered with errors: {line}");
    }
    let kind = if line["read"].is_object() { &line["read"] } else { &line["write"] };
    let of = |value: &Value| value.as_f64().unwrap_or(0.0);
    let (iops, p50_us, p99_us) = (of(&line["iops"]), of(&kind["p50_us"]), of(&kind["p99_us"]));
    Ok(Seen { iops, p50_us, p99_us, line })
}

fn last_line(command: &mut Command) -> Result<Value> {
    let output = command.output().context("the client could not be started")?;
    if !output.status.success() {
        bail!("the client failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().context("the client said nothing")?;
    serde_json::from_str(line).with_context(|| format!("the client said: {line}"))
}

/// Runs fio with the arguments of an engine: as a client, or in the place of a server.
pub fn fio(bench: &Bench, server: bool, depth: u32, arguments: &[String]) -> Result<Seen> {
    let mut command = bench.pinned(server, "fio");
    command.args(["--name=a", "--rw=randread", "--bs=4k", "--time_based", "--thread"]);
    command.args(["--output-format=json", "--lat_percentiles=1", "--group_reporting"]);
    command.arg(format!("--iodepth={depth}")).arg(format!("--runtime={}", bench.seconds.max(1.0)));
    command.args(arguments).current_dir(&bench.memory);
    let output = command.output().context("fio could not be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("fio failed: {} {}", text.trim(), String::from_utf8_lossy(&output.stderr).trim());
    }
    // Warnings come before the JSON.
    let json = text.find('{').map_or("", |start| &text[start..]);
    let line: Value = serde_json::from_str(json).with_context(|| format!("fio said: {text}"))?;
    let read = &line["jobs"][0]["read"];
    let of = |value: &Value| value.as_f64().unwrap_or(0.0);
    let micros = |part: &str| of(&read["lat_ns"]["percentile"][part]) / 1000.0;
    let (p50_us, p99_us) = (micros("50.000000"), micros("99.000000"));
    Ok(Seen { iops: of(&read["iops"]), p50_us, p99_us, line: read.clone() })
}
