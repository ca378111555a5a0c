//! A client for disks that are served by NBD (fixed newstyle, simple replies; the protocol
//! is at github.com/NetworkBlockDevice/nbd, doc/proto.md), with the same plan and the same
//! ledger as the one for vhost-user. It shares no code with the server.
//!
//! When the server hangs up it connects again, as any client of NBD has to: what was under
//! way may have been done or not. How often that was is counted, since it may happen when
//! an engine was killed, and must not when one was replaced.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::client::Watch;
use super::ledger::{Content, Ledger, Wrong, stamp};
use super::measured::Measured;
use super::plan::{Chooser, MOST_BLOCKS, Next, Plan};
use super::queue::{BLOCK, Work};
use super::ticks;

const REQUEST: u32 = 0x2560_9513;
const REPLY: u32 = 0x6744_6698;
const OPTION: u64 = 0x4948_4156_454f_5054;
const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
const GREETING: u64 = 0x4e42_444d_4147_4943;
/// `NBD_FLAG_FIXED_NEWSTYLE` and `NBD_FLAG_NO_ZEROES`.
const FLAGS: u32 = 3;
const GO: u32 = 7;
const ACKNOWLEDGED: u32 = 1;
const INFORMATION: u32 = 3;
const DISCONNECT: u16 = 2;
/// Bytes of a simple reply's header.
const HEADER: usize = 16;
/// Longest reply to an option that is read.
const LONG: usize = 4096;
/// How long a handshake may take before it is tried again: an engine may be dying.
const HANDSHAKE: Duration = Duration::from_secs(2);
/// So often it is tried to connect, and how long is waited between.
const TRIES: u32 = 3_000;
const BETWEEN: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
/// Longest sleep without an answer, so that whoever wants something is heard.
const NAP: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// A request under way.
#[derive(Clone, Copy, Debug)]
struct Sent {
    next: Next,
    since: u64,
    floors: [u32; MOST_BLOCKS as usize],
}

/// A client of one export.
#[derive(Debug)]
pub struct NbdClient {
    socket: PathBuf,
    export: String,
    stream: UnixStream,
    /// Requests under way; the handle of each is its place here.
    slots: Vec<Option<Sent>>,
    out: Vec<u8>,
    input: Vec<u8>,
    /// Bytes of the export.
    pub bytes: u64,
    /// What is known of the disk, when it is checked.
    pub ledger: Option<Ledger>,
    /// How often the server hung up.
    pub hung_up: u64,
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the server's {what} is not NBD"))
}

impl NbdClient {
    /// Connects, with so many requests under way at most.
    pub fn open(socket: &Path, export: &str, depth: u16) -> io::Result<Self> {
        let (stream, bytes) = connect(socket, export)?;
        Ok(Self {
            socket: socket.to_owned(),
            export: export.to_owned(),
            stream,
            slots: vec![None; usize::from(depth)],
            out: Vec::new(),
            input: Vec::new(),
            bytes,
            ledger: None,
            hung_up: 0,
        })
    }

    /// Carries a plan out; see [`super::Client::run`].
    pub fn run(
        &mut self,
        plan: &Plan,
        attend: &mut dyn FnMut(Option<&Ledger>, &Measured) -> bool,
    ) -> io::Result<Measured> {
        let (mut chooser, mut going) = (Chooser::new(plan.seed), true);
        let (mut measured, mut watch) = (Measured::default(), Watch::begin(plan));
        loop {
            while going && let Some(slot) = self.slots.iter().position(Option::is_none) {
                match chooser.next(plan, self.ledger.as_ref()) {
                    Some(next) => self.send(slot, next),
                    None => going = false,
                }
            }
            if self.slots.iter().all(Option::is_none) {
                break;
            }
            let came = match self.exchange(&mut measured) {
                Ok(came) => came,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(error),
                Err(_) => self.connect_again()?,
            };
            let now = ticks::now();
            if came > 0 {
                watch.answered(now, &mut measured);
            }
            if now >= watch.attend_at {
                watch.in_time(now)?;
                if now >= watch.end || !attend(self.ledger.as_ref(), &measured) {
                    going = false;
                }
            }
        }
        watch.finish(&mut measured);
        Ok(measured)
    }

    /// Says goodbye.
    pub fn close(mut self) -> io::Result<()> {
        self.stream.set_nonblocking(false)?;
        self.stream.write_all(&header(DISCONNECT, 0, 0, 0))
    }

    /// Enters a request into the ledger, and what is to be sent.
    fn send(&mut self, slot: usize, next: Next) {
        let mut sent = Sent { next, since: ticks::now(), floors: [0; MOST_BLOCKS as usize] };
        let (at, length) =
            (u64::from(next.block) * BLOCK as u64, u32::from(next.count) * BLOCK as u32);
        let command = match next.work {
            Work::Read => 0,
            Work::Write => 1,
            Work::Flush => 3,
            Work::Discard => 4,
            Work::Zero => 6,
        };
        self.out.extend(header(command, slot as u64, at, length));
        for index in 0..next.count {
            let block = next.block + u32::from(index);
            let ledger = self.ledger.as_mut();
            match (next.work, ledger) {
                (Work::Write, ledger) => {
                    let mut data = [0; BLOCK];
                    if let Some(ledger) = ledger {
                        let version = ledger.send(block, false);
                        stamp(ledger.volume(), block, version, &mut data);
                    }
                    self.out.extend(data);
                }
                (Work::Zero | Work::Discard, Some(ledger)) => {
                    ledger.send(block, true);
                }
                (Work::Read, Some(ledger)) => {
                    sent.floors[usize::from(index)] = ledger.floor(block);
                }
                _ => {}
            }
        }
        self.slots[slot] = Some(sent);
    }

