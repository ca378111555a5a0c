//! A serial console: kept from the first byte, followed by as many as care, and
//! typed into.
//!
//! The last mebibyte stays in memory for those who join late; all of it goes to a
//! file, which is turned over when it has grown to four.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

/// Bytes kept in memory.
const KEPT: usize = 1 << 20;
/// Bytes after which the file is turned over.
const FILE_MAX: u64 = 4 << 20;
/// Keystrokes waiting for a machine that does not read.
const INPUT_MAX: usize = 64;

/// A console. Clones are the same console.
#[derive(Clone)]
pub struct Console {
    shared: Arc<Shared>,
}

struct Shared {
    kept: Mutex<Kept>,
    /// Number of the byte after the last: what followers wait on.
    end: watch::Sender<u64>,
    input: Mutex<Option<mpsc::Sender<Bytes>>>,
    log: Option<PathBuf>,
}

#[derive(Default)]
struct Kept {
    bytes: VecDeque<u8>,
    /// Number of the first byte kept.
    begin: u64,
    file: Option<File>,
    written: u64,
}

impl Console {
    /// A console, written to a file where one is given.
    pub fn new(log: Option<PathBuf>) -> Self {
        let (end, _) = watch::channel(0);
        let shared = Shared { kept: Mutex::default(), end, input: Mutex::new(None), log };
        Self { shared: Arc::new(shared) }
    }

    /// The file that it is written to.
    pub fn log(&self) -> Option<&Path> {
        self.shared.log.as_deref()
    }

    /// Takes what the machine said.
    pub fn feed(&self, said: &[u8]) {
        let mut kept = self.kept();
        kept.bytes.extend(said);
        let excess = kept.bytes.len().saturating_sub(KEPT);
        kept.bytes.drain(..excess);
        kept.begin += excess as u64;
        if let Some(log) = &self.shared.log {
            kept.write(log, said);
        }
        let end = kept.begin + kept.bytes.len() as u64;
        drop(kept);
        self.shared.end.send_replace(end);
    }

    /// The number of the byte that comes next.
    pub fn end(&self) -> u64 {
        *self.shared.end.borrow()
    }

    /// What is kept from a byte on, at most 64 KiB of it, and the number of the byte
    /// after that.
    pub fn read(&self, from: u64) -> (Bytes, u64) {
        let kept = self.kept();
        let from = from.max(kept.begin);
        let skip = usize::try_from(from - kept.begin).unwrap_or(usize::MAX).min(kept.bytes.len());
        let bytes: Bytes = kept.bytes.iter().skip(skip).take(64 << 10).copied().collect();
        let next = kept.begin + (skip + bytes.len()) as u64;
        (bytes, next)
    }

    /// Everything kept, as text.
    pub fn text(&self) -> String {
        let mut kept = self.kept();
        String::from_utf8_lossy(kept.bytes.make_contiguous()).into_owned()
    }

    /// Follows from a byte on: waits until there is something.
    pub async fn follow(&self, from: u64) -> (Bytes, u64) {
        let mut end = self.shared.end.subscribe();
        // The sender lives as long as we do.
        let _ = end.wait_for(|end| *end > from).await;
        self.read(from)
    }

    /// Types into the machine. What it does not read in time is lost, as on a wire.
    pub fn send(&self, typed: Bytes) -> bool {
        let input = self.shared.input.lock().unwrap_or_else(|broken| broken.into_inner());
        input.as_ref().is_some_and(|input| input.try_send(typed).is_ok())
    }

    /// Connects the keyboard to a machine that has just been switched on.
    pub(crate) fn connect(&self) -> mpsc::Receiver<Bytes> {
        let (sender, receiver) = mpsc::channel(INPUT_MAX);
        *self.shared.input.lock().unwrap_or_else(|broken| broken.into_inner()) = Some(sender);
        receiver
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.shared.kept.lock().unwrap_or_else(|broken| broken.into_inner())
    }
}

impl Kept {
    /// A console that cannot be written down still works: a full disk must not stop it.
    fn write(&mut self, log: &Path, said: &[u8]) {
        if self.written >= FILE_MAX {
            let _ = std::fs::rename(log, log.with_extension("log.1"));
            self.file = None;
            self.written = 0;
        }
        if self.file.is_none() {
            self.file = OpenOptions::new().create(true).append(true).open(log).ok();
            self.written =
                self.file.as_ref().and_then(|f| f.metadata().ok()).map_or(0, |m| m.len());
        }
        if let Some(file) = &mut self.file {
            let _ = file.write_all(said);
            self.written += said.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_kept_is_known_by_its_number() {
        let console = Console::new(None);
        console.feed(&vec![b'a'; KEPT]);
        console.feed(b"end");
        assert_eq!(console.end(), KEPT as u64 + 3);
        let (first, next) = console.read(0);
        assert_eq!((first.len(), next), (64 << 10, (64 << 10) + 3));
        let (last, next) = console.read(KEPT as u64);
        assert_eq!((&last[..], next), (&b"end"[..], console.end()));
        let (none, next) = console.read(u64::MAX);
        assert_eq!((none.len(), next), (0, console.end()));
    }

    #[test]
    fn typing_needs_a_machine() {
        let console = Console::new(None);
        assert!(!console.send(Bytes::from_static(b"x")));
        let mut keyboard = console.connect();
        assert!(console.send(Bytes::from_static(b"y")));
        assert_eq!(keyboard.try_recv().unwrap(), "y");
    }
}
