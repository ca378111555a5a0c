//! The thread that leads: the only one that decides and the only one that writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use model::problem::{ErrorCode, Problem};
use model::{Duration, Timestamp};
use record::group::Limits;
use record::{Fence, Store, StoreError, Transaction};
use tokio::sync::oneshot;
use world::SystemEntropy;

use super::published::{Published, rows};
use super::{Answer, LeaderSettings, Opener, Shared, Waiting};
use crate::cell::{Cell, Decided};

const LEASE: &str = "leader";
/// How long a leader may be silent before another takes over.
const LEASE_FOR: Duration = Duration::from_secs(10);
/// How often the lease is renewed, or asked for, or the leader's events are read.
const BEAT: std::time::Duration = std::time::Duration::from_millis(1_000);

/// The state of the thread.
pub struct Writer {
    open: Opener,
    store: Option<Box<dyn Store>>,
    waiting: Receiver<Waiting>,
    shared: Arc<Shared>,
    settings: LeaderSettings,
    stop: Arc<AtomicBool>,
    role: Role,
}

/// What the thread is doing.
enum Role {
    /// Another leads, or nobody does yet.
    Following,
    /// We lead.
    Leading {
        /// Our right to write.
        fence: Fence,
        /// What is decided.
        cell: Box<Cell>,
        /// When the lease was last renewed.
        renewed: Timestamp,
    },
}

/// An ask that was decided, waiting for its commit.
struct Pending {
    decided: Decided,
    answer: oneshot::Sender<Result<Answer, Problem>>,
}

impl Writer {
    /// The thread's state at its start.
    pub fn new(
        open: Opener,
        store: Box<dyn Store>,
        waiting: Receiver<Waiting>,
        shared: Arc<Shared>,
        settings: LeaderSettings,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self { open, store: Some(store), waiting, shared, settings, stop, role: Role::Following }
    }

    /// Runs until it is told to stop or everybody has gone.
    pub fn run(mut self) {
        self.beat();
        while !self.stop.load(Ordering::Acquire) {
            let first = match self.waiting.recv_timeout(BEAT) {
                Ok(first) => Some(first),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if let Some(first) = first {
                self.serve(first);
            }
            self.beat();
        }
        if let (Role::Leading { fence, .. }, Some(store)) = (&self.role, &mut self.store) {
            let _ = store.release(fence);
        }
        self.shared.leads.store(false, Ordering::Release);
    }

    /// Keeps the lease, or tries to get it; reads what another leader wrote.
    fn beat(&mut self) {
        let now = self.settings.clock.now();
        let result = match &self.role {
            Role::Leading { renewed, .. } if now.since(*renewed).micros() < 1_000_000 => Ok(()),
            Role::Leading { .. } => self.renew(now),
            Role::Following => self.follow(now),
        };
        if let Err(error) = result {
            tracing::warn!("the record: {error}");
            self.lose(&error);
        }
    }

    fn store(&mut self) -> Result<&mut Box<dyn Store>, StoreError> {
        if self.store.is_none() {
            self.store = Some((self.open)()?);
        }
        Ok(self.store.as_mut().expect("it was just opened"))
    }

    fn renew(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let Role::Leading { fence, .. } = &self.role else { return Ok(()) };
        let fence = fence.clone();
        if !self.store()?.renew(&fence, now, LEASE_FOR)? {
            tracing::warn!("another control plane has taken over; this one follows");
            self.resign();
            return Ok(());
        }
        if let Role::Leading { renewed, .. } = &mut self.role {
            *renewed = now;
        }
        Ok(())
    }

    fn follow(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let holder = self.settings.holder.clone();
        let fence = self.store()?.acquire(LEASE, &holder, now, LEASE_FOR)?;
        self.catch_up()?;
        let Some(fence) = fence else { return Ok(()) };
        let state = self.store()?.load()?;
        let cell = Cell::load(&state, self.settings.machine.clone())
            .map_err(|error| StoreError::Corrupt(error.to_string()))?;
        assert_eq!(state.revision(), self.revision(), "nobody else writes under our lease");
        tracing::info!(revision = state.revision(), number = fence.number, "leading");
        self.role = Role::Leading { fence, cell: Box::new(cell), renewed: now };
        self.shared.leads.store(true, Ordering::Release);
        Ok(())
    }

    /// Publishes what is recorded and not published yet.
    fn catch_up(&mut self) -> Result<(), StoreError> {
        loop {
            let after = self.revision();
            let rows = match self.store()?.events(after, 1_024) {
                Ok(rows) => rows,
                Err(StoreError::Pruned { .. } | StoreError::Diverged { .. }) => {
                    return self.start_over();
                }
                Err(error) => return Err(error),
            };
            if rows.is_empty() {
                return Ok(());
            }
            self.publish(|published| rows.iter().for_each(|row| published.take(row)));
        }
    }

    /// Reads everything anew, where following event by event is not possible.
    fn start_over(&mut self) -> Result<(), StoreError> {
        let store = self.store()?;
        let state = store.load()?;
        let fresh = Published::load(&state, store.as_mut())?;
        self.publish(|published| *published = fresh);
        Ok(())
    }

    fn revision(&self) -> u64 {
        *self.shared.changed.borrow()
    }

    fn publish(&self, change: impl FnOnce(&mut Published)) {
        let mut published =
            self.shared.published.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut published);
        let revision = published.revision();
        drop(published);
        self.shared.changed.send_replace(revision);
    }

