//! The threads of a gateway: started, and ended in an order that loses nothing.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use world::clock::Clock;
use world::entropy::{Entropy as _, SystemEntropy};

use crate::access_log::{AccessLog, Lines};
use crate::metrics::Counters;
use crate::orders::Orders;
use crate::reactor::mailbox::{Adopted, Handed, Mailbox, Message};
use crate::reactor::{self, Company, Listener, Reactor, Timeouts};
use crate::sockets::address_of;
use crate::step::Service;
use crate::writer::{self, Applies};

/// How a gateway is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Cores that serve.
    pub reactors: usize,
    /// Threads for what waits or takes long.
    pub workers: usize,
    /// Bytes of kept replies, of all cores together; as much again at most for where the
    /// content of more of them lies.
    pub cache: usize,
    /// The most connections, of all cores together.
    pub connections: usize,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// For listeners with TLS.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Where requests are logged, and one of how many.
    pub access_log: Option<(PathBuf, u32)>,
    /// Each reactor stays on a core of its own.
    pub pinned: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            reactors: cores,
            workers: cores.clamp(2, 8),
            cache: 16 << 20,
            connections: 16_384,
            timeouts: Timeouts::default(),
            tls: None,
            access_log: None,
            pinned: cores > 1,
        }
    }
}

/// Sockets to begin with.
#[derive(Debug, Default)]
pub struct Sockets {
    /// That are listened at.
    pub listeners: Vec<Listener>,
    /// Connections that a predecessor began.
    pub connections: Vec<Adopted>,
}

/// A gateway that runs.
pub struct Running {
    reactors: Vec<(Arc<Mailbox>, JoinHandle<()>)>,
    ended: Receiver<()>,
    workers: Vec<JoinHandle<()>>,
    writer: JoinHandle<()>,
    orders: Orders,
    /// What its reactors count.
    pub counters: Vec<Arc<Counters>>,
    /// The sockets again, for a successor.
    listeners: Vec<Listener>,
    /// Where it listens: the address, and whether by TLS.
    pub addresses: Vec<(SocketAddr, bool)>,
}

