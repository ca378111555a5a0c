//! Asks the object gateway of a directory on this host, as its administrator: one line of
//! JSON there, one back ([`model::gateway::GatewayOrder`]). Whoever may use the socket may
//! ask; there is no token.
//!
//! Blocking: an order is answered in milliseconds.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::gateway::{GATEWAY_LINE, GATEWAY_SOCKET, GatewayOrder, GatewayProblem, GatewayReply};
use serde::de::DeserializeOwned;
use thiserror::Error;

/// A gateway that says nothing for so long is stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum GatewayOrderError {
    /// Nobody listens.
    #[error("no gateway runs with {directory} ({source})")]
    Absent {
        /// Where it was looked for.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The connection ended before the answer came, or none came.
    #[error("the gateway did not answer: {0}")]
    Cut(io::Error),
    /// The answer is not understood: another version, perhaps.
    #[error("the answer of the gateway is not understood: {0}")]
    Strange(serde_json::Error),
    /// The gateway says no.
    #[error("{}", .0.what)]
    Refused(GatewayProblem),
}

/// Sends an order to the gateway of a directory and waits for its answer, in the shape
/// that the order is answered with.
///
/// # Errors
/// [`GatewayOrderError`]; after [`GatewayOrderError::Cut`] it is not known whether the
/// order was carried out.
pub fn order<T: DeserializeOwned>(
    directory: &Path,
    order: &GatewayOrder,
) -> Result<T, GatewayOrderError> {
    let absent = |source| GatewayOrderError::Absent { directory: directory.to_owned(), source };
    let mut stream = UnixStream::connect(directory.join(GATEWAY_SOCKET)).map_err(absent)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(GatewayOrderError::Cut)?;
    let mut line = serde_json::to_vec(order).map_err(GatewayOrderError::Strange)?;
    line.push(b'\n');
    stream.write_all(&line).map_err(GatewayOrderError::Cut)?;
    let mut reply = Vec::new();
    let mut reader = BufReader::new(stream.take(GATEWAY_LINE as u64));
    reader.read_until(b'\n', &mut reply).map_err(GatewayOrderError::Cut)?;
    if reply.last() != Some(&b'\n') {
        return Err(GatewayOrderError::Cut(io::ErrorKind::UnexpectedEof.into()));
    }
    match serde_json::from_slice(&reply).map_err(GatewayOrderError::Strange)? {
        GatewayReply::Ok(value) => {
            serde_json::from_value(value).map_err(GatewayOrderError::Strange)
        }
        GatewayReply::Error(problem) => Err(GatewayOrderError::Refused(problem)),
    }
}
