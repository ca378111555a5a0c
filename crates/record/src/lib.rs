//! Decide, record, carry out: the durable record of the control plane.
//!
//! `control` decides transactions one at a time, in memory, by a pure engine.
//! A [`Store`] commits many of them as one database transaction with one full
//! fsync ([`group`] says how many), and only then does anybody hear of them.
//! Every [`Change`] is one event with a [`Revision`] of its own; the tables are
//! a projection of the events, and [`State`] is the same projection in memory.
//! Folding the events gives the same rows as reading the tables: the two are
//! compared by [`State::hash`].
//!
//! The record knows no nouns. Kinds and states are words and bodies are JSON
//! text; what they mean is the business of those who write them.
//!
//! Read in this order: [`transaction`], [`state`], [`store`], [`group`].

mod digest;
pub mod group;
pub mod state;
pub mod store;
pub mod transaction;

pub use state::State;
pub use store::{Fence, Store, StoreError};
pub use transaction::{
    Change, EffectRow, EventRow, IdempotentRow, ObjectRow, OperationRow, Revision, StepRow,
    Transaction,
};
