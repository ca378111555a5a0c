//! Memory that outlives a process: anonymous files that are mapped here, deposited
//! with the keeper, and mapped again by the next engine.
//!
//! - [`Shared`]: one such file and its mapping; becomes a [`volume::Region`];
//! - [`completions`]: the ring over which a leaving engine forwards what its io_uring
//!   still gave;
//! - [`page`]: the page on which engines write who owns a lane, and how long a
//!   cut-over took;
//! - [`signals`]: those that ask a process to end.

#![allow(
    unsafe_code,
    reason = "memory that is shared with other processes has no owner that Rust knows"
)]

pub mod completions;
pub mod page;
pub mod signals;
pub mod submit;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use rustix::fs::{
    MemfdFlags, SealFlags, SeekFrom, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate,
    memfd_create, seek,
};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};
use volume::Region;

/// What a region's file may never do again: become smaller, so that nobody who maps it
/// is hit by a bus error.
const SEALS: SealFlags = SealFlags::SHRINK;

/// Memory in an anonymous file, mapped as a whole. It is sparse: pages that were never
/// written take no memory.
#[derive(Debug)]
pub struct Shared {
    file: OwnedFd,
    start: NonNull<u8>,
    length: usize,
    lent: bool,
}

// SAFETY: it is memory; which thread looks at it does not matter. Everything that is
// reached through a shared reference is atomic.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// New memory, all zeros. The length is rounded up to whole pages.
    pub fn create(name: &str, length: usize) -> io::Result<Self> {
        let length = length.max(1).next_multiple_of(4096);
        let file = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&file, length as u64)?;
        fcntl_add_seals(&file, SEALS)?;
        Self::map(file, length)
    }

    /// Memory that somebody made with [`Shared::create`]. One that could still shrink is
    /// refused.
    pub fn open(file: OwnedFd) -> io::Result<Self> {
        if !fcntl_get_seals(&file)?.contains(SEALS) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the shared memory is not sealed",
            ));
        }
        let length = usize::try_from(fstat(&file)?.st_size).unwrap_or(0);
        if length == 0 || length % 4096 != 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the shared memory is not whole pages",
            ));
        }
        Self::map(file, length)
    }

    fn map(file: OwnedFd, length: usize) -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice harms nobody.
        let start =
            unsafe { mmap(std::ptr::null_mut(), length, protection, MapFlags::SHARED, &file, 0) }?;
        let start = NonNull::new(start.cast()).expect("the kernel maps nothing at 0");
        Ok(Self { file, start, length, lent: false })
    }

    /// Its length in bytes, whole pages.
    pub fn len(&self) -> usize {
        self.length
    }
    /// Never: there is at least a page.
    pub fn is_empty(&self) -> bool {
        false
    }
    /// The file, to be deposited or handed over.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
    /// The memory as the region of a lane, once. From now on the mapping stays until the
    /// process ends, since nobody can tell when a lane's last operation is over.
    pub fn region(&mut self) -> Region {
        assert!(!self.lent, "a region has one holder");
        self.lent = true;
        // SAFETY: the mapping is whole pages, stays until the process ends (see `drop`),
        // and `lent` makes this its only user here.
        unsafe { Region::new(self.start, self.length) }
    }
    /// Maps what is in it, so that the first use of that is as quick as any. Where nothing
    /// was ever written, nothing is.
    pub fn fault_in(&self) {
        let mut at = 0;
        while let Ok(from) = seek(&self.file, SeekFrom::Data(at)) {
            let hole = seek(&self.file, SeekFrom::Hole(from));
            let until = hole.map_or(self.length, |hole| hole as usize).min(self.length);
            let Some(length) = until.checked_sub(from as usize).filter(|length| *length > 0) else {
                return;
            };
            // SAFETY: inside the mapping, which stays as it is: it is only looked up.
            let done = unsafe {
                let start = self.start.as_ptr().add(from as usize).cast();
                madvise(start, length, Advice::LinuxPopulateWrite)
            };
            if done.is_err() {
                return;
            }
            at = until as u64;
        }
    }
    /// A number in it, at a multiple of 8 bytes.
    pub fn number(&self, at: usize) -> &AtomicU64 {
        assert!(!self.lent, "the memory belongs to a region");
        assert!(at.is_multiple_of(8) && at < self.length, "aligned, and inside");
        // SAFETY: inside the mapping, aligned, alive as long as `self`, and only ever used
        // atomically.
        unsafe { self.start.as_ptr().add(at).cast::<AtomicU64>().as_ref() }.expect("not at 0")
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if !self.lent {
            // SAFETY: nobody has a reference to it: all borrow `self`.
            unsafe { munmap(self.start.as_ptr().cast(), self.length) }.ok();
        }
    }
}

/// Maps all of this program, so that what is done once in its life is as quick as what is
/// done all the time. Where that is not possible, it is slower.
pub fn fault_in_program() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    for line in maps.lines() {
        // Address range, rights, offset, device, inode, path.
        let mut fields = line.split_ascii_whitespace();
        let (range, rights) = (fields.next().unwrap_or(""), fields.next().unwrap_or(""));
        let Some((from, to)) = range.split_once('-') else { continue };
        let address = |text| usize::from_str_radix(text, 16).ok();
        let (Some(from), Some(to)) = (address(from), address(to)) else { continue };
        if rights.starts_with("r-xp") && fields.nth(2).is_some_and(|inode| inode != "0") {
            let start = std::ptr::without_provenance_mut(from);
            // SAFETY: it only looks up what is mapped there, and changes nothing.
            let _ = unsafe { madvise(start, to.saturating_sub(from), Advice::LinuxPopulateRead) };
        }
    }
}

/// Writes to an eventfd. When its count is at the highest, whoever waits knows already.
pub fn knock(descriptor: BorrowedFd<'_>) {
    let _ = rustix::io::write(descriptor, &1_u64.to_ne_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_mapping_writes_another_reads() {
        let mut first = Shared::create("test", 5000).expect("memory");
        assert_eq!(first.len(), 8192);
        let mut second =
            Shared::open(first.file().try_clone_to_owned().expect("fd")).expect("open");
        first.region().bytes_mut(8000, 3).copy_from_slice(b"abc");
        assert_eq!(second.region().bytes(8000, 3), b"abc");
    }

    #[test]
    fn what_could_shrink_is_refused() {
        let file =
            memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).expect("memfd");
        ftruncate(&file, 4096).expect("grow");
        assert!(Shared::open(file).is_err());
        let shared = Shared::create("test", 4096).expect("memory");
        assert!(ftruncate(shared.file(), 0).is_err(), "sealed against shrinking");
    }
}
