//! A disk service that says what it is told to, at a real control socket, and serves
//! volumes by a small NBD server: enough for our own client and for `qemu-img`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use model::Bytes;
use model::volume::{
    Attachment, Backing, DiskOrder, DiskProblem, DiskProtocol, DiskReply, Limits, Volume,
};
use serde::Serialize;
use serde_json::Value;

/// A volume with nothing special about it.
pub fn volume(name: &str, size: Bytes) -> Volume {
    Volume {
        name: name.to_owned(),
        backing: Backing::Pool { name: Some("fast".to_owned()) },
        size,
        used: Bytes(0),
        limits: Limits::NONE,
        encrypted: false,
        clone_of: None,
        created: None,
        attachments: Vec::new(),
        latency: Vec::new(),
    }
}

/// What orders of a kind are answered with, by their `verb`.
pub type Answers = BTreeMap<&'static str, Value>;

/// What is said and kept by a service.
#[derive(Default)]
struct State {
    answers: Answers,
    asked: Mutex<Vec<Value>>,
    /// Volumes that are made and served, with their bytes.
    disks: Mutex<BTreeMap<String, Disk>>,
    /// Writes are answered with an error.
    fails: AtomicBool,
}

#[derive(Clone)]
struct Disk {
    volume: Volume,
    bytes: Arc<Mutex<Vec<u8>>>,
}