    /// Sends and receives what can be. How many replies came.
    fn exchange(&mut self, measured: &mut Measured) -> io::Result<usize> {
        let wish = if self.out.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        match poll(&mut [PollFd::new(&self.stream, wish)], Some(&NAP)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        match (&self.stream).write(&self.out) {
            Ok(bytes) => drop(self.out.drain(..bytes)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let mut bytes = [0; 256 << 10];
        match (&self.stream).read(&mut bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.input.extend(&bytes[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let (mut came, mut at) = (0, 0);
        while let Some(length) = self.reply(at, measured)? {
            (came, at) = (came + 1, at + length);
        }
        self.input.drain(..at);
        Ok(came)
    }

    /// Takes the reply that begins there, if all of it has come. How long it is.
    fn reply(&mut self, at: usize, measured: &mut Measured) -> io::Result<Option<usize>> {
        let Some(header) = self.input.get(at..at + HEADER) else { return Ok(None) };
        if number(&header[..4]) != u64::from(REPLY) {
            return Err(broken("reply"));
        }
        let (error, handle) = (number(&header[4..8]), number(&header[8..]));
        let slot = usize::try_from(handle).ok().filter(|slot| *slot < self.slots.len());
        let Some((slot, sent)) = slot.and_then(|slot| Some((slot, self.slots[slot]?))) else {
            measured.strange += 1;
            if let Some(ledger) = &mut self.ledger {
                ledger.blame(Wrong::Doubled, 0, 0, Content::Garbage);
            }
            return Ok(Some(HEADER));
        };
        let Next { work, block, count } = sent.next;
        let given = if work == Work::Read && error == 0 { usize::from(count) * BLOCK } else { 0 };
        let Some(data) = self.input.get(at + HEADER..at + HEADER + given) else {
            return Ok(None);
        };
        let took = ticks::now().saturating_sub(sent.since);
        measured.record(work, count, u8::from(error != 0), took);
        if let Some(ledger) = &mut self.ledger {
            for (block, data) in (block..).zip(data.chunks_exact(BLOCK)) {
                ledger.check(block, sent.floors[(block - sent.next.block) as usize], data);
            }
            settle(ledger, sent.next, error == 0);
        }
        self.slots[slot] = None;
        Ok(Some(HEADER + given))
    }

    /// The server hung up. Nothing that was under way is answered any more.
    fn connect_again(&mut self) -> io::Result<usize> {
        self.hung_up += 1;
        self.out.clear();
        self.input.clear();
        for sent in self.slots.iter_mut().filter_map(Option::take) {
            if let Some(ledger) = &mut self.ledger {
                settle(ledger, sent.next, false);
            }
        }
        for _ in 0..TRIES {
            match connect(&self.socket, &self.export) {
                Ok((stream, bytes)) => {
                    (self.stream, self.bytes) = (stream, bytes);
                    return Ok(0);
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(error),
                Err(_) => drop(poll(&mut [], Some(&BETWEEN))),
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "the server is not there any more"))
    }
}

/// A request was answered, or never will be.
fn settle(ledger: &mut Ledger, next: Next, well: bool) {
    for block in next.block..next.block + u32::from(next.count) {
        match next.work {
            Work::Write | Work::Zero => ledger.settle(block, well),
            Work::Discard => ledger.discarded(block),
            Work::Read | Work::Flush => {}
        }
    }
}

fn header(command: u16, handle: u64, at: u64, length: u32) -> Vec<u8> {
    let mut bytes = REQUEST.to_be_bytes().to_vec();
    bytes.extend([0, 0]);
    bytes.extend(command.to_be_bytes());
    bytes.extend(handle.to_be_bytes());
    bytes.extend(at.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes
}

/// A number of up to eight bytes, the highest first.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Connects and chooses an export: the stream, which does not block, and its bytes.
fn connect(socket: &Path, export: &str) -> io::Result<(UnixStream, u64)> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(HANDSHAKE))?;
    let mut greeting = [0; 18];
    stream.read_exact(&mut greeting)?;
    if number(&greeting[..8]) != GREETING || number(&greeting[8..16]) != OPTION {
        return Err(broken("greeting"));
    }
    let mut hello = FLAGS.to_be_bytes().to_vec();
    hello.extend(OPTION.to_be_bytes());
    hello.extend(GO.to_be_bytes());
    hello.extend((export.len() as u32 + 6).to_be_bytes());
    hello.extend((export.len() as u32).to_be_bytes());
    hello.extend(export.as_bytes());
    hello.extend([0, 0]);
    stream.write_all(&hello)?;
    let mut bytes = None;
    loop {
        let mut header = [0; 20];
        stream.read_exact(&mut header)?;
        let (kind, length) = (number(&header[12..16]) as u32, number(&header[16..]) as usize);
        if number(&header[..8]) != OPTION_REPLY || length > LONG {
            return Err(broken("answer to an option"));
        }
        let mut data = vec![0; length];
        stream.read_exact(&mut data)?;
        match kind {
            INFORMATION if data.len() >= 10 && data[..2] == [0, 0] => {
                bytes = Some(number(&data[2..10]));
            }
            INFORMATION => {}
            ACKNOWLEDGED => break,
            // It may not be there yet, after an engine died.
            _ => return Err(io::Error::other("the export is refused")),
        }
    }
    stream.set_nonblocking(true)?;
    Ok((stream, bytes.ok_or_else(|| broken("description"))?))
}
