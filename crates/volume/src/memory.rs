//! Memory that is not ours alone: a guest's, and regions that outlive a process.
//!
//! Both are handed in as addresses. A guest may change its memory while we read it, so
//! nothing here makes a reference to it: bytes are copied out or in, each once.

#![allow(
    unsafe_code,
    reason = "memory of guests and of other processes has no owner that Rust knows"
)]

use std::ptr::NonNull;

/// A piece of a front end's memory.
///
/// Whoever makes one promises that `length` bytes at `address` can be read and written
/// until the request it belongs to is answered. They may change at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    address: NonNull<u8>,
    length: u32,
}

impl Segment {
    /// A piece of memory.
    ///
    /// # Safety
    /// `length` bytes at `address` must stay readable and writable until the request
    /// that this is used in has been answered.
    #[inline]
    pub unsafe fn new(address: NonNull<u8>, length: u32) -> Self {
        Self { address, length }
    }
    /// Its first byte.
    #[inline]
    pub fn address(&self) -> *mut u8 {
        self.address.as_ptr()
    }
    /// Its length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.length as usize
    }
    /// Whether there is nothing in it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

/// Copies from segments, beginning `skip` bytes into them, until `into` is full.
/// Panics when the segments are too short: their length was checked before.
pub fn gather(segments: &[Segment], skip: usize, into: &mut [u8]) {
    let mut done = 0;
    walk(segments, skip, into.len(), |address, length| {
        // SAFETY: a segment's bytes are readable by its contract, and `into` is ours.
        unsafe { std::ptr::copy_nonoverlapping(address, into.as_mut_ptr().add(done), length) };
        done += length;
    });
}

/// Copies `from` into segments, beginning `skip` bytes into them.
/// Panics when the segments are too short.
pub fn scatter(segments: &[Segment], skip: usize, from: &[u8]) {
    let mut done = 0;
    walk(segments, skip, from.len(), |address, length| {
        // SAFETY: a segment's bytes are writable by its contract.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr().add(done), address, length) };
        done += length;
    });
}

/// Fills `length` bytes of the segments with zeros, beginning `skip` bytes into them.
pub fn zero(segments: &[Segment], skip: usize, length: usize) {
    walk(segments, skip, length, |address, length| {
        // SAFETY: a segment's bytes are writable by its contract.
        unsafe { std::ptr::write_bytes(address, 0, length) };
    });
}

/// The address of `length` bytes, `skip` into the segments, when they lie in one piece.
#[inline]
pub fn whole(segments: &[Segment], skip: usize, length: usize) -> Option<*mut u8> {
    let mut skip = skip;
    for segment in segments {
        if skip < segment.len() {
            // SAFETY: `skip` is inside the segment.
            return (segment.len() - skip >= length)
                .then(|| unsafe { segment.address().add(skip) });
        }
        skip -= segment.len();
    }
    None
}

/// Calls with the pieces that `length` bytes, `skip` into the segments, lie in.
pub fn walk(
    segments: &[Segment],
    skip: usize,
    length: usize,
    mut each: impl FnMut(*mut u8, usize),
) {
    let (mut skip, mut left) = (skip, length);
    for segment in segments {
        if left == 0 {
            break;
        }
        if skip >= segment.len() {
            skip -= segment.len();
            continue;
        }
        let here = left.min(segment.len() - skip);
        // SAFETY: `skip` is inside the segment.
        each(unsafe { segment.address().add(skip) }, here);
        (skip, left) = (0, left - here);
    }
    assert!(left == 0, "the segments are as long as the request says");
}

/// Memory that belongs to one lane at a time and may outlive its process: shared
/// with a successor, or found again after a crash. All access is bounds-checked.
///
/// It is not `Clone`: who has it may write it.
#[derive(Debug)]
pub struct Region {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a region is memory that its holder alone uses; which thread that is does not matter.
unsafe impl Send for Region {}

impl Region {
    /// Takes memory over.
    ///
    /// # Safety
    /// `length` bytes at `start` must stay readable and writable as long as this or a
    /// part of it is used, `start` must be aligned to 4096, and no one else in this
    /// process may touch them.
    pub unsafe fn new(start: NonNull<u8>, length: usize) -> Self {
        assert!((start.as_ptr() as usize).is_multiple_of(4096), "regions begin at a page");
        Self { start, length }
    }

