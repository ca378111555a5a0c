//! The thread: the only one that decides and the only one that writes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError, RwLockReadGuard};

use model::Timestamp;
use model::problem::Problem;
use record::group::Limits;
use record::{EventRow, Fence, Store, StoreError, Transaction};
use tokio::sync::oneshot;
use world::SystemEntropy;

use super::lease::BEAT;
use super::published::{Published, Recorded};
use super::{Answer, LeaderSettings, Opener, Shared, Waiting, refusal};
use crate::cell::{Cell, Decided, Reply};
use crate::nouns::Meaning;

/// The state of the thread.
pub struct Writer {
    pub(super) open: Opener,
    pub(super) store: Option<Box<dyn Store>>,
    waiting: Receiver<Option<Box<Waiting>>>,
    pub(super) shared: Arc<Shared>,
    pub(super) settings: LeaderSettings,
    stop: Arc<AtomicBool>,
    pub(super) role: Role,
    /// Until when nobody else may take the lease that we have or had last.
    pub(super) until: Timestamp,
    /// When the last beat was.
    pub(super) beaten: Timestamp,
    /// The next beat is due at once.
    pub(super) overdue: bool,
    /// What asks are answered while the record cannot be had.
    pub(super) trouble: Option<Problem>,
    /// A panic may have left what is published half done.
    pub(super) untrusted: bool,
    /// Events up to here are not in the record any more, as far as is known.
    pub(super) pruned: Option<u64>,
}

/// What the thread is doing.
pub enum Role {
    /// Another leads, or nobody does yet.
    Following,
    /// We lead.
    Leading {
        /// Our right to write.
        fence: Fence,
        /// What is decided.
        cell: Box<Cell>,
    },
}

/// What was decided and is to be recorded at once.
#[derive(Default)]
struct Batch {
    /// Those that change something.
    transactions: Vec<Transaction>,
    /// Of all their changes, in order.
    meanings: Vec<Meaning>,
    /// By [`Transaction::bytes`].
    bytes: usize,
    /// Asks that were taken, also those that were answered already: refusals without
    /// end must not keep the lease from being renewed.
    taken: usize,
    pending: Vec<Pending>,
    /// A decision panicked: what the cell says is not trusted any more.
    spoiled: bool,
}

/// An answer that waits for the commit.
struct Pending {
    reply: Reply,
    replayed: bool,
    answer: oneshot::Sender<Result<Answer, Problem>>,
}

