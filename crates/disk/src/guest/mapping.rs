//! One file of memory, mapped.
//!
//! The file comes from a VMM that may be hostile. Only memory files are taken (memfd,
//! tmpfs, hugetlbfs): a page of any other file could block the thread that touches it
//! for as long as somebody likes. A file that is shorter than the region would answer
//! a touch with SIGBUS, so its size is checked, and it is sealed against shrinking
//! where that is possible. Where it is not (a file in `/dev/shm`, a memfd made without
//! seals) a VMM can still shrink it later and kill the process that serves it:
//! [`Mapping::sealed`] tells, and who serves VMMs that do not trust each other gives
//! each its own process or insists on seals.

#![allow(unsafe_code, reason = "mmap has no safe form")]

use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

use rustix::fs::{SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, fstatfs};
use thiserror::Error;
use volume::Region;

/// File systems whose pages are memory: tmpfs (also behind a memfd) and hugetlbfs.
const TMPFS: i64 = 0x0102_1994;
const HUGETLBFS: i64 = 0x9584_58f6;

/// Pages that everything is aligned to.
const PAGE: u64 = 4096;

/// Why a file cannot be mapped.
#[derive(Debug, Error)]
pub enum MapError {
    /// Not a regular file of a file system that is memory.
    #[error("the file is not memory: a memfd, or a file on tmpfs or hugetlbfs, is needed")]
    NotMemory,
    /// Offset and length reach beyond its end.
    #[error("the file has {size} bytes, the region needs {needed}")]
    TooShort {
        /// What it has.
        size: u64,
        /// Offset plus length.
        needed: u64,
    },
    /// Empty, not in pages of 4 KiB, or beyond what can be addressed.
    #[error("the region is empty, not in pages of 4 KiB, or too long")]
    Shape,
    /// The system said no.
    #[error("the file cannot be mapped: {0}")]
    System(#[from] std::io::Error),
}

/// A mapped part of a file. Unmapped when the last who uses it is gone.
#[derive(Debug)]
pub struct Mapping {
    /// What munmap gets; for huge pages it begins before the region.
    start: NonNull<u8>,
    whole: usize,
    /// Where the region begins in it.
    skip: usize,
    length: usize,
    sealed: bool,
    there: bool,
    huge: bool,
}

// SAFETY: the memory is shared with other processes anyway; whoever touches it does so
// by copies and atomic operations only, from whichever thread.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `length` bytes of a file, beginning at `offset`, to be read and written.
    pub fn new(file: BorrowedFd<'_>, offset: u64, length: u64) -> Result<Mapping, MapError> {
        let page = page_of(file)?;
        let aligned = length > 0 && offset.is_multiple_of(PAGE) && length.is_multiple_of(PAGE);
        let end =
            offset.checked_add(length).filter(|end| aligned && *end <= i64::MAX as u64 - page);
        let end = end.ok_or(MapError::Shape)?;
        let size = u64::try_from(fstat(file).map_err(std::io::Error::from)?.st_size).unwrap_or(0);
        if end > size {
            return Err(MapError::TooShort { size, needed: end });
        }
        // The seal first, then the size again: it cannot shrink between the two.
        let sealed = seal(file);
        let size = u64::try_from(fstat(file).map_err(std::io::Error::from)?.st_size).unwrap_or(0);
        if end > size {
            return Err(MapError::TooShort { size, needed: end });
        }
        let first = offset / page * page;
        let whole =
            usize::try_from(end.next_multiple_of(page) - first).map_err(|_| MapError::Shape)?;
        let start = map(file, first, whole)?;
        let there = has_no_holes(file)?;
        let (skip, length, huge) = ((offset - first) as usize, length as usize, page > PAGE);
        Ok(Mapping { start, whole, skip, length, sealed, there, huge })
    }

