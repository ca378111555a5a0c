//! A part of a ring in the guest's memory: numbers that two sides share.
//!
//! Each access is one atomic load or store inside bounds. Atomics make a change by the
//! guest at the same moment harmless to us: we get the one value or the other.

#![allow(unsafe_code, reason = "numbers in the memory of a guest")]

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

use crate::guest::{GuestMemory, Hint};

use super::Broken;

/// Memory of a guest, from an address that was checked. Whoever has one also holds the
/// [`GuestMemory`] it is from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: it leads into a mapping that its holder holds, which any thread may touch.
unsafe impl Send for Area {}

impl Area {
    /// `length` bytes at a guest address, which must be a multiple of `align`.
    pub(super) fn of(
        memory: &GuestMemory,
        address: u64,
        length: usize,
        align: u64,
    ) -> Result<Self, Broken> {
        let aligned = address.is_multiple_of(align);
        let found = memory.at(address, length as u64, &mut Hint::default()).filter(|_| aligned);
        let start = found.ok_or(Broken::Ring)?;
        // Regions begin at pages, here and in the guest, so the pointer is as aligned.
        assert!((start.as_ptr() as usize).is_multiple_of(align as usize), "regions begin at pages");
        Ok(Self { start, length })
    }

    /// Has its pages mapped here, so that the first use is as quick as any.
    pub(super) fn warm(&self) {
        let pages = (0..self.length.saturating_sub(1)).step_by(4096);
        for at in pages.chain([self.length.saturating_sub(2) & !1]) {
            std::hint::black_box(self.load16(at, Ordering::Relaxed));
        }
    }
    #[inline]
    fn place<T>(&self, at: usize) -> NonNull<T> {
        assert!(
            at.is_multiple_of(size_of::<T>())
                && at < self.length
                && size_of::<T>() <= self.length - at
        );
        // SAFETY: inside the area, checked just now.
        unsafe { self.start.add(at).cast() }
    }
    #[inline]
    pub(super) fn load16(&self, at: usize, order: Ordering) -> u16 {
        // SAFETY: inside the area and aligned, in memory that is only used atomically.
        u16::from_le(unsafe { self.place::<AtomicU16>(at).as_ref() }.load(order))
    }
    #[inline]
    pub(super) fn store16(&self, at: usize, value: u16, order: Ordering) {
        // SAFETY: as above.
        unsafe { self.place::<AtomicU16>(at).as_ref() }.store(value.to_le(), order);
    }
    #[inline]
    pub(super) fn store32(&self, at: usize, value: u32, order: Ordering) {
        // SAFETY: as above.
        unsafe { self.place::<AtomicU32>(at).as_ref() }.store(value.to_le(), order);
    }
    #[inline]
    pub(super) fn load64(&self, at: usize) -> u64 {
        // SAFETY: as above.
        u64::from_le(unsafe { self.place::<AtomicU64>(at).as_ref() }.load(Ordering::Relaxed))
    }
}

/// The 16 bytes of a descriptor, header or range, which may lie at any address, as two
/// numbers. Each byte is read once.
///
/// # Safety
/// 16 bytes at `place` must be readable.
#[inline]
pub(super) unsafe fn two_words(place: NonNull<u8>) -> (u64, u64) {
    if (place.as_ptr() as usize).is_multiple_of(8) {
        let words = place.cast::<AtomicU64>();
        // SAFETY: readable by contract, and aligned.
        let load = |word| unsafe { words.add(word).as_ref() }.load(Ordering::Relaxed);
        return (u64::from_le(load(0)), u64::from_le(load(1)));
    }
    let mut bytes = [0; 16];
    for (at, byte) in bytes.iter_mut().enumerate() {
        // SAFETY: readable by contract.
        *byte = unsafe { place.add(at).read_volatile() };
    }
    let whole = u128::from_le_bytes(bytes);
    (whole as u64, (whole >> 64) as u64)
}

/// Writes one byte to the guest.
///
/// # Safety
/// The byte at `place` must be writable.
#[inline]
pub(super) unsafe fn put(place: NonNull<u8>, byte: u8) {
    // SAFETY: writable by contract.
    unsafe { place.write_volatile(byte) };
}
