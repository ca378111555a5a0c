//! An engine begins, and ends.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use model::volume::{DiskProblem, PoolSpec};
use rustix::event::{PollFd, PollFlags, poll};
use thiserror::Error;

use super::book::Book;
use super::steps::Steps;
use super::{Engine, Table, key};
use crate::handover::Replacing;
use crate::keeper::client::{Deposits, Keeper};
use crate::keeper::wire::Kind;
use crate::listening::listen;
use crate::orders::{self, Serving};
use crate::privilege;
use crate::reactor::{LaneHandle, LaneSettings};
use crate::shared::Shared;
use crate::shared::page::StatusPage;
use crate::shared::signals::Signals;

/// Memory for data on its way between guests and media, in bytes.
const BUFFERS: usize = 32 << 20;
/// A replaced engine waits so long for orders that are not answered.
const GOODBYE: std::time::Duration = std::time::Duration::from_secs(10);
/// Under which key the socket of orders is deposited.
const ORDERS: &str = "orders";

/// What an engine is told on its command line.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The service's directory.
    pub directory: PathBuf,
    /// Its lane.
    pub lane: LaneSettings,
    /// Become this user first.
    pub user: Option<String>,
    /// Give up what is not needed, once everything runs.
    pub confine: bool,
    /// Pools that are made when they are not there.
    pub pools: Vec<PoolSpec>,
}

/// Why an engine does not run.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The system refused something.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Something that it was told to have cannot be had.
    #[error("{0}")]
    Refused(DiskProblem),
}

pub(crate) fn system(what: &'static str) -> impl Fn(io::Error) -> EngineError {
    move |source| EngineError::System { what, source }
}

/// Runs an engine until it has been replaced, or is told to end.
pub fn run(settings: Settings) -> Result<(), EngineError> {
    let signals = Signals::block().map_err(system("signals cannot be waited for"))?;
    let keeper = Keeper::inherited().map_err(system("there is no keeper"))?;
    privilege::allow_locked_memory();
    if let Some(user) = &settings.user {
        privilege::become_user(user).map_err(system("cannot become the user"))?;
    }
    let mut steps = Steps::begin();
    let (deposits, generation, said) =
        keeper.all().map_err(system("the keeper does not answer"))?;
    let peer = said.into_iter().find(|message| message.kind == Kind::Peer);
    let (engine, serving) = match peer.and_then(|message| message.fds.into_iter().next()) {
        Some(peer) => crate::handover::take_over(&settings, keeper, generation, peer)?,
        None => begin(&settings, keeper, generation, &deposits, &mut steps)?,
    };
    // What came to us is ours by now; the rest need not stay open as long as we live.
    drop(deposits);
    if settings.confine {
        let said = privilege::confine();
        *engine.confinement.lock().unwrap_or_else(PoisonError::into_inner) = said;
    }
    attend(&engine, &signals, serving)
}

/// Alone: at the first start, or after a crash.
fn begin(
    settings: &Settings,
    keeper: Keeper,
    generation: u64,
    left: &Deposits,
    steps: &mut Steps,
) -> Result<(Arc<Engine>, Serving), EngineError> {
    steps.done("deposits");
    let page = match left.get("page") {
        Some(deposit) => deposit.fd(0).and_then(StatusPage::open),
        None => StatusPage::create(),
    };
    let page = page.map_err(system("there is no memory for the status"))?;
    keeper.put("page", &(), &[page.file()]).map_err(system("the keeper does not listen"))?;
    let mut buffers =
        Shared::create("bedplate-buffers", BUFFERS).map_err(system("no memory for data"))?;
    keeper.put("buffers", &(), &[buffers.file()]).map_err(system("the keeper does not listen"))?;
    let region = buffers.region();
    let started = LaneHandle::start("lane-0".into(), settings.lane, region, |_| Ok(()));
    let (lane, ()) = started.map_err(system("the lane cannot be started"))?;
    let came = if left.is_empty() { "started" } else { "restarted after a crash" };
    page.own(super::LANE, generation);
    steps.done("lane");
    let engine = make(settings, keeper, generation, came, page, lane)?;
    engine.open_all(settings, left, steps).map_err(EngineError::Refused)?;
    let serving = engine.take_orders(left).map_err(system("orders cannot be taken"))?;
    // The keeper may be gone: that is heard soon.
    engine.keeper.say(Kind::Ready, b"").ok();
    steps.done("orders");
    steps.tell(came);
    Ok((engine, serving))
}