    /// Its first byte.
    pub fn start(&self) -> NonNull<u8> {
        // SAFETY: `skip` is inside what was mapped.
        unsafe { self.start.add(self.skip) }
    }
    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.length
    }
    /// Never: an empty file is not mapped.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
    /// Whether the file can never become shorter.
    pub fn sealed(&self) -> bool {
        self.sealed
    }
    /// Whether all of its file had memory when it was mapped: to hold it costs nothing.
    pub fn is_there(&self) -> bool {
        self.there
    }
    /// Whether its pages are huge ones.
    pub fn has_huge_pages(&self) -> bool {
        self.huge
    }
    /// The memory as a region, for records that processes share. The mapping must be
    /// kept as long as the region is used, and only its `shared` numbers be touched
    /// when somebody else has another.
    pub(crate) fn region(&self) -> Region {
        // SAFETY: mapped, aligned to a page, and kept by the caller by contract.
        unsafe { Region::new(self.start(), self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by us, and nobody can reach it any more.
        let answer = unsafe { libc::munmap(self.start.as_ptr().cast(), self.whole) };
        assert!(answer == 0, "what was mapped can be unmapped");
    }
}

/// The size of the file's pages, when it is memory at all.
fn page_of(file: BorrowedFd<'_>) -> Result<u64, MapError> {
    let stat = fstat(file).map_err(std::io::Error::from)?;
    if stat.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Err(MapError::NotMemory);
    }
    match fstatfs(file).map_err(std::io::Error::from)?.f_type {
        TMPFS => Ok(PAGE),
        HUGETLBFS => match u64::try_from(stat.st_blksize) {
            Ok(page) if page.is_power_of_two() && (PAGE..=1 << 34).contains(&page) => Ok(page),
            _ => Err(MapError::NotMemory),
        },
        _ => Err(MapError::NotMemory),
    }
}

/// Whether every page of a file has memory.
fn has_no_holes(file: BorrowedFd<'_>) -> Result<bool, MapError> {
    let stat = fstat(file).map_err(std::io::Error::from)?;
    let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
    Ok(blocks.saturating_mul(512) >= u64::try_from(stat.st_size).unwrap_or(u64::MAX))
}

/// Forbids that the file shrinks, where that is possible; says whether it is so.
fn seal(file: BorrowedFd<'_>) -> bool {
    let shrink = |seals: SealFlags| seals.contains(SealFlags::SHRINK);
    fcntl_get_seals(file).is_ok_and(shrink) || fcntl_add_seals(file, SealFlags::SHRINK).is_ok()
}

fn map(file: BorrowedFd<'_>, offset: u64, length: usize) -> Result<NonNull<u8>, MapError> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at an address the kernel chooses touches nothing of ours.
    let start = unsafe {
        libc::mmap(std::ptr::null_mut(), length, access, flags, file.as_raw_fd(), offset as i64)
    };
    if start == libc::MAP_FAILED {
        return Err(MapError::System(std::io::Error::last_os_error()));
    }
    // SAFETY: advice about what was just mapped. A guest's memory does not belong into
    // a core dump; when the kernel refuses the advice nothing is lost.
    unsafe { libc::madvise(start, length, libc::MADV_DONTDUMP) };
    Ok(NonNull::new(start.cast()).expect("mmap does not give address 0"))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::fs::{MemfdFlags, memfd_create};

    use super::*;

    fn memory(length: u64) -> std::os::fd::OwnedFd {
        let file = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::fs::ftruncate(&file, length).unwrap();
        file
    }

    #[test]
    fn a_file_of_memory_is_mapped_and_sealed() {
        let file = memory(8192);
        let mapping = Mapping::new(file.as_fd(), 4096, 4096).unwrap();
        assert!(mapping.sealed() && mapping.len() == 4096);
        rustix::fs::ftruncate(&file, 4096).expect_err("it cannot shrink any more");
    }

    #[test]
    fn what_would_fault_is_refused() {
        let file = memory(8192);
        let wrong = |offset, length| Mapping::new(file.as_fd(), offset, length).unwrap_err();
        assert!(matches!(wrong(4096, 8192), MapError::TooShort { size: 8192, needed: 12288 }));
        assert!(matches!(wrong(0, 0), MapError::Shape));
        assert!(matches!(wrong(1, 4096), MapError::Shape));
        assert!(matches!(wrong(u64::MAX - 4095, 4096), MapError::Shape));
        assert!(matches!(wrong(1 << 61, 1 << 61), MapError::TooShort { .. }));
    }

    #[test]
    fn what_is_not_memory_is_refused() {
        let (pipe, _end) = rustix::pipe::pipe().unwrap();
        let wrong = Mapping::new(pipe.as_fd(), 0, 4096).unwrap_err();
        assert!(matches!(wrong, MapError::NotMemory), "{wrong}");
        let null = std::fs::File::open("/dev/zero").unwrap();
        assert!(matches!(Mapping::new(null.as_fd(), 0, 4096), Err(MapError::NotMemory)));
        let program = std::fs::File::open("/proc/self/status").unwrap();
        assert!(matches!(Mapping::new(program.as_fd(), 0, 4096), Err(MapError::NotMemory)));
    }

    #[test]
    fn a_file_that_cannot_be_written_is_refused() {
        let file = memory(4096);
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let reader = std::fs::File::open(path).unwrap();
        assert!(matches!(Mapping::new(reader.as_fd(), 0, 4096), Err(MapError::System(_))));
    }
}
