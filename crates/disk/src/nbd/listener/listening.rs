//! Sockets that are listened on, and how they are made.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

/// Clients that the system lets wait.
const BACKLOG: i32 = 128;

/// A socket that clients connect to.
#[derive(Debug)]
pub enum Listening {
    /// On this machine, by a path.
    Unix(OwnedFd),
    /// Over the network.
    Tcp(OwnedFd),
}

impl Listening {
    /// A Unix socket at a path, with permissions. A socket that nobody listens on any
    /// more is replaced; anything else at the path is an error.
    pub fn unix(path: &Path, mode: Mode) -> io::Result<Self> {
        let address = SocketAddrUnix::new(path)?;
        let make = || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        };
        let socket = make()?;
        match rustix::net::bind(&socket, &address) {
            Err(Errno::ADDRINUSE) if is_dead(&make()?, path, &address)? => {
                rustix::fs::unlink(path)?;
                rustix::net::bind(&socket, &address)?;
            }
            other => other?,
        }
        // Before anybody can connect.
        rustix::fs::chmod(path, mode)?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(Listening::Unix(socket))
    }

    /// A TCP socket.
    pub fn tcp(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(Listening::Tcp(socket.into()))
    }

    /// One that somebody else made and listens on, such as the keeper.
    pub fn from_socket(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        match sockopt::socket_domain(&socket)? {
            AddressFamily::UNIX => Ok(Listening::Unix(socket)),
            AddressFamily::INET | AddressFamily::INET6 => Ok(Listening::Tcp(socket)),
            _ => Err(Errno::AFNOSUPPORT.into()),
        }
    }

    /// The address it listens on; none for a Unix socket.
    pub fn local(&self) -> io::Result<Option<SocketAddr>> {
        match self {
            Listening::Unix(_) => Ok(None),
            Listening::Tcp(socket) => {
                let address = rustix::net::getsockname(socket)?;
                Ok(Some(SocketAddr::try_from(address)?))
            }
        }
    }

    pub(super) fn address(&self) -> io::Result<Option<IpAddr>> {
        Ok(self.local()?.map(|address| address.ip()))
    }

    /// Accepts a client, without waiting; `None` when there is none.
    pub(super) fn accept(&self) -> io::Result<Option<(OwnedFd, Option<SocketAddr>)>> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        match self {
            Listening::Unix(socket) => match rustix::net::accept_with(socket, flags) {
                Ok(client) => Ok(Some((client, None))),
                Err(error) => nobody(error),
            },
            Listening::Tcp(socket) => match rustix::net::acceptfrom_with(socket, flags) {
                Ok((client, peer)) => {
                    sockopt::set_tcp_nodelay(&client, true)?;
                    sockopt::set_socket_keepalive(&client, true)?;
                    let peer = peer.ok_or(Errno::AFNOSUPPORT)?;
                    Ok(Some((client, Some(SocketAddr::try_from(peer)?))))
                }
                Err(error) => nobody(error),
            },
        }
    }
}

/// Who gave up while waiting, or went to another process that listens too, is nobody.
fn nobody<T>(error: Errno) -> io::Result<Option<T>> {
    match error {
        Errno::AGAIN | Errno::INTR | Errno::CONNABORTED | Errno::PROTO => Ok(None),
        error => Err(error.into()),
    }
}

/// Whether a path is a socket that nobody listens on.
fn is_dead(probe: &OwnedFd, path: &Path, address: &SocketAddrUnix) -> io::Result<bool> {
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::lstat(path)?.st_mode);
    let refused = rustix::net::connect(probe, address) == Err(Errno::CONNREFUSED);
    Ok(kind == rustix::fs::FileType::Socket && refused)
}

impl AsFd for Listening {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listening::Unix(socket) | Listening::Tcp(socket) => socket.as_fd(),
        }
    }
}