impl Writer {
    /// The thread's state at its start.
    pub fn new(
        open: Opener,
        store: Box<dyn Store>,
        waiting: Receiver<Option<Box<Waiting>>>,
        shared: Arc<Shared>,
        settings: LeaderSettings,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            open,
            store: Some(store),
            waiting,
            shared,
            settings,
            stop,
            role: Role::Following,
            until: Timestamp::from_micros(0),
            beaten: Timestamp::from_micros(0),
            overdue: true,
            trouble: None,
            untrusted: false,
            pruned: None,
        }
    }

    /// Runs until it is told to stop or everybody has gone. A panic costs what was
    /// under way; then all is read anew from the record.
    pub fn run(mut self) {
        let mut panicked = false;
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.turn())) {
                Ok(true) => panicked = false,
                Ok(false) => break,
                Err(_) => {
                    tracing::error!("a fault of Bedplate; it goes on from the record");
                    self.distrust();
                    // At once, but not for ever when that is what panics.
                    self.overdue = !panicked;
                    panicked = true;
                }
            }
        }
        self.leave();
        self.waiting.try_iter().flatten().for_each(stop_before);
    }

    /// Waits for work or the next beat, and does it. False at the end.
    fn turn(&mut self) -> bool {
        self.beat();
        let first = match self.waiting.recv_timeout(BEAT.std()) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return false,
        };
        if self.stop.load(Ordering::Acquire) {
            first.into_iter().for_each(stop_before);
            return false;
        }
        match first {
            Some(first) => {
                // Whoever slept for long may have been replaced meanwhile.
                self.beat();
                self.serve(first);
            }
            None => self.overdue = true,
        }
        true
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Published> {
        self.shared.published.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn revision(&self) -> u64 {
        self.read().revision()
    }

    /// Shows what is recorded, and wakes those who wait for it.
    pub(super) fn publish(&self, recorded: Vec<Recorded>) {
        self.show(|published| recorded.into_iter().for_each(|one| published.take(one)));
    }

    pub(super) fn show(&self, change: impl FnOnce(&mut Published)) {
        let mut published = self.shared.published.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut published);
        let revision = published.revision();
        // They look at once, so not before they can.
        drop(published);
        self.shared.changed.send_replace(revision);
    }

    /// Decides what waits, commits it, answers.
    fn serve(&mut self, first: Box<Waiting>) {
        let mut batch = Batch::default();
        let mut next = Some(first);
        while let Some(waiting) = next {
            self.decide(*waiting, &mut batch);
            let more = !batch.is_full();
            next = more.then(|| self.waiting.try_recv().ok().flatten()).flatten();
        }
        let spoiled = batch.spoiled;
        match self.commit(batch.transactions, batch.meanings) {
            Ok(()) => {
                self.answer(batch.pending);
                if spoiled {
                    self.forget_undecided();
                }
            }
            Err(error) => {
                tracing::error!("a commit failed: {error}");
                self.lose(&error);
                let problem = refusal::of(&error);
                for waiting in batch.pending {
                    let _ = waiting.answer.send(Err(problem.clone()));
                }
            }
        }
    }

    fn decide(&mut self, waiting: Waiting, batch: &mut Batch) {
        let Waiting { ask, answer } = waiting;
        batch.taken += 1;
        let Role::Leading { cell, .. } = &mut self.role else {
            let problem = self.trouble.clone().unwrap_or_else(refusal::following);
            let _ = answer.send(Err(problem));
            return;
        };
        let clock = &self.settings.clock;
        let decision = || cell.decide(&ask, clock.now(), &mut SystemEntropy);
        let decided = catch_unwind(AssertUnwindSafe(decision)).unwrap_or_else(|_| {
            tracing::error!(actor = ask.actor, request = ask.request, "a decision panicked");
            batch.spoiled = true;
            Err(refusal::panicked())
        });
        match decided {
            Ok(decided) => batch.add(decided, answer),
            Err(problem) => drop(answer.send(Err(problem))),
        }
    }

    /// Makes the decisions durable and published, all at once.
    fn commit(
        &mut self,
        transactions: Vec<Transaction>,
        meanings: Vec<Meaning>,
    ) -> Result<(), StoreError> {
        if transactions.is_empty() {
            return Ok(());
        }
        let Role::Leading { fence, .. } = &self.role else {
            unreachable!("only a leader has something to commit")
        };
        let (fence, first) = (fence.clone(), self.revision() + 1);
        let began = self.settings.clock.now();
        self.store()?.commit(fence, first, &transactions)?;
        let took = self.settings.clock.now().since(began).std();
        let (batch, changes) = (transactions.len(), meanings.len());
        self.publish(recorded(first, transactions, meanings));
        (self.settings.committed)(batch, changes, took);
        Ok(())
    }

    fn answer(&self, pending: Vec<Pending>) {
        let revision = self.revision();
        for Pending { reply, replayed, answer } in pending {
            // Whoever asked may have gone; what was decided stands.
            let _ = answer.send(Ok(Answer { reply, revision, replayed }));
        }
    }
}

fn stop_before(waiting: Box<Waiting>) {
    let _ = waiting.answer.send(Err(refusal::stopping()));
}

impl Batch {
    fn add(&mut self, decided: Decided, answer: oneshot::Sender<Result<Answer, Problem>>) {
        let Decided { transaction, meanings, reply, replayed } = decided;
        self.pending.push(Pending { reply, replayed, answer });
        if !transaction.changes.is_empty() {
            self.bytes += transaction.bytes();
            self.meanings.extend(meanings);
            self.transactions.push(transaction);
        }
    }

    fn is_full(&self) -> bool {
        let limits = Limits::CELL;
        self.spoiled
            || self.taken >= limits.transactions
            || self.meanings.len() >= limits.changes
            || self.bytes >= limits.bytes
    }
}

/// The rows of transactions, as the store keeps them, with what they mean.
fn recorded(first: u64, transactions: Vec<Transaction>, meanings: Vec<Meaning>) -> Vec<Recorded> {
    let rows = transactions.into_iter().flat_map(|transaction| {
        let Transaction { at, actor, request, changes } = transaction;
        changes.into_iter().map(move |change| (at, actor.clone(), request.clone(), change))
    });
    let numbered = (first..).zip(rows).zip(meanings);
    let recorded = numbered.map(|((revision, (at, actor, request, change)), meaning)| {
        Recorded::ours(EventRow { revision, at, actor, request, change }, meaning)
    });
    recorded.collect()
}
