//! Sockets, where they need more than the standard library: a network namespace
//! other than our own, and a device to be bound to.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use socket2::{Domain, Protocol, Socket, Type};
use std::os::fd::AsFd;

/// A named network namespace, as `ip netns add` makes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// The namespace of this name. It need not exist yet.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// Runs something inside. Sockets that it makes stay inside for their whole life.
    ///
    /// A thread is spent on it: a thread that has changed its namespace is not one
    /// that anybody else should get.
    pub fn enter<T, F>(&self, inside: F) -> io::Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> io::Result<T> + Send + 'static,
    {
        let handle = File::open(self.path())?;
        let thread = std::thread::spawn(move || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(handle.as_fd(), kind)?;
            inside()
        });
        thread.join().unwrap_or_else(|_| Err(io::Error::other("panicked inside a namespace")))
    }
}

/// Runs something in a namespace where one is given, here otherwise.
pub fn within<T, F>(namespace: Option<&Namespace>, inside: F) -> io::Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> io::Result<T> + Send + 'static,
{
    match namespace {
        Some(namespace) => namespace.enter(inside),
        None => inside(),
    }
}

/// A listening TCP socket, ready for tokio.
pub fn listen(namespace: Option<&Namespace>, address: SocketAddr) -> io::Result<TcpListener> {
    within(namespace, move || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(1024)?;
        Ok(socket.into())
    })
}

/// A UDP socket, ready for tokio; bound to a device where one is named, and then
/// allowed to broadcast there.
pub fn datagrams(
    namespace: Option<&Namespace>,
    address: SocketAddr,
    device: Option<&str>,
) -> io::Result<UdpSocket> {
    let device = device.map(str::to_owned);
    within(namespace, move || {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        if let Some(device) = device {
            socket.bind_device(Some(device.as_bytes()))?;
            socket.set_broadcast(true)?;
        }
        socket.bind(&address.into())?;
        Ok(socket.into())
    })
}
