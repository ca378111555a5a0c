//! The rows of a volume in memory or nowhere: what the path itself costs.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use model::volume::{Backing, DiskOrder, PoolMedium};

use super::client::{Seen, alone, ours, told};
use super::peer::{Kind, image, qsd, rustvmm};
use super::{Bench, service};
use crate::bench::report::{Report, median};
use crate::disk_service::{Service, Wish, high_limits};

/// MiB of the volumes.
pub const VOLUME: u64 = 1024;
/// MiB of a pool that holds two of them, and their maps.
pub const POOL: u64 = 3 * 1024;

/// Measures the sides in turns; the medians of each.
pub fn turns<const N: usize>(
    bench: &Bench,
    mut measure: impl FnMut(usize) -> Result<Seen>,
) -> Result<[Seen; N]> {
    let mut all: [Vec<Seen>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..bench.rounds {
        for (side, seen) in all.iter_mut().enumerate() {
            seen.push(measure(side)?);
        }
    }
    Ok(all.map(|seen| {
        let of = |part: fn(&Seen) -> f64| median(&seen.iter().map(part).collect::<Vec<_>>());
        let line = seen.last().map(|it| it.line.clone()).unwrap_or_default();
        let (iops, p50_us) = (of(|it| it.iops), of(|it| it.p50_us));
        Seen { iops, p50_us, p99_us: of(|it| it.p99_us), line }
    }))
}

/// A service with a volume that is nowhere, with limits that are counted.
pub fn null_service(bench: &Bench) -> Result<Service> {
    let service = service(bench)?;
    service.volume(Wish {
        name: "null",
        backing: Backing::Null,
        mebibytes: Some(VOLUME),
        limits: high_limits(),
        encrypt: false,
    })?;
    Ok(service)
}

/// A service with one volume in memory.
pub fn memory_service(bench: &Bench, encrypt: bool) -> Result<Service> {
    let service = service(bench)?;
    service.pool("memory", PoolMedium::Memory, POOL)?;
    let limits = high_limits();
    service.volume(Wish { limits, encrypt, ..Wish::in_pool("a", "memory", VOLUME) })?;
    Ok(service)
}

/// Null medium: depth 32 and depth 1, beside three peers.
pub fn null(bench: &Bench, report: &mut Report) -> Result<()> {
    let seconds = bench.seconds.to_string();
    let client = ["lab", "disk-client", "--seconds", &seconds, "--depth", "32"];
    let itself = told(bench, &client)?;
    report.say(&format!("the client alone, depth 32: {} IOPS", itself["iops"]));
    let depths = [("32", "32"), ("1", "1")];
    let mut seen = Vec::new();
    for (depth, _) in depths {
        let arguments = ["--depth", depth];
        let peers = turns::<4>(bench, |side| match side {
            0 => ours(bench, &qsd(bench, &Kind::Null)?.socket, &arguments),
            1 => ours(bench, &qsd(bench, &Kind::Throttled)?.socket, &arguments),
            2 => ours(bench, &rustvmm(bench, false)?.socket, &arguments),
            _ => ours(bench, &rustvmm(bench, true)?.socket, &arguments),
        })?;
        let names = ["qemu-storage-daemon", "the same, throttled", "rust-vmm", "the same, batched"];
        for (name, peer) in names.iter().zip(&peers) {
            report.say(&line(name, depth, peer));
        }
        seen.push(peers);
    }
    let service = null_service(bench)?;
    let socket = service.attach("null", false)?;
    // In turns with the two that count, so that the machine is as busy for each.
    let [mine, daemon, target] = turns(bench, |side| match side {
        0 => ours(bench, &socket, &["--depth", "32"]),
        1 => ours(bench, &qsd(bench, &Kind::Null)?.socket, &["--depth", "32"]),
        _ => ours(bench, &rustvmm(bench, false)?.socket, &["--depth", "32"]),
    })?;
    report.say(&line("bedplate", "32", &mine));
    report.figure("null_iops_qd32", mine.iops);
    report.figure("ratio_null_iops_qd32_qsd", mine.iops / daemon.iops);
    report.figure("ratio_null_iops_qd32_rustvmm", mine.iops / target.iops);
    let [mine, daemon] = turns(bench, |side| match side {
        0 => ours(bench, &socket, &["--depth", "1"]),
        _ => ours(bench, &qsd(bench, &Kind::Null)?.socket, &["--depth", "1"]),
    })?;
    report.say(&line("bedplate", "1", &mine));
    report.figure("ratio_null_p50_qd1_qsd", mine.p50_us / daemon.p50_us);
    Ok(())
}

/// Half reads, half writes, of a volume that was written.
const MIXED: [&str; 4] = ["--depth", "32", "--write", "500"];

/// Everything on: thin, checked, encrypted, limited; beside LUKS, and beside AES alone.
pub fn full(bench: &Bench, report: &mut Report) -> Result<()> {
    let path = bench.path("luks");
    let luks = ["--object", "secret,id=s,data=bench", "-o", "key-secret=s,iter-time=10"];
    image(&path, "luks", &luks)?;
    let peer = qsd(bench, &Kind::Luks(&path))?;
    fill(bench, &peer.socket)?;
    let before = ours(bench, &peer.socket, &MIXED)?;
    report.say(&line("qemu-storage-daemon, LUKS", "32", &before));
    let service = memory_service(bench, true)?;
    let socket = service.attach("a", false)?;
    fill(bench, &socket)?;
    let [mine, daemon] = turns(bench, |side| match side {
        0 => ours(bench, &socket, &MIXED),
        _ => ours(bench, &peer.socket, &MIXED),
    })?;
    drop((peer, std::fs::remove_file(&path)));
    report.say(&line("bedplate, encrypted", "32", &mine));
    report.figure("ratio_full_iops_qsd_luks", mine.iops / daemon.iops);
    let cipher = alone(bench, &["--cipher"])?;
    let of = |key: &str| cipher[key].as_f64();
    let (Some(near), Some(far)) = (of("blocks"), of("blocks_in_memory")) else {
        bail!("the cipher alone gave {cipher}")
    };
    report.say(&format!("AES-256-XTS alone on one core, in the cache: {near:.0} blocks a second"));
    report.say(&format!("the same to and from a memory like the volume's: {far:.0}"));
    report.figure("ratio_full_of_aes", mine.iops / near);
    report.figure("ratio_full_of_aes_in_memory", mine.iops / far);
    Ok(())
}

/// Thin without encryption, beside qcow2; and what snapshots cost.
pub fn thin(bench: &Bench, report: &mut Report) -> Result<()> {
    let path = bench.path("qcow2");
    image(&path, "qcow2", &[])?;
    let peer = qsd(bench, &Kind::Qcow2(&path))?;
    fill(bench, &peer.socket)?;
    let before = ours(bench, &peer.socket, &MIXED)?;
    report.say(&line("qemu-storage-daemon, qcow2", "32", &before));
    let service = memory_service(bench, false)?;
    let socket = service.attach("a", false)?;
    fill(bench, &socket)?;
    let [mine, daemon] = turns(bench, |side| match side {
        0 => ours(bench, &socket, &MIXED),
        _ => ours(bench, &peer.socket, &MIXED),
    })?;
    drop((peer, std::fs::remove_file(&path)));
    report.say(&line("bedplate, thin", "32", &mine));
    report.figure("ratio_thin_iops_qcow2", mine.iops / daemon.iops);
    snapshots(bench, report, &service, &socket)
}

/// Every block is overwritten once, before a snapshot and after it.
fn snapshots(bench: &Bench, report: &mut Report, service: &Service, socket: &Path) -> Result<()> {
    let pass = ["--depth", "32", "--once", "--write", "1000", "--seconds", "0"];
    let (mut ratios, mut micros) = (Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        let overwrite = ours(bench, socket, &pass)?;
        let name = format!("s{round}");
        let order = DiskOrder::VolumeSnapshot { volume: "a".into(), name: name.clone() };
        let began = Instant::now();
        service.order(&order)?;
        micros.push(began.elapsed().as_secs_f64() * 1e6);
        let first = ours(bench, socket, &pass)?;
        ratios.push(first.iops / overwrite.iops);
        let snapshot = format!("a@{name}");
        let clone = DiskOrder::VolumeClone {
            snapshot: snapshot.clone(),
            name: "c".into(),
            limits: high_limits(),
        };
        let began = Instant::now();
        service.order(&clone)?;
        micros.push(began.elapsed().as_secs_f64() * 1e6);
        for volume in ["c".to_owned(), snapshot] {
            service.order(&DiskOrder::VolumeDelete { volume })?;
        }
        settle(service, "a")?;
    }
    report.figure("ratio_first_write_after_snapshot", median(&ratios));
    report.figure("snapshot_us", median(&micros));
    Ok(())
}

/// Waits until what a deletion leaves has been cleared away.
fn settle(service: &Service, volume: &str) -> Result<()> {
    let mut last = None;
    for _ in 0..100 {
        let used = service.order(&DiskOrder::PoolList)?;
        if last.as_ref() == Some(&used) {
            break;
        }
        last = Some(used);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    service.show(volume).map(drop)
}

/// Writes every block once.
pub fn fill(bench: &Bench, socket: &Path) -> Result<()> {
    let pass = ["--once", "--write", "1000", "--blocks", "16", "--seconds", "0", "--depth", "16"];
    ours(bench, socket, &pass).map(drop)
}

/// A side, for people.
pub fn line(name: &str, depth: &str, seen: &Seen) -> String {
    let (iops, p50, p99) = (seen.iops, seen.p50_us, seen.p99_us);
    format!("{name:<32} depth {depth:<3} {iops:>10.0} IOPS  p50 {p50:>8.2} us  p99 {p99:>9.2}")
}
