//! Ways to a TPM: the kernel's character device, and the sockets of the software
//! TPM `swtpm`, for tests and virtual racks.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use tpm2_protocol::constant::TPM_MAX_COMMAND_SIZE;

use super::TpmError;

/// Tag, length and code: the head of each command and answer.
const HEADER: usize = 10;
/// Making an RSA key may take a TPM a minute; an answer after that never comes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Carries one command to a TPM and its answer back.
pub trait Transport {
    /// Sends a command and waits for the answer to it, both with their headers.
    ///
    /// # Errors
    /// [`TpmError::Transport`] when the TPM cannot be reached.
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, TpmError>;
}

/// The kernel's TPM device. Blocks while the TPM works.
pub struct DeviceTransport {
    file: File,
    path: &'static str,
}

impl DeviceTransport {
    /// Opens `/dev/tpmrm0` (the kernel then swaps keys and sessions for us), or
    /// `/dev/tpm0` where there is no resource manager.
    ///
    /// # Errors
    /// [`TpmError::NoDevice`] when neither is there; [`TpmError::Transport`] when
    /// one is and cannot be opened.
    pub fn open() -> Result<Self, TpmError> {
        for path in ["/dev/tpmrm0", "/dev/tpm0"] {
            match OpenOptions::new().read(true).write(true).open(path) {
                Ok(file) => return Ok(Self { file, path }),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(TpmError::transport(format!("open {path}"), error)),
            }
        }
        Err(TpmError::NoDevice)
    }
}

impl Transport for DeviceTransport {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, TpmError> {
        let failed =
            |what: &str, error| TpmError::transport(format!("{what} {}", self.path), error);
        // One write is one command, one read one answer: the kernel's contract.
        let written = self.file.write(command).map_err(|error| failed("write to", error))?;
        if written != command.len() {
            return Err(failed("write to", ErrorKind::WriteZero.into()));
        }
        let mut answer = vec![0; TPM_MAX_COMMAND_SIZE];
        let read = self.file.read(&mut answer).map_err(|error| failed("read from", error))?;
        answer.truncate(read);
        Ok(answer)
    }
}

/// The command socket of `swtpm socket --tpm2 --server type=unixio|tcp …`.
pub struct SocketTransport {
    stream: Box<dyn Stream>,
}

/// A connected socket of either kind.
trait Stream: Read + Write + Send {}
impl Stream for UnixStream {}
impl Stream for TcpStream {}

impl SocketTransport {
    /// Connects to a Unix socket.
    ///
    /// # Errors
    /// [`TpmError::Transport`] when nobody listens.
    pub fn unix(path: &Path) -> Result<Self, TpmError> {
        let failed = |error| TpmError::transport(format!("connect to {}", path.display()), error);
        let stream = UnixStream::connect(path).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        Ok(Self { stream: Box::new(stream) })
    }

    /// Connects to a TCP port.
    ///
    /// # Errors
    /// [`TpmError::Transport`] when nobody listens.
    pub fn tcp(address: SocketAddr) -> Result<Self, TpmError> {
        let failed = |error| TpmError::transport(format!("connect to {address}"), error);
        let stream = TcpStream::connect(address).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        Ok(Self { stream: Box::new(stream) })
    }
}

impl Transport for SocketTransport {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, TpmError> {
        let failed = |error| TpmError::transport("talk to the software TPM", error);
        self.stream.write_all(command).map_err(failed)?;
        let mut answer = vec![0; HEADER];
        self.stream.read_exact(&mut answer).map_err(failed)?;
        let length = u32::from_be_bytes([answer[2], answer[3], answer[4], answer[5]]) as usize;
        if !(HEADER..=TPM_MAX_COMMAND_SIZE).contains(&length) {
            return Err(TpmError::Answer(format!("it claims to be {length} bytes long")));
        }
        answer.resize(length, 0);
        self.stream.read_exact(&mut answer[HEADER..]).map_err(failed)?;
        Ok(answer)
    }
}
