//! AES-256-XTS (IEEE 1619; NIST SP 800-38E) of blocks: each is one data unit, whose
//! number is its address in the volume.

use std::fmt;

use thiserror::Error;

use super::kernel::Kernel;
#[cfg(target_arch = "x86_64")]
use super::kernels::{double, quad, single};
use super::portable;
#[cfg(target_arch = "x86_64")]
use super::rounds::Rounds;

/// Length of a key in bytes: the one for data, then the one for tweaks.
pub const KEY: usize = 64;

/// A key that is ready to be used. What it was expanded to is wiped when it is dropped.
pub struct XtsKey(Expanded);

/// What a key is expanded to, for the kernel that uses it.
enum Expanded {
    Portable(Box<portable::Key>),
    #[cfg(target_arch = "x86_64")]
    Single(Rounds),
    #[cfg(target_arch = "x86_64")]
    Double(Rounds),
    #[cfg(target_arch = "x86_64")]
    Quad(Rounds),
}

/// The two halves of a key are the same: it would not be XTS (SP 800-38E refers to
/// FIPS 140-3 IG C.I for that).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the two halves of the key are the same")]
pub struct SameHalves;

impl fmt::Debug for XtsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<key for {:?}>", self.kernel())
    }
}

/// Calls what the kernel of a key has under this name.
macro_rules! call {
    ($key:expr, $name:ident::<$check:literal, $past:literal>($($argument:expr),*; $next:expr)) => {
        match &$key.0 {
            // SAFETY: the block's addresses are good by the caller's contract.
            Expanded::Portable(key) => unsafe { key.$name::<$check>($($argument),*) },
            // SAFETY: as above, and the processor has the features: it was asked when
            // the key was expanded.
            #[cfg(target_arch = "x86_64")]
            Expanded::Quad(rounds) => unsafe {
                quad::$name::<$check, $past>(rounds, $($argument),*, $next)
            },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Expanded::Double(rounds) => unsafe {
                double::$name::<$check, $past>(rounds, $($argument),*, $next)
            },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Expanded::Single(rounds) => unsafe {
                single::$name::<$check, $past>(rounds, $($argument),*, $next)
            },
        }
    };
}

impl XtsKey {
    /// Expands a key, for the fastest kernel of this processor.
    ///
    /// # Errors
    /// [`SameHalves`].
    pub fn new(key: &[u8; KEY]) -> Result<Self, SameHalves> {
        Self::with_kernel(key, Kernel::best())
    }

    /// Expands a key for a kernel. Panics when this processor cannot run it.
    ///
    /// # Errors
    /// [`SameHalves`].
    pub fn with_kernel(key: &[u8; KEY], kernel: Kernel) -> Result<Self, SameHalves> {
        assert!(kernel.runs_here(), "{kernel:?} does not run on this processor");
        let (data, tweak) = key.split_at(KEY / 2);
        // Every byte is looked at, wherever they differ first.
        let differ = data.iter().zip(tweak).fold(0, |differ, (a, b)| differ | (a ^ b));
        if differ == 0 {
            return Err(SameHalves);
        }
        Ok(Self(match kernel {
            Kernel::Portable => Expanded::Portable(Box::new(portable::Key::new(key))),
            // SAFETY: every kernel but the portable one has AES-NI and AVX.
            #[cfg(target_arch = "x86_64")]
            Kernel::Single => Expanded::Single(unsafe { Rounds::expand(key) }),
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Kernel::Double => Expanded::Double(unsafe { Rounds::expand(key) }),
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Kernel::Quad => Expanded::Quad(unsafe { Rounds::expand(key) }),
        }))
    }

    /// The kernel that it is for.
    pub fn kernel(&self) -> Kernel {
        match &self.0 {
            Expanded::Portable(_) => Kernel::Portable,
            #[cfg(target_arch = "x86_64")]
            Expanded::Single(_) => Kernel::Single,
            #[cfg(target_arch = "x86_64")]
            Expanded::Double(_) => Kernel::Double,
            #[cfg(target_arch = "x86_64")]
            Expanded::Quad(_) => Kernel::Quad,
        }
    }

    /// Encrypts a block. Each byte at `from` is read once.
    ///
    /// # Safety
    /// 4096 bytes at `from` can be read and at `to` be written, at any alignment. They
    /// are the same or do not overlap. Others may change them at the same time.
    #[inline]
    pub unsafe fn encrypt_block(&self, lba: u64, from: *const u8, to: *mut u8) {
        call!(self, encrypt_block::<false, false>(lba, 0, from, to; from));
    }

    /// Decrypts a block. Each byte at `from` is read once.
    ///
    /// # Safety
    /// As of [`XtsKey::encrypt_block`].
    #[inline]
    pub unsafe fn decrypt_block(&self, lba: u64, from: *const u8, to: *mut u8) {
        call!(self, decrypt_block::<false, false>(lba, 0, from, to; from));
    }

    /// Encrypts a block and gives the checksum of what came out, as
    /// [`super::crc::checksum`] would.
    ///
    /// # Safety
    /// As of [`XtsKey::encrypt_block`].
    #[inline]
    pub unsafe fn encrypt_and_check(
        &self,
        lba: u64,
        seed: u32,
        from: *const u8,
        to: *mut u8,
    ) -> u32 {
        !call!(self, encrypt_block::<true, false>(lba, !seed, from, to; from))
    }

    /// Decrypts a block and gives the checksum of what went in, as
    /// [`super::crc::checksum`] would.
    ///
    /// # Safety
    /// As of [`XtsKey::encrypt_block`].
    #[inline]
    pub unsafe fn decrypt_and_check(
        &self,
        lba: u64,
        seed: u32,
        from: *const u8,
        to: *mut u8,
    ) -> u32 {
        !call!(self, decrypt_block::<true, false>(lba, !seed, from, to; from))
    }

    /// As [`XtsKey::encrypt_and_check`], past the caches: for memory that is not read
    /// soon. Meanwhile the block at `next`, which may be any address, is brought near.
    /// What was written is seen in order by others after [`super::settle`].
    ///
    /// # Safety
    /// As of [`XtsKey::encrypt_block`], and `to` is aligned to 64 bytes.
    #[inline]
    pub unsafe fn encrypt_past(
        &self,
        lba: u64,
        seed: u32,
        from: *const u8,
        to: *mut u8,
        next: *const u8,
    ) -> u32 {
        assert!((to as usize).is_multiple_of(64), "a whole line is written");
        !call!(self, encrypt_block::<true, true>(lba, !seed, from, to; next))
    }

    /// As [`XtsKey::decrypt_and_check`]. Meanwhile the block at `next`, which may be any
    /// address, is brought near.
    ///
    /// # Safety
    /// As of [`XtsKey::encrypt_block`].
    #[inline]
    pub unsafe fn decrypt_and_bring(
        &self,
        lba: u64,
        seed: u32,
        from: *const u8,
        to: *mut u8,
        next: *const u8,
    ) -> u32 {
        !call!(self, decrypt_block::<true, false>(lba, !seed, from, to; next))
    }
}
