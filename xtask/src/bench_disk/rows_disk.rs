//! The rows of a real disk, and of NBD.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use model::volume::{Backing, Limits};

use super::client::{Seen, fio, ours};
use super::peer::{Kind, nbdkit, qsd, qsd_nbd};
use super::rows::{line, null_service, turns};
use super::{Bench, service};
use crate::bench::process::cpu_seconds;
use crate::bench::report::{Report, median};
use crate::disk_service::Wish;

/// MiB of the file on the disk.
const FILE: u64 = 2048;

/// A raw volume on a disk, beside plain io_uring and qemu-storage-daemon. All three ask
/// the disk from the same core, the one that is quicker at it: a disk with one queue
/// interrupts one core, and from another its answers take some microseconds longer.
pub fn disk(bench: &Bench, report: &mut Report) -> Result<()> {
    let path = bench.disk.join("raw");
    write_through(&path)?;
    let usual = bench.server_core();
    let here = plain(bench, &path, 1)?.p50_us;
    bench.exchange_cores();
    let there = plain(bench, &path, 1)?.p50_us;
    if here < there {
        bench.exchange_cores();
    }
    let quicker = bench.server_core().unwrap_or_default();
    report.say(&format!(
        "the disk answers one core in {:.2} us, the other in {:.2} us: servers are on core {quicker}",
        here.min(there),
        here.max(there)
    ));
    let measured = beside(bench, report, &path);
    if bench.server_core() != usual {
        bench.exchange_cores();
    }
    measured
}

/// The three, in turns.
fn beside(bench: &Bench, report: &mut Report, path: &Path) -> Result<()> {
    let service = service(bench)?;
    service.volume(Wish {
        name: "raw",
        backing: Backing::Raw { path: path.display().to_string() },
        mebibytes: None,
        limits: Limits::NONE,
        encrypt: false,
    })?;
    let socket = service.attach("raw", false)?;
    for depth in ["1", "32"] {
        let arguments = ["--depth", depth];
        let [mine, ring, daemon] = turns(bench, |side| match side {
            0 => ours(bench, &socket, &arguments),
            1 => plain(bench, path, depth.parse()?),
            _ => ours(bench, &qsd(bench, &Kind::File(path, true))?.socket, &arguments),
        })?;
        report.say(&line("plain io_uring (fio)", depth, &ring));
        report.say(&line("qemu-storage-daemon, io_uring", depth, &daemon));
        report.say(&line("bedplate, raw", depth, &mine));
        if depth == "1" {
            report.say(&format!("qemu-storage-daemon adds {:.2} us", daemon.p50_us - ring.p50_us));
            report.figure("added_us_qd1_disk", mine.p50_us - ring.p50_us);
        } else {
            report.figure("ratio_disk_iops_qd32", mine.iops / ring.iops);
        }
    }
    Ok(())
}

/// What io_uring does without anything between.
fn plain(bench: &Bench, path: &Path, depth: u32) -> Result<Seen> {
    let file = format!("--filename={}", path.display());
    let engine = ["--ioengine=io_uring", "--direct=1", "--fixedbufs=1", "--registerfiles=1"];
    let arguments: Vec<String> = engine.map(str::to_owned).into_iter().chain([file]).collect();
    fio(bench, true, depth, &arguments)
}

/// A file whose blocks are all there.
fn write_through(path: &Path) -> Result<()> {
    use std::io::Write;
    let mut file = File::create(path)?;
    let mut chunk = vec![0_u8; 1 << 20];
    let mut state = 1_u64;
    for byte in &mut chunk {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *byte = (state >> 56) as u8;
    }
    for _ in 0..FILE {
        file.write_all(&chunk)?;
    }
    file.sync_all().context("writing the file to measure on")
}

/// NBD over a unix socket: requests for each second of the server's processor.
pub fn nbd(bench: &Bench, report: &mut Report) -> Result<()> {
    let service = null_service(bench)?;
    let socket = service.serve("null")?;
    let mut rates = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..bench.rounds {
        rates[0].push(rate(bench, &socket, "null", &service.processes()?)?);
        let daemon = qsd_nbd(bench, &Kind::Null)?;
        rates[1].push(rate(bench, &daemon.socket, "n", &[daemon.pid()])?);
        drop(daemon);
        let kit = nbdkit(bench)?;
        rates[2].push(rate(bench, &kit.socket, "", &[kit.pid()])?);
    }
    let mut of_cpu = Vec::new();
    for (name, side) in ["bedplate", "qemu-storage-daemon", "nbdkit"].iter().zip(&rates) {
        let iops = median(&side.iter().map(|(seen, _)| seen.iops).collect::<Vec<_>>());
        let cpu = median(&side.iter().map(|(_, cpu)| *cpu).collect::<Vec<_>>());
        report.say(&format!("{name:<20} NBD depth 32 {iops:>9.0} IOPS {cpu:>9.0} a CPU-second"));
        of_cpu.push(cpu);
    }
    report.figure("ratio_nbd_iops_per_cpu", of_cpu[0] / of_cpu[1].max(of_cpu[2]));
    Ok(())
}

/// What fio sees, and requests for each CPU-second of the processes.
fn rate(bench: &Bench, socket: &Path, name: &str, processes: &[u32]) -> Result<(Seen, f64)> {
    let used = || processes.iter().map(|pid| cpu_seconds(*pid)).sum::<Result<f64>>();
    let before = used()?;
    let uri = format!("--uri=nbd+unix:///{name}?socket={}", socket.display());
    let seen = fio(bench, false, 32, &["--ioengine=nbd".to_owned(), uri])?;
    let spent = (used()? - before).max(0.01);
    let requests = seen.line["total_ios"].as_f64().context("fio tells no requests")?;
    Ok((seen, requests / spent))
}
