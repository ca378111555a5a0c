//! Pools on media that refuse: a file system that has no room left, and a device whose
//! writes, then reads, end with EIO. Clients that check everything go on all the while.
//!
//! The file system is a small tmpfs, which grows when room is to return. The device is a
//! loop device on a file there: what finds no room, the kernel ends with EIO; so it ends
//! reads behind the end of a file that was cut off. No fault is made up by us. All of it
//! needs root; without, it is left out and said.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use model::volume::PoolMedium;
use serde_json::Value;

use super::Orders;
use super::load::Load;
use super::strikes;
use crate::disk_service::{Service, Wish};

/// MiB of the file system at first, and when room returns.
const ROOM: u64 = 80;
const MORE: u64 = 600;
/// MiB of a pool, which the file system does not have at first.
const POOL: u64 = 384;
/// MiB of a volume. Its data alone is more than the file system has.
const VOLUME: u64 = 128;
/// Longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// So long nothing may fail any more, when room has returned.
const CALM: Duration = Duration::from_millis(300);
const LOAD: [&str; 9] =
    ["--depth", "8", "--write", "500", "--flush", "10", "--blocks", "8", "--sizes"];

/// What was seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refusals {
    /// Requests that failed while the file system had no room.
    pub without_room: u64,
    /// Requests that failed while writes of the device did.
    pub of_writes: u64,
    /// Requests that failed while reads of the device did.
    pub of_reads: u64,
    /// What was lost, or wrong in any other way.
    pub lost: u64,
}

/// Lets media refuse. `None`: we may not mount.
pub fn refuse(orders: &Orders) -> Result<Option<Refusals>> {
    let mut seen = Refusals::default();
    let Ok(small) = Small::mount(orders.folder.join("small")) else {
        println!("skipped: media that refuse need root, who may mount and has loop devices");
        return Ok(None);
    };
    let service = Service::start(&orders.program, orders.folder.join("refusing"), None)?;
    let path = small.folder.join("pool");
    without_room(orders, &service, &path, &small, &mut seen).with_context(|| service.log())?;
    fs::remove_file(&path)?;
    drop((service, small));
    let small = Small::mount(orders.folder.join("small"))?;
    let file = small.folder.join("device");
    let device = Device::of(&file)?;
    let service = Service::start(&orders.program, orders.folder.join("refusing"), None)?;
    failing_writes(orders, &service, &device, &small, &mut seen).with_context(|| service.log())?;
    failing_reads(orders, &service, &file, &mut seen).with_context(|| service.log())?;
    Ok(Some(seen))
}

/// The file system is full: writes are refused, reads go on, and so do writes when room
/// returns, without anybody doing anything.
fn without_room(
    orders: &Orders,
    service: &Service,
    path: &Path,
    small: &Small,
    seen: &mut Refusals,
) -> Result<()> {
    let medium = PoolMedium::File { path: path.display().to_string() };
    service.pool("small", medium, POOL)?;
    let mut load = load(orders, service, "thin", "small", 21)?;
    until_refused(&mut load, 0)?;
    load.goes_on()?;
    small.grow()?;
    until_calm(&mut load)?;
    ensure!(frozen(service)?.is_none(), "a pool that had no room is frozen");
    seen.without_room = end(load, true, seen)?;
    println!("  no room: {} requests refused, and none when it was there again", seen.without_room);
    Ok(())
}

/// Writes of the device fail, of data and of the log. When they do not any more, the
/// engine is ended, as the handbook says, if the pool is frozen.
fn failing_writes(
    orders: &Orders,
    service: &Service,
    device: &Device,
    small: &Small,
    seen: &mut Refusals,
) -> Result<()> {
    service.pool("device", PoolMedium::File { path: device.path.clone() }, POOL)?;
    let mut load = load(orders, service, "on-device", "device", 22)?;
    until_refused(&mut load, 0)?;
    load.goes_on()?;
    let why = frozen(service)?;
    small.grow()?;
    if why.is_some() {
        let before = service.status()?.pid;
        strikes::kill(before)?;
        let until = Instant::now() + PATIENCE;
        while service.status().map_or(before, |status| status.pid) == before {
            ensure!(Instant::now() < until, "no other engine comes");
            thread::sleep(Duration::from_millis(1));
        }
    }
    until_calm(&mut load)?;
    ensure!(frozen(service)?.is_none(), "a pool whose device is well again is frozen");
    seen.of_writes = end(load, true, seen)?;
    let why = why.unwrap_or_else(|| "nothing".to_owned());
    println!("  writes with EIO: {} requests refused; frozen by: {why}", seen.of_writes);
    Ok(())
}

