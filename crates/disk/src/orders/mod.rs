//! The control socket: what people and programs ask of the service, one line of JSON
//! each ([`model::volume::DiskOrder`]), answered by a line ([`model::volume::DiskReply`]).
//!
//! The socket is `disk.sock` in the service's directory and can be used by the
//! service's user only (0600). The other end is in the crate `client`.

mod server;

pub use server::{Serving, Underway, serve};

use std::path::{Path, PathBuf};

/// Where the socket is.
pub fn socket(directory: &Path) -> PathBuf {
    directory.join(model::volume::DISK_SOCKET)
}
