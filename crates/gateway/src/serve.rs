//! A gateway's process, from its data directory to its end.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use object::{Mutation, Refusal, Reply};
use thiserror::Error;

use crate::admin::{Admin, Metrics};
use crate::administer::{self, Administer};
use crate::metrics;
use crate::order_socket::OrderSocket;
use crate::orders::Orders;
use crate::relay::Relay;
use crate::run::{Parts, Running, Settings, Sockets};
use crate::sockets::{address_of, bind_all, raise_descriptors};
use crate::step::Service;
use crate::takeover;
use crate::writer::Applies;

/// Where and how a gateway runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory of all it keeps.
    pub data: PathBuf,
    /// Where it listens: addresses, and whether by TLS.
    pub listen: Vec<(SocketAddr, bool)>,
    /// Where administrators ask.
    pub admin: Option<SocketAddr>,
    /// How it is run.
    pub settings: Settings,
    /// It takes over from the one that runs.
    pub replaces: bool,
    /// What has begun may take so long to end.
    pub drain: Duration,
}

/// What happens to a gateway from outside.
#[derive(Debug)]
pub enum Event {
    /// It is to end.
    Stop,
    /// Another process takes over.
    Successor(OwnedFd),
    /// The store makes no more changes: why.
    Broken(String),
}

/// Why a gateway does not run.
#[derive(Debug, Error)]
pub enum ServeError {
    /// Another process has the directory.
    #[error("another gateway runs with {0}; `--replace` takes over from it")]
    Taken(String),
    /// The system refuses something.
    #[error("{0}: {1}")]
    System(&'static str, io::Error),
    /// What is to be served cannot be.
    #[error("{0}")]
    Open(String),
    /// The store made no more changes, and the process ended.
    #[error(
        "the store took no more changes: {0}. Look at the disk and at the kernel's log, and \
         start the gateway again: a start finds out what the disk kept"
    )]
    Broken(String),
}

/// A store that says when it is of no more use: this process has to end then, because only
/// a start finds out what the medium kept.
struct Watched {
    store: Box<dyn Applies>,
    events: Option<Sender<Event>>,
}

impl Watched {
    fn look(&mut self) {
        if let Some(why) = self.store.dead()
            && let Some(events) = self.events.take()
        {
            tracing::error!(why, "the store takes no more changes; this process ends");
            let _ = events.send(Event::Broken(why));
        }
    }
}

