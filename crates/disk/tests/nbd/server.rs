//! A server in threads over a disk in memory: what a reactor does, as simply as it goes.
//! It answers in another order than it was asked.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use bedplate_disk::nbd::connection::MEMORY;
use bedplate_disk::nbd::{
    Arrived, Ask, Connection, Export, Listener, Listening, Received, Rules, Sent, Sink,
    StatusExtent, Wanted,
};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Mode;
use volume::{Fault, Outcome, Region, memory};
use world::clock::SystemClock;

use crate::tool::Folder;

/// What a block status tells apart.
const CHUNK: usize = 64 << 10;

/// A disk in memory.
pub struct Disk {
    pub bytes: Mutex<Vec<u8>>,
    /// Reads and writes that touch this byte fail.
    pub bad: Option<u64>,
    pub connections: Mutex<u32>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Disk {
    pub fn new(size: usize) -> Arc<Self> {
        Self::with_bad(size, None)
    }
    pub fn with_bad(size: usize, bad: Option<u64>) -> Arc<Self> {
        let (bytes, threads) = (Mutex::new(vec![0; size]), Mutex::new(Vec::new()));
        Arc::new(Self { bytes, bad, connections: Mutex::new(0), threads })
    }

    /// Carries out a request.
    pub fn perform(&self, wanted: &Wanted) -> Outcome {
        let mut bytes = self.bytes.lock().expect("no test panics with the lock");
        let (from, length) = (wanted.offset as usize, wanted.length as usize);
        let range = from..from + length;
        if self.bad.is_some_and(|bad| range.contains(&(bad as usize))) {
            return Err(Fault::Medium);
        }
        match wanted.ask {
            Ask::Read => memory::scatter(wanted.segments(), 0, &bytes[range]),
            Ask::Write => memory::gather(wanted.segments(), 0, &mut bytes[range]),
            Ask::Trim | Ask::WriteZeroes => bytes[range].fill(0),
            Ask::Flush | Ask::Status => {}
        }
        Ok(())
    }

    /// Which parts of a range are zeros.
    pub fn extents(&self, wanted: &Wanted) -> Vec<StatusExtent> {
        let bytes = self.bytes.lock().expect("no test panics with the lock");
        let (mut at, end) = (wanted.offset as usize, (wanted.offset + wanted.length) as usize);
        let mut extents: Vec<StatusExtent> = Vec::new();
        while at < end && extents.len() <= wanted.extents {
            let next = ((at / CHUNK + 1) * CHUNK).min(end);
            let zero = bytes[at..next] == [0; CHUNK][..next - at];
            let length = (next - at) as u64;
            match extents.last_mut() {
                Some(last) if last.zero == zero => last.length += length,
                _ => extents.push(StatusExtent { length, hole: zero, zero }),
            }
            at = next;
        }
        extents
    }

    fn answer(&self, connection: &mut Connection, wanted: &Wanted) {
        if wanted.ask == Ask::Status {
            connection.status(wanted.ticket, &self.extents(wanted));
        } else {
            connection.replied(wanted.ticket, self.perform(wanted));
        }
    }

    /// Serves one client until it goes.
    fn serve(&self, mut client: Arrived) {
        let memory = Region::leaked(MEMORY);
        let mut connection = Connection::new(client.agreed, memory, &client.rest);
        loop {
            let received = match client.transport.receive(&mut connection) {
                Ok(Received::Ended) | Err(_) => return,
                Ok(other) => other,
            };
            let mut all = Vec::new();
            while let Some(wanted) = connection.next() {
                let Ok(wanted) = wanted else { return };
                all.push(wanted);
            }
            let turn = all.len() / 3;
            all.rotate_left(turn);
            for wanted in all.iter().rev() {
                self.answer(&mut connection, wanted);
            }
            let Ok(sent) = client.transport.send(&mut connection) else { return };
            if connection.finished() {
                return;
            }
            let mut what = PollFlags::empty();
            if received == Received::Nothing {
                what |= PollFlags::IN;
            }
            if sent == Sent::Some {
                what |= PollFlags::OUT;
            }
            // What was sent made room: more may be asked already.
            if !connection.has_request() && !what.is_empty() {
                let socket = client.transport.socket();
                poll(&mut [PollFd::from_borrowed_fd(socket, what)], None).expect("polled");
            }
        }
    }
}

/// Serves each client in a thread.
struct InThreads(Arc<Disk>);

impl Sink for InThreads {
    fn arrived(&self, client: Arrived) {
        let disk = self.0.clone();
        *disk.connections.lock().expect("no test panics with the lock") += 1;
        let serving = disk.clone();
        let thread = std::thread::spawn(move || serving.serve(client));
        disk.threads.lock().expect("no test panics with the lock").push(thread);
    }
}

/// A server on a Unix socket in a folder of its own.
pub struct Server {
    pub disk: Arc<Disk>,
    pub folder: Folder,
    listener: Option<Listener>,
}

impl Server {
    /// The export "disk", and "frozen", which is the same and read-only.
    pub fn start(disk: Arc<Disk>, rules: Rules) -> Self {
        let folder = Folder::new();
        let mode = Mode::RUSR | Mode::WUSR;
        let socket = Listening::unix(&folder.path("socket"), mode).expect("a new socket");
        Self::on(disk, rules, folder, socket)
    }

    pub fn on(disk: Arc<Disk>, rules: Rules, folder: Folder, socket: Listening) -> Self {
        let size = disk.bytes.lock().expect("no test panics with the lock").len() as u64;
        let export = |name: &str, read_only| Export {
            name: name.to_owned(),
            description: "a disk in memory".to_owned(),
            size,
            read_only,
            key: 0,
        };
        let exports = Arc::new(vec![export("disk", false), export("frozen", true)]);
        let sink = Arc::new(InThreads(disk.clone()));
        let clock = Arc::new(SystemClock::default());
        let listener = Listener::start(socket, rules, exports, sink, clock).expect("listening");
        Self { disk, folder, listener: Some(listener) }
    }

    pub fn open(&self) -> usize {
        self.listener.as_ref().expect("the server runs").open()
    }
    pub fn socket(&self) -> PathBuf {
        self.folder.path("socket")
    }
    pub fn uri(&self, export: &str) -> String {
        format!("nbd+unix:///{export}?socket={}", self.folder.text("socket"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.listener.take());
        let threads = std::mem::take(&mut *self.disk.threads.lock().expect("no panics"));
        for thread in threads {
            let served = thread.join();
            assert!(std::thread::panicking() || served.is_ok(), "serving panicked");
        }
    }
}
