//! The ring over which a leaving engine forwards completions.
//!
//! After a cut-over the successor owns every operation in flight, but the kernel tells
//! their ends to the process that submitted them. That one writes each, as it comes,
//! into this ring and kicks an eventfd. One writer, one reader, each in its process;
//! the ring holds more than a lane can have in flight, so it is never full.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

use super::Shared;

/// Entries: far above the 1,024 operations that a lane has in flight at most.
const ENTRIES: u64 = 8192;
/// Where the numbers lie: each on a cache line of its own.
const WRITTEN: usize = 0;
const READ: usize = 64;
const CLOSED: usize = 128;
const FIRST: usize = 192;
const ENTRY: usize = 16;

/// How an operation ended, as io_uring says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The operation.
    pub operation: u64,
    /// Bytes, or a negative error number.
    pub result: i32,
}

/// Either end of the ring.
#[derive(Debug)]
pub struct Completions {
    memory: Shared,
}

impl Completions {
    /// A new ring.
    pub fn create() -> io::Result<Self> {
        let length = FIRST + ENTRIES as usize * ENTRY;
        Ok(Self { memory: Shared::create("bedplate-completions", length)? })
    }

    /// The ring that the other end made.
    pub fn open(file: OwnedFd) -> io::Result<Self> {
        let memory = Shared::open(file)?;
        if memory.len() < FIRST + ENTRIES as usize * ENTRY {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the ring is too short"));
        }
        Ok(Self { memory })
    }

    /// Its file.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.memory.file()
    }

    /// Writes one. Only the leaving engine does.
    pub fn push(&self, completion: Completion) {
        let written = self.memory.number(WRITTEN);
        let at = written.load(Ordering::Relaxed);
        let read = self.memory.number(READ).load(Ordering::Acquire);
        assert!(at - read < ENTRIES, "fewer operations than entries");
        let entry = Self::entry(at);
        self.memory.number(entry).store(completion.operation, Ordering::Relaxed);
        // The number is kept as it is, sign and all.
        let result = u64::from(completion.result.cast_unsigned());
        self.memory.number(entry + 8).store(result, Ordering::Relaxed);
        written.store(at + 1, Ordering::Release);
    }

    /// Says that nothing more comes.
    pub fn close(&self) {
        self.memory.number(CLOSED).store(1, Ordering::Release);
    }

    /// Reads one. Only the successor does.
    pub fn pop(&self) -> Option<Completion> {
        let read = self.memory.number(READ);
        let at = read.load(Ordering::Relaxed);
        if at >= self.memory.number(WRITTEN).load(Ordering::Acquire) {
            return None;
        }
        let entry = Self::entry(at);
        let operation = self.memory.number(entry).load(Ordering::Relaxed);
        let result = self.memory.number(entry + 8).load(Ordering::Relaxed) as u32;
        read.store(at + 1, Ordering::Release);
        Some(Completion { operation, result: result.cast_signed() })
    }

    /// Whether everything was read and nothing more comes.
    pub fn is_over(&self) -> bool {
        let closed = self.memory.number(CLOSED).load(Ordering::Acquire) == 1;
        let read = self.memory.number(READ).load(Ordering::Relaxed);
        closed && read == self.memory.number(WRITTEN).load(Ordering::Acquire)
    }

    fn entry(at: u64) -> usize {
        FIRST + (at % ENTRIES) as usize * ENTRY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_comes_once_and_in_order() {
        let writer = Completions::create().expect("ring");
        let file = writer.file().try_clone_to_owned().expect("fd");
        let reader = std::thread::spawn(move || {
            let ring = Completions::open(file).expect("ring");
            let mut next = 0;
            while !ring.is_over() {
                while let Some(completion) = ring.pop() {
                    assert_eq!(completion.operation, next);
                    assert_eq!(completion.result, -(next as i32));
                    next += 1;
                }
            }
            next
        });
        // More than the ring has entries: its places are used again.
        for operation in 0..3 * ENTRIES {
            while operation - writer.memory.number(READ).load(Ordering::Acquire) >= ENTRIES {
                std::hint::spin_loop();
            }
            writer.push(Completion { operation, result: -(operation as i32) });
        }
        writer.close();
        assert_eq!(reader.join().expect("reader"), 3 * ENTRIES);
    }
}
