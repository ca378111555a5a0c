//! What happens to a block between a guest and the medium: it is encrypted
//! (AES-256-XTS) and gets a checksum (CRC32C of what is stored), in one pass.
//!
//! [`crc`] and [`xts`] choose among kernels for the processor at run time; all give the
//! same bytes. [`keys`] says which key a block is under. Blocks are given as addresses,
//! since they may be in memory that a guest changes: each byte is read once.

#![allow(
    unsafe_code,
    reason = "blocks are in memory of guests, and kernels use instructions that not every processor has"
)]

pub mod crc;
pub mod keys;
