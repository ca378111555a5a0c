//! The control plane as a process, and the clients that ask it.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::seed::TYPE;
use crate::bench::Bench;
use crate::bench::process::ran_nanos;

/// How long it may take to come up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A control plane that runs until it is dropped.
pub struct Plane {
    child: Child,
    url: String,
    token: String,
    rounds: std::cell::Cell<u32>,
}

/// What the clients saw.
pub struct Seen {
    /// Instances that were acknowledged.
    pub count: u64,
    /// The same, a second.
    pub per_s: f64,
    /// Half were answered within this.
    pub p50_ms: f64,
    /// 99 of 100 were answered within this.
    pub p99_ms: f64,
    /// Processor time of the control plane for each.
    pub server_us: f64,
}

impl Plane {
    /// Brings it up on a directory that has a record.
    pub fn start(bench: &Bench, directory: &Path) -> Result<Self> {
        let log = fs::File::create(bench.path("plane.log"))?;
        let child = Command::new(&bench.program)
            .arg("--dir")
            .arg(directory)
            .args(["up", "--listen", "127.0.0.1:0", "--no-gateway"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("the control plane could not be started")?;
        let (url, token) = (String::new(), String::new());
        let mut plane = Self { child, url, token, rounds: Default::default() };
        let began = Instant::now();
        while plane.url.is_empty() || plane.token.is_empty() {
            ensure!(began.elapsed() < PATIENCE, "the control plane does not come up");
            ensure!(plane.child.try_wait()?.is_none(), "the control plane ended at its start");
            std::thread::sleep(Duration::from_millis(20));
            let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
            plane.url = read("url").trim().to_owned();
            plane.token = read("admin.token").trim().to_owned();
        }
        Ok(plane)
    }

    /// Has so many clients make instances for so many seconds.
    pub fn create(&self, bench: &Bench, clients: u64, seconds: f64) -> Result<Seen> {
        self.rounds.set(self.rounds.get() + 1);
        let script = bench.path("create.lua");
        fs::write(&script, self.script())?;
        let seconds = seconds.ceil().max(1.0);
        let processes = [self.child.id()];
        let before = ran_nanos(&processes)?;
        let output = Command::new("wrk")
            .args(["-t1", &format!("-c{clients}"), &format!("-d{seconds}s"), "--timeout", "30s"])
            .arg("-s")
            .arg(&script)
            .arg(&self.url)
            .output()
            .context("wrk could not be started")?;
        let ran = ran_nanos(&processes)? - before;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.strip_prefix("FIGURES "));
        let line = line.with_context(|| {
            format!("wrk failed: {text}{}", String::from_utf8_lossy(&output.stderr))
        })?;
        let numbers: Vec<f64> =
            line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [made, refused, micros, p50, p99] = numbers[..] else { bail!("wrk said: {text}") };
        ensure!(refused == 0.0 && made > 0.0, "of {made} creates {refused} went wrong: {text}");
        Ok(Seen {
            count: made as u64,
            per_s: made / (micros / 1e6),
            p50_ms: p50 / 1e3,
            p99_ms: p99 / 1e3,
            server_us: ran as f64 / 1e3 / made,
        })
    }

    /// Each request makes an instance of another name, with a key of its own, as the verbs do.
    fn script(&self) -> String {
        let (round, token) = (self.rounds.get(), &self.token);
        format!(
            "local n = 0\n\
             local made = {{ ['Authorization'] = 'Bearer {token}', ['Content-Type'] = \
             'application/json' }}\n\
             function request()\n\
             \x20 n = n + 1\n\
             \x20 local name = 'i{round}-' .. n\n\
             \x20 made['Idempotency-Key'] = string.format('%s-%012d', 'r{round}', n)\n\
             \x20 return wrk.format('POST', '/v1/instances', made, '{{\"name\":\"' .. name .. \
             '\",\"project\":\"default\",\"type\":\"{TYPE}\"}}')\n\
             end\n\
             function done(summary, latency)\n\
             \x20 local e = summary.errors\n\
             \x20 io.write(string.format('FIGURES %d %d %d %d %d\\n', summary.requests, e.status + \
             e.connect + e.read + e.write + e.timeout, summary.duration, \
             latency:percentile(50), latency:percentile(99)))\n\
             end\n"
        )
    }

    /// Database transactions so far.
    pub fn commits(&self) -> Result<f64> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--insecure", "--config", "-"]);
        curl.arg(format!("{}/metrics", self.url));
        let mut curl = curl.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let header = format!("header = \"Authorization: Bearer {}\"\n", self.token);
        curl.stdin.take().context("it has an input")?.write_all(header.as_bytes())?;
        let mut page = String::new();
        curl.stdout.take().context("it has an output")?.read_to_string(&mut page)?;
        curl.wait()?;
        let value = page.lines().find_map(|line| line.strip_prefix("bedplate_commits_total "));
        value.and_then(|value| value.parse().ok()).context("it does not tell its commits")
    }

    /// Ends it, and counts the instances that its record has.
    pub fn stop_and_count(mut self, directory: &Path) -> Result<u64> {
        // Without goodbye: what was acknowledged is there all the same.
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            kill_process(pid, Signal::KILL)?;
        }
        self.child.wait()?;
        let record = rusqlite::Connection::open(directory.join("record.db"))?;
        let count = "SELECT count(*) FROM objects WHERE kind = 'instance'";
        let count: i64 = record.query_row(count, [], |row| row.get(0))?;
        Ok(u64::try_from(count)?)
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