    fn resign(&mut self) {
        self.role = Role::Following;
        self.shared.leads.store(false, Ordering::Release);
    }

    /// After an error of the store: what was decided beyond the record is forgotten,
    /// and where the outcome is unknown the store is opened anew.
    fn lose(&mut self, error: &StoreError) {
        if error.outcome_unknown() {
            self.store = None;
        }
        self.resign();
    }

    /// Decides what waits, commits it, answers.
    fn serve(&mut self, first: Waiting) {
        let mut pending = Vec::new();
        let mut next = Some(first);
        while let Some(waiting) = next {
            if let Some(decided) = self.decide(waiting) {
                pending.push(decided);
            }
            next = (pending.len() < Limits::CELL.transactions)
                .then(|| self.waiting.try_recv().ok())
                .flatten();
        }
        if pending.is_empty() {
            return;
        }
        match self.commit(&pending) {
            Ok(()) => self.answer(pending),
            Err(error) => {
                tracing::error!("a commit failed: {error}");
                self.lose(&error);
                let problem = problem(&error);
                for waiting in pending {
                    let _ = waiting.answer.send(Err(problem.clone()));
                }
            }
        }
    }

    fn decide(&mut self, waiting: Waiting) -> Option<Pending> {
        let Waiting { ask, answer } = waiting;
        let Role::Leading { cell, .. } = &mut self.role else {
            let detail = "this control plane follows another; it answers reads only";
            let _ = answer.send(Err(Problem::new(ErrorCode::NotLeader, detail)));
            return None;
        };
        match cell.decide(&ask, self.settings.clock.now(), &mut SystemEntropy) {
            Ok(decided) => Some(Pending { decided, answer }),
            Err(problem) => {
                let _ = answer.send(Err(problem));
                None
            }
        }
    }

    /// Makes the decisions durable and published, all at once.
    fn commit(&mut self, pending: &[Pending]) -> Result<(), StoreError> {
        let changed = |waiting: &&Pending| !waiting.decided.transaction.changes.is_empty();
        let batch: Vec<Transaction> = pending
            .iter()
            .filter(changed)
            .map(|waiting| waiting.decided.transaction.clone())
            .collect();
        if batch.is_empty() {
            return Ok(());
        }
        let Role::Leading { fence, .. } = &self.role else {
            unreachable!("only a leader has something to commit")
        };
        let (fence, first) = (fence.clone(), self.revision() + 1);
        let began = self.settings.clock.now();
        self.store()?.commit(fence, first, &batch)?;
        let took = self.settings.clock.now().since(began).std();
        let mut revision = first;
        self.publish(|published| {
            for transaction in &batch {
                rows(revision, transaction).for_each(|row| published.take(&row));
                revision += transaction.changes.len() as u64;
            }
        });
        (self.settings.committed)(batch.len(), (revision - first) as usize, took);
        Ok(())
    }

    fn answer(&self, pending: Vec<Pending>) {
        let revision = self.revision();
        for waiting in pending {
            let Decided { reply, replayed, .. } = waiting.decided;
            let answer = Answer { reply, revision, replayed };
            // Whoever asked may have gone; what was decided stands.
            let _ = waiting.answer.send(Ok(answer));
        }
    }
}

fn problem(error: &StoreError) -> Problem {
    let code = match error {
        StoreError::Full(_) => ErrorCode::StorageFull,
        StoreError::Fenced { .. } => ErrorCode::NotLeader,
        _ => ErrorCode::Unavailable,
    };
    let detail = match error.outcome_unknown() {
        true => format!("whether it was done is not known: {error}"),
        false => format!("nothing was done: {error}"),
    };
    Problem::new(code, detail)
        .next("Send it again with the same Idempotency-Key: it is done once, whatever happened.")
}
