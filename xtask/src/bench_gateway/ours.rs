//! The gateway of ours, as a process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::Bench;
use super::http::Client;
use super::sign::{KEY, SECRET};

/// A gateway that runs until it is dropped.
pub struct Gateway {
    child: Child,
    /// Where it serves, plain.
    pub host: String,
    /// Where it serves by TLS, when it has a certificate.
    pub tls: String,
    admin: String,
    /// How long it took from being started to being there.
    pub started: Duration,
}

impl Gateway {
    /// Starts it on a directory. `certificate`: a folder with one, and its key.
    pub fn start(bench: &Bench, data: &Path, certificate: Option<&Path>) -> Result<Self> {
        let keys = bench.path("keys.json");
        let account = json!([{
            "access_key": KEY, "secret_key": SECRET, "id": "benchmark", "name": "benchmark",
        }]);
        std::fs::write(&keys, account.to_string())?;
        let mut command = bench.pinned(true, &bench.program.display().to_string());
        command.args(["gateway", "--cores", "1", "--listen", "127.0.0.1:0"]);
        command.args(["--admin", "127.0.0.1:0", "--data"]).arg(data);
        command.arg("--access-keys").arg(keys);
        if let Some(folder) = certificate {
            command.args(["--listen-tls", "127.0.0.1:0"]);
            command.arg("--tls-certificate").arg(folder.join("certificate.pem"));
            command.arg("--tls-key").arg(folder.join("key.pem"));
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(std::fs::File::create(bench.path("gateway.log"))?);
        let began = Instant::now();
        let mut child = command.spawn().context("the gateway could not be started")?;
        let output = child.stdout.take().context("it has an output")?;
        let (host, tls, admin) = (String::new(), String::new(), String::new());
        let mut gateway = Self { child, host, tls, admin, started: Duration::ZERO };
        for line in BufReader::new(output).lines() {
            let line = line?;
            if let Some((_, address)) = line.split_once("http://") {
                let place =
                    if line.contains("metrics") { &mut gateway.admin } else { &mut gateway.host };
                *place = address.trim_end_matches("/metrics").to_owned();
            } else if let Some((_, address)) = line.split_once("https://") {
                gateway.tls = address.to_owned();
            } else if line.trim_start().starts_with("directory") {
                gateway.started = began.elapsed();
                return Ok(gateway);
            }
        }
        bail!("the gateway does not start");
    }

    /// One with nothing in it, and where it keeps that.
    pub fn fresh(bench: &Bench, certificate: Option<&Path>) -> Result<(Self, PathBuf)> {
        let name = bench.path("gateway");
        let data = bench.disk.join(name.file_name().context("a path has a name")?);
        Ok((Self::start(bench, &data, certificate)?, data))
    }

    /// Makes a bucket that everybody may read, or every account.
    pub fn bucket(&self, name: &str, everybody: bool) -> Result<()> {
        let mut client = Client::new(&self.host)?;
        client.ask("PUT", &format!("/{name}"), "", b"")?;
        let who = if everybody { json!("*") } else { json!({ "AWS": "*" }) };
        let policy = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": who, "Action": ["s3:GetObject"],
            "Resource": [format!("arn:aws:s3:::{name}/*")],
        }] });
        client.ask("PUT", &format!("/{name}"), "policy=", policy.to_string().as_bytes())?;
        Ok(())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// One of its metrics, by the name after `bedplate_gateway_`.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let mut stream = TcpStream::connect(&self.admin)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        let name = format!("bedplate_gateway_{name} ");
        let value = page.lines().find_map(|line| line.strip_prefix(&name));
        value.and_then(|value| value.parse().ok()).with_context(|| format!("no metric {name}"))
    }

    /// Ends it as an administrator does.
    pub fn stop(mut self) -> Result<()> {
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            kill_process(pid, Signal::TERM)?;
        }
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
