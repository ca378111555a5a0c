//! Sockets that are listened at: one per reactor and address, so that the kernel spreads
//! connections and reactors share nothing (SO_REUSEPORT).

use std::io;
use std::net::SocketAddr;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, listen, socket_with};
use rustix::net::{getsockname, sockopt};

use crate::reactor::Listener;

/// Connections that may wait to be taken: as a successor opens its store, all do.
const BACKLOG: i32 = 4096;

/// Listens at an address with so many sockets. Port 0 takes one port for all of them.
///
/// # Errors
/// When the address is another's or none of this machine's.
pub fn bind_all(address: SocketAddr, tls: bool, count: usize) -> io::Result<Vec<Listener>> {
    let mut bound = address;
    let mut listeners = Vec::with_capacity(count);
    for _ in 0..count.max(1) {
        let listener = bind_one(bound, tls)?;
        bound = address_of(&listener)?;
        listeners.push(listener);
    }
    Ok(listeners)
}

fn bind_one(address: SocketAddr, tls: bool) -> io::Result<Listener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(Listener { socket, tls })
}

/// Has the system allow at least so many descriptors to this process, if it does. How many
/// it allows.
pub fn raise_descriptors(wanted: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let all = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
    let now = getrlimit(Resource::Nofile);
    // Only who is privileged may have more than the maximum.
    let more = Some(wanted.max(all(now.maximum))).filter(|more| *more < u64::MAX);
    let raised = Rlimit { current: more, maximum: more };
    if setrlimit(Resource::Nofile, raised).is_err() {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, ..now });
    }
    all(getrlimit(Resource::Nofile).current)
}

/// Where a socket is listened at.
///
/// # Errors
/// When the system does not say.
pub fn address_of(listener: &Listener) -> io::Result<SocketAddr> {
    let address = getsockname(&listener.socket)?;
    SocketAddr::try_from(address).map_err(io::Error::from)
}
