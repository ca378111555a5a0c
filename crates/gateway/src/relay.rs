//! A predecessor's last work. A TLS connection cannot be handed to another process, so the
//! old process goes on to encrypt those it has, and the new one sees what is inside through
//! a pair of sockets. Nobody's request fails, and no connection is cut while it is idle:
//! each ends with the reply to its next request, after which its client comes to the new
//! process by itself.
//!
//! One thread, poll(2) and small buffers: it is for as long as a takeover takes.

use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, shutdown, socketpair,
};
use world::clock::monotonic_nanos;

/// Bytes that are moved at once.
const PIECE: usize = 64 << 10;
/// Whoever is at an end has so long to see that it is over.
const LINGER: u64 = 2_000_000_000;
/// A relay goes on for so long at most.
const LONGEST: u64 = 3600 * 1_000_000_000;
/// Between two looks at whether it is to end.
const TICK: i64 = 200_000_000;

/// Connections that are relayed.
#[derive(Default)]
pub struct Relay {
    pairs: Vec<Pair>,
}

/// A client's socket, and the one that the new process has the other end of.
struct Pair {
    tls: Box<rustls::ServerConnection>,
    client: OwnedFd,
    server: OwnedFd,
    /// What the client said, and the server has not taken.
    up: Vec<u8>,
    client_ended: bool,
    server_ended: bool,
    /// When it is over at last.
    until: u64,
}

impl Relay {
    /// Relays a connection. What a successor is given for it.
    ///
    /// # Errors
    /// When the system has no sockets for it.
    pub fn add(
        &mut self,
        client: OwnedFd,
        tls: Box<rustls::ServerConnection>,
    ) -> io::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (server, given) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        let (up, until) = (Vec::new(), monotonic_nanos() + LONGEST);
        let (client_ended, server_ended) = (false, false);
        self.pairs.push(Pair { tls, client, server, up, client_ended, server_ended, until });
        Ok(given)
    }

    /// Relays until all connections are over, or it is to end.
    pub fn run(mut self, mut ends: impl FnMut() -> bool) {
        let mut buffer = vec![0; PIECE];
        while !self.pairs.is_empty() && !ends() {
            let mut polled: Vec<PollFd<'_>> = self.pairs.iter().flat_map(Pair::polled).collect();
            let tick = Timespec { tv_sec: 0, tv_nsec: TICK };
            // An interrupted wait is repeated.
            let _ = poll(&mut polled, Some(&tick));
            let told: Vec<PollFlags> = polled.iter().map(PollFd::revents).collect();
            drop(polled);
            let now = monotonic_nanos();
            let mut told = told.chunks_exact(2);
            self.pairs.retain_mut(|pair| {
                let told = told.next().expect("each has two sockets");
                pair.until > now && pair.go_on(told[0], told[1], &mut buffer, now).unwrap_or(false)
            });
        }
    }
}

/// What came of receiving.
enum Got {
    Some(usize),
    Nothing,
    End,
}

fn receive(from: &OwnedFd, into: &mut [u8]) -> io::Result<Got> {
    match rustix::net::recv(from, into, RecvFlags::empty()) {
        Ok((0, _)) => Ok(Got::End),
        Ok((count, _)) => Ok(Got::Some(count)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(Got::Nothing),
        Err(error) => Err(error.into()),
    }
}

/// Sends without a signal, and without waiting.
struct Sender<'a>(&'a OwnedFd);

impl io::Write for Sender<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self.0, bytes, SendFlags::NOSIGNAL)?)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn unless_full<T: Default>(result: io::Result<T>) -> io::Result<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(T::default()),
        other => other,
    }
}

impl Pair {
    fn polled(&self) -> [PollFd<'_>; 2] {
        let when = |flags: PollFlags, on: bool| if on { flags } else { PollFlags::empty() };
        let client = when(PollFlags::IN, self.up.is_empty() && !self.client_ended)
            | when(PollFlags::OUT, self.tls.wants_write());
        let server = when(PollFlags::IN, !self.tls.wants_write() && !self.server_ended)
            | when(PollFlags::OUT, !self.up.is_empty());
        // One that has ended would be told of again and again: the other is asked instead.
        let of = |ended: bool, one, other| if ended { other } else { one };
        [
            PollFd::new(
                of(self.client_ended && client.is_empty(), &self.client, &self.server),
                client,
            ),
            PollFd::new(of(self.server_ended, &self.server, &self.client), server),
        ]
    }

    /// Moves what there is to move. Whether it goes on.
    fn go_on(
        &mut self,
        client: PollFlags,
        server: PollFlags,
        buffer: &mut [u8],
        now: u64,
    ) -> io::Result<bool> {
        let comes = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
        if client.intersects(comes) && self.up.is_empty() && !self.client_ended {
            self.take_from_client(buffer)?;
        }
        if !self.up.is_empty() {
            let count = unless_full(Sender(&self.server).write(&self.up))?;
            self.up.drain(..count);
        }
        if self.client_ended && self.up.is_empty() {
            let _ = shutdown(&self.server, Shutdown::Write);
        }
        if server.intersects(comes) && !self.tls.wants_write() && !self.server_ended {
            self.take_from_server(buffer, now)?;
        }
        if self.tls.wants_write() {
            unless_full(self.tls.write_tls(&mut Sender(&self.client)))?;
        }
        if self.server_ended && !self.tls.wants_write() {
            let _ = shutdown(&self.client, Shutdown::Write);
            return Ok(!self.client_ended);
        }
        Ok(true)
    }

    fn take_from_client(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        // What is decrypted is no longer than what came, but for a record that had begun.
        let count = match receive(&self.client, &mut buffer[..PIECE / 2])? {
            Got::Some(count) => count,
            Got::Nothing => return Ok(()),
            Got::End => {
                self.client_ended = true;
                return Ok(());
            }
        };
        let mut came = &buffer[..count];
        while !came.is_empty() && self.tls.read_tls(&mut came)? > 0 {
            let state = self.tls.process_new_packets().map_err(io::Error::other)?;
            let length = state.plaintext_bytes_to_read();
            self.client_ended |= state.peer_has_closed();
            let from = self.up.len();
            self.up.resize(from + length, 0);
            self.tls.reader().read_exact(&mut self.up[from..])?;
        }
        if self.server_ended {
            // Nobody wants it any more.
            self.up.clear();
        }
        Ok(())
    }

    fn take_from_server(&mut self, buffer: &mut [u8], now: u64) -> io::Result<()> {
        match receive(&self.server, buffer)? {
            Got::Some(count) => self.tls.writer().write_all(&buffer[..count]),
            Got::Nothing => Ok(()),
            Got::End => {
                self.server_ended = true;
                self.tls.send_close_notify();
                self.until = self.until.min(now + LINGER);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
