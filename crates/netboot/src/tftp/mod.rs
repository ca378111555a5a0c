//! TFTP (RFC 1350) for old PXE: read only, one file, found by its secret path.
//! With the options block size (RFC 2348), transfer size and timeout (RFC 2349)
//! and window size (RFC 7440).
//!
//! [`Server`] is pure. All sessions answer from the one socket they were asked on,
//! told apart by the client's address and port: the socket may live in a network
//! namespace where no other could be opened later.

pub mod packet;
mod server;
mod session;
pub(crate) mod socket;

pub use server::{Outgoing, Server};
