//! A service whose paths say what it does, and a client that reads what it is sent.

use std::borrow::Cow;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use object::{BucketName, Mutation, Refusal, Reply};
use world::clock::SystemClock;
use world::files::{Directory, File as _, Files as _};

use crate::run::{Parts, Running, Settings, Sockets};
use crate::sockets::bind_all;
use crate::step::{
    Answer, Desk, Head, Keep, Open, Peer, Piece, Pieces, Plan, Proof, Receive, SegmentFile,
    Service, Step, Stored,
};
use crate::writer::Applies;

/// What `/file` has: bytes that tell where they are.
pub fn content(length: usize) -> Vec<u8> {
    (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

pub fn text(status: u16, text: impl Into<Bytes>) -> Answer {
    let headers = vec![(Cow::Borrowed("X-Test"), Cow::Borrowed("yes"))];
    Answer { status, headers, body: Plan::Bytes(text.into()), close: false }
}

/// The service.
pub struct Paths {
    file: Arc<SegmentFile>,
    length: u64,
    pub stamp: AtomicU64,
    pub begun: AtomicU64,
    pub dropped: Arc<AtomicU64>,
    /// How often content was fetched from where it lies; whether it lies there no more.
    pub fetched: AtomicU64,
    pub gone: AtomicBool,
    /// Who asked, in order of the requests' beginnings.
    pub order: Mutex<Vec<u64>>,
}

/// Counts what it takes; refuses more than `most`.
struct Counts {
    sum: u64,
    count: u64,
    most: u64,
    dropped: Arc<AtomicU64>,
}

impl Receive for Counts {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Box<Answer>> {
        self.sum += bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        self.count += bytes.len() as u64;
        if self.count > self.most { Err(Box::new(text(413, "too much"))) } else { Ok(()) }
    }
    fn end(self: Box<Self>) -> Step {
        Step::Answer(text(200, format!("{} {}", self.count, self.sum)))
    }
}

impl Drop for Counts {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

struct Inverts;

impl Open for Inverts {
    fn open(&mut self, stored: &[u8], into: &mut Vec<u8>) -> Result<(), String> {
        into.extend(stored.iter().map(|byte| !byte));
        Ok(())
    }
    fn unit(&self) -> usize {
        65_536
    }
}

fn other() -> BucketName {
    BucketName::new("other").expect("a name")
}

/// What is no length is none.
fn length_of(text: &str) -> u64 {
    text.parse().map_or(0, |length: u64| length.min(FILE as u64))
}

impl Paths {
    /// With a file in this directory.
    pub fn new(directory: &std::path::Path) -> Self {
        let files = Directory::new(directory).expect("a directory");
        let file = files.open("content").expect("a file");
        file.write_at(0, &content(FILE)).expect("written");
        Self {
            file: Arc::new(file),
            length: FILE as u64,
            stamp: AtomicU64::new(1),
            begun: AtomicU64::new(0),
            dropped: Arc::default(),
            fetched: AtomicU64::new(0),
            gone: AtomicBool::new(false),
            order: Mutex::default(),
        }
    }

    fn pieces(&self, open: Option<Box<dyn Open>>, length: u64) -> Plan {
        // In two pieces, so that the seam between them is crossed.
        let cut = length / 3 / 65_536 * 65_536;
        let piece = |offset, length| Piece { file: self.file.clone(), offset, length };
        let pieces = vec![piece(0, cut), piece(cut, length - cut)];
        let pieces = pieces.into_iter().filter(|piece| piece.length > 0).collect();
        Plan::Pieces(Pieces { pieces, pin: None, open, length })
    }

    /// Something that lies somewhere.
    fn place(&self, name: Vec<u8>, proof: Proof, length: u64) -> Step {
        let length = length as u32;
        let stored = Stored { length, md5: [0xab; 16], modified: 784_111_777, ..Stored::default() };
        let mut answer = text(200, content(length as usize));
        let tag = format!("\"{}\"", "ab".repeat(16));
        answer.headers.push(("ETag".into(), tag.into()));
        answer.headers.push(("Last-Modified".into(), "Sun, 06 Nov 1994 08:49:37 GMT".into()));
        Step::Keep(answer, Keep { name: name.into(), proof, stored: Some(stored) })
    }

    fn get(&self, path: &str) -> Step {
        let plan = match path.split_once(['/']).unwrap_or((path, "")) {
            ("hello", _) => Plan::Bytes(Bytes::from_static(b"hello")),
            ("large", _) => Plan::Bytes(content(1 << 20).into()),
            ("file", length) => self.pieces(None, length_of(length)),
            ("beyond", _) => self.pieces(None, self.length * 2),
            ("sealed", length) => self.pieces(Some(Box::new(Inverts)), length_of(length)),
            ("nothing", _) => return Step::Answer(Answer { status: 204, ..text(204, "") }),
            ("elsewhere", _) => {
                return Step::Elsewhere(Box::new(|| {
                    Step::Elsewhere(Box::new(|| Step::Answer(text(200, "elsewhere"))))
                }));
            }
            ("panic", _) => return Step::Elsewhere(Box::new(|| panic!("as asked"))),
            ("commit", name) => {
                let name = BucketName::new(name).unwrap_or_else(|_| other());
                let then = |result: Result<Reply, Refusal>| {
                    Step::Answer(text(200, format!("{:?}", result.is_ok())))
                };
                return Step::Commit(Box::new(Mutation::DeleteBucket { name }), Box::new(then));
            }
            ("commits", name) => {
                let name = BucketName::new(name).unwrap_or_else(|_| other());
                let both = vec![
                    Mutation::DeleteBucket { name: name.clone() },
                    Mutation::DeleteBucket { name: other() },
                ];
                let then = |results: Vec<Result<Reply, Refusal>>| {
                    Step::Answer(text(
                        200,
                        format!("{:?}", results.iter().map(Result::is_ok).collect::<Vec<_>>()),
                    ))
                };
                return Step::Commits(both, Box::new(then));
            }
            _ => return Step::Answer(text(404, "no such path")),
        };
        Step::Answer(Answer { body: plan, ..text(200, "") })
    }
}

impl Service for Paths {
    fn begin(&self, head: &Head<'_>, _: &Peer) -> Step {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let path = head.path.trim_start_matches('/');
        if head.method == "PUT" && path != "refused" {
            let most = if path == "little" { 1000 } else { u64::MAX };
            let dropped = self.dropped.clone();
            return Step::Receive(Box::new(Counts { sum: 0, count: 0, most, dropped }));
        }
        if path == "refused" { Step::Answer(text(403, "no")) } else { self.get(path) }
    }

    fn begin_at(&self, head: &Head<'_>, peer: &Peer, desk: &mut dyn Desk) -> Step {
        if let Some(account) = head.header("x-account") {
            desk.asks(account.len() as u64, account);
            self.order.lock().expect("no panic").push(account.len() as u64);
        }
        if !head.path.starts_with("/kept") && !head.path.starts_with("/placed") {
            return self.begin(head, peer);
        }
        let stamp = self.stamp.load(Ordering::SeqCst);
        let name = [head.method.as_bytes(), head.path.as_bytes()].concat();
        if desk.kept(&name).is_some_and(|proof| proof.stamp == stamp) {
            return Step::Kept;
        }
        self.begun.fetch_add(1, Ordering::SeqCst);
        let proof = Proof { place: 0, stamp, bucket_stamp: 0 };
        if let Some((_, length)) = head.path.split_once("/placed/") {
            return self.place(name, proof, length_of(length));
        }
        let length = if head.path == "/kept/large" { 3000 } else { 0 };
        let answer = text(200, format!("stamp {stamp}{}", ".".repeat(length)));
        Step::Keep(answer, Keep { name: name.into(), proof, stored: None })
    }

    fn fetch(&self, stored: &Stored, into: &mut Vec<u8>) -> bool {
        if self.gone.load(Ordering::SeqCst) {
            return false;
        }
        self.fetched.fetch_add(1, Ordering::SeqCst);
        into.extend_from_slice(&content(stored.length as usize));
        true
    }

    fn refuse(&self, status: u16, why: &str) -> Answer {
        text(status, why.to_owned())
    }

    fn request_id(&self) -> Option<&'static str> {
        Some("X-Id")
    }
}

/// Does what is asked of every other bucket.
pub struct Every;

impl Applies for Every {
    fn apply(&mut self, batch: Vec<Mutation>) -> Vec<Result<Reply, Refusal>> {
        batch
            .into_iter()
            .map(|mutation| match mutation {
                Mutation::DeleteBucket { name } if name.as_str() == "mine" => Ok(Reply::BucketGone),
                _ => Err(Refusal::NoBucket),
            })
            .collect()
    }
    fn tick(&mut self) -> Duration {
        Duration::from_secs(1)
    }
    fn close(&mut self) {}
}

/// A gateway that runs, until it is dropped.
pub struct House {
    pub running: Option<Running>,
    pub service: Arc<Paths>,
    pub address: SocketAddr,
    directory: std::path::PathBuf,
}

/// How long the file of `/file` is.
pub const FILE: usize = 9 << 20;

impl House {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings =
            Settings { reactors: 1, workers: 2, pinned: false, ..Settings::default() };
        change(&mut settings);
        static HOUSES: AtomicU64 = AtomicU64::new(0);
        let number = HOUSES.fetch_add(1, Ordering::SeqCst);
        let name = format!("bedplate-reactor-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let service = Arc::new(Paths::new(&directory));
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let tls = settings.tls.is_some();
        let listeners = bind_all(any, tls, settings.reactors).expect("sockets");
        let parts = Parts {
            service: service.clone(),
            store: Box::new(Every),
            clock: Arc::new(SystemClock::default()),
        };
        let sockets = Sockets { listeners, connections: Vec::new() };
        let running = Running::start(&settings, sockets, parts).expect("threads");
        let address = running.addresses[0].0;
        Self { running: Some(running), service, address, directory }
    }

    pub fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address).expect("a connection"))
    }

    pub fn begun(&self) -> u64 {
        self.service.begun.load(Ordering::SeqCst)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.drain(None, Duration::from_secs(1));
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// What was answered.
#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

/// A client that believes nothing.
pub struct Client<S = TcpStream> {
    pub socket: S,
    ahead: Vec<u8>,
}

impl Client {
    pub fn new(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        Self { socket, ahead: Vec::new() }
    }
}

impl<S: Read + Write> Client<S> {
    pub fn over(socket: S) -> Self {
        Self { socket, ahead: Vec::new() }
    }

    pub fn send(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).expect("sent");
    }

    pub fn get(&mut self, path: &str) -> Answered {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        self.answer()
    }

    pub fn put(&mut self, path: &str, body: &[u8]) -> Answered {
        let length = body.len();
        self.send(&format!("PUT {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n"));
        self.socket.write_all(body).expect("sent");
        self.answer()
    }

    fn more(&mut self) -> usize {
        let mut part = [0; 65_536];
        let count = self.socket.read(&mut part).unwrap_or(0);
        self.ahead.extend_from_slice(&part[..count]);
        count
    }

    /// Reads a head.
    pub fn head(&mut self) -> String {
        loop {
            if let Some(at) = self.ahead.windows(4).position(|end| end == b"\r\n\r\n") {
                let rest = self.ahead.split_off(at + 4);
                let head = std::mem::replace(&mut self.ahead, rest);
                return String::from_utf8(head).expect("text");
            }
            assert!(self.more() > 0, "the connection ended in a head: {:?}", self.ahead);
        }
    }

    pub fn answer(&mut self) -> Answered {
        let head = self.head();
        let status = head[9..12].parse().expect("a status");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length = length.map_or(0, |length| length.parse().expect("a length"));
        while self.ahead.len() < length {
            assert!(self.more() > 0, "the connection ended in content");
        }
        let rest = self.ahead.split_off(length);
        Answered { status, head, body: std::mem::replace(&mut self.ahead, rest) }
    }

    /// Whether the connection ends here.
    pub fn ends(&mut self) -> bool {
        self.ahead.is_empty() && self.more() == 0
    }
}
