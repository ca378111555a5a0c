//! One process takes over from another: listening sockets first, then each connection as
//! it comes between two requests, then the store. What is said goes over a socket in the
//! data directory (SOCK_SEQPACKET: a message stays whole), descriptors beside it.
//!
//! Nobody is refused meanwhile: the listening sockets never close, and who connects or
//! asks while neither process serves waits until the successor does.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind,
    connect, listen, recvmsg, sendmsg, socket_with,
};

use crate::reactor::Listener;
use crate::reactor::mailbox::{Adopted, Handed};
use crate::relay::Relay;
use crate::run::Sockets;

/// The first word of a successor. Another program's is another.
const ASKS: &[u8] = b"bedplate gateway takes over, 2";
/// What a message is, by its first byte.
const PLAIN: u8 = b'L';
const ENCRYPTED: u8 = b'T';
const CONNECTION: u8 = b'C';
/// A connection that the predecessor encrypts: the address of its client comes first, as
/// one of IPv6.
const RELAYED: u8 = b'R';
const ADDRESS: usize = 16;
const OVER: u8 = b'O';
/// The longest message: a connection with what it has sent ahead.
const LONGEST: usize = 128 << 10;

/// The socket of a data directory.
pub fn path(directory: &Path) -> PathBuf {
    directory.join("gateway.sock")
}

fn seqpacket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

fn send(to: &OwnedFd, kind: u8, bytes: &[u8], along: Option<&OwnedFd>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds;
    if let Some(along) = along {
        fds = [along.as_fd()];
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&fds)), "there is room for one");
    }
    let kind = [kind];
    let parts = [IoSlice::new(&kind), IoSlice::new(bytes)];
    sendmsg(to, &parts, &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// A message: its bytes, and what came beside it. `None`: the other side is gone.
fn receive(from: &OwnedFd) -> io::Result<Option<(Vec<u8>, Option<OwnedFd>)>> {
    let mut bytes = vec![0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let got = recvmsg(from, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut along = None;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            along = fds.last();
        }
    }
    if got.bytes == 0 {
        return Ok(None);
    }
    bytes.truncate(got.bytes);
    Ok(Some((bytes, along)))
}

/// Asks the process that serves a directory for all it has, and waits until it has given
/// it and closed its store. `None`: nobody serves it.
///
/// # Errors
/// When it is there and does not do it.
pub fn take_over(directory: &Path) -> io::Result<Option<Sockets>> {
    let socket = seqpacket()?;
    match connect(&socket, &SocketAddrUnix::new(path(directory))?) {
        Ok(()) => {}
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::CONNREFUSED) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    rustix::net::send(&socket, ASKS, SendFlags::NOSIGNAL)?;
    let mut sockets = Sockets::default();
    while let Some((bytes, along)) = receive(&socket)? {
        match (bytes[0], along) {
            (PLAIN, Some(socket)) => sockets.listeners.push(Listener { socket, tls: false }),
            (ENCRYPTED, Some(socket)) => sockets.listeners.push(Listener { socket, tls: true }),
            (CONNECTION, Some(socket)) => {
                let received = bytes[1..].to_vec();
                sockets.connections.push(Adopted { socket, received, relayed: None });
            }
            (RELAYED, Some(socket)) => {
                let (address, received) = relayed(&bytes[1..])?;
                sockets.connections.push(Adopted { socket, received, relayed: Some(address) });
            }
            (OVER, None) => return Ok(Some(sockets)),
            _ => return Err(io::Error::other("the predecessor says what is not understood")),
        }
    }
    // It ended without a word. What it had is here, and its lock is free.
    tracing::warn!("the predecessor ended before it had handed everything over");
    Ok(Some(sockets))
}

/// Waits for successors: each one's socket is passed on.
///
/// # Errors
/// When the socket cannot be made.
pub fn wait_for_successors(
    directory: &Path,
    pass: impl Fn(OwnedFd) + Send + 'static,
) -> io::Result<()> {
    let path = path(directory);
    // What is there is a predecessor's that is gone: we hold the lock.
    let _ = std::fs::remove_file(&path);
    let socket = seqpacket()?;
    bind(&socket, &SocketAddrUnix::new(&path)?)?;
    // Whoever may write here may take everything over.
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    listen(&socket, 1)?;
    std::thread::Builder::new().name("successors".to_owned()).spawn(move || {
        while let Ok(successor) = accept_with(&socket, SocketFlags::CLOEXEC) {
            if receive(&successor).is_ok_and(|it| it.is_some_and(|(bytes, _)| bytes == ASKS)) {
                pass(successor);
            }
        }
    })?;
    Ok(())
}

/// Gives the listening sockets to a successor.
///
/// # Errors
/// When it is gone already: nothing has changed then.
pub fn give_listeners(successor: &OwnedFd, listeners: &[Listener]) -> io::Result<()> {
    listeners.iter().try_for_each(|listener| {
        let kind = if listener.tls { ENCRYPTED } else { PLAIN };
        send(successor, kind, &[], Some(&listener.socket))
    })
}

fn relayed(bytes: &[u8]) -> io::Result<(IpAddr, Vec<u8>)> {
    let (address, received) = bytes.split_first_chunk::<ADDRESS>().ok_or_else(|| {
        io::Error::other("the predecessor relays for a client without an address")
    })?;
    Ok((Ipv6Addr::from(*address).to_canonical(), received.to_vec()))
}

/// Gives connections to a successor as they come. Runs until there are no more, and while
/// those that are encrypted are relayed, from the first on.
pub fn give_connections(successor: &OwnedFd, connections: Receiver<Handed>) -> Relay {
    let mut relay = Relay::default();
    for handed in connections {
        if let Err(error) = give_connection(successor, handed, &mut relay) {
            tracing::warn!(%error, "a connection could not be handed over");
        }
    }
    relay
}

fn give_connection(successor: &OwnedFd, handed: Handed, relay: &mut Relay) -> io::Result<()> {
    let Handed { socket, received, peer, tls } = handed;
    let address = match peer.address {
        IpAddr::V4(four) => four.to_ipv6_mapped(),
        IpAddr::V6(six) => six,
    };
    let relayed = [&address.octets()[..], &received].concat();
    match tls {
        Some(tls) => send(successor, RELAYED, &relayed, Some(&relay.add(socket, tls)?)),
        // That one is relayed to this process already.
        None if peer.tls => send(successor, RELAYED, &relayed, Some(&socket)),
        None => send(successor, CONNECTION, &received, Some(&socket)),
    }
}

/// Says that the store is closed.
pub fn say_over(successor: &OwnedFd) {
    // It sees the end of this socket, if not this.
    let _ = send(successor, OVER, &[], None);
}

/// Who is told of a connection that is handed over.
pub type Successor = Sender<Handed>;
