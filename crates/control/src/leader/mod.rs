//! Decide, record, and only then tell. One thread owns the cell and the store: it
//! takes what waits, decides it in order, commits all of it at once (group
//! commit), and then answers, shows and wakes. Readers look at what is recorded,
//! never at what is only decided.
//!
//! One process leads, by a lease in the store; others follow its events, serve
//! reads, and take over when the lease runs out.
//!
//! Read in this order: [`published`] (what everybody may look at), [`writer`] (the
//! thread: decide, commit, answer), [`lease`] (to lead and to follow), [`refusal`]
//! (what is answered when it cannot be done), [`prune`] (what is kept no longer).

mod lease;
mod prune;
mod published;
mod refusal;
mod writer;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, RwLock, RwLockReadGuard};

use model::event::Event;
use model::problem::{ErrorCode, Problem};
use record::{EventRow, Store, StoreError};
use tokio::sync::{oneshot, watch};
use world::Clock;

use crate::cell::{Ask, Reply};
use crate::nouns::Nouns;

use published::Published;

/// More asks than this at once are refused: each waits for a commit anyway.
const WAITING_MAX: usize = 16_384;

/// Opens the store, at the start and after a fault.
pub type Opener = Box<dyn FnMut() -> Result<Box<dyn Store>, StoreError> + Send>;

/// How a leader is set up.
pub struct LeaderSettings {
    /// Who holds the lease: unique among processes.
    pub holder: String,
    /// The knobs of machines.
    pub machine: Arc<machine::Settings>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Called after each commit with the transactions and changes in it, and how
    /// long it took.
    pub committed: Box<dyn Fn(usize, usize, std::time::Duration) + Send>,
    /// Events that are kept in the record: the newest so many, or a few more.
    pub keep_events: u64,
}

/// A handle on the thread that leads.
#[derive(Clone)]
pub struct Leader {
    inbox: Inbox,
    shared: Arc<Shared>,
}

/// What everybody may look at.
struct Shared {
    published: RwLock<Published>,
    changed: watch::Sender<u64>,
    leads: watch::Sender<bool>,
}

/// What goes to the thread: an ask, or nothing, to wake it.
type Inbox = SyncSender<Option<Box<Waiting>>>;

/// An ask, and where its answer goes.
struct Waiting {
    ask: Ask,
    answer: oneshot::Sender<Result<Answer, Problem>>,
}

/// An answer. What it says is recorded.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What came of it.
    pub reply: Reply,
    /// The newest revision when it was given.
    pub revision: u64,
    /// The same answer as before, for the same idempotency key.
    pub replayed: bool,
}

/// Ends the thread when it is dropped: after what it is at, without what waits. That
/// is a matter of milliseconds, or as long as the store lets a call wait.
pub struct Leading {
    thread: Option<std::thread::JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    inbox: Inbox,
}

impl Leader {
    /// Opens the record and starts the thread. Fails when the record cannot be read.
    pub fn start(
        mut open: Opener,
        settings: LeaderSettings,
    ) -> Result<(Self, Leading), StoreError> {
        let mut store = open()?;
        let state = store.load()?;
        let (inbox, waiting) = std::sync::mpsc::sync_channel(WAITING_MAX);
        let published = Published::load(&state, store.as_mut())?;
        let (changed, _) = watch::channel(published.revision());
        let shared = Arc::new(Shared {
            published: RwLock::new(published),
            changed,
            leads: watch::channel(false).0,
        });
        let stop = Arc::new(AtomicBool::new(false));
        let writer =
            writer::Writer::new(open, store, waiting, shared.clone(), settings, stop.clone());
        let thread = std::thread::Builder::new()
            .name("leader".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| StoreError::Io(format!("no thread could be started: {error}")))?;
        let leading = Leading { thread: Some(thread), stop, inbox: inbox.clone() };
        Ok((Self { inbox, shared }, leading))
    }

    /// Asks, and waits until the answer is recorded.
    pub async fn ask(&self, ask: Ask) -> Result<Answer, Problem> {
        let (answer, answered) = oneshot::channel();
        let waiting = Box::new(Waiting { ask, answer });
        self.inbox.try_send(Some(waiting)).map_err(|error| match error {
            TrySendError::Full(_) => {
                let detail = format!("{WAITING_MAX} requests wait already");
                Problem::new(ErrorCode::TooManyRequests, detail)
            }
            TrySendError::Disconnected(_) => refusal::stopping(),
        })?;
        answered.await.unwrap_or_else(|_| Err(refusal::interrupted()))
    }

    /// What is recorded. Keep the guard short, and never across an await.
    pub fn read(&self) -> RwLockReadGuard<'_, Published> {
        self.shared.published.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The newest revision.
    pub fn revision(&self) -> u64 {
        self.read().revision()
    }

    /// Tells of each newest revision.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    /// The rows of the events after a revision, at most `limit`, without what nobody is
    /// shown; a problem when they are not kept in memory any more.
    pub fn rows(&self, after: u64, limit: usize) -> Result<Vec<Arc<EventRow>>, Problem> {
        self.read().after(after, limit)
    }

    /// The events after a revision, at most `limit`; a problem when they are not
    /// kept in memory any more.
    pub fn events(&self, after: u64, limit: usize) -> Result<Vec<Event>, Problem> {
        let rows = self.read().after(after, limit)?;
        // Bodies are parsed after the guard is gone: nobody waits for that.
        Ok(rows.iter().filter_map(|row| published::event(row)).collect())
    }

    /// Whether this process leads.
    pub fn leads(&self) -> bool {
        *self.shared.leads.borrow()
    }

    /// Tells when this process comes to lead or ceases to. Who ceased and leads
    /// again before anybody looked shows by [`watch::Receiver::changed`] only.
    pub fn leading(&self) -> watch::Receiver<bool> {
        self.shared.leads.subscribe()
    }
}

impl std::ops::Deref for Published {
    type Target = Nouns;
    fn deref(&self) -> &Nouns {
        self.nouns()
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // A full inbox needs no waking.
        let _ = self.inbox.try_send(None);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