/// Reads of the device fail, and what comes back later is zeros: neither is ever data.
fn failing_reads(
    orders: &Orders,
    service: &Service,
    file: &Path,
    seen: &mut Refusals,
) -> Result<()> {
    let mut load = load(orders, service, "cut-off", "device", 23)?;
    // Some of it is written before it is gone.
    thread::sleep(Duration::from_millis(500));
    load.goes_on()?;
    let whole = OpenOptions::new().write(true).open(file)?;
    let length = whole.metadata()?.len();
    whole.set_len(length / 4)?;
    until_refused(&mut load, 0)?;
    load.goes_on()?;
    whole.set_len(length)?;
    load.goes_on()?;
    seen.of_reads = end(load, false, seen)?;
    println!("  reads with EIO: {} requests refused, nothing wrong given", seen.of_reads);
    Ok(())
}

/// A new volume in a pool, under load.
fn load(orders: &Orders, service: &Service, name: &str, pool: &str, number: u64) -> Result<Load> {
    service.volume(Wish::in_pool(name, pool, VOLUME))?;
    let socket = service.attach(name, false)?;
    let id = number.to_string();
    let more = [&LOAD[..], &["--verify", &id, "--seed", &id, "--pause", "1000000"]].concat();
    Load::start(&orders.program, name, &socket, &more)
}

fn errors(load: &mut Load) -> Result<u64> {
    let line = load.order("report", "report")?;
    line["report"]["errors"].as_u64().context("a report without errors")
}

fn until_refused(load: &mut Load, before: u64) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    while errors(load)? <= before {
        if Instant::now() > until {
            bail!("nothing of {} is refused", load.volume);
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Waits until requests are answered and none is refused for a while.
fn until_calm(load: &mut Load) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let before = errors(load)?;
        thread::sleep(CALM);
        load.goes_on()?;
        if errors(load)? == before {
            return Ok(());
        }
        if Instant::now() > until {
            bail!("requests of {} are refused still", load.volume);
        }
    }
}

/// Ends a load: how much was refused. When it is `well` again, all of it can be read.
fn end(load: Load, well: bool, seen: &mut Refusals) -> Result<u64> {
    let line = load.end()?;
    let of = |value: &Value| value.as_u64().unwrap_or(0);
    let unread = if well { of(&line["scan"]["errors"]) } else { 0 };
    for told in line["told"].as_array().into_iter().flatten() {
        println!("  {told}");
    }
    seen.lost += of(&line["wrong"]) + unread;
    Ok(of(&line["errors"]))
}

/// Why a pool takes no writes, if one does not.
fn frozen(service: &Service) -> Result<Option<String>> {
    let pools = service.order(&model::volume::DiskOrder::PoolList)?;
    let pools = pools.as_array().context("a list of pools")?.iter();
    Ok(pools.filter_map(|pool| pool["frozen"].as_str()).map(str::to_owned).next())
}

/// Runs a program that must end well; what it says.
fn must(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().context(program.to_owned())?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {arguments:?}: {}", said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A small file system, until it is dropped.
struct Small {
    folder: PathBuf,
}

impl Small {
    fn mount(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        let (size, at) = (format!("size={ROOM}m"), folder.display().to_string());
        must("mount", &["-t", "tmpfs", "-o", &size, "bedplate-torture", &at])?;
        Ok(Self { folder })
    }
    /// Room returns.
    fn grow(&self) -> Result<()> {
        let (size, at) = (format!("remount,size={MORE}m"), self.folder.display().to_string());
        must("mount", &["-o", &size, &at]).map(drop)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let at = self.folder.display().to_string();
        let _ = must("umount", &["--lazy", &at]);
        let _ = fs::remove_dir(&self.folder);
    }
}

/// A loop device, until it is dropped.
struct Device {
    path: String,
}

impl Device {
    fn of(file: &Path) -> Result<Self> {
        let all = OpenOptions::new().write(true).create_new(true).open(file)?;
        all.set_len(POOL << 20)?;
        let file = file.display().to_string();
        // Not by direct I/O: then the kernel takes writes for done that were cut short.
        let path = must("losetup", &["--find", "--show", "--direct-io=off", &file])?;
        Ok(Self { path })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = must("losetup", &["--detach", &self.path]);
    }
}
