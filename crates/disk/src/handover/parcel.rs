//! The parcel: memory that both engines see, for what changes hands at the cut-over. The
//! successor looks at it all the time, so that nobody has to be woken.
//!
//! Before the lane itself, rounds go through it: how the lane is at that moment. The
//! successor says of each that it has followed. So the predecessor knows that it is
//! looking just now, and not waiting for a processor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

use volume::Region;

use crate::shared::Shared;

/// Its size. What does not fit goes another way.
const BYTES: usize = 512 << 10;
/// The length of the lane; 0 until it is there.
const LANE: usize = 0;
/// The number of the latest round, and its length.
const ROUND: usize = 8;
const ROUND_LENGTH: usize = 16;
/// The latest round that was followed.
const FOLLOWED: usize = 24;
/// Where the bytes begin, of either.
const FIRST: usize = 64;

/// Either end.
#[derive(Debug)]
pub(super) struct Parcel {
    memory: Shared,
    region: Region,
}

impl Parcel {
    /// An empty one.
    pub fn create() -> io::Result<Self> {
        let mut parcel = Self::over(Shared::create("bedplate-parcel", BYTES)?);
        // All of its memory is there before it is needed.
        parcel.region.bytes_mut(0, BYTES).fill(0);
        Ok(parcel)
    }
    /// The one that the other end made.
    pub fn open(file: OwnedFd) -> io::Result<Self> {
        let memory = Shared::open(file)?;
        if memory.len() < BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the parcel is too short"));
        }
        let parcel = Self::over(memory);
        let bytes = parcel.region.bytes(0, BYTES).iter().step_by(4096);
        std::hint::black_box(bytes.fold(0_u8, |sum, byte| sum ^ byte));
        Ok(parcel)
    }
    fn over(mut memory: Shared) -> Self {
        let region = memory.region();
        Self { memory, region }
    }
    /// Puts the lane in. `false`: it does not fit.
    pub fn put(&mut self, bytes: &[u8]) -> bool {
        self.fill(bytes) && {
            self.set(LANE, bytes.len() as u64);
            true
        }
    }
    /// Puts a round in, when all before it were followed. `false`: it does not fit.
    pub fn put_round(&mut self, bytes: &[u8]) -> bool {
        assert!(self.is_followed(), "what is there was read");
        self.fill(bytes) && {
            self.set(ROUND_LENGTH, bytes.len() as u64);
            self.set(ROUND, self.word(ROUND) + 1);
            true
        }
    }
    /// Whether the other end has followed all rounds.
    pub fn is_followed(&self) -> bool {
        self.word(FOLLOWED) == self.word(ROUND)
    }

    /// The lane, when it is there.
    pub fn content(&self) -> Option<&[u8]> {
        self.bytes(self.word(LANE))
    }
    /// A round that was not followed yet.
    pub fn round(&self) -> Option<&[u8]> {
        if self.is_followed() { None } else { self.bytes(self.word(ROUND_LENGTH)) }
    }
    /// The round is read. Another may be put in its place.
    pub fn followed(&self) {
        self.set(FOLLOWED, self.word(ROUND));
    }

    fn fill(&mut self, bytes: &[u8]) -> bool {
        let fits = !bytes.is_empty() && bytes.len() <= BYTES - FIRST;
        if fits {
            self.region.bytes_mut(FIRST, bytes.len()).copy_from_slice(bytes);
        }
        fits
    }
    fn bytes(&self, length: u64) -> Option<&[u8]> {
        let length = usize::try_from(length).ok().filter(|length| *length <= BYTES - FIRST)?;
        (length > 0).then(|| self.region.bytes(FIRST, length))
    }
    fn word(&self, at: usize) -> u64 {
        self.region.shared(at).load(Ordering::Acquire)
    }
    fn set(&self, at: usize, value: u64) {
        self.region.shared(at).store(value, Ordering::Release);
    }
}

impl AsFd for Parcel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.file()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_there_at_the_other_end() {
        let mut ours = Parcel::create().expect("memory");
        let theirs = Parcel::open(ours.as_fd().try_clone_to_owned().expect("fd")).expect("open");
        assert_eq!(theirs.content(), None);
        assert!(!ours.put(&vec![1; BYTES]), "too long");
        assert_eq!(theirs.content(), None);
        for round in [&b"one"[..], b"another"] {
            assert!(ours.is_followed() && theirs.round().is_none());
            assert!(ours.put_round(round));
            assert_eq!((theirs.round(), theirs.content()), (Some(round), None));
            assert!(!ours.is_followed());
            theirs.followed();
        }
        assert!(ours.is_followed() && !ours.put_round(&vec![1; BYTES]) && ours.is_followed());
        assert!(ours.put(b"a lane"));
        assert_eq!(theirs.content(), Some(&b"a lane"[..]));
    }
}
