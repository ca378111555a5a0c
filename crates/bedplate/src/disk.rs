//! `bedplate disk`: the disk service of a host.
//!
//! `up` is the keeper, and starts `engine`, which people do not. The other words ask the
//! service that runs.

mod alone;
mod welcome;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ::disk::engine;
use ::disk::reactor::{LaneSettings, Polling};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use client::disk_orders::order;
use model::Bytes;
use model::volume::{Attachment, DiskOrder, DiskStatus, PoolMedium, PoolSpec};

pub use alone::Engine;

/// The disk service of a host.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Run the service: pools, volumes, and who is served them
    Up(Up),
    /// Serve a volume by NBD
    Serve(Serve),
    /// Put another engine in the place of the one that runs, while volumes are served
    Replace(Replace),
    /// Show the service
    Status,
    /// What `up` starts
    #[command(hide = true)]
    Engine(Up),
}

#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  bedplate disk up --pool disk.img:20G
        with a pool in a file, which is made when it is not there
  bedplate disk up --memory 1G --poll always
        for measuring: a pool in memory, and a busy core
  bedplate disk up --pool /dev/nvme0n1 --core 3 --user disk
        on a device, on a core of its own, not as root")]
struct Up {
    /// A pool, made when it is not there: its file or device, and the size of a new file.
    #[arg(long = "pool", value_name = "FILE[:SIZE]")]
    pools: Vec<String>,
    /// A pool in memory, of this size. It is lost when the service ends.
    #[arg(long, value_name = "SIZE")]
    memory: Option<Bytes>,
    /// How requests are looked for.
    #[arg(long, value_enum, default_value = "adaptive")]
    poll: Poll,
    /// Serve on this core.
    #[arg(long, value_name = "NUMBER")]
    core: Option<u32>,
    /// Serve as this user instead of root.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Keep the rights to start programs and make any system call; for debuggers.
    #[arg(long)]
    unconfined: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Poll {
    /// Always: lowest latency, a whole core
    Always,
    /// While there is work; asleep otherwise
    Adaptive,
}

#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  bedplate disk serve data                   at the socket data.nbd of the data directory
  bedplate disk serve data --nbd /run/data.sock --read-only")]
struct Serve {
    /// Which volume.
    volume: String,
    /// The path of the socket.
    #[arg(long, value_name = "SOCKET")]
    nbd: Option<PathBuf>,
    /// No writes.
    #[arg(long)]
    read_only: bool,
}

#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  bedplate disk replace                      with the program that `bedplate disk up` runs
  bedplate disk replace --program ./bedplate-new")]
struct Replace {
    /// The program of the new engine.
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
}

impl Arguments {
    /// Whether it runs until it is told to end, and logs meanwhile.
    pub fn serves(&self) -> bool {
        matches!(self.verb, Verb::Up(_) | Verb::Engine(_))
    }
}

/// Does it. Blocking, and without a runtime: an engine has few threads, all its own.
pub fn run(arguments: Arguments, directory: &Path, json: bool) -> Result<()> {
    match arguments.verb {
        Verb::Up(up) => keep(&up, directory),
        Verb::Engine(up) => Ok(engine::run(settings(&up, directory)?)?),
        Verb::Serve(serve) => {
            let socket = serve.nbd.map(absolute).transpose()?;
            let asked =
                DiskOrder::Serve { volume: serve.volume, socket, read_only: serve.read_only };
            let attachment: Attachment = order(directory, &asked)?;
            let line = format!("nbd+unix:///{}?socket={}", attachment.volume, attachment.socket);
            show(serde_json::to_value(&attachment)?, &line, json)
        }
        Verb::Replace(replace) => {
            let program = replace.program.map(absolute).transpose()?;
            let status: DiskStatus = order(directory, &DiskOrder::Replace { program })?;
            let micros = status.cut_overs.last as f64 / 1000.0;
            show(
                serde_json::to_value(&status)?,
                &format!("engine {} took over in {micros:.1} µs", status.generation),
                json,
            )
        }
        Verb::Status => {
            let status: DiskStatus = order(directory, &DiskOrder::Status)?;
            show(serde_json::to_value(&status)?, &told(&status), json)
        }
    }
}

fn show(answer: serde_json::Value, line: &str, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
    } else {
        println!("{line}");
    }
    Ok(())
}

