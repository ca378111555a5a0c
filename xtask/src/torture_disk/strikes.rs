//! Kills, replacements and snapshots under load.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use model::volume::{DiskOrder, PoolMedium};
use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use super::load::Load;
use super::{Figures, LONG, Orders};
use crate::disk_service::{Service, Wish};

/// MiB of each volume.
const VOLUME: u64 = 48;
/// MiB of the pool: enough for all, and for a snapshot of each.
const POOL: u64 = 512;
/// Longest from a kill to the next engine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest for all of it: for each strike, and for what comes before and after.
const EACH: Duration = Duration::from_secs(3);
const AROUND: Duration = Duration::from_secs(180);
/// So many strikes are between two snapshots.
const SNAPSHOT: u32 = 6;
/// The volume that is served by NBD.
const BY_NBD: &str = "by-nbd";
/// What each client does, beside its number.
const LOAD: [&str; 14] = [
    "--depth",
    "16",
    "--write",
    "500",
    "--zero",
    "20",
    "--discard",
    "20",
    "--flush",
    "20",
    "--blocks",
    "8",
    "--sizes",
    "--indirect",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strike {
    Kill,
    /// A kill while a replacement is under way.
    KillReplacing,
    Replace,
}

/// Strikes so often as ordered.
pub fn strike(orders: &Orders) -> Result<Figures> {
    let service = Service::start(&orders.program, orders.folder.join("service"), None)?;
    let path = orders.pools.join("pool").display().to_string();
    service.pool("pool", PoolMedium::File { path }, POOL)?;
    let mut loads = Vec::new();
    for (number, (name, encrypt)) in
        (1..).zip([("plain", false), ("sealed", true), ("snapped", false)])
    {
        service.volume(Wish { encrypt, ..Wish::in_pool(name, "pool", VOLUME) })?;
        let socket = service.attach(name, false)?;
        let id = number.to_string();
        let more = [&LOAD[..], &["--verify", &id, "--seed", &id, "--pause", "200"]].concat();
        loads.push(Load::start(&orders.program, name, &socket, &more)?);
    }
    loads.push(by_nbd(orders, &service)?);
    let mut torture = Torture { service, loads, chance: orders.seed | 1, seen: Figures::default() };
    let began = Instant::now();
    if let Err(error) = torture.all(orders.kills, orders.replacements) {
        return Err(error.context(kept_log(orders, &torture.service)));
    }
    let mut seen = torture.end(orders)?;
    seen.told.push(format!("struck for {:.1} s", began.elapsed().as_secs_f64()));
    Ok(seen)
}

/// A client of NBD, with a volume of its own.
fn by_nbd(orders: &Orders, service: &Service) -> Result<Load> {
    service.volume(Wish::in_pool(BY_NBD, "pool", VOLUME))?;
    let socket = service.serve(BY_NBD)?;
    let own = ["--nbd", BY_NBD, "--verify", "4", "--seed", "4", "--pause", "200"];
    Load::start(&orders.program, BY_NBD, &socket, &[&LOAD[..], &own].concat())
}

struct Torture {
    service: Service,
    loads: Vec<Load>,
    chance: u64,
    seen: Figures,
}

impl Torture {
    fn below(&mut self, most: u64) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance % most.max(1)
    }

    fn all(&mut self, kills: u32, replacements: u32) -> Result<()> {
        let (mut kills, mut replacements) = (kills, replacements);
        let until = Instant::now() + AROUND + EACH * (kills + replacements);
        while kills + replacements > 0 {
            if Instant::now() > until {
                bail!("{kills} kills and {replacements} replacements are left: it takes too long");
            }
            thread::sleep(Duration::from_micros(self.below(100_000)));
            let kill = self.below(u64::from(kills + replacements)) < u64::from(kills);
            let strike = match kill {
                true if self.below(6) == 0 => Strike::KillReplacing,
                true => Strike::Kill,
                false => Strike::Replace,
            };
            self.one(strike).with_context(|| format!("{strike:?}: {}", self.service.log()))?;
            if kill {
                kills -= 1
            } else {
                replacements -= 1
            }
            let done = self.seen.kills + self.seen.replacements;
            if done.is_multiple_of(SNAPSHOT) {
                self.snapshot(done).with_context(|| format!("snapshot: {}", self.service.log()))?;
            }
            if done.is_multiple_of(50) {
                println!("  {} kills, {} replacements", self.seen.kills, self.seen.replacements);
            }
        }
        Ok(())
    }

    fn one(&mut self, strike: Strike) -> Result<()> {
        let before = self.service.status()?;
        let at = monotonic();
        match strike {
            Strike::Replace => self.replace(before.generation)?,
            Strike::Kill => self.kill(before.pid)?,
            Strike::KillReplacing => {
                let after = Duration::from_micros(self.below(30_000));
                thread::scope(|scope| -> Result<()> {
                    let service = &self.service;
                    let replace =
                        scope.spawn(|| service.order(&DiskOrder::Replace { program: None }));
                    thread::sleep(after);
                    // Whichever is the engine now; the order may well fail.
                    let pid = service.status().map_or(before.pid, |status| status.pid);
                    let killed = kill(pid);
                    let _ = replace.join();
                    killed
                })?;
                self.seen.kills += 1;
            }
        }
        self.recovered(strike, before.pid)?;
        self.waits(strike, at)
    }

    /// A replacement that nobody disturbs must be answered, and by another engine. What
    /// goes wrong is counted: whether volumes noticed is another matter.
    fn replace(&mut self, before: u64) -> Result<()> {
        self.seen.replacements += 1;
        let answer = self.service.order(&DiskOrder::Replace { program: None });
        if let Err(error) = &answer {
            self.seen.unanswered += 1;
            self.seen.told.push(format!("a replacement was not answered: {error:#}"));
            // Longer than an engine needs that has to recover.
            thread::sleep(Duration::from_secs(1));
        }
        let after = self.service.status()?;
        if after.generation > before && after.came.starts_with("replaced") {
            self.seen.cut_overs.push(after.cut_overs.last);
        } else if answer.is_ok() || after.generation > before {
            self.seen.died += 1;
            let log = self.service.log();
            self.seen.told.push(format!("an engine died in a replacement: {after:?}: {log}"));
        }
        Ok(())
    }

    fn kill(&mut self, pid: u32) -> Result<()> {
        self.seen.kills += 1;
        kill(pid)
    }

    /// Waits until another engine answers.
    fn recovered(&self, strike: Strike, before: u32) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.service.status() {
                Ok(status) if strike != Strike::Kill || status.pid != before => return Ok(()),
                Ok(_) | Err(_) if Instant::now() < until => thread::sleep(Duration::from_millis(1)),
                Ok(_) => bail!("the engine that was killed still answers"),
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until every client has answers again; how long each waited for its first.
    fn waits(&mut self, strike: Strike, at: u64) -> Result<()> {
        for load in &mut self.loads {
            load.goes_on()?;
            // The pauses that reach past the strike; a client that saw none waited for
            // less than it tells.
            let longest = load.pauses.iter().filter(|(_, to)| *to > at);
            let longest = longest.map(|(from, to)| to - at.max(*from)).max().unwrap_or(200_000);
            if longest > LONG {
                self.seen.long_waits += 1;
                self.seen.told.push(long_wait(load, longest, strike));
            }
            match strike {
                Strike::Kill if load.volume == BY_NBD => self.seen.first_by_nbd.push(longest),
                Strike::Kill => self.seen.first_answers.push(longest),
                Strike::KillReplacing => {}
                Strike::Replace => {
                    self.seen.worst_replacement = self.seen.worst_replacement.max(longest);
                }
            }
            load.pauses.clear();
        }
        Ok(())
    }

    /// A snapshot under load is a moment between its order and its answer. Every second one
    /// is looked at by a clone of it.
    fn snapshot(&mut self, number: u32) -> Result<()> {
        let name = format!("s{number}");
        let load = self.loads.iter_mut().find(|load| load.volume == "snapped");
        let load = load.context("the volume is under load")?;
        load.order(&format!("begin {name}"), "begun")?;
        self.service
            .order(&DiskOrder::VolumeSnapshot { volume: "snapped".into(), name: name.clone() })?;
        load.order(&format!("end {name}"), "ended")?;
        let snapshot = format!("snapped@{name}");
        let clone = (self.seen.snapshots % 2 == 1).then(|| format!("clone-{number}"));
        if let Some(name) = clone.clone() {
            let limits = model::volume::Limits::NONE;
            self.service.order(&DiskOrder::VolumeClone {
                snapshot: snapshot.clone(),
                name,
                limits,
            })?;
        }
        let looked_at = clone.clone().unwrap_or_else(|| snapshot.clone());
        let socket = self.service.attach(&looked_at, true)?;
        let line = load.order(&format!("check {name} {}", socket.display()), "checked")?;
        if !line["error"].is_null() {
            bail!("{looked_at} cannot be read: {line}");
        }
        self.seen.snapshots += 1;
        self.seen.clones += u32::from(clone.is_some());
        self.count(&line);
        self.service.order(&DiskOrder::Detach { volume: looked_at })?;
        if let Some(volume) = clone {
            self.service.order(&DiskOrder::VolumeDelete { volume })?;
        }
        self.service.order(&DiskOrder::VolumeDelete { volume: snapshot }).map(drop)
    }

    fn count(&mut self, line: &Value) {
        let of = |key: &str| line[key].as_u64().unwrap_or(0);
        let seen = &mut self.seen;
        seen.errors += of("errors") + line["scan"]["errors"].as_u64().unwrap_or(0);
        seen.acknowledged += of("acknowledged");
        seen.lost += of("lost");
        seen.doubled += of("doubled");
        seen.reordered += of("reordered");
        seen.strange += of("torn") + of("foreign") + of("garbage");
        let told = line["told"].as_array().into_iter().flatten();
        seen.told.extend(told.filter_map(|it| it.as_str().map(str::to_owned)));
    }

    fn end(mut self, orders: &Orders) -> Result<Figures> {
        for load in std::mem::take(&mut self.loads) {
            let line = load.end().with_context(|| self.service.log())?;
            self.count(&line);
            self.seen.hung_up += line["hung_up"].as_u64().unwrap_or(0);
        }
        if self.seen.hung_up > u64::from(self.seen.kills) {
            self.seen.errors += 1;
            let told = format!("a client of NBD was hung up on {} times", self.seen.hung_up);
            self.seen.told.push(told);
        }
        if !self.seen.clean() || self.seen.long_waits > 0 {
            self.seen.told.push(kept_log(orders, &self.service));
        }
        Ok(std::mem::take(&mut self.seen))
    }
}

/// Says of a long wait when it was, by the clock of the log.
fn long_wait(load: &Load, longest: u64, strike: Strike) -> String {
    let ended = load.pauses.iter().map(|(_, to)| *to).max().unwrap_or_default();
    let (ago, longest) = (monotonic().saturating_sub(ended) / 1_000_000, longest / 1_000_000);
    let now = model::Timestamp::from_micros(since_epoch());
    let volume = &load.volume;
    format!("{strike:?}: {volume} waited {longest} ms for an answer, {ago} ms before {now}")
}

/// Keeps what the service logged, which else goes away with its folder. Says where.
fn kept_log(orders: &Orders, service: &Service) -> String {
    let name = format!("torture-disk-{}-{}.log", orders.seed, std::process::id());
    let kept = std::env::temp_dir().join(name);
    match std::fs::copy(service.directory.join("service.log"), &kept) {
        Ok(_) => format!("the log of the service: {}", kept.display()),
        Err(error) => format!("the log of the service could not be kept: {error}"),
    }
}

/// Kills an engine.
pub fn kill(pid: u32) -> Result<()> {
    let pid = Pid::from_raw(pid.cast_signed()).context("an engine has a process")?;
    kill_process(pid, Signal::KILL).context("killing the engine")
}

/// Microseconds of the clock that the log is written by.
fn since_epoch() -> i64 {
    let time = clock_gettime(ClockId::Realtime);
    time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
}

/// Nanoseconds of the clock that the clients tell of.
fn monotonic() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
