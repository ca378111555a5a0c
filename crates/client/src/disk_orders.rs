//! Asks the disk service of a host, at its control socket: one line of JSON there, one
//! back ([`model::volume::DiskOrder`]). It needs no control plane and no token: whoever
//! may use the socket may ask.
//!
//! Blocking: an order is answered in milliseconds, except scrubs and replacements.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use model::volume::{DISK_LINE, DISK_SOCKET, DiskOrder, DiskProblem, DiskReply};
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum OrderError {
    /// Nobody listens.
    #[error("no disk service runs in {directory} ({source})")]
    Absent {
        /// Where it was looked for.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The connection ended before the answer came.
    #[error("the disk service did not answer: {0}")]
    Cut(io::Error),
    /// The answer is not understood: another version, perhaps.
    #[error("the answer of the disk service is not understood: {0}")]
    Strange(serde_json::Error),
    /// The service says no.
    #[error("{0}")]
    Refused(DiskProblem),
}

/// Sends an order to the service of a directory and waits for its answer, in the shape
/// that the order is answered with.
///
/// # Errors
/// [`OrderError`]; after [`OrderError::Cut`] it is not known whether the order was
/// carried out.
pub fn order<T: DeserializeOwned>(directory: &Path, order: &DiskOrder) -> Result<T, OrderError> {
    let absent = |source| OrderError::Absent { directory: directory.to_owned(), source };
    let mut stream = UnixStream::connect(directory.join(DISK_SOCKET)).map_err(absent)?;
    let mut line = serde_json::to_vec(order).map_err(OrderError::Strange)?;
    line.push(b'\n');
    stream.write_all(&line).map_err(OrderError::Cut)?;
    let mut reply = Vec::new();
    let mut reader = BufReader::new(stream.take(DISK_LINE as u64));
    reader.read_until(b'\n', &mut reply).map_err(OrderError::Cut)?;
    if reply.last() != Some(&b'\n') {
        return Err(OrderError::Cut(io::ErrorKind::UnexpectedEof.into()));
    }
    match serde_json::from_slice(&reply).map_err(OrderError::Strange)? {
        DiskReply::Ok(value) => serde_json::from_value(value).map_err(OrderError::Strange),
        DiskReply::Error(problem) => Err(OrderError::Refused(problem)),
    }
}
