//! Asks the service. Blocking: an order is answered in milliseconds, except those that
//! copy an image.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use model::volume::{DiskOrder, DiskProblem, DiskReply};
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::{LINE, socket};

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
pub fn order<T: DeserializeOwned>(directory: &Path, order: &DiskOrder) -> Result<T, OrderError> {
    let path = socket(directory);
    let absent = |source| OrderError::Absent { directory: directory.to_owned(), source };
    let mut stream = UnixStream::connect(path).map_err(absent)?;
    let mut line = serde_json::to_vec(order).map_err(OrderError::Strange)?;
    line.push(b'\n');
    stream.write_all(&line).map_err(OrderError::Cut)?;
    let mut reply = Vec::new();
    BufReader::new(stream.take(LINE as u64)).read_until(b'\n', &mut reply).map_err(OrderError::Cut)?;
    if reply.last() != Some(&b'\n') {
        return Err(OrderError::Cut(io::ErrorKind::UnexpectedEof.into()));
    }
    match serde_json::from_slice(&reply).map_err(OrderError::Strange)? {
        DiskReply::Ok(value) => serde_json::from_value(value).map_err(OrderError::Strange),
        DiskReply::Error(problem) => Err(OrderError::Refused(problem)),
    }
}
