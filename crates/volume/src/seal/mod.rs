//! What happens to a block between a guest and the medium: it is encrypted
//! (AES-256-XTS) and gets a checksum (CRC32C of what is stored), in one pass.
//!
//! [`crc`] and [`xts`] choose among kernels for the processor at run time; all give the
//! same bytes. [`keys`] says which key a block is under, and [`through`] takes blocks
//! from and to the pieces that a front end's memory is in. Blocks are given as addresses,
//! since they may be in memory that a guest changes: each byte is read once.
//!
//! The kernels of x86-64 are one text (`kernels`), compiled for vectors of one, two and
//! four AES blocks (`lanes`).

#![allow(
    unsafe_code,
    reason = "blocks are in memory of guests, and kernels use instructions that not every processor has"
)]

pub mod crc;
pub mod keys;
pub mod through;
pub mod xts;

mod kernel;
#[cfg(target_arch = "x86_64")]
mod kernels;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod portable;
#[cfg(target_arch = "x86_64")]
mod rounds;

#[cfg(test)]
mod equality;
#[cfg(test)]
mod speed;

/// What was written past the caches is seen by others before anything that is written
/// from now on.
#[inline]
pub fn settle() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has the instruction.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

pub use kernel::Kernel;
pub use keys::{Cipher, KeyRing, VolumeKey, WrappedKey};
pub use xts::XtsKey;
