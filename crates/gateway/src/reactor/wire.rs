//! The socket of a connection, plain or TLS, and whether it is worth asking.

use std::io::{self, IoSlice, Read as _, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

/// Ciphertext that may wait for the socket.
const TLS_BUFFER: usize = 1 << 20;
/// The most bytes of a record with what is around it, and some.
pub const RECORD: usize = 18 << 10;

/// A socket.
pub struct Wire {
    pub socket: OwnedFd,
    pub tls: Option<Box<rustls::ServerConnection>>,
    /// There may be something to receive.
    pub readable: bool,
    /// There may be room for something to send.
    pub writable: bool,
    /// The other side sends no more.
    pub half_closed: bool,
}

/// What receiving gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got {
    /// So many bytes.
    Some(usize),
    /// Nothing yet.
    Blocked,
    /// There will be no more.
    End,
}

/// Sends to a socket without a signal when it is closed.
struct Sender<'a>(&'a OwnedFd);

impl Write for Sender<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self.0, bytes, SendFlags::NOSIGNAL)?)
    }
    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(rustix::io::writev(self.0, bytes)?)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Wire {
    /// A socket that does not block.
    ///
    /// # Errors
    /// When TLS cannot be begun with this configuration.
    pub fn new(
        socket: OwnedFd,
        tls: Option<&std::sync::Arc<rustls::ServerConfig>>,
    ) -> Result<Self, rustls::Error> {
        let tls = match tls {
            Some(config) => {
                let mut connection = Box::new(rustls::ServerConnection::new(config.clone())?);
                connection.set_buffer_limit(Some(TLS_BUFFER));
                Some(connection)
            }
            None => None,
        };
        Ok(Self { socket, tls, readable: true, writable: true, half_closed: false })
    }

    /// Nothing is encrypted.
    pub fn is_plain(&self) -> bool {
        self.tls.is_none()
    }

    /// TLS has ciphertext to send.
    pub fn wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// TLS is not agreed upon yet.
    pub fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Receives into a buffer. `block` is room for ciphertext.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn receive(&mut self, into: &mut [u8], block: &mut Vec<u8>) -> io::Result<Got> {
        if !self.readable {
            return Ok(Got::Blocked);
        }
        if self.tls.is_some() { self.receive_tls(into, block) } else { self.receive_plain(into) }
    }

    fn receive_plain(&mut self, into: &mut [u8]) -> io::Result<Got> {
        let space = into.len();
        assert!(space > 0, "there is room for what is received");
        match rustix::net::recv(&self.socket, into, RecvFlags::empty()) {
            Ok((0, _)) => {
                self.half_closed = true;
                Ok(Got::End)
            }
            Ok((count, _)) => {
                // Edges come for what arrives later; an end that was told may be here.
                self.readable = count == space || self.half_closed;
                Ok(Got::Some(count))
            }
            Err(Errno::AGAIN) => {
                self.readable = false;
                Ok(Got::Blocked)
            }
            Err(Errno::INTR) => Ok(Got::Some(0)),
            Err(error) => Err(error.into()),
        }
    }

    fn receive_tls(&mut self, into: &mut [u8], block: &mut Vec<u8>) -> io::Result<Got> {
        // What is decrypted is shorter than its records, but for one that had begun.
        let space = into.len().saturating_sub(RECORD).max(1);
        if block.len() < space {
            block.resize(space, 0);
        }
        let got = self.receive_plain(&mut block[..space])?;
        let count = match got {
            Got::Some(count) => count,
            Got::End | Got::Blocked => return Ok(got),
        };
        let tls = self.tls.as_mut().expect("it is TLS");
        match decrypt(tls, &block[..count], into) {
            Ok(0) if tls_ended(tls)? => {
                self.half_closed = true;
                Ok(Got::End)
            }
            Ok(count) => Ok(Got::Some(count)),
            Err(error) => {
                // The alert says why.
                let _ = tls.write_tls(&mut Sender(&self.socket));
                Err(error)
            }
        }
    }

    /// Sends bytes, with more to come or not. How many went; 0: the socket is full.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize> {
        let flags = if more { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL };
        let sent = rustix::net::send(&self.socket, bytes, flags);
        self.went(sent, bytes.len())
    }

    /// Sends two runs of bytes at once.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn send_both(&mut self, one: &[u8], two: &[u8]) -> io::Result<usize> {
        let sent = rustix::io::writev(&self.socket, &[IoSlice::new(one), IoSlice::new(two)]);
        self.went(sent, one.len() + two.len())
    }

    /// Sends bytes of a file, straight from the page cache.
    ///
    /// # Errors
    /// When the connection is broken, or the file ends before.
    pub fn send_file(&mut self, file: BorrowedFd<'_>, at: u64, count: usize) -> io::Result<usize> {
        let mut offset = at;
        match rustix::fs::sendfile(&self.socket, file, Some(&mut offset), count) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            // Less than was asked for does not say that the socket is full.
            Ok(sent) => Ok(sent),
            error => self.went(error, count),
        }
    }

    fn went(&mut self, sent: Result<usize, Errno>, of: usize) -> io::Result<usize> {
        match sent {
            Ok(count) => {
                self.writable = count == of;
                Ok(count)
            }
            Err(Errno::AGAIN) => {
                self.writable = false;
                Ok(0)
            }
            Err(Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends ciphertext. Whether all of it went; how much.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn send_tls(&mut self) -> io::Result<usize> {
        let tls = self.tls.as_mut().expect("it is TLS");
        match tls.write_tls(&mut Sender(&self.socket)) {
            Ok(count) => Ok(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.writable = false;
                Ok(0)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Says that no more will be sent.
    pub fn finish(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = tls.write_tls(&mut Sender(&self.socket));
        }
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Write);
    }
}

/// Reads ciphertext; how many bytes of plaintext it had.
fn decrypt(
    tls: &mut rustls::ServerConnection,
    mut from: &[u8],
    into: &mut [u8],
) -> io::Result<usize> {
    let mut count = 0;
    while !from.is_empty() {
        if tls.read_tls(&mut from)? == 0 {
            break;
        }
        let state = tls.process_new_packets().map_err(io::Error::other)?;
        let ready = state.plaintext_bytes_to_read();
        if ready > into.len() - count {
            return Err(io::Error::other("records that are longer than they may be"));
        }
        tls.reader().read_exact(&mut into[count..count + ready])?;
        count += ready;
        if state.peer_has_closed() {
            break;
        }
    }
    Ok(count)
}

/// The other side has said that it sends no more.
fn tls_ended(tls: &mut rustls::ServerConnection) -> io::Result<bool> {
    Ok(tls.process_new_packets().map_err(io::Error::other)?.peer_has_closed())
}
