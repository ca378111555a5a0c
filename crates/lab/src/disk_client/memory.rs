//! The memory of a guest that does not exist: a memfd, mapped here and handed to the
//! server, which maps it as well.
//!
//! Both sides read and write it at the same time, so all access is by atomics or by
//! copies through raw pointers, and nothing here makes a reference to its bytes. Every
//! access is checked against the length: a mistake of ours must not look like one of
//! the server's.

#![allow(unsafe_code, reason = "memory that another process writes has no owner that Rust knows")]

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU64, Ordering};

use rustix::fs::MemfdFlags;
use rustix::mm::{MapFlags, ProtFlags};

/// Where the memory begins in the guest's own addresses: not at 0, so that a server
/// that takes a guest address for an offset is found out.
pub const GUEST_START: u64 = 0x1_4000_0000;

/// A guest's memory.
#[derive(Debug)]
pub struct Memory {
    start: NonNull<u8>,
    length: usize,
    file: OwnedFd,
}

// SAFETY: all access is by atomics or raw copies of bytes; which thread does it does not matter.
unsafe impl Send for Memory {}
// SAFETY: as above: no method gives out a reference to plain bytes.
unsafe impl Sync for Memory {}

impl Memory {
    /// New memory, zeroed, of at least `length` bytes in whole pages, all of it present.
    pub fn new(length: usize) -> io::Result<Self> {
        let length = length.next_multiple_of(4096);
        let file = rustix::fs::memfd_create("bedplate-guest", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&file, length as u64)?;
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: the kernel chooses the place; nothing else is there.
        let start = unsafe {
            let wish = std::ptr::null_mut::<c_void>();
            rustix::mm::mmap(wish, length, ProtFlags::READ | ProtFlags::WRITE, flags, &file, 0)?
        };
        let start = NonNull::new(start.cast::<u8>()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { start, length, file })
    }
    /// What to hand to a server.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
    /// Its length in bytes.
    pub fn length(&self) -> usize {
        self.length
    }
    /// Where it is mapped in this process, by which vhost-user names rings.
    pub fn user_address(&self) -> u64 {
        self.start.as_ptr() as u64
    }
    /// The guest's address of a byte.
    #[inline]
    pub fn guest_address(&self, at: usize) -> u64 {
        GUEST_START + at as u64
    }

    #[inline]
    fn address(&self, at: usize, length: usize) -> *mut u8 {
        assert!(at <= self.length && length <= self.length - at, "inside the guest's memory");
        // SAFETY: checked just now.
        unsafe { self.start.as_ptr().add(at) }
    }
    /// A byte that both sides use.
    #[inline]
    pub fn byte(&self, at: usize) -> &AtomicU8 {
        // SAFETY: inside the mapping, which lives as long as `self`.
        unsafe { &*self.address(at, 1).cast::<AtomicU8>() }
    }
    /// Two bytes that both sides use; at an even place.
    #[inline]
    pub fn word(&self, at: usize) -> &AtomicU16 {
        assert!(at.is_multiple_of(2), "aligned");
        // SAFETY: inside the mapping, which begins at a page, and aligned.
        unsafe { &*self.address(at, 2).cast::<AtomicU16>() }
    }
    /// Eight bytes that both sides use; at a multiple of eight.
    #[inline]
    pub fn number(&self, at: usize) -> &AtomicU64 {
        assert!(at.is_multiple_of(8), "aligned");
        // SAFETY: inside the mapping, which begins at a page, and aligned.
        unsafe { &*self.address(at, 8).cast::<AtomicU64>() }
    }
    /// Stores eight bytes; the order to other stores is the caller's care.
    #[inline]
    pub fn store(&self, at: usize, value: u64) {
        self.number(at).store(value, Ordering::Relaxed);
    }
    /// Copies in.
    #[inline]
    pub fn copy_in(&self, at: usize, from: &[u8]) {
        let to = self.address(at, from.len());
        // SAFETY: `to` is inside the mapping, `from` is ours and not in it.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to, from.len()) };
    }
    /// Copies out.
    #[inline]
    pub fn copy_out(&self, at: usize, into: &mut [u8]) {
        let from = self.address(at, into.len());
        // SAFETY: `from` is inside the mapping, `into` is ours and not in it.
        unsafe { std::ptr::copy_nonoverlapping(from, into.as_mut_ptr(), into.len()) };
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: we mapped it, and whoever borrowed from it is gone. That it fails would
        // mean that the place was never ours; there is nothing to do about it.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.length) };
    }
}
