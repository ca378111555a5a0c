//! A client that loads a volume and checks it, as a process of its own that takes
//! orders (see `lab::disk_client::session`).

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// How long any answer may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// A client that runs.
pub struct Load {
    /// Which volume.
    pub volume: String,
    child: Child,
    orders: ChildStdin,
    lines: Receiver<Value>,
    /// Times without an answer, in nanoseconds of CLOCK_MONOTONIC: from and to.
    pub pauses: Vec<(u64, u64)>,
}

impl Load {
    /// Starts one. Gaps above `pause` microseconds are told.
    pub fn start(program: &Path, volume: &str, socket: &Path, more: &[&str]) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["lab", "disk-client", "--orders", "--sleep", "--seconds", "0"]);
        command.arg("--socket").arg(socket).args(more);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().context("a client could not be started")?;
        let orders = child.stdin.take().context("a client takes no orders")?;
        let out = child.stdout.take().context("a client says nothing")?;
        let (send, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if send.send(value).is_err() {
                    return;
                }
            }
        });
        let volume = volume.to_owned();
        let mut load = Self { volume, child, orders, lines, pauses: Vec::new() };
        load.hear("started")?;
        Ok(load)
    }

    /// Waits for a line with such a key; notes the pauses that come before it.
    pub fn hear(&mut self, key: &str) -> Result<Value> {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => bail!("client of {}: no {key}", self.volume),
                Err(RecvTimeoutError::Disconnected) => bail!("client of {} ended", self.volume),
            };
            let number = |part: &str| line["pause"][part].as_u64();
            if let (Some(from), Some(to)) = (number("from"), number("to")) {
                self.pauses.push((from, to));
            } else if !line[key].is_null() {
                return Ok(line);
            } else {
                bail!("client of {}: {line}", self.volume);
            }
        }
    }

    /// Gives an order and waits for the line that answers it.
    pub fn order(&mut self, order: &str, key: &str) -> Result<Value> {
        writeln!(self.orders, "{order}").with_context(|| format!("client of {}", self.volume))?;
        self.hear(key)
    }

    /// Requests that were answered so far.
    pub fn requests(&mut self) -> Result<u64> {
        let line = self.order("report", "report")?;
        line["report"]["requests"].as_u64().context("a report without requests")
    }

    /// Waits until more was answered than before, and all pauses until then are noted.
    pub fn goes_on(&mut self) -> Result<()> {
        let before = self.requests()?;
        let until = Instant::now() + PATIENCE;
        while self.requests()? <= before {
            if Instant::now() > until {
                bail!("the client of {} gets no answers any more", self.volume);
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Ends it: its last line, after it read and checked everything once.
    pub fn end(mut self) -> Result<Value> {
        let line = self.order("stop", "name")?;
        self.child.wait()?;
        Ok(line)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
