//! The disk service as a process of its own, with a directory of its own, for the
//! chores that measure and torture it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use model::Bytes;
use model::volume::{
    Attachment, Backing, DiskOrder, DiskReply, DiskStatus, Limits, PoolMedium, PoolSpec, Volume,
    VolumeSpec,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A service that runs until it is dropped.
pub struct Service {
    keeper: Child,
    /// Its directory, which goes away with it.
    pub directory: PathBuf,
}

impl Service {
    /// Starts it with a program that is built, on one core where one is given.
    pub fn start(program: &Path, directory: PathBuf, core: Option<usize>) -> Result<Self> {
        fs::create_dir_all(&directory)?;
        let mut command = Command::new("taskset");
        let pinned = core.is_some();
        let core = core.map_or_else(|| "0-1023".to_owned(), |core| core.to_string());
        command.args(["-c", &core]).arg(program).arg("--dir").arg(&directory);
        command.args(["disk", "up"]);
        if pinned {
            command.args(["--core", &core]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(fs::File::create(directory.join("service.log"))?);
        let keeper = command.spawn().context("the disk service could not be started")?;
        let mut service = Self { keeper, directory };
        let until = Instant::now() + PATIENCE;
        while service.status().is_err() {
            let ended = service.keeper.try_wait()?;
            if ended.is_some() || Instant::now() > until {
                bail!("the disk service does not start: {}", service.log());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(service)
    }

    /// The end of what it logged.
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.directory.join("service.log")).unwrap_or_default();
        let lines: Vec<&str> = log.trim_end().lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// Gives an order; what it is answered with.
    pub fn order(&self, order: &DiskOrder) -> Result<Value> {
        let stream = UnixStream::connect(self.directory.join("disk.sock"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        (&stream).write_all(&line)?;
        let mut reply = String::new();
        BufReader::new(&stream).read_line(&mut reply)?;
        match serde_json::from_str(&reply).context("the service did not answer")? {
            DiskReply::Ok(value) => Ok(value),
            DiskReply::Error(problem) => bail!("{problem}"),
        }
    }

    /// How it is.
    pub fn status(&self) -> Result<DiskStatus> {
        Ok(serde_json::from_value(self.order(&DiskOrder::Status)?)?)
    }

    /// Makes a pool.
    pub fn pool(&self, name: &str, medium: PoolMedium, mebibytes: u64) -> Result<()> {
        let size = Some(Bytes::mib(mebibytes));
        self.order(&DiskOrder::PoolCreate(PoolSpec { name: name.into(), medium, size })).map(drop)
    }

    /// Makes a volume.
    pub fn volume(&self, wish: Wish<'_>) -> Result<()> {
        let order = DiskOrder::VolumeCreate(VolumeSpec {
            name: wish.name.into(),
            backing: wish.backing,
            size: wish.mebibytes.map(Bytes::mib),
            image: None,
            limits: wish.limits,
            encrypt: wish.encrypt,
        });
        self.order(&order).map(drop)
    }

    /// Tells of a volume.
    pub fn show(&self, volume: &str) -> Result<Volume> {
        let order = DiskOrder::VolumeShow { volume: volume.into() };
        Ok(serde_json::from_value(self.order(&order)?)?)
    }

    /// Serves a volume by vhost-user; where.
    pub fn attach(&self, volume: &str, read_only: bool) -> Result<PathBuf> {
        let volume = volume.to_owned();
        let order = DiskOrder::Attach { volume, socket: None, queues: None, read_only };
        let attachment: Attachment = serde_json::from_value(self.order(&order)?)?;
        Ok(attachment.socket.into())
    }

    /// Serves a volume by NBD; where.
    pub fn serve(&self, volume: &str) -> Result<PathBuf> {
        let order = DiskOrder::Serve { volume: volume.into(), socket: None, read_only: false };
        let attachment: Attachment = serde_json::from_value(self.order(&order)?)?;
        Ok(attachment.socket.into())
    }

    /// The processes of it: the engine that serves now, and its keeper.
    pub fn processes(&self) -> Result<Vec<u32>> {
        Ok(vec![self.status()?.pid, self.keeper.id()])
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let engine = self.status().map(|status| status.pid).ok();
        // The keeper first: it would start another engine.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        if let Some(engine) = engine.and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            let _ = kill_process(engine, Signal::KILL);
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A volume that is wanted.
pub struct Wish<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where its data is.
    pub backing: Backing,
    /// Its size; that of its backing when absent.
    pub mebibytes: Option<u64>,
    /// What it may use.
    pub limits: Limits,
    /// Whether its data is encrypted.
    pub encrypt: bool,
}

impl<'a> Wish<'a> {
    /// A plain volume in a pool.
    pub fn in_pool(name: &'a str, pool: &str, mebibytes: u64) -> Self {
        let backing = Backing::Pool { name: Some(pool.into()) };
        let mebibytes = Some(mebibytes);
        Self { name, backing, mebibytes, limits: Limits::NONE, encrypt: false }
    }
}

/// A limit that is counted and never reached.
pub fn high_limits() -> Limits {
    Limits { iops: Some(1_000_000_000), bandwidth: Some(1_000_000_000_000), ..Limits::NONE }
}
