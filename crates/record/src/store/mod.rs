//! Where the record lives: the contract of every store, its leases and errors.
//!
//! [`sqlite`] is embedded and the default; [`postgres`] is for more than one
//! control process; [`simulated`] is for the simulator. All three pass the same
//! contract test (`tests/record.rs`). Calls block: give a store a thread of its
//! own, never a thread of an async runtime.

pub mod postgres;
pub mod simulated;
pub mod sqlite;

mod database;
mod error;
mod lease;
mod rows;
mod statements;
mod tables;

use model::{Duration, Timestamp};

pub use error::StoreError;

use crate::{EventRow, Revision, State, Transaction};

/// The right to write, until somebody takes it over.
///
/// Every acquisition of a lease gives a greater number, and a commit under a
/// lower number is refused. So a leader that was paused, or whose clock is
/// wrong, can do no harm: expiry decides only who may try to take over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The name of the lease.
    pub name: String,
    /// Who holds it.
    pub holder: String,
    /// The fencing number: grows with each acquisition.
    pub number: u64,
}

/// A durable record.
pub trait Store: Send {
    /// The state of now, read from the tables, all at one revision.
    fn load(&mut self) -> Result<State, StoreError>;

    /// Makes a batch durable: all of it or nothing. The first change of the
    /// first transaction takes the revision `first`.
    ///
    /// Refused as [`StoreError::Fenced`] when the lease of `fence` has since
    /// been taken over or released, and as [`StoreError::Diverged`] when `first`
    /// is not the stored revision plus one. After an error for which
    /// [`StoreError::outcome_unknown`] holds the batch may be durable all the
    /// same: forget the state in memory, open the store again, and load.
    fn commit(
        &mut self,
        fence: Fence,
        first: Revision,
        batch: &[Transaction],
    ) -> Result<(), StoreError>;

    /// The events after a revision, in order, at most `limit` of them: to resume
    /// a watch, or to follow a leader. [`StoreError::Pruned`] when `after` is
    /// older than what is kept, [`StoreError::Diverged`] when it has not
    /// happened yet.
    fn events(&mut self, after: Revision, limit: u32) -> Result<Vec<EventRow>, StoreError>;

    /// The state of now, folded from the base that pruning left and all events
    /// since. Must equal [`Store::load`]; costs more.
    fn replay(&mut self) -> Result<State, StoreError>;

    /// Forgets the events up to and including `keep_after`. Their outcome is
    /// folded into a base, so that [`Store::replay`] stays whole.
    fn prune(&mut self, keep_after: Revision) -> Result<(), StoreError>;

    /// Takes a lease when it is free, expired at `now`, or already of this
    /// `holder`, with a greater number than any before. `None`: somebody else
    /// holds it.
    fn acquire(
        &mut self,
        name: &str,
        holder: &str,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Option<Fence>, StoreError>;

    /// Extends a lease to `now` plus `ttl`. False: it is no longer ours.
    fn renew(&mut self, fence: &Fence, now: Timestamp, ttl: Duration) -> Result<bool, StoreError>;

    /// Gives a lease back, so that others need not wait for its expiry. Nothing
    /// happens when it is no longer ours.
    fn release(&mut self, fence: &Fence) -> Result<(), StoreError>;
}
