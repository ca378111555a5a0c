//! CRC32C (Castagnoli; RFC 3720 section 12.1), of metadata and of blocks.
//!
//! The checksum of a block is the CRC32C of twelve bytes that say whose block it is
//! (origin, address in the volume, epoch of birth; little-endian), then of the block as
//! it is stored. A block that was lost, or that was written to or read from the wrong
//! place, is found like one whose bits changed.

use super::kernel::Kernel;
#[cfg(target_arch = "x86_64")]
use super::kernels;
use crate::units::{BLOCK, Epoch, Lba, Origin};

/// What is shorter is not worth folding.
#[cfg(target_arch = "x86_64")]
const FOLDED: usize = 512;

/// The polynomial, lowest degree first.
pub(super) const POLYNOMIAL: u32 = 0x82F6_3B78;

/// `TABLES[n][byte]` is what a byte adds that is followed by `n` more.
const TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = (value >> 1) ^ (POLYNOMIAL & (value & 1).wrapping_neg());
            bit += 1;
        }
        tables[0][byte] = value;
        byte += 1;
    }
    let mut at = 256;
    while at < 8 * 256 {
        let before = tables[at / 256 - 1][at % 256];
        tables[at / 256][at % 256] = (before >> 8) ^ tables[0][(before & 0xFF) as usize];
        at += 1;
    }
    tables
}

/// The CRC32C of some bytes.
pub fn crc32c(bytes: &[u8]) -> u32 {
    append(0, bytes)
}

/// The CRC32C of bytes that had the checksum `crc`, followed by these.
pub fn append(crc: u32, bytes: &[u8]) -> u32 {
    !update(!crc, bytes)
}

/// What the checksum of a block begins with: whose it is.
#[inline]
pub fn seed(origin: Origin, lba: Lba, birth: Epoch) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if Kernel::best() != Kernel::Portable {
        let first = u64::from(lba.0) << 32 | u64::from(origin.0);
        // SAFETY: every kernel but the portable one has SSE4.2.
        return !unsafe { kernels::begin(first, birth.0) };
    }
    let mut whose = [0; 12];
    whose[..4].copy_from_slice(&origin.0.to_le_bytes());
    whose[4..8].copy_from_slice(&lba.0.to_le_bytes());
    whose[8..].copy_from_slice(&birth.0.to_le_bytes());
    !portable(u32::MAX, &whose)
}

/// The checksum of a block as it is stored.
#[inline]
pub fn checksum(seed: u32, block: &[u8; BLOCK]) -> u32 {
    append(seed, block)
}

/// Copies a block and gives its checksum. Each byte at `from` is read once.
///
/// # Safety
/// 4096 bytes at `from` can be read and at `to` be written, at any alignment. They are
/// the same or do not overlap. Others may change them at the same time.
#[inline]
pub unsafe fn copy_and_check(seed: u32, from: *const u8, to: *mut u8) -> u32 {
    // SAFETY: by contract, and the best kernel runs here.
    !unsafe { copy_with::<false>(Kernel::best(), !seed, from, to, from) }
}

/// As [`copy_and_check`]. Meanwhile the block at `next`, which may be any address, is
/// brought near.
///
/// # Safety
/// As of [`copy_and_check`].
#[inline]
pub unsafe fn copy_and_bring(seed: u32, from: *const u8, to: *mut u8, next: *const u8) -> u32 {
    // SAFETY: by contract, and the best kernel runs here.
    !unsafe { copy_with::<false>(Kernel::best(), !seed, from, to, next) }
}

/// As [`copy_and_bring`], past the caches. What was written is seen in order by others
/// after [`super::settle`].
///
/// # Safety
/// As of [`copy_and_check`], and `to` is aligned to 64 bytes.
#[inline]
pub unsafe fn copy_past(seed: u32, from: *const u8, to: *mut u8, next: *const u8) -> u32 {
    assert!((to as usize).is_multiple_of(64), "a whole line is written");
    // SAFETY: by contract, and the best kernel runs here.
    !unsafe { copy_with::<true>(Kernel::best(), !seed, from, to, next) }
}

/// Copies a block and goes on with the register, by a kernel.
///
/// # Safety
/// As of [`copy_and_check`], and the processor can run the kernel.
#[inline]
pub(super) unsafe fn copy_with<const PAST: bool>(
    kernel: Kernel,
    register: u32,
    from: *const u8,
    to: *mut u8,
    next: *const u8,
) -> u32 {
    match kernel {
        // SAFETY: by contract.
        Kernel::Portable => unsafe { super::portable::copy(register, from, to) },
        // SAFETY: by contract.
        #[cfg(target_arch = "x86_64")]
        Kernel::Single => unsafe {
            kernels::single::check::<true, PAST>(register, from, to, BLOCK, next)
        },
        // SAFETY: by contract.
        #[cfg(target_arch = "x86_64")]
        Kernel::Double => unsafe {
            kernels::double::check::<true, PAST>(register, from, to, BLOCK, next)
        },
        // SAFETY: by contract.
        #[cfg(target_arch = "x86_64")]
        Kernel::Quad => unsafe {
            kernels::quad::check::<true, PAST>(register, from, to, BLOCK, next)
        },
    }
}

/// Goes on with the register of the checksum, which begins and ends inverted.
#[inline]
fn update(register: u32, bytes: &[u8]) -> u32 {
    // SAFETY: the best kernel runs here.
    unsafe { update_with(Kernel::best(), register, bytes) }
}

/// Goes on with the register, by a kernel.
///
/// # Safety
/// The processor can run the kernel.
#[inline]
pub(super) unsafe fn update_with(kernel: Kernel, register: u32, bytes: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    let (from, none) = (bytes.as_ptr(), std::ptr::null_mut());
    match kernel {
        Kernel::Portable => portable(register, bytes),
        // SAFETY: the slice can be read, and the features are there by contract.
        #[cfg(target_arch = "x86_64")]
        _ if bytes.len() < FOLDED => unsafe { kernels::short(register, from, bytes.len()) },
        // SAFETY: as above; nothing is written without a copy.
        #[cfg(target_arch = "x86_64")]
        Kernel::Single => unsafe {
            kernels::single::check::<false, false>(register, from, none, bytes.len(), from)
        },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Kernel::Double => unsafe {
            kernels::double::check::<false, false>(register, from, none, bytes.len(), from)
        },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Kernel::Quad => unsafe {
            kernels::quad::check::<false, false>(register, from, none, bytes.len(), from)
        },
    }
}

/// Eight bytes at a time by tables.
pub(super) fn portable(mut register: u32, bytes: &[u8]) -> u32 {
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("eight bytes")) ^ u64::from(register);
        register = 0;
        for (at, byte) in word.to_le_bytes().into_iter().enumerate() {
            register ^= TABLES[7 - at][usize::from(byte)];
        }
    }
    for byte in words.remainder() {
        register = (register >> 8) ^ TABLES[0][usize::from(register as u8 ^ byte)];
    }
    register
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_3720() {
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
        let rising: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&rising), 0x46DD_794E);
        let falling: Vec<u8> = (0..32).rev().collect();
        assert_eq!(crc32c(&falling), 0x113F_DB5C);
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn a_seed_is_whose_the_block_is() {
        let block = [7; BLOCK];
        let mut whole = vec![1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0];
        whole.extend_from_slice(&block);
        let seed = seed(Origin(1), Lba(2), Epoch(3));
        assert_eq!(checksum(seed, &block), crc32c(&whole));
    }
}
