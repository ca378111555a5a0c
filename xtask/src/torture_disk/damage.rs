//! A pool that is full, and a pool whose file is damaged.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use model::volume::{DiskOrder, PoolMedium};
use serde_json::Value;

use super::Orders;
use crate::disk_service::{Service, Wish};

const BLOCK: usize = 4096;
/// Blocks that are damaged.
const DAMAGED: usize = 24;
/// The number of the volume that is damaged, as its client stamps it.
const NUMBER: u64 = 9;

/// What a full pool did.
pub struct Full {
    /// Writes that it refused.
    pub refused: u64,
    /// What was lost or wrong of those that it took.
    pub lost: u64,
}

/// What a damaged pool did.
pub struct Damage {
    /// Blocks that were damaged.
    pub injected: u64,
    /// Those that a scrub found.
    pub found: u64,
    /// Those that were given as data.
    pub returned: u64,
    /// Whether the log names the volume.
    pub named: bool,
}

/// Writes a thin volume that is four times its pool, until nothing goes in; what went
/// in must be there. Then another volume is deleted, and writes go on.
pub fn full(orders: &Orders) -> Result<Full> {
    let service = Service::start(&orders.program, orders.folder.join("full"), None)?;
    let path = orders.pools.join("full").display().to_string();
    service.pool("full", PoolMedium::File { path }, 64)?;
    service.volume(Wish::in_pool("thick", "full", 16))?;
    let filler = service.attach("thick", false)?;
    client(orders, &filler, &["--once", "--write", "1000", "--blocks", "16", "--seconds", "0"])?;
    service.volume(Wish::in_pool("thin", "full", 256))?;
    let thin = service.attach("thin", false)?;
    let arguments = ["--write", "900", "--flush", "5", "--seconds", "2", "--verify", "3"];
    let line = client(orders, &thin, &arguments)?;
    let of = |line: &Value, key: &str| line[key].as_u64().unwrap_or(0);
    let unread = line["scan"]["errors"].as_u64().unwrap_or(0);
    let (refused, lost) = (of(&line, "errors"), of(&line, "wrong") + unread);
    println!("  full: {refused} writes refused, {} acknowledged", of(&line, "acknowledged"));
    service.order(&DiskOrder::Detach { volume: "thick".into() })?;
    service.order(&DiskOrder::VolumeDelete { volume: "thick".into() })?;
    let mut room = false;
    for _ in 0..100 {
        // What was deleted is given free in steps.
        std::thread::sleep(std::time::Duration::from_millis(50));
        let some =
            ["--once", "--range", "256", "--first", "1000", "--write", "1000", "--seconds", "0"];
        room = of(&client(orders, &thin, &some)?, "errors") == 0;
        if room {
            break;
        }
    }
    ensure!(
        room,
        "a pool that was full takes no writes after a volume was deleted: {}",
        service.log()
    );
    Ok(Full { refused, lost })
}

/// Damages blocks of a volume in the pool's file: none may be read as data, a scrub
/// finds each, and the log says whose they are.
pub fn corrupt(orders: &Orders) -> Result<Damage> {
    let service = Service::start(&orders.program, orders.folder.join("damaged"), None)?;
    let path = orders.pools.join("damaged");
    let medium = PoolMedium::File { path: path.display().to_string() };
    service.pool("damaged", medium, 128)?;
    service.volume(Wish::in_pool("broken", "damaged", 16))?;
    let socket = service.attach("broken", false)?;
    let number = NUMBER.to_string();
    let write = ["--once", "--write", "1000", "--verify", &number, "--seconds", "0"];
    let written = client(orders, &socket, &write)?;
    ensure!(written["wrong"] == 0 && written["errors"] == 0, "before any damage: {written}");
    let injected = damage(&path)?;
    let read = client(orders, &socket, &["--once", "--seconds", "0"])?;
    let failed = read["errors"].as_u64().unwrap_or(0);
    let found = service.order(&DiskOrder::Scrub { volume: "broken".into() })?;
    let found = found["damaged"].as_u64().unwrap_or(0);
    let log = fs::read_to_string(service.directory.join("service.log")).unwrap_or_default();
    let named = log.lines().any(|line| line.contains("broken"));
    if !named {
        println!("  the log does not name the volume: {}", service.log());
    }
    println!(
        "  damage: {injected} blocks, {failed} reads failed, a scrub found {found}, named: {named}"
    );
    let injected = injected as u64;
    Ok(Damage { injected, found, returned: injected.saturating_sub(failed), named })
}

/// Changes a byte in some blocks of the volume; how many.
fn damage(path: &Path) -> Result<usize> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let bytes = fs::read(path).context("reading the pool's file")?;
    // As a client stamps a block: a word that is always the same, and its volume.
    let ours =
        |block: &[u8]| block.starts_with(b"dkSBedpl") && block[8..16] == NUMBER.to_le_bytes();
    let blocks = bytes.chunks_exact(BLOCK).enumerate().filter(|(_, block)| ours(block));
    let places: Vec<usize> = blocks.map(|(place, _)| place).step_by(97).take(DAMAGED).collect();
    ensure!(!places.is_empty(), "the volume's data is not found in the pool's file");
    for place in &places {
        let at = place * BLOCK + 1234;
        file.write_all_at(&[bytes[at] ^ 0x40], at as u64)?;
    }
    file.sync_all()?;
    Ok(places.len())
}

/// Runs a client to its end; its last line.
fn client(orders: &Orders, socket: &Path, arguments: &[&str]) -> Result<Value> {
    let mut command = Command::new(&orders.program);
    command.args(["lab", "disk-client", "--sleep", "--socket"]).arg(socket).args(arguments);
    let output = command.output().context("a client could not be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().last().unwrap_or_default())
        .with_context(|| format!("a client failed: {}", String::from_utf8_lossy(&output.stderr)))
}
