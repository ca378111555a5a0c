//! The parcel: memory that both engines see, for what changes hands at the cut-over. The
//! successor looks at it all the time, so that nobody has to be woken.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

use volume::Region;

use crate::shared::Shared;

/// Its size. What does not fit goes another way.
const BYTES: usize = 512 << 10;
/// Where the bytes begin. Before them is their length, 0 until they are there.
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
    /// Puts something in. `false`: it does not fit.
    pub fn put(&mut self, bytes: &[u8]) -> bool {
        if bytes.is_empty() || bytes.len() > BYTES - FIRST {
            return false;
        }
        self.region.bytes_mut(FIRST, bytes.len()).copy_from_slice(bytes);
        self.region.shared(0).store(bytes.len() as u64, Ordering::Release);
        true
    }
    /// What is in it by now.
    pub fn content(&self) -> Option<&[u8]> {
        let length = self.region.shared(0).load(Ordering::Acquire);
        let length = usize::try_from(length).ok().filter(|length| *length <= BYTES - FIRST)?;
        (length > 0).then(|| self.region.bytes(FIRST, length))
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
        assert!(ours.put(b"a lane"));
        assert_eq!(theirs.content(), Some(&b"a lane"[..]));
    }
}