/// The engine around a lane, with nothing in it.
pub(crate) fn make(
    settings: &Settings,
    keeper: Keeper,
    generation: u64,
    came: &'static str,
    page: StatusPage,
    lane: LaneHandle,
) -> Result<Arc<Engine>, EngineError> {
    let keys = key::Keys::of(&settings.directory)
        .map_err(system("the key of the service cannot be had"))?;
    Ok(Arc::new(Engine {
        directory: settings.directory.clone(),
        settings: settings.lane,
        keeper,
        generation,
        came,
        page,
        lane,
        keys,
        table: Mutex::new(Table::default()),
        confinement: Mutex::new("not confined".into()),
        numbers: AtomicU64::new(1),
        orders_socket: Mutex::new(None),
        underway: Arc::default(),
        orders: Mutex::new(()),
        replacing: Replacing::default(),
    }))
}

impl Engine {
    /// Opens what the book says, and what was asked for on the command line. A pool or
    /// socket that cannot be had is told; the others are served.
    fn open_all(
        self: &Arc<Self>,
        settings: &Settings,
        left: &Deposits,
        steps: &mut Steps,
    ) -> Result<(), DiskProblem> {
        let book = match left.get("book") {
            Some(deposit) => deposit.read(),
            None => Book::read(&self.directory),
        };
        let mut book: Book =
            book.map_err(|error| super::problem::system("the book cannot be read", &error))?;
        for pool in &settings.pools {
            if !book.pools.iter().any(|known| known.name == pool.name) {
                book.pools.push(pool.clone());
            }
        }
        let mut table = self.table();
        steps.done("book");
        for spec in book.pools.clone() {
            let name = spec.name.clone();
            let key = super::pools::pool_key(&name);
            if let Err(problem) = self.open_pool(&mut table, spec, left.get(&key)) {
                tracing::error!(pool = name, %problem, "a pool is not served");
            }
        }
        steps.done("pools");
        table.book = book.clone();
        for served in book.served {
            let (volume, socket) = (served.volume.clone(), served.socket.clone());
            if let Err(problem) = self.start_serving(&mut table, served, left) {
                tracing::error!(volume, socket = %socket.display(), %problem, "a volume is not served");
            }
        }
        steps.done("volumes");
        self.resume_sessions(&table, left);
        steps.done("guests");
        let kept = table.book.clone();
        self.keep_book(&kept)
            .map_err(|error| super::problem::system("the book cannot be written", &error))
    }

    /// Goes on with the sessions of VMMs that an engine that died had, and hangs up on its
    /// NBD clients: what was in flight of those nobody knows any more.
    fn resume_sessions(self: &Arc<Self>, table: &Table, left: &Deposits) {
        for (key, deposit) in left {
            if key.starts_with("nbd-client/") {
                // Whoever else has it, we and the keeper, would keep it open.
                let shut = deposit.fd(0).and_then(|socket| {
                    Ok(rustix::net::shutdown(socket, rustix::net::Shutdown::Both)?)
                });
                if let Err(error) = shut {
                    tracing::warn!(key, %error, "an NBD client was gone already");
                }
                self.keeper.delete(key).ok();
                continue;
            }
            if !key.starts_with("vhost-session/") {
                continue;
            }
            let resumed = deposit.read::<super::guests::SessionDeposit>().and_then(|saved| {
                let guests = table.guests.get(&saved.volume).ok_or(io::ErrorKind::NotFound)?;
                guests.listen_to(guests.resume(self, deposit, None)?)
            });
            if let Err(error) = resumed {
                tracing::error!(key, %error, "a virtual machine lost its disk");
                self.keeper.delete(key).ok();
            }
        }
    }