    /// Memory of the heap that lives as long as the process: for tests and simulation.
    pub fn leaked(length: usize) -> Self {
        let layout =
            std::alloc::Layout::from_size_align(length.max(4096), 4096).expect("a sane length");
        // SAFETY: the layout is not empty; the memory is never freed.
        let start =
            NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) }).expect("memory for a region");
        Self { start, length }
    }

    /// The same memory again: for tests in which a successor is in the same process and
    /// the predecessor does not touch it any more.
    #[cfg(test)]
    pub(crate) fn again(&self) -> Self {
        Self { start: self.start, length: self.length }
    }

    /// Its length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.length
    }
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
    /// Where a range of it lies, for drivers that register or submit it.
    #[inline]
    pub fn address(&self, at: usize, length: usize) -> *mut u8 {
        assert!(at <= self.length && length <= self.length - at, "inside the region");
        // SAFETY: checked just now.
        unsafe { self.start.as_ptr().add(at) }
    }
    /// Where a place of it lies, if it is one: for hints.
    #[inline]
    pub fn hint(&self, at: usize) -> *const u8 {
        self.start.as_ptr().wrapping_add(at)
    }
    /// Brings a line near, if there is one.
    #[inline]
    pub fn bring(&self, at: usize) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: it is only a hint, which reads nothing and never faults.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.hint(at).cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }
    /// Bytes of it.
    #[inline]
    pub fn bytes(&self, at: usize, length: usize) -> &[u8] {
        // SAFETY: inside the region, whose holder alone writes it, and `self` is borrowed.
        unsafe { std::slice::from_raw_parts(self.address(at, length), length) }
    }
    /// Bytes of it, to be written.
    #[inline]
    pub fn bytes_mut(&mut self, at: usize, length: usize) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.address(at, length), length) }
    }
    /// A block of it as an array. `at` is in bytes.
    #[inline]
    pub fn block(&self, at: usize) -> &[u8; 4096] {
        self.bytes(at, 4096).try_into().expect("4096 bytes are 4096 bytes")
    }
    /// A block of it as an array, to be written.
    #[inline]
    pub fn block_mut(&mut self, at: usize) -> &mut [u8; 4096] {
        self.bytes_mut(at, 4096).try_into().expect("4096 bytes are 4096 bytes")
    }
    /// A part of it as a segment, for reads and writes of the medium into it.
    #[inline]
    pub fn segment(&self, at: usize, length: u32) -> Segment {
        let address =
            NonNull::new(self.address(at, length as usize)).expect("regions are not at 0");
        // SAFETY: the region outlives the operations on it by its own contract.
        unsafe { Segment::new(address, length) }
    }
    /// A number that another process may read at the same time. `at` must be a multiple of 8.
    #[inline]
    pub fn shared(&self, at: usize) -> &std::sync::atomic::AtomicU64 {
        assert!(at.is_multiple_of(8), "an atomic number is aligned");
        // SAFETY: inside the region, aligned, and only used atomically by those who share it.
        unsafe { &*self.address(at, 8).cast::<std::sync::atomic::AtomicU64>() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(buffers: &mut [Vec<u8>]) -> Vec<Segment> {
        let make = |buffer: &mut Vec<u8>| {
            let address = NonNull::new(buffer.as_mut_ptr()).expect("not null");
            // SAFETY: the buffers outlive the test's use of them.
            unsafe { Segment::new(address, buffer.len() as u32) }
        };
        buffers.iter_mut().map(make).collect()
    }

    #[test]
    fn what_is_scattered_is_gathered() {
        let mut buffers = vec![vec![0; 3], vec![0; 0], vec![0; 5]];
        let pieces = segments(&mut buffers);
        scatter(&pieces, 2, &[1, 2, 3, 4]);
        let mut back = [0; 4];
        gather(&pieces, 2, &mut back);
        assert_eq!(back, [1, 2, 3, 4]);
        assert_eq!(buffers, [vec![0, 0, 1], vec![], vec![2, 3, 4, 0, 0]]);
    }

    #[test]
    fn whole_pieces_are_found() {
        let mut buffers = vec![vec![0; 4], vec![0; 8]];
        let pieces = segments(&mut buffers);
        assert!(whole(&pieces, 2, 4).is_none());
        assert_eq!(whole(&pieces, 5, 7), Some(pieces[1].address().wrapping_add(1)));
    }

    #[test]
    #[should_panic(expected = "as long as the request says")]
    fn too_short_is_a_fault_of_ours() {
        let mut buffers = vec![vec![0; 4]];
        gather(&segments(&mut buffers), 0, &mut [0; 5]);
    }
}