impl Applies for Watched {
    fn apply(&mut self, batch: Vec<Mutation>) -> Vec<Result<Reply, Refusal>> {
        let results = self.store.apply(batch);
        self.look();
        results
    }
    fn tick(&mut self) -> Duration {
        let next = self.store.tick();
        self.look();
        next
    }
    fn close(&mut self) {
        self.store.close();
    }
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> ServeError {
    move |error| ServeError::System(what, error)
}

/// What is served.
pub struct Opened {
    /// Who decides, and who keeps.
    pub parts: Parts,
    /// More metrics.
    pub metrics: Metrics,
    /// What carries out orders of administrators.
    pub administer: Option<Administer>,
}

/// Where administrators ask, while this is there.
struct Admins {
    http: Option<Admin>,
    _socket: Option<OrderSocket>,
}

impl Admins {
    fn start(
        options: &Options,
        page: Metrics,
        administer: Option<Administer>,
        orders: Orders,
    ) -> Result<Self, ServeError> {
        let http = options.admin.map(|address| Admin::start(address, page)).transpose();
        let http = http.map_err(system("listening for administrators"))?;
        let start = |administer: Administer| {
            let carries = Box::new(move |order| administer.carry_out(order, &orders));
            OrderSocket::start(&administer::socket(&options.data), carries)
        };
        let socket = administer.map(start).transpose();
        let _socket = socket.map_err(system("making the socket for administrators"))?;
        Ok(Self { http, _socket })
    }
}

/// Where a gateway serves, for who started it.
pub struct Serving {
    /// Addresses, and whether by TLS.
    pub addresses: Vec<(SocketAddr, bool)>,
    /// The administrators'.
    pub admin: Option<SocketAddr>,
    /// It took over from another process.
    pub took_over: bool,
    /// Writes all its metrics.
    pub metrics: Metrics,
}

/// Serves until an event says to end. `open` is called when the directory is ours; `told`
/// when everything serves.
///
/// # Errors
/// When it cannot begin.
pub fn serve(
    options: &Options,
    events: (Sender<Event>, Receiver<Event>),
    open: impl FnOnce() -> Result<Opened, ServeError>,
    told: impl FnOnce(&Serving),
) -> Result<(), ServeError> {
    std::fs::create_dir_all(&options.data).map_err(system("making the data directory"))?;
    let taken = match options.replaces {
        true => takeover::take_over(&options.data).map_err(system("taking over"))?,
        false => None,
    };
    let took_over = taken.is_some();
    let lock = lock(options)?;
    let settings = fit(&options.settings);
    let mut sockets = taken.unwrap_or_default();
    bind_missing(options, &mut sockets).map_err(system("listening"))?;
    let Opened { mut parts, metrics, administer } = open()?;
    let service = parts.service.clone();
    let (sender, events) = events;
    let watched = Watched { store: parts.store, events: Some(sender.clone()) };
    parts.store = Box::new(watched);
    let start = Running::start(&settings, sockets, parts);
    let running = start.map_err(system("starting"))?;
    takeover::wait_for_successors(&options.data, move |successor| {
        let _ = sender.send(Event::Successor(successor));
    })
    .map_err(system("making the socket for successors"))?;
    let page = page(&running, service, metrics);
    let admin = Admins::start(options, Arc::clone(&page), administer, running.orders())?;
    told(&Serving {
        addresses: running.addresses.clone(),
        admin: admin.http.as_ref().map(|admin| admin.address),
        metrics: page,
        took_over,
    });
    let ended = end(running, admin, &events, options);
    drop(lock);
    match ended {
        Ended::Done => Ok(()),
        Ended::Broken(why) => Err(ServeError::Broken(why)),
        Ended::Replaced(successor, relay) => {
            takeover::say_over(&successor);
            // What it relays still, a client closes with the next reply; and who is told
            // to end does not wait for that.
            relay.run(|| matches!(events.try_recv(), Ok(Event::Stop)));
            Ok(())
        }
    }
}

/// All metrics.
fn page(running: &Running, service: Arc<dyn Service>, metrics: Metrics) -> Metrics {
    let (counters, orders) = (running.counters.clone(), running.orders());
    Arc::new(move |into: &mut String| {
        metrics::render(&counters, into);
        let (jobs, changes) = (orders.waiting_jobs(), orders.changes.waiting());
        metrics::gauge(into, "waiting_jobs", "Work that waits.", jobs as u64);
        metrics::gauge(into, "waiting_changes", "Changes that wait.", changes as u64);
        service.metrics(into);
        metrics(into);
    })
}

/// How a gateway ended.
enum Ended {
    /// It was told to.
    Done,
    /// Its store did.
    Broken(String),
    /// Another serves, and has this process relay what is encrypted.
    Replaced(OwnedFd, Relay),
}

/// Waits for the end, and ends.
fn end(mut running: Running, admin: Admins, events: &Receiver<Event>, options: &Options) -> Ended {
    let drain = options.drain;
    loop {
        let event = events.recv();
        match event {
            Ok(Event::Stop | Event::Broken(_)) | Err(_) => {
                // There is nothing to take over any more: who wants to waits for the lock.
                let _ = std::fs::remove_file(takeover::path(&options.data));
                drop(admin);
                running.drain(None, drain);
                return match event {
                    Ok(Event::Broken(why)) => Ended::Broken(why),
                    _ => Ended::Done,
                };
            }
            Ok(Event::Successor(successor)) => {
                let listeners = running.take_listeners();
                if let Err(error) = takeover::give_listeners(&successor, &listeners) {
                    tracing::warn!(%error, "a successor went away; this process goes on");
                    running.keep_listeners(listeners);
                    continue;
                }
                // The successor wants the address.
                drop(admin);
                drop(listeners);
                let (hands, handed) = channel();
                let relay = std::thread::scope(|scope| {
                    let given = scope.spawn(|| takeover::give_connections(&successor, handed));
                    running.drain(Some(hands), drain);
                    given.join().unwrap_or_default()
                });
                return Ended::Replaced(successor, relay);
            }
        }
    }
}

/// Takes as many connections as there can be descriptors, with some left for files.
fn fit(settings: &Settings) -> Settings {
    const FILES: u64 = 4096;
    let wanted = settings.connections as u64 + FILES;
    let most = raise_descriptors(wanted);
    let connections = most.saturating_sub(FILES.min(most / 2)).min(settings.connections as u64);
    if most < wanted {
        tracing::warn!(most, connections, "the system allows few open files: fewer connections");
    }
    Settings { connections: connections as usize, ..settings.clone() }
}

/// Makes the directory ours alone. A successor waits until its predecessor is gone.
fn lock(options: &Options) -> Result<File, ServeError> {
    let path = options.data.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(system("opening the lock of the data directory"))?;
    if options.replaces {
        file.lock().map_err(system("locking the data directory"))?;
    } else if file.try_lock().is_err() {
        return Err(ServeError::Taken(options.data.display().to_string()));
    }
    Ok(file)
}

/// Listens where a predecessor did not.
fn bind_missing(options: &Options, sockets: &mut Sockets) -> io::Result<()> {
    for (address, tls) in &options.listen {
        let mut there = false;
        for listener in &sockets.listeners {
            let known = address_of(listener)?;
            let same = known == *address || (address.port() == 0 && known.ip() == address.ip());
            there |= same && listener.tls == *tls;
        }
        if !there {
            sockets.listeners.extend(bind_all(*address, *tls, options.settings.reactors)?);
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
