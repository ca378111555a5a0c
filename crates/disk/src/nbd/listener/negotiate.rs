//! One client's negotiation: a thread, a deadline.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use rustix::event::PollFlags;
use thiserror::Error;

use super::super::export::Agreed;
use super::super::negotiation::{Negotiation, Progress, TlsMode};
use super::super::tls::{TlsError, TlsSocket};
use super::super::transport::Transport;
use super::{Arrived, Permit, Shared, wait};

/// Why a client goes away without an export.
#[derive(Debug, Error)]
enum Gone {
    #[error("{0}")]
    Ended(&'static str),
    #[error("the client hung up")]
    HungUp,
    #[error("the client took too long")]
    TooLong,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Negotiates with a client in a thread, and hands it on.
pub(super) fn spawn(shared: &Arc<Shared>, client: OwnedFd, peer: Option<SocketAddr>) {
    let name = peer.map_or_else(|| "unix".to_owned(), |peer| peer.to_string());
    let mode = shared.rules.mode(peer.map(|peer| peer.ip()));
    let permit = shared.rules.open.permit(shared.rules.connections);
    let (Some(mode), Some(permit)) = (mode, permit) else {
        tracing::warn!(peer = name, "an NBD client is turned away: too many, or not allowed");
        return shared.counts.end();
    };
    let ours = shared.clone();
    let run = move || {
        serve(&ours, client, mode, name, permit);
        ours.counts.end();
    };
    if let Err(error) = std::thread::Builder::new().name("nbd-hello".to_owned()).spawn(run) {
        tracing::warn!(%error, "no thread for an NBD client");
        shared.counts.end();
    }
}

fn serve(shared: &Shared, client: OwnedFd, mode: TlsMode, peer: String, permit: Permit) {
    let now = shared.clock.now().micros();
    let patience = i64::try_from(shared.rules.patience.as_micros()).unwrap_or(i64::MAX);
    let until = Timestamp::from_micros(now.saturating_add(patience));
    let mut client = Client { shared, transport: Transport::Plain(client), until };
    match client.negotiate(mode) {
        Ok((agreed, rest)) if !shared.counts.is_stopping() => {
            tracing::info!(peer, export = agreed.export.name, tls = agreed.tls, "an NBD client");
            shared.sink.arrived(Arrived {
                transport: client.transport,
                agreed,
                rest,
                peer,
                permit,
            });
        }
        Ok(_) => {}
        Err(error) => tracing::debug!(peer, %error, "an NBD client left without an export"),
    }
}

/// A client and how long it may take.
struct Client<'a> {
    shared: &'a Shared,
    transport: Transport,
    until: Timestamp,
}

impl Client<'_> {
    fn negotiate(&mut self, mode: TlsMode) -> Result<(Agreed, Vec<u8>), Gone> {
        let mut negotiation = Negotiation::new(self.shared.exports.clone(), mode);
        let mut buffer = [0; 4096];
        loop {
            while !negotiation.output().is_empty() {
                let sent = self.write(negotiation.output())?;
                negotiation.sent(sent);
            }
            self.flush()?;
            match negotiation.progress() {
                Progress::Going => {
                    let count = self.read(&mut buffer)?;
                    negotiation.received(&buffer[..count]);
                }
                Progress::StartTls => {
                    self.start_tls()?;
                    negotiation.tls_started();
                }
                Progress::Agreed(agreed) => {
                    let agreed = agreed.clone();
                    return Ok((agreed, negotiation.into_rest()));
                }
                Progress::Ended(why) => return Err(Gone::Ended(why)),
            }
        }
    }

    fn start_tls(&mut self) -> Result<(), Gone> {
        let Transport::Plain(socket) = &self.transport else {
            unreachable!("TLS is refused where it is on")
        };
        let socket = socket.try_clone()?;
        let server = self.shared.rules.tls.as_ref().expect("offered only with a certificate");
        self.transport = Transport::Tls(Box::new(TlsSocket::new(socket, server)?));
        Ok(())
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, Gone> {
        match self.patiently(PollFlags::IN, |transport| transport.read(into))? {
            0 => Err(Gone::HungUp),
            count => Ok(count),
        }
    }

    fn write(&mut self, from: &[u8]) -> Result<usize, Gone> {
        self.patiently(PollFlags::OUT, |transport| transport.write(from))
    }

    fn flush(&mut self) -> Result<(), Gone> {
        self.patiently(PollFlags::OUT, Transport::flush)
    }

    /// Tries until it works, waiting for the socket in between, not after the deadline.
    fn patiently<T>(
        &mut self,
        what: PollFlags,
        mut attempt: impl FnMut(&mut Transport) -> io::Result<T>,
    ) -> Result<T, Gone> {
        loop {
            match attempt(&mut self.transport) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return Ok(other?),
            }
            let left = self.until.micros().saturating_sub(self.shared.clock.now().micros());
            if left <= 0 || self.shared.counts.is_stopping() {
                return Err(Gone::TooLong);
            }
            let left = Duration::from_micros(left.unsigned_abs());
            let both = if self.transport.wants_write() { what | PollFlags::OUT } else { what };
            wait(self.transport.socket(), both, left);
        }
    }
}
