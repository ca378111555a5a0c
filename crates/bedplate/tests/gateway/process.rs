//! A gateway for a test, in a directory of its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::client::Client;
use crate::signature::{ONE, TWO};

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A directory that goes away with its owner.
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty one. It lies where programs are built, not in memory.
    pub fn new(name: &str) -> Self {
        let folder = format!("gateway-{name}-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a directory");
        let line = |(key, secret): (&str, &str)| {
            format!(r#"{{"access_key":"{key}","secret_key":"{secret}","id":"account-{key}"}}"#)
        };
        let keys = format!("[{},{}]", line(ONE), line(TWO));
        std::fs::write(path.join("keys.json"), keys).expect("the access keys");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A certificate for this machine and its key, by openssl. `None`: it is not installed.
    pub fn certificate(&self) -> Option<(PathBuf, PathBuf)> {
        let (certificate, key) = (self.path("certificate.pem"), self.path("key.pem"));
        let mut openssl = Command::new("openssl");
        openssl
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext"])
            .args(["subjectAltName=IP:127.0.0.1,DNS:localhost", "-addext"])
            .args(["basicConstraints=critical,CA:FALSE", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate);
        match openssl.stderr(Stdio::null()).status() {
            Ok(status) if status.success() => Some((certificate, key)),
            _ => {
                eprintln!("skipped: openssl is not installed (apt-get install openssl)");
                None
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A gateway that runs, until it is dropped.
pub struct Gateway {
    child: Child,
    pub address: SocketAddr,
    pub tls: Option<SocketAddr>,
    /// What it said on standard error so far.
    said: Arc<Mutex<String>>,
}

/// The program: another one than this build's when that is said, for one that is installed.
pub fn program() -> PathBuf {
    let said = std::env::var_os("BEDPLATE_PROGRAM").map(PathBuf::from);
    said.unwrap_or_else(|| env!("CARGO_BIN_EXE_bedplate").into())
}

/// The command for a gateway with the data of a test.
pub fn command(scratch: &Scratch, more: &[&str]) -> Command {
    let mut command = Command::new(program());
    arguments(&mut command, scratch, more);
    command
}

/// The words behind the program's name.
pub fn arguments(command: &mut Command, scratch: &Scratch, more: &[&str]) {
    command.args(["gateway", "--data"]).arg(scratch.path("data"));
    command.arg("--access-keys").arg(scratch.path("keys.json"));
    if !more.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command.args(more);
}

impl Gateway {
    pub fn start(scratch: &Scratch, more: &[&str]) -> Self {
        Self::run(command(scratch, more))
    }

    /// Starts it and waits until it serves.
    pub fn run(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program was built");
        let said = Arc::new(Mutex::new(String::new()));
        let (hears, mut errors) = (said.clone(), child.stderr.take().expect("it was piped"));
        std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(count @ 1..) = errors.read(&mut part) {
                hears.lock().unwrap().push_str(&String::from_utf8_lossy(&part[..count]));
            }
        });
        let mut addresses = Vec::new();
        let told = BufReader::new(child.stdout.take().expect("it was piped"));
        for line in told.lines().map_while(Result::ok) {
            if let Some(url) = line.strip_prefix("  S3         ") {
                addresses.push(url.to_owned());
            }
            if line.starts_with("  directory") {
                break;
            }
        }
        let of = |scheme: &str| {
            let url = addresses.iter().find_map(|url| url.strip_prefix(scheme))?;
            Some(url.parse().expect("an address"))
        };
        let Some(address) = of("http://") else {
            let _ = child.wait();
            let said = said.lock().unwrap().clone();
            panic!("it does not serve: {said}");
        };
        Self { child, address, tls: of("https://"), said }
    }

    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// A client of the first account.
    pub fn client(&self) -> Client {
        Client::connect(self.address, ONE)
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32).expect("a process");
        kill_process(pid, signal).expect("it runs");
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status;
            }
            assert!(Instant::now() < until, "it does not end: {}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_some()
    }

    /// Tells it to end, and waits.
    pub fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.ended();
        assert!(status.success(), "{status}: {}", self.said());
    }

    /// Ends it in the middle of what it does.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        self.ended();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "it does not come about: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
