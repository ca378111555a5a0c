//! Clients come in here. Each negotiates in a thread of its own, under a deadline; who
//! has agreed on an export goes on to a lane's reactor.
//!
//! A client that says nothing, or a byte now and then, holds a thread until the
//! deadline and no longer; there are only so many threads, and who comes meanwhile
//! waits in the system's queue.

mod listening;
mod negotiate;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use thiserror::Error;
use world::clock::Clock;

use super::export::{Agreed, Exports};
use super::negotiation::TlsMode;
use super::tls::ServerTls;
use super::transport::Transport;
pub use listening::Listening;

/// From where clients may speak in the clear over TCP. Unix sockets are guarded by
/// their permissions instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainTcp {
    /// From nowhere.
    Never,
    /// From this machine.
    Loopback,
    /// From anywhere: whoever reaches the port reads and writes the volumes.
    Anywhere,
}

/// Who may connect.
#[derive(Clone)]
pub struct Rules {
    /// Connections at a time, negotiating or served.
    pub connections: usize,
    /// Clients that negotiate at a time, each with a thread.
    pub negotiating: usize,
    /// How long a negotiation may take.
    pub patience: Duration,
    /// The certificate, if there is one.
    pub tls: Option<ServerTls>,
    /// Whether TLS must be used, also on Unix sockets.
    pub tls_required: bool,
    /// Whether it may be left out over TCP.
    pub plain_tcp: PlainTcp,
    /// What counts the connections: those of every listener that has these rules, one after
    /// the other or at a time.
    pub open: Open,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            connections: 1024,
            negotiating: 32,
            patience: Duration::from_secs(10),
            tls: None,
            tls_required: false,
            plain_tcp: PlainTcp::Loopback,
            open: Open::default(),
        }
    }
}

impl Rules {
    /// What is asked of a client, by its address; none for a Unix socket. `None`: it
    /// may not be served at all.
    fn mode(&self, peer: Option<IpAddr>) -> Option<TlsMode> {
        let plain = match (self.plain_tcp, peer) {
            _ if self.tls_required => false,
            (_, None) | (PlainTcp::Anywhere, Some(_)) => true,
            (PlainTcp::Never, Some(_)) => false,
            (PlainTcp::Loopback, Some(peer)) => peer.to_canonical().is_loopback(),
        };
        match (&self.tls, plain) {
            (Some(_), false) => Some(TlsMode::Required),
            (Some(_), true) => Some(TlsMode::Offered),
            (None, true) => Some(TlsMode::Off),
            (None, false) => None,
        }
    }
}

/// Why nobody is listened to.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The system says no.
    #[error("cannot listen: {0}")]
    Io(#[from] io::Error),
    /// There is no certificate where one is needed.
    #[error("clients of this socket would need TLS, and there is no certificate")]
    NoTls,
}

/// A client that has agreed on an export. Receive from it at once: its first requests
/// may be here already.
pub struct Arrived {
    /// Its socket, which does not block.
    pub transport: Transport,
    /// What it agreed on.
    pub agreed: Agreed,
    /// Its first bytes after the negotiation, for `Connection::new`.
    pub rest: Vec<u8>,
    /// Who it is, for logs.
    pub peer: String,
    /// Keep it as long as the connection: it is counted by it.
    pub permit: Permit,
}

/// Who takes clients that have agreed on an export. Called from many threads.
pub trait Sink: Send + Sync {
    /// Takes one over. To refuse it, drop it.
    fn arrived(&self, client: Arrived);
}

/// How many connections are open.
#[derive(Clone, Debug, Default)]
pub struct Open(Arc<AtomicUsize>);

impl Open {
    /// One more, that is there already: it came to a predecessor.
    pub fn adopt(&self) -> Permit {
        self.0.fetch_add(1, Ordering::AcqRel);
        Permit { open: self.clone() }
    }
    /// One more, if there are fewer than so many.
    fn permit(&self, most: usize) -> Option<Permit> {
        let permit = Permit { open: self.clone() };
        let before = self.0.fetch_add(1, Ordering::AcqRel);
        (before < most).then_some(permit)
    }
    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

/// One of the connections that may be open. Given back when dropped.
#[derive(Debug)]
pub struct Permit {
    open: Open,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.open.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// How many negotiate.
#[derive(Debug, Default)]
struct Counts {
    negotiating: Mutex<usize>,
    fewer: Condvar,
    stopping: AtomicBool,
}

impl Counts {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Waits until another client may negotiate; false when there will be none.
    fn begin(&self, most: usize) -> bool {
        let mut count = self.negotiating.lock().unwrap_or_else(PoisonError::into_inner);
        while *count >= most && !self.is_stopping() {
            count = self.fewer.wait(count).unwrap_or_else(PoisonError::into_inner);
        }
        *count += 1;
        !self.is_stopping()
    }

    fn end(&self) {
        *self.negotiating.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.fewer.notify_all();
    }

