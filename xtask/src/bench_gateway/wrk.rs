//! The client: `wrk` on the core of the clients, and the time that a server runs for it.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use super::Bench;
use crate::bench::process::ran_nanos;
use crate::bench::report::median;

/// What is asked, and whom.
pub struct Load {
    /// The side, for people.
    pub name: &'static str,
    /// Scheme, host and path.
    pub url: String,
    /// Requests of another kind.
    pub script: Option<PathBuf>,
    /// The processes that answer.
    pub processes: Vec<u32>,
}

/// What one side did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Requests a second.
    pub rate: f64,
    /// Microseconds of CPU for each.
    pub micros: f64,
    /// Requests.
    pub count: f64,
}

/// Runs the sides in turns; the median of each.
pub fn turns(bench: &Bench, connections: u32, sides: &[Load]) -> Result<Vec<Seen>> {
    let mut all = vec![Vec::new(); sides.len()];
    for side in sides {
        // The first answers open files and fill caches.
        once(bench, connections, side, 0.2)?;
    }
    for _ in 0..bench.rounds {
        for (side, seen) in sides.iter().zip(&mut all) {
            seen.push(once(bench, connections, side, bench.seconds)?);
        }
    }
    let middle = |seen: &Vec<Seen>| {
        let of = |part: fn(&Seen) -> f64| median(&seen.iter().map(part).collect::<Vec<_>>());
        let count = seen.iter().map(|it| it.count).sum();
        Seen { rate: of(|it| it.rate), micros: of(|it| it.micros), count }
    };
    Ok(all.iter().map(middle).collect())
}

fn once(bench: &Bench, connections: u32, side: &Load, seconds: f64) -> Result<Seen> {
    let mut command = bench.pinned(false, "wrk");
    let seconds = seconds.ceil().max(1.0);
    command.args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s")]);
    command.args(["--timeout", "30s"]);
    if let Some(script) = &side.script {
        command.arg("-s").arg(script);
    }
    let before = ran_nanos(&side.processes)?;
    let output = command.arg(&side.url).output().context("wrk could not be started")?;
    let ran = ran_nanos(&side.processes)? - before;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("wrk failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    }
    ensure!(
        !text.contains("Non-2xx") && !text.contains("Socket errors"),
        "{} answered with errors: {text}",
        side.name
    );
    let told = |after: &str| {
        let line = text.lines().find(|line| line.contains(after));
        let number = line.and_then(|line| line.split_whitespace().find_map(|it| it.parse().ok()));
        number.with_context(|| format!("wrk said: {text}"))
    };
    let (count, rate): (f64, f64) = (told(" requests in ")?, told("Requests/sec:")?);
    ensure!(count > 0.0, "{} answered nothing", side.name);
    Ok(Seen { rate, micros: ran as f64 / 1000.0 / count, count })
}

/// A script that sends these requests, one after the other and again from the first. All of
/// them end with the same content.
pub fn script(bench: &Bench, heads: &[String], content: usize) -> Result<PathBuf> {
    use std::fmt::Write as _;
    let mut text = format!("local content = string.rep('x', {content})\nlocal all = {{\n");
    for head in heads {
        writeln!(text, "{head:?}..content,")?;
    }
    text += "}\nlocal next = 0\nrequest = function()\n  next = next % #all + 1\n  \
             return all[next]\nend\n";
    let path = bench.path("requests.lua");
    std::fs::write(&path, text)?;
    Ok(path)
}

/// A script that asks for one of so many objects each time: `/random/NUMBER`.
pub fn random(bench: &Bench, objects: u64) -> Result<PathBuf> {
    let text = format!(
        "math.randomseed(1)\nlocal chance = math.random\nrequest = function()\n  return \
         'GET /random/' .. chance(0, {}) .. ' HTTP/1.1\\r\\nHost: bench\\r\\n\\r\\n'\nend\n",
        objects - 1
    );
    let path = bench.path("random.lua");
    std::fs::write(&path, text)?;
    Ok(path)
}
