//! Stands between a leader and its store: holds commits up, cuts the store off,
//! makes it panic, and counts.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use model::{Duration, Timestamp};
use record::{EventRow, Fence, Revision, State, Store, StoreError, Transaction};

/// What a store says that must not reach callers.
pub const SECRET: &str = "/secret/path/of/the/record";

/// What is done after the next load, before its result is used.
type Hook = Box<dyn FnOnce() + Send>;

/// The orders, and the counts.
#[derive(Default)]
pub struct Gate {
    closed: Mutex<bool>,
    moved: Condvar,
    /// Commits that wait or have passed.
    pub arrived: AtomicU64,
    /// No call reaches the store.
    pub away: AtomicBool,
    pub panic_at_commit: AtomicBool,
    pub after_load: Mutex<Option<Hook>>,
    pub opens: AtomicU64,
    pub reads: AtomicU64,
    pub acquires: AtomicU64,
}

impl Gate {
    /// Holds up every commit from now on.
    pub fn close(&self) {
        *self.closed.lock().unwrap() = true;
    }

    /// Lets them go.
    pub fn open(&self) {
        *self.closed.lock().unwrap() = false;
        self.moved.notify_all();
    }

    pub fn count(&self, of: impl Fn(&Self) -> &AtomicU64) -> u64 {
        of(self).load(Ordering::SeqCst)
    }

    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    fn pass(&self) {
        self.arrived.fetch_add(1, Ordering::SeqCst);
        let closed = self.closed.lock().unwrap();
        drop(self.moved.wait_while(closed, |closed| *closed).unwrap());
        assert!(!self.panic_at_commit.swap(false, Ordering::SeqCst), "ordered by the test");
    }

    /// Fails while the store is away.
    pub fn reach(&self) -> Result<(), StoreError> {
        match self.away.load(Ordering::SeqCst) {
            true => Err(StoreError::Io(SECRET.to_owned())),
            false => Ok(()),
        }
    }
}

/// A store behind a gate.
pub struct Gated {
    pub inner: Box<dyn Store>,
    pub gate: Arc<Gate>,
}

impl Store for Gated {
    fn load(&mut self) -> Result<State, StoreError> {
        self.gate.reach()?;
        let state = self.inner.load();
        let hook = self.gate.after_load.lock().unwrap().take();
        hook.into_iter().for_each(|hook| hook());
        state
    }

    fn commit(
        &mut self,
        fence: Fence,
        first: Revision,
        batch: &[Transaction],
    ) -> Result<(), StoreError> {
        self.gate.pass();
        self.gate.reach()?;
        self.inner.commit(fence, first, batch)
    }

    fn events(&mut self, after: Revision, limit: u32) -> Result<Vec<EventRow>, StoreError> {
        self.gate.reads.fetch_add(1, Ordering::SeqCst);
        self.gate.reach()?;
        self.inner.events(after, limit)
    }

    fn replay(&mut self) -> Result<State, StoreError> {
        self.gate.reach()?;
        self.inner.replay()
    }

    fn prune(&mut self, keep_after: Revision) -> Result<(), StoreError> {
        self.gate.reach()?;
        self.inner.prune(keep_after)
    }

    fn acquire(
        &mut self,
        name: &str,
        holder: &str,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Option<Fence>, StoreError> {
        self.gate.acquires.fetch_add(1, Ordering::SeqCst);
        self.gate.reach()?;
        self.inner.acquire(name, holder, now, ttl)
    }

    fn renew(&mut self, fence: &Fence, now: Timestamp, ttl: Duration) -> Result<bool, StoreError> {
        self.gate.reach()?;
        self.inner.renew(fence, now, ttl)
    }

    fn release(&mut self, fence: &Fence) -> Result<(), StoreError> {
        self.gate.reach()?;
        self.inner.release(fence)
    }
}