    fn stop(&self) {
        // Under the lock, so that nobody who is about to wait misses it.
        let _count = self.negotiating.lock().unwrap_or_else(PoisonError::into_inner);
        self.stopping.store(true, Ordering::Release);
        self.fewer.notify_all();
    }
}

/// What all threads of a listener share.
struct Shared {
    rules: Rules,
    exports: Arc<dyn Exports>,
    sink: Arc<dyn Sink>,
    clock: Arc<dyn Clock>,
    counts: Arc<Counts>,
}

/// A socket that clients come to. Stops when dropped; the socket itself goes on when
/// somebody else has it too.
pub struct Listener {
    shared: Arc<Shared>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Begins to listen.
    pub fn start(
        socket: Listening,
        rules: Rules,
        exports: Arc<dyn Exports>,
        sink: Arc<dyn Sink>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ListenError> {
        if rules.mode(socket.address()?).is_none() {
            return Err(ListenError::NoTls);
        }
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC).map_err(io::Error::from)?);
        let counts = Arc::new(Counts::default());
        let shared = Arc::new(Shared { rules, exports, sink, clock, counts });
        let (ours, woken) = (shared.clone(), wake.clone());
        let thread = std::thread::Builder::new()
            .name("nbd-accept".to_owned())
            .spawn(move || accept(&ours, &socket, &woken))?;
        Ok(Self { shared, wake, thread: Some(thread) })
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.shared.rules.open.count()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.counts.stop();
        // Writing to an eventfd of our own fails only when it is full: then it wakes too.
        let _ = rustix::io::write(&*self.wake, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Accepts until told to stop.
fn accept(shared: &Arc<Shared>, socket: &Listening, wake: &OwnedFd) {
    let counts = &shared.counts;
    while counts.begin(shared.rules.negotiating) {
        match next_client(socket, wake) {
            Ok(Some((client, peer))) => negotiate::spawn(shared, client, peer),
            Ok(None) => counts.end(),
            Err(error) => {
                counts.end();
                tracing::warn!(%error, "an NBD client could not be accepted");
                // Out of descriptors, most likely. Some will be closed; until then
                // there is no use in asking all the time.
                wait(wake.as_fd(), PollFlags::IN, Duration::from_millis(100));
            }
        }
    }
}

/// Waits for a client. `None`: look whether to stop.
fn next_client(
    socket: &Listening,
    wake: &OwnedFd,
) -> io::Result<Option<(OwnedFd, Option<std::net::SocketAddr>)>> {
    let mut ready = [PollFd::new(socket, PollFlags::IN), PollFd::new(wake, PollFlags::IN)];
    match poll(&mut ready, None) {
        Err(rustix::io::Errno::INTR) => return Ok(None),
        other => other?,
    };
    if !ready[1].revents().is_empty() {
        return Ok(None);
    }
    socket.accept()
}

/// Waits for a descriptor, not longer than given. Whether something came.
fn wait(socket: std::os::fd::BorrowedFd<'_>, what: PollFlags, time: Duration) -> bool {
    let time = rustix::event::Timespec {
        tv_sec: time.as_secs() as i64,
        tv_nsec: time.subsec_nanos().into(),
    };
    let mut ready = [PollFd::from_borrowed_fd(socket, what)];
    matches!(poll(&mut ready, Some(&time)), Ok(1..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_to_a_predecessor_counts_too() {
        let rules = Rules { connections: 2, ..Rules::default() };
        let adopted = rules.open.adopt();
        // The next listener of the same volume, after a pause.
        let later = rules.clone();
        let second = later.open.permit(later.connections).expect("room for one more");
        assert!(later.open.permit(later.connections).is_none(), "there are two");
        assert_eq!(rules.open.count(), 2);
        drop(adopted);
        assert!(later.open.permit(later.connections).is_some(), "one is gone");
        drop(second);
        assert_eq!(rules.open.count(), 0);
    }

    #[test]
    fn who_may_speak_in_the_clear() {
        let here: IpAddr = "127.0.0.1".parse().expect("an address");
        let mapped: IpAddr = "::ffff:127.0.0.1".parse().expect("an address");
        let far: IpAddr = "192.0.2.1".parse().expect("an address");
        let mut rules = Rules::default();
        assert_eq!(rules.mode(None), Some(TlsMode::Off));
        assert_eq!(rules.mode(Some(here)), Some(TlsMode::Off));
        assert_eq!(rules.mode(Some(mapped)), Some(TlsMode::Off));
        assert_eq!(rules.mode(Some(far)), None);
        rules.plain_tcp = PlainTcp::Anywhere;
        assert_eq!(rules.mode(Some(far)), Some(TlsMode::Off));
        rules.plain_tcp = PlainTcp::Never;
        assert_eq!(rules.mode(Some(here)), None);
        assert_eq!(rules.mode(None), Some(TlsMode::Off));
        rules.tls_required = true;
        assert_eq!(rules.mode(None), None);
    }
}
