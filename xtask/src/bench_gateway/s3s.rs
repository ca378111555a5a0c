//! `s3s-fs`, an object server in Rust on a plain file system: built from its package, under
//! `target`, when it is first asked for. It writes files and syncs nothing.

use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Bench;
use super::nginx::free_address;
use super::sign::{KEY, SECRET};
use crate::run::{command, run, top};

const VERSION: &str = "0.14.1";

/// One that runs until it is dropped.
pub struct S3s {
    child: Child,
    /// Where it serves.
    pub host: String,
}

impl S3s {
    /// Starts one with an empty folder of the disk.
    pub fn start(bench: &Bench) -> Result<Self> {
        let home = top().join("target/peers/s3s-fs");
        let program = home.join("bin/s3s-fs");
        if !program.exists() {
            let mut build = command("cargo", &["install", "s3s-fs", "--version", VERSION]);
            build.args(["--features", "binary", "--locked", "--root"]).arg(&home);
            build.arg("--target-dir").arg(home.join("build"));
            run(build).context("s3s-fs cannot be had here")?;
        }
        let name = bench.path("s3s");
        let data = bench.disk.join(name.file_name().context("a path has a name")?);
        std::fs::create_dir_all(&data)?;
        let host = free_address()?;
        let (address, port) = host.split_once(':').context("an address has a port")?;
        let mut command = bench.pinned(true, &program.display().to_string());
        command.args(["--host", address, "--port", port]);
        command.args(["--access-key", KEY, "--secret-key", SECRET]).arg(&data);
        command.env("RUST_LOG", "error");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().context("s3s-fs could not be started")?;
        let mut peer = Self { child, host };
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(&peer.host).is_err() {
            if peer.child.try_wait()?.is_some() || Instant::now() > until {
                bail!("s3s-fs does not start");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(peer)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for S3s {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
