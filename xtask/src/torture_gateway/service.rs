//! The gateway as a process of its own, that is killed and started again on the same
//! directory and the same port, and replaced by another.

use std::fs::{self, OpenOptions};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::client::{Account, Client, Request};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
const ID: &str = "TORTURE0000000000001";
const SECRET: &str = "torture0000000000000000000000000000000001";

/// A gateway that runs until it is dropped.
pub struct Service {
    program: PathBuf,
    /// What it keeps.
    pub data: PathBuf,
    log: PathBuf,
    keys: PathBuf,
    process: Option<Child>,
    /// Who may ask it, and where.
    pub account: Account,
}

impl Service {
    /// Starts one with a program that is built, in a folder that is there.
    pub fn start(program: &Path, folder: &Path) -> Result<Self> {
        let keys = folder.join("keys.json");
        fs::write(
            &keys,
            format!(r#"[{{"id":"torture","access_key":"{ID}","secret_key":"{SECRET}"}}]"#),
        )?;
        let address = free_port()?;
        let account = Account { address, id: ID.to_owned(), secret: SECRET.to_owned() };
        let mut service = Self {
            program: program.to_path_buf(),
            data: folder.join("data"),
            log: folder.join("gateway.log"),
            keys,
            process: None,
            account,
        };
        service.again()?;
        Ok(service)
    }

    fn spawn(&self, more: &[&str]) -> Result<Child> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.program);
        command.arg("gateway").arg("--data").arg(&self.data);
        command.arg("--listen").arg(self.account.address.to_string());
        command.arg("--access-keys").arg(&self.keys).args(more);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.spawn().context("the gateway could not be started")
    }

    /// Starts it where it was. How long it took until the first answer.
    pub fn again(&mut self) -> Result<Duration> {
        let began = Instant::now();
        let mut process = self.spawn(&[])?;
        let mut client = Client::new(self.account.clone());
        let wish = Request { method: "GET", ..Request::default() };
        loop {
            match client.ask(&wish) {
                Ok(answer) if answer.good() => break,
                _ if began.elapsed() > PATIENCE || process.try_wait()?.is_some() => {
                    let _ = process.kill();
                    let _ = process.wait();
                    bail!("the gateway does not start: {}", self.told());
                }
                _ => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        self.process = Some(process);
        Ok(began.elapsed())
    }

    fn running(&mut self) -> Result<Child> {
        self.process.take().context("no gateway runs")
    }

    /// Kills it, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        let mut process = self.running()?;
        process.kill()?;
        process.wait()?;
        Ok(())
    }

    /// Ends it in order.
    pub fn end(&mut self) -> Result<()> {
        let process = self.running()?;
        kill_process(Pid::from_child(&process), Signal::TERM)?;
        self.ended(process)
    }

    /// Puts another in its place. The one before must end by itself.
    pub fn replace(&mut self) -> Result<()> {
        let before = self.running()?;
        let next = self.spawn(&["--replace"])?;
        self.process = Some(next);
        self.ended(before)
    }

    /// Puts another in its place, and kills both while they are at it.
    pub fn kill_replacing(&mut self, after: Duration) -> Result<()> {
        let mut before = self.running()?;
        let mut next = self.spawn(&["--replace"])?;
        std::thread::sleep(after);
        for process in [&mut before, &mut next] {
            let _ = process.kill();
            process.wait()?;
        }
        Ok(())
    }

    /// Starts it where it was, and kills it while it comes up.
    pub fn come_up_and_die(&mut self, after: Duration) -> Result<()> {
        let mut process = self.spawn(&[])?;
        std::thread::sleep(after);
        process.kill()?;
        process.wait()?;
        Ok(())
    }

    fn ended(&self, mut process: Child) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            match process.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("the gateway ended with {status}: {}", self.told()),
                None if Instant::now() > until => {
                    process.kill()?;
                    process.wait()?;
                    bail!("the gateway does not end: {}", self.told());
                }
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    /// The end of what it logged.
    pub fn told(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.trim_end().lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
