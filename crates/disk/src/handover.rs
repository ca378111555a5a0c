//! Live replacement: a successor takes the lane over while guests go on.
//!
//! The old engine and the new one talk over a channel that the keeper made:
//!
//! 1. old: it takes no orders, connections and messages of VMMs any more; requests are
//!    served on. It sends `paused`, with the files and devices of its lane, the ring
//!    that completions are going to be forwarded in, and the parcel: memory for 5 and 6.
//! 2. new: fetches the deposits from the keeper, maps everything, and says `ready`, and
//!    which shape of changes it reads.
//! 3. old: sends all of the lane's state as `heir`, as it is at that moment. New: makes
//!    an heir of it, says `follows`.
//! 4. old: sends what of it has changed since as `round`; new: `follows`. That is
//!    repeated until it is little. Then it says `watch`: the rest goes through the parcel.
//! 5. old: its lane's own thread, between two turns, puts what is still different and what
//!    is in flight into the parcel, some times. New: looks at the parcel all the time, does
//!    all that it is going to do in 7, and says in the parcel that it has followed.
//! 6. old: the same once more, and stops. From here on it only forwards completions. It
//!    says `lane`, in case that nobody looks. Only from here to 7 nobody serves.
//! 7. new: takes the lane, writes its generation into the status page, and works. That
//!    write is the commit. Then it says `taken`, and becomes the keeper's current engine.
//! 8. old: sends what it has `counted`, and ends when nothing that it had submitted is
//!    in flight.
//!
//! Nothing is issued twice and nothing is replayed. Whatever fails before the commit, in
//! either process, the old engine goes on; it knows by the page whether there was one.
//! If a process dies after it, both end, and the next engine recovers as after a crash.

mod giving;
mod parcel;
mod shape;
mod taking;

pub(crate) use giving::{Outcome, hand_over};
pub(crate) use taking::take_over;

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::volume::{DiskOrder, DiskProblem, DiskReply, DiskStatus};

use crate::engine::Engine;
use crate::engine::problem::{problem, system};
use crate::keeper::wire::Kind;
use crate::orders::socket;

/// What is said over the channel between two engines, as keys of messages.
mod word {
    pub const PAUSED: &str = "paused";
    pub const READY: &str = "ready";
    pub const HEIR: &str = "heir";
    pub const ROUND: &str = "round";
    pub const FOLLOWS: &str = "follows";
    pub const WATCH: &str = "watch";
    pub const COUNTED: &str = "counted";
    pub const LANE: &str = "lane";
    pub const TAKEN: &str = "taken";
    pub const REFUSED: &str = "refused";
}

/// A replacement that somebody asked for waits for at most so long.
const PATIENCE: Duration = Duration::from_secs(90);
/// Pieces of 32 KiB that the allocator is to keep.
const WARM: usize = 24;

/// Has the allocator keep memory for this thread that is mapped already, as long as what
/// comes back lives. At the cut-over a fault of a page costs more than all that is done
/// with it.
fn warm() -> Box<[u8; 64]> {
    let pieces: Vec<Vec<u8>> = (0..WARM).map(|_| vec![1; 32 << 10]).collect();
    // It lies behind them, so that they are not given back to the system.
    let last = Box::new([0; 64]);
    drop(std::hint::black_box(pieces));
    last
}

/// Who waits for the end of a replacement.
#[derive(Debug, Default)]
pub(crate) struct Replacing {
    waits: Mutex<Option<Sender<Result<(), String>>>>,
    /// Held by who answers the order, so that the process does not end before.
    answering: Mutex<()>,
}

impl Replacing {
    fn begin(&self) -> Option<Receiver<Result<(), String>>> {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        if waits.is_some() {
            return None;
        }
        let (told, ended) = channel();
        *waits = Some(told);
        Some(ended)
    }
    /// It has ended, so or so.
    pub fn ended(&self, how: Result<(), String>) {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waits) = waits {
            let _ = waits.send(how);
        }
    }
    /// Waits until the order has been answered.
    fn answered(&self) {
        drop(self.answering.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Engine {
    /// Has the keeper start a successor, and waits until it has taken over. It answers.
    pub(crate) fn replace(
        self: &Arc<Self>,
        program: Option<PathBuf>,
    ) -> Result<DiskStatus, DiskProblem> {
        let _answering = self.replacing.answering.lock().unwrap_or_else(PoisonError::into_inner);
        let next = "wait for the other one to end";
        let ended = self
            .replacing
            .begin()
            .ok_or_else(|| problem("replacing", "another replacement is under way", next))?;
        let path =
            program.as_ref().map_or(&b""[..], |program| program.as_os_str().as_encoded_bytes());
        if let Err(error) = self.keeper.say(Kind::Replace, path) {
            self.replacing.ended(Ok(()));
            return Err(system("the keeper does not listen", &error));
        }
        let how = ended.recv_timeout(PATIENCE).unwrap_or_else(|_| Err("it took too long".into()));
        how.map_err(|why| {
            let what = format!("the running engine goes on: {why}");
            problem("not_replaced", what, "see the log of `bedplate disk up`")
        })?;
        status_of(&self.directory).map_err(|error| {
            problem(
                "replaced",
                format!("the new engine serves, and does not answer: {error}"),
                "ask again: bedplate disk status",
            )
        })
    }
}

/// Asks the engine that listens now for its status.
fn status_of(directory: &Path) -> io::Result<DiskStatus> {
    let mut stream = UnixStream::connect(socket(directory))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(&DiskOrder::Status)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply)?;
    match serde_json::from_str(&reply)? {
        DiskReply::Ok(status) => Ok(serde_json::from_value(status)?),
        DiskReply::Error(problem) => Err(io::Error::other(problem)),
    }
}