fn told(status: &DiskStatus) -> String {
    let DiskStatus { version, generation, pid, came, .. } = status;
    let cuts = &status.cut_overs;
    let micros = |nanos: u64| nanos as f64 / 1000.0;
    let mut lines = vec![
        format!("engine {generation} (version {version}, process {pid}), {came}"),
        format!(
            "{}, {}, {} served",
            count(status.pools, "pool"),
            count(status.volumes, "volume"),
            status.attachments
        ),
    ];
    for lane in &status.lanes {
        let core = lane.core.map_or("any core".to_owned(), |core| format!("core {core}"));
        let polls = if lane.always_polls { "always polls" } else { "polls while there is work" };
        lines.push(format!("lane on {core}, {polls}, {}", count(lane.fronts, "client")));
    }
    lines.push(match cuts.count {
        0 => "no replacement since it was started".to_owned(),
        number => format!(
            "{number} cut-over{}: last {:.1} µs, p50 {:.1} µs, p99 {:.1} µs, worst {:.1} µs",
            if number == 1 { "" } else { "s" },
            micros(cuts.last),
            micros(cuts.p50),
            micros(cuts.p99),
            micros(cuts.worst)
        ),
    });
    // The parts of a long sentence, each on a line that fits.
    lines.push(status.confinement.replacen("; ", "\n  ", 1));
    lines.join("\n")
}

/// `1 pool`, `2 pools`.
fn count(count: u32, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// The keeper, with the same words for its engines.
fn keep(up: &Up, directory: &Path) -> Result<()> {
    // What is wrong with them is said now, and not by an engine that dies of it.
    settings(up, directory)?;
    if let Some(user) = &up.user {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("making {}", directory.display()))?;
        let (uid, gid) = ::disk::privilege::user(user)?;
        std::os::unix::fs::chown(directory, Some(uid.as_raw()), Some(gid.as_raw()))
            .with_context(|| format!("giving {} to {user}", directory.display()))?;
    }
    welcome::announce(std::path::absolute(directory)?)?;
    let program = std::env::current_exe().context("finding this program")?;
    let settings = ::disk::keeper::Settings {
        directory: directory.to_owned(),
        program,
        arguments: again(up, directory)?,
    };
    Ok(disk::keeper::run(settings)?)
}

/// The command line of an engine.
fn again(up: &Up, directory: &Path) -> Result<Vec<OsString>> {
    let directory = std::path::absolute(directory)?;
    let mut words: Vec<OsString> =
        vec!["--dir".into(), directory.into(), "disk".into(), "engine".into()];
    for pool in &up.pools {
        words.extend(["--pool".into(), pool.into()]);
    }
    if let Some(memory) = up.memory {
        words.extend(["--memory".into(), memory.0.to_string().into()]);
    }
    let poll = if matches!(up.poll, Poll::Always) { "always" } else { "adaptive" };
    words.extend(["--poll".into(), poll.into()]);
    if let Some(core) = up.core {
        words.extend(["--core".into(), core.to_string().into()]);
    }
    if let Some(user) = &up.user {
        words.extend(["--user".into(), user.into()]);
    }
    if up.unconfined {
        words.push("--unconfined".into());
    }
    Ok(words)
}

fn settings(up: &Up, directory: &Path) -> Result<engine::Settings> {
    let mut pools = up.pools.iter().map(|pool| file_pool(pool)).collect::<Result<Vec<_>>>()?;
    if let Some(size) = up.memory {
        pools.push(PoolSpec {
            name: "memory".into(),
            medium: PoolMedium::Memory,
            size: Some(size),
        });
    }
    let polling = match up.poll {
        Poll::Always => Polling::Always,
        Poll::Adaptive => Polling::Adaptive,
    };
    Ok(engine::Settings {
        directory: directory.to_owned(),
        lane: LaneSettings { core: up.core, polling },
        user: up.user.clone(),
        confine: !up.unconfined,
        pools,
    })
}

/// `FILE` or `FILE:SIZE`. The pool is named as the file is, without its ending.
fn file_pool(said: &str) -> Result<PoolSpec> {
    let parts = said.rsplit_once(':').map(|(path, size)| (path, size.parse::<Bytes>()));
    let (path, size) = match parts {
        Some((path, Ok(size))) => (path, Some(size)),
        // The name of a file may have a colon.
        _ => (said, None),
    };
    let path = absolute(PathBuf::from(path))?;
    let name =
        Path::new(&path).file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    if name.is_empty() {
        bail!("`{said}` names no file; say --pool FILE:SIZE, as in --pool disk.img:20G");
    }
    Ok(PoolSpec { name, medium: PoolMedium::File { path }, size })
}

/// The engine runs elsewhere: it must not depend on where we are.
fn absolute(path: PathBuf) -> Result<String> {
    let path = std::path::absolute(path)?;
    let text = path.to_str().with_context(|| format!("{} is no text", path.display()))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_a_file_and_a_size() {
        let pool = file_pool("/tmp/disk.img:20G").expect("a pool");
        assert_eq!((&pool.name[..], pool.size), ("disk", Some(Bytes::gib(20))));
        let pool = file_pool("/dev/nvme0n1").expect("a pool");
        assert_eq!((&pool.name[..], pool.size), ("nvme0n1", None));
        file_pool("").expect_err("nothing");
    }
}