/// A service, until it is dropped.
pub struct Service {
    state: Arc<State>,
    stop: Arc<AtomicBool>,
    socket: PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Listens in a directory.
    pub fn start(directory: &Path, answers: Answers) -> Self {
        let socket = directory.join("disk.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let state = Arc::new(State { answers, ..State::default() });
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, ended, place) = (state.clone(), stop.clone(), directory.to_owned());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                converse(&shared, &place, stream.unwrap());
            }
        });
        Self { state, stop, socket, thread: Some(thread) }
    }

    /// From now on writes of NBD clients fail.
    pub fn fail(&self) {
        self.state.fails.store(true, Ordering::SeqCst);
    }

    /// The orders so far.
    pub fn asked(&self) -> Vec<Value> {
        self.state.asked.lock().unwrap().clone()
    }

    /// The verbs of the orders so far.
    pub fn verbs(&self) -> Vec<String> {
        self.asked().iter().map(|order| order["verb"].as_str().unwrap().to_owned()).collect()
    }

    /// The bytes of a volume that was made; nothing when there is none.
    pub fn bytes(&self, volume: &str) -> Option<Vec<u8>> {
        let disk = self.state.disks.lock().unwrap().get(volume).cloned()?;
        let bytes = disk.bytes.lock().unwrap().clone();
        Some(bytes)
    }

    /// A volume that is there, with its bytes.
    pub fn put(&self, volume: Volume, bytes: Vec<u8>) {
        let disk = Disk { volume: volume.clone(), bytes: Arc::new(Mutex::new(bytes)) };
        self.state.disks.lock().unwrap().insert(volume.name, disk);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        UnixStream::connect(&self.socket).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn converse(state: &Arc<State>, directory: &Path, stream: UnixStream) {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    let Ok(order) = serde_json::from_str::<DiskOrder>(&line) else { return };
    let asked: Value = serde_json::from_str(&line).unwrap();
    let verb = asked["verb"].as_str().unwrap().to_owned();
    state.asked.lock().unwrap().push(asked);
    let reply = match state.answers.get(verb.as_str()) {
        Some(answer) if answer.get("code").is_some() => {
            DiskReply::Error(serde_json::from_value::<DiskProblem>(answer.clone()).unwrap())
        }
        Some(answer) => DiskReply::Ok(answer.clone()),
        None => DiskReply::Ok(carry_out(state, directory, order)),
    };
    let mut reply = serde_json::to_vec(&reply).unwrap();
    reply.push(b'\n');
    (&stream).write_all(&reply).ok();
}

/// Orders that have no answer of their own: volumes are made, served and deleted.
fn carry_out(state: &Arc<State>, directory: &Path, order: DiskOrder) -> Value {
    let mut disks = state.disks.lock().unwrap();
    match order {
        DiskOrder::VolumeCreate(spec) => {
            let mut made = volume(&spec.name, spec.size.unwrap());
            (made.limits, made.encrypted) = (spec.limits, spec.encrypt);
            let bytes = Arc::new(Mutex::new(vec![0; made.size.0 as usize]));
            disks.insert(spec.name, Disk { volume: made.clone(), bytes });
            answer(made)
        }
        DiskOrder::VolumeShow { volume } => answer(&disks[&volume].volume),
        DiskOrder::VolumeList => {
            answer(disks.values().map(|disk| disk.volume.clone()).collect::<Vec<_>>())
        }
        DiskOrder::VolumeLimit { volume, limits } => {
            let disk = disks.get_mut(&volume).unwrap();
            disk.volume.limits = limits;
            answer(&disk.volume)
        }
        DiskOrder::VolumeDelete { volume } => {
            disks.remove(&volume);
            Value::Null
        }
        DiskOrder::Serve { volume, socket, read_only } => {
            let socket = socket.map_or(directory.join("test.nbd"), PathBuf::from);
            let listener = UnixListener::bind(&socket).unwrap();
            let (disk, shared) = (disks[&volume].clone(), state.clone());
            std::thread::spawn(move || {
                let (stream, _) = listener.accept().unwrap();
                nbd(&shared, stream, &disk.bytes);
            });
            let (protocol, socket) = (DiskProtocol::Nbd, socket.display().to_string());
            answer(Attachment { volume, protocol, socket, read_only, clients: 0 })
        }
        DiskOrder::Unserve { .. } => {
            std::fs::remove_file(directory.join("test.nbd")).ok();
            Value::Null
        }
        other => panic!("no answer to {other:?}"),
    }
}

/// Serves one NBD client until it goes away.
fn nbd(state: &State, mut stream: UnixStream, bytes: &Mutex<Vec<u8>>) -> Option<()> {
    stream.write_all(b"NBDMAGICIHAVEOPT\0\x03").ok()?;
    take::<4>(&mut stream)?;
    loop {
        let head = take::<16>(&mut stream)?;
        let (option, length) = (word(&head, 8), word(&head, 12));
        let mut data = vec![0; length as usize];
        stream.read_exact(&mut data).ok()?;
        let mut reply = |kind: u32, data: &[u8]| {
            let mut out = 0x0003_e889_0455_65a9_u64.to_be_bytes().to_vec();
            out.extend([option.to_be_bytes(), kind.to_be_bytes()].concat());
            out.extend((data.len() as u32).to_be_bytes());
            out.extend(data);
            stream.write_all(&out).ok()
        };
        if option != 7 {
            reply(0x8000_0001, b"")?;
            continue;
        }
        let size = bytes.lock().unwrap().len() as u64;
        // The size, and that there are flags and a flush.
        reply(3, &[&[0, 0], &size.to_be_bytes()[..], &[0, 5]].concat())?;
        reply(1, b"")?;
        break;
    }
    loop {
        let head = take::<28>(&mut stream)?;
        let (command, at, length) = (head[7], long(&head, 16) as usize, word(&head, 24) as usize);
        let mut data = Vec::new();
        match command {
            0 => data = bytes.lock().unwrap()[at..at + length].to_vec(),
            1 => {
                let mut written = vec![0; length];
                stream.read_exact(&mut written).ok()?;
                bytes.lock().unwrap()[at..at + length].copy_from_slice(&written);
            }
            2 => return None,
            _ => {}
        }
        let error: u32 = if command == 1 && state.fails.load(Ordering::SeqCst) { 28 } else { 0 };
        let mut out = 0x6744_6698_u32.to_be_bytes().to_vec();
        out.extend([&error.to_be_bytes()[..], &head[8..16], &data].concat());
        stream.write_all(&out).ok()?;
    }
}

fn take<const N: usize>(stream: &mut UnixStream) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// An answer.
pub fn answer(document: impl Serialize) -> Value {
    serde_json::to_value(document).unwrap()
}