    /// Serves the control socket, that of an engine before us if there is one.
    pub(crate) fn take_orders(self: &Arc<Self>, left: &Deposits) -> io::Result<Serving> {
        let listener = match left.get(ORDERS) {
            Some(deposit) => deposit.fd(0)?.into(),
            None => listen(&orders::socket(&self.directory))?,
        };
        self.keeper.put(ORDERS, &(), &[listener.as_fd()])?;
        let again = listener.as_fd().try_clone_to_owned()?;
        *self.orders_socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(again);
        self.serve_orders(listener)
    }

    /// Serves the control socket again.
    pub(crate) fn take_orders_again(self: &Arc<Self>) -> Option<Serving> {
        let socket = self.orders_socket.lock().unwrap_or_else(PoisonError::into_inner);
        let again = socket
            .as_ref()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
            .and_then(OwnedFd::try_clone);
        let serving = again.and_then(|socket| self.serve_orders(socket.into()));
        serving.inspect_err(|error| tracing::error!(%error, "orders are not taken any more")).ok()
    }

    fn serve_orders(self: &Arc<Self>, listener: UnixListener) -> io::Result<Serving> {
        let engine = Arc::clone(self);
        let underway = Arc::clone(&self.underway);
        orders::serve(listener, Arc::new(move |order| engine.carry_out(order)), underway)
    }

    /// The end in good order: what was acknowledged becomes durable, clients are hung up on.
    fn end(self: &Arc<Self>) {
        let (guests, clients, pools) = {
            let mut table = self.table();
            let pools: Vec<_> = table.pools.values().map(|pool| pool.index).collect();
            (std::mem::take(&mut table.guests), std::mem::take(&mut table.clients), pools)
        };
        for (_, guests) in guests {
            guests.end(self);
        }
        for (_, clients) in clients {
            clients.end(self);
        }
        for pool in pools {
            self.checkpoint(pool);
        }
        self.lane.tell(|lane| lane.end()).ok();
        std::fs::remove_file(orders::socket(&self.directory)).ok();
    }
}

/// Listens to the keeper and to signals until the end.
fn attend(engine: &Arc<Engine>, signals: &Signals, serving: Serving) -> Result<(), EngineError> {
    let mut serving = Some(serving);
    let why = loop {
        let mut fds =
            [PollFd::new(&engine.keeper, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
        rustix::io::retry_on_intr(|| poll(&mut fds, None))
            .map_err(|error| system("the keeper cannot be waited for")(error.into()))?;
        if !fds[1].revents().is_empty() && signals.take() {
            break "a signal";
        }
        if fds[0].revents().is_empty() {
            continue;
        }
        match engine.keeper.hear() {
            Ok(None) | Err(_) => break "the keeper is gone",
            Ok(Some(message)) if message.kind == Kind::Stop => break "the keeper says so",
            Ok(Some(message)) if message.kind == Kind::Peer => {
                match crate::handover::hand_over(engine, message, &mut serving) {
                    crate::handover::Outcome::HandedOver => {
                        if !engine.underway.answered(GOODBYE) {
                            tracing::warn!("an order was not answered before the end");
                        }
                        return Ok(());
                    }
                    crate::handover::Outcome::GoesOn => {}
                }
            }
            Ok(Some(message)) if message.kind == Kind::Refused => {
                engine.replacing.ended(Err(String::from_utf8_lossy(&message.bytes).into_owned()));
            }
            Ok(Some(_)) => {}
        }
    };
    tracing::info!(why, "ending");
    if let Some(serving) = serving {
        serving.end();
    }
    engine.end();
    // The keeper may be gone: then nobody needs to hear it.
    engine.keeper.say(Kind::Leaving, why.as_bytes()).ok();
    Ok(())
}
