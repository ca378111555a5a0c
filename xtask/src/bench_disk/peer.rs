//! The peers, as processes: qemu-storage-daemon in its several shapes, a target on the
//! rust-vmm crates, nbdkit. Each is started by a path of its own and ended by its
//! process id.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Bench;
use crate::run::{command, run, top};

/// A server that runs until it is dropped.
pub struct Peer {
    child: Child,
    /// Where it listens.
    pub socket: PathBuf,
}

impl Peer {
    fn start(bench: &Bench, socket: PathBuf, program: &str, arguments: &[String]) -> Result<Self> {
        let mut command = Command::new("taskset");
        let core = bench.server_core().map_or_else(|| "0-1023".to_owned(), |it| it.to_string());
        command.args(["-c", &core, program]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().with_context(|| format!("{program} could not be started"))?;
        let mut peer = Self { child, socket };
        let until = Instant::now() + Duration::from_secs(20);
        while !peer.socket.exists() {
            if let Some(status) = peer.child.try_wait()? {
                bail!("{program} {} ended at once ({status})", arguments.join(" "));
            }
            if Instant::now() > until {
                bail!("{program} does not listen");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // The file is there a moment before somebody listens.
        std::thread::sleep(Duration::from_millis(100));
        Ok(peer)
    }
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How qemu-storage-daemon keeps its data. What it needs is made first.
pub enum Kind<'a> {
    /// Nowhere.
    Null,
    /// Nowhere, through its throttle.
    Throttled,
    /// In a raw file or device, past the page cache when so.
    File(&'a Path, bool),
    /// In a qcow2 file.
    Qcow2(&'a Path),
    /// In a LUKS file.
    Luks(&'a Path),
}

impl Kind<'_> {
    fn arguments(&self) -> Vec<String> {
        let null = "null-co,size=1073741824,read-zeroes=off";
        let file =
            |path: &Path, name: &str| format!("file,node-name={name},filename={}", path.display());
        match self {
            Kind::Null => vec!["--blockdev".to_owned(), format!("{null},node-name=n")],
            Kind::Throttled => vec![
                "--object".to_owned(),
                "throttle-group,id=t,x-iops-total=1000000000".to_owned(),
                "--blockdev".to_owned(),
                format!("{null},node-name=f"),
                "--blockdev".to_owned(),
                "throttle,node-name=n,throttle-group=t,file=f".to_owned(),
            ],
            Kind::File(path, direct) => {
                let how = if *direct { ",cache.direct=on,aio=io_uring" } else { "" };
                vec!["--blockdev".to_owned(), file(path, "n") + how]
            }
            Kind::Qcow2(path) => vec![
                "--blockdev".to_owned(),
                file(path, "f"),
                "--blockdev".to_owned(),
                "qcow2,node-name=n,file=f".to_owned(),
            ],
            Kind::Luks(path) => vec![
                "--object".to_owned(),
                "secret,id=s,data=bench".to_owned(),
                "--blockdev".to_owned(),
                file(path, "f"),
                "--blockdev".to_owned(),
                "luks,node-name=n,file=f,key-secret=s".to_owned(),
            ],
        }
    }
}

/// qemu-storage-daemon for vhost-user.
pub fn qsd(bench: &Bench, kind: &Kind<'_>) -> Result<Peer> {
    let socket = bench.path("qsd.sock");
    let mut arguments = kind.arguments();
    arguments.push("--export".into());
    arguments.push(format!(
        "vhost-user-blk,id=e,node-name=n,addr.type=unix,addr.path={},writable=on,num-queues=1",
        socket.display()
    ));
    Peer::start(bench, socket, "qemu-storage-daemon", &arguments)
}

/// qemu-storage-daemon for NBD.
pub fn qsd_nbd(bench: &Bench, kind: &Kind<'_>) -> Result<Peer> {
    let socket = bench.path("qsd-nbd.sock");
    let mut arguments = kind.arguments();
    arguments
        .extend(["--nbd-server".into(), format!("addr.type=unix,addr.path={}", socket.display())]);
    arguments.extend(["--export".into(), "nbd,id=e,node-name=n,name=n,writable=on".into()]);
    Peer::start(bench, socket, "qemu-storage-daemon", &arguments)
}

/// nbdkit with its null plugin.
pub fn nbdkit(bench: &Bench) -> Result<Peer> {
    let socket = bench.path("nbdkit.sock");
    let words = ["-f", "-U", &socket.display().to_string(), "null", "size=1G"];
    let arguments: Vec<String> = words.map(str::to_owned).to_vec();
    Peer::start(bench, socket, "nbdkit", &arguments)
}

/// The target on the rust-vmm crates, which is built when it is first asked for.
pub fn rustvmm(bench: &Bench, batched: bool) -> Result<Peer> {
    let built = top().join("target/peers");
    let manifest = top().join("xtask/peers/rustvmm_target/Cargo.toml");
    static BUILT: OnceLock<bool> = OnceLock::new();
    let build = || {
        let mut build = command("cargo", &["build", "--release", "--locked", "--quiet"]);
        build.arg("--manifest-path").arg(manifest).arg("--target-dir").arg(&built);
        run(build)
    };
    if BUILT.get().is_none() {
        build()?;
        let _ = BUILT.set(true);
    }
    let socket = bench.path("rustvmm.sock");
    let program = built.join("release/rustvmm-target").display().to_string();
    let mut arguments = vec![socket.display().to_string()];
    arguments.extend(batched.then(|| "batched".to_owned()));
    Peer::start(bench, socket, &program, &arguments)
}

/// Makes an image by qemu-img.
pub fn image(path: &Path, format: &str, options: &[&str]) -> Result<()> {
    let mut make = Command::new("qemu-img");
    make.args(["create", "-q", "-f", format]).args(options).arg(path).arg("1G");
    make.stdout(Stdio::null());
    let status = make.status().context("qemu-img could not be started")?;
    if status.success() { Ok(()) } else { bail!("qemu-img create -f {format} failed") }
}
