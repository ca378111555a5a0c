//! The socket below a connection: plain or encrypted.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};

use super::connection::Connection;
use super::tls::TlsSocket;

/// A connected socket.
pub enum Transport {
    /// As it is.
    Plain(OwnedFd),
    /// Encrypted. It cannot be given to a successor process.
    Tls(Box<TlsSocket>),
}

/// What a receive came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Bytes.
    Bytes {
        /// All that were there: a poll of the socket tells of more.
        all: bool,
    },
    /// The socket has nothing: wait for it.
    Nothing,
    /// The connection has no room. Try again when something was sent, without waiting
    /// for the socket: over TLS, bytes may be here already.
    Full,
    /// The client has hung up.
    Ended,
}

/// What a send came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// All is sent.
    All,
    /// The socket takes no more now: wait until it does.
    Some,
}

fn nothing_now(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

impl Transport {
    /// The socket, to be waited for.
    pub fn socket(&self) -> BorrowedFd<'_> {
        match self {
            Transport::Plain(socket) => socket.as_fd(),
            Transport::Tls(tls) => tls.socket(),
        }
    }

    /// Whether bytes wait in it to be sent: also wait for the socket to take them.
    pub fn wants_write(&self) -> bool {
        match self {
            Transport::Plain(_) => false,
            Transport::Tls(tls) => tls.wants_write(),
        }
    }

    /// Whether a successor process can go on with it.
    pub fn can_move(&self) -> bool {
        matches!(self, Transport::Plain(_))
    }

    /// Reads bytes that are there. `WouldBlock` when none are; 0 at the end.
    #[inline]
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => {
                let (bytes, _) = rustix::net::recv(&*socket, into, RecvFlags::DONTWAIT)?;
                Ok(bytes)
            }
            Transport::Tls(tls) => tls.read(into),
        }
    }

    /// Writes some bytes. `WouldBlock` when the socket takes none.
    pub(super) fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                Ok(rustix::net::send(&*socket, from, flags)?)
            }
            Transport::Tls(tls) => {
                tls.flush()?;
                tls.write(&[io::IoSlice::new(from)])
            }
        }
    }

    /// Sends what was written and waits to be. `WouldBlock` when the socket takes no more.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Transport::Plain(_) => Ok(()),
            Transport::Tls(tls) => tls.flush(),
        }
    }

    /// Receives once. An error: hang up.
    #[inline]
    pub fn receive(&mut self, connection: &mut Connection) -> io::Result<Received> {
        let space = connection.space();
        if space.is_empty() {
            return Ok(Received::Full);
        }
        let most = space.len();
        match self.read(space) {
            Ok(0) => Ok(Received::Ended),
            Ok(bytes) => {
                connection.received(bytes);
                // What TLS has decrypted already no poll tells of.
                Ok(Received::Bytes { all: bytes < most && self.can_move() })
            }
            Err(error) if nothing_now(&error) => Ok(Received::Nothing),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                Ok(Received::Bytes { all: false })
            }
            Err(error) => Err(error),
        }
    }

    /// Sends what there is, as far as the socket takes it. An error: hang up.
    #[inline]
    pub fn send(&mut self, connection: &mut Connection) -> io::Result<Sent> {
        match self {
            Transport::Plain(socket) => send_plain(socket, connection),
            Transport::Tls(tls) => match send_tls(tls, connection) {
                Ok(()) => Ok(Sent::All),
                Err(error) if nothing_now(&error) => Ok(Sent::Some),
                Err(error) => Err(error),
            },
        }
    }

    /// Ends the connection. Others that have the socket too, the keeper or a predecessor,
    /// do not keep it open: a client waits for the end of it.
    pub fn hang_up(mut self) {
        if let Transport::Tls(tls) = &mut self {
            tls.goodbye();
        }
        // The client may be gone already.
        let _ = rustix::net::shutdown(self.socket(), rustix::net::Shutdown::Both);
    }

    /// The socket, for a successor process; `None` when it is encrypted, and closed.
    pub fn into_socket(self) -> Option<OwnedFd> {
        match self {
            Transport::Plain(socket) => Some(socket),
            Transport::Tls(mut tls) => {
                tls.goodbye();
                None
            }
        }
    }
}

fn send_plain(socket: &OwnedFd, connection: &mut Connection) -> io::Result<Sent> {
    while connection.has_output() {
        let output = connection.output();
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let result = match &*output {
            [one] => rustix::net::send(socket, one, flags),
            many => rustix::net::sendmsg(socket, many, &mut SendAncillaryBuffer::default(), flags),
        };
        match result {
            Ok(bytes) => connection.sent(bytes),
            Err(Errno::AGAIN) => return Ok(Sent::Some),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Sent::All)
}

fn send_tls(tls: &mut TlsSocket, connection: &mut Connection) -> io::Result<()> {
    loop {
        tls.flush()?;
        if !connection.has_output() {
            return Ok(());
        }
        let bytes = tls.write(&connection.output())?;
        connection.sent(bytes);
    }
}
