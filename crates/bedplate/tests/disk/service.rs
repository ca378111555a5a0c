//! A disk service for a test, in a directory of its own.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use model::Bytes;
use model::volume::{
    Attachment, Backing, DiskOrder, DiskReply, DiskStatus, Limits, PoolMedium, PoolSpec, VolumeSpec,
};

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A service with a pool `pool`, until it is dropped.
pub struct Service {
    keeper: Child,
    /// Its directory.
    pub directory: PathBuf,
}

impl Service {
    /// Starts it; the pool lies in a file.
    pub fn start(name: &str, mebibytes: u64) -> Self {
        let id = std::process::id();
        let directory = std::env::temp_dir().join(format!("bedplate-disk-{name}-{id}"));
        std::fs::create_dir_all(&directory).expect("a directory");
        let log = std::fs::File::create(directory.join("log")).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_bedplate"));
        command.arg("--dir").arg(&directory).args(["disk", "up"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let keeper = command.spawn().expect("the program was built");
        let service = Self { keeper, directory };
        let until = Instant::now() + PATIENCE;
        while service.ask(&DiskOrder::Status).is_err() {
            assert!(Instant::now() < until, "the service does not start: {}", service.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        let path = service.directory.join("pool").display().to_string();
        let (medium, size) = (PoolMedium::File { path }, Some(Bytes::mib(mebibytes)));
        service.order(&DiskOrder::PoolCreate(PoolSpec { name: "pool".into(), medium, size }));
        service
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    fn ask(&self, order: &DiskOrder) -> std::io::Result<DiskReply> {
        let stream = UnixStream::connect(self.directory.join("disk.sock"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        (&stream).write_all(format!("{}\n", serde_json::to_string(order)?).as_bytes())?;
        let mut reply = String::new();
        BufReader::new(&stream).read_line(&mut reply)?;
        Ok(serde_json::from_str(&reply)?)
    }

    /// Gives an order that must be carried out.
    pub fn order(&self, order: &DiskOrder) -> serde_json::Value {
        match self.ask(order) {
            Ok(DiskReply::Ok(value)) => value,
            other => panic!("{order:?}: {other:?}; {}", self.log()),
        }
    }

    /// Makes a volume.
    pub fn volume(&self, name: &str, mebibytes: u64, encrypt: bool) {
        self.order(&DiskOrder::VolumeCreate(VolumeSpec {
            name: name.into(),
            backing: Backing::default(),
            size: Some(Bytes::mib(mebibytes)),
            image: None,
            limits: Limits::NONE,
            encrypt,
        }));
    }

    /// Serves a volume to virtual machines; where.
    pub fn attach(&self, volume: &str) -> PathBuf {
        let volume = volume.to_owned();
        let order = DiskOrder::Attach { volume, socket: None, queues: None, read_only: false };
        self.attachment(&order)
    }

    /// Serves a volume by NBD; the address of it.
    pub fn serve(&self, volume: &str) -> String {
        let order = DiskOrder::Serve { volume: volume.into(), socket: None, read_only: false };
        format!("nbd+unix:///{volume}?socket={}", self.attachment(&order).display())
    }

    fn attachment(&self, order: &DiskOrder) -> PathBuf {
        let attachment: Attachment =
            serde_json::from_value(self.order(order)).expect("an attachment");
        attachment.socket.into()
    }

    /// How it is.
    pub fn status(&self) -> DiskStatus {
        serde_json::from_value(self.order(&DiskOrder::Status)).expect("a status")
    }

    /// The process of its keeper.
    pub fn keeper(&self) -> u32 {
        self.keeper.id()
    }

    /// Puts another engine in its place.
    pub fn replace(&self) {
        let before = self.status().pid;
        self.order(&DiskOrder::Replace { program: None });
        assert_ne!(self.status().pid, before, "another engine serves");
    }

    /// Kills the engine, and waits for the next.
    pub fn kill(&self) {
        let before = self.status().pid;
        end(before);
        let until = Instant::now() + PATIENCE;
        loop {
            if let Ok(DiskReply::Ok(value)) = self.ask(&DiskOrder::Status)
                && value["pid"] != before
            {
                return;
            }
            assert!(Instant::now() < until, "no engine after a kill: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let engine = match self.ask(&DiskOrder::Status) {
            Ok(DiskReply::Ok(value)) => value["pid"].as_u64(),
            _ => None,
        };
        // The keeper first: it would start another engine.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        if let Some(engine) = engine {
            end(engine as u32);
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// SIGKILL.
fn end(pid: u32) {
    let status = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
    assert!(status.is_ok(), "kill is a program");
}

/// Whether programs are installed; says what is missing.
pub fn have(programs: &[(&str, &str)]) -> bool {
    let missing = programs.iter().find(|(program, _)| world::process::find(program).is_none());
    if let Some((program, package)) = missing {
        println!("skipped: {program} is not installed (apt-get install {package})");
    }
    missing.is_none()
}

/// Runs a program that must end well; what it prints.
pub fn run(program: &str, arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(program).args(arguments).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {text}{errors}");
    text
}