/// Who decides, and who keeps.
pub struct Parts {
    /// The dialect.
    pub service: Arc<dyn Service>,
    /// The store's writing end.
    pub store: Box<dyn Applies>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Running {
    /// Starts all threads.
    ///
    /// # Errors
    /// When the system has no more threads or descriptors, or the access log cannot be
    /// opened.
    pub fn start(settings: &Settings, sockets: Sockets, parts: Parts) -> io::Result<Self> {
        let orders = Orders::default();
        let changes = orders.changes.clone();
        let store = parts.store;
        let writer = thread("writer".to_owned(), move || writer::run(&changes, store))?;
        let workers = (0..settings.workers.max(1))
            .map(|number| {
                let orders = orders.clone();
                thread(format!("worker {number}"), move || orders.work())
            })
            .collect::<io::Result<Vec<_>>>()?;
        let listeners = again(&sockets.listeners)?;
        let addresses = addresses(&listeners)?;
        let (ends, ended) = channel();
        let mut running = Self {
            reactors: Vec::new(),
            ended,
            workers,
            writer,
            orders,
            counters: Vec::new(),
            listeners,
            addresses,
        };
        let (service, clock) = (parts.service, parts.clock);
        running.start_reactors(settings, sockets.listeners, &service, &clock, &ends)?;
        for (number, adopted) in sockets.connections.into_iter().enumerate() {
            let (mailbox, _) = &running.reactors[number % running.reactors.len()];
            mailbox.send(Message::Adopt(adopted));
        }
        Ok(running)
    }

    fn start_reactors(
        &mut self,
        settings: &Settings,
        listeners: Vec<Listener>,
        service: &Arc<dyn Service>,
        clock: &Arc<dyn Clock>,
        ends: &Sender<()>,
    ) -> io::Result<()> {
        let count = settings.reactors.max(1);
        let log = settings.access_log.as_ref();
        let log = log.map(|(path, every)| AccessLog::start(path, *every)).transpose()?;
        let mut shared: Vec<Vec<Listener>> = (0..count).map(|_| Vec::new()).collect();
        for (number, listener) in listeners.into_iter().enumerate() {
            shared[number % count].push(listener);
        }
        for (number, listeners) in shared.into_iter().enumerate() {
            let company = Company {
                service: service.clone(),
                orders: self.orders.clone(),
                mailbox: Arc::new(Mailbox::new()?),
                counters: Arc::new(Counters::new(service.operations())),
                lines: log.as_ref().map_or_else(Lines::none, AccessLog::lines),
                clock: clock.clone(),
                serial: SystemEntropy.next(),
            };
            let own = reactor::Settings {
                timeouts: settings.timeouts,
                connections: settings.connections.div_ceil(count),
                cache: settings.cache / count,
                tls: settings.tls.clone(),
                core: settings.pinned.then_some(number),
                ..reactor::Settings::default()
            };
            let (mailbox, counters) = (company.mailbox.clone(), company.counters.clone());
            let reactor = Reactor::new(own, company, listeners)?;
            let ends = ends.clone();
            let thread = thread(format!("reactor {number}"), move || {
                if let Err(error) = reactor.run() {
                    tracing::error!(%error, number, "a reactor ended");
                }
                let _ = ends.send(());
            })?;
            self.reactors.push((mailbox, thread));
            self.counters.push(counters);
        }
        Ok(())
    }

    /// The queues, for metrics.
    pub fn orders(&self) -> Orders {
        self.orders.clone()
    }

    /// Tells the first reactor something.
    #[cfg(test)]
    pub fn tell(&self, message: Message) {
        self.reactors[0].0.send(message);
    }

    /// The sockets that are listened at, for a successor.
    pub fn take_listeners(&mut self) -> Vec<Listener> {
        std::mem::take(&mut self.listeners)
    }

    /// Has them back: there is no successor after all.
    pub fn keep_listeners(&mut self, listeners: Vec<Listener>) {
        self.listeners = listeners;
    }

    /// Takes no more connections, finishes what has begun, for at most so long, and closes
    /// the store. With a successor, connections go there instead of ending.
    pub fn drain(mut self, successor: Option<Sender<Handed>>, patience: Duration) {
        self.listeners.clear();
        for (mailbox, _) in &self.reactors {
            mailbox.send(Message::Drain(successor.clone()));
        }
        drop(successor);
        let mut left = self.reactors.len();
        let until = world::clock::monotonic_nanos() + patience.as_nanos() as u64;
        while left > 0 {
            let rest = until.saturating_sub(world::clock::monotonic_nanos());
            if self.ended.recv_timeout(Duration::from_nanos(rest)).is_err() {
                break;
            }
            left -= 1;
        }
        if left > 0 {
            tracing::warn!(left, "not all connections ended in time; they are cut");
        }
        for (mailbox, thread) in self.reactors {
            mailbox.send(Message::Stop);
            let _ = thread.join();
        }
        self.orders.close_jobs();
        for worker in self.workers {
            let _ = worker.join();
        }
        self.orders.changes.close();
        let _ = self.writer.join();
    }
}

/// A thread whose panic ends the process: nobody would notice that it is missing.
fn thread(name: String, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name).spawn(|| {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err() {
            std::process::abort();
        }
    })
}

fn again(listeners: &[Listener]) -> io::Result<Vec<Listener>> {
    listeners
        .iter()
        .map(|listener| Ok(Listener { socket: listener.socket.try_clone()?, tls: listener.tls }))
        .collect()
}

fn addresses(listeners: &[Listener]) -> io::Result<Vec<(SocketAddr, bool)>> {
    let mut addresses = Vec::new();
    for listener in listeners {
        let address = (address_of(listener)?, listener.tls);
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}
