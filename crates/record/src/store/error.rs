//! What can go wrong with a store, each with its next step.

use thiserror::Error;

use crate::Revision;

/// Why a store did not do what it was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// No room. Nothing of the batch is durable; the store can still be read.
    #[error("the disk of the record is full ({0}); free some space: the record goes on by itself")]
    Full(String),
    /// Reading or writing failed. Whether a batch is durable is not known.
    #[error(
        "the record cannot be read or written ({0}); check the disk and its log, then start again"
    )]
    Io(String),
    /// What was read is not what was written, or not a record at all.
    #[error("the record is damaged ({0}); stop, keep a copy of it, and restore a backup")]
    Corrupt(String),
    /// Somebody else has taken the lease over. Nothing of the batch is durable.
    #[error(
        "the lease {name:?} was taken over: ours is number {ours}, the newest is {newest}; \
         stop writing and follow the new leader"
    )]
    Fenced {
        /// The lease.
        name: String,
        /// The number that was presented.
        ours: u64,
        /// The newest number given out.
        newest: u64,
    },
    /// The caller's idea of the record is not the record's. Nothing is durable.
    #[error("the record is at revision {stored}, not at {expected}; load it again")]
    Diverged {
        /// The stored revision.
        stored: Revision,
        /// The revision that the caller took it to have.
        expected: Revision,
    },
    /// The events that were asked for are no longer kept.
    #[error(
        "events up to revision {kept} are no longer kept; read the objects again and watch from there"
    )]
    Pruned {
        /// The oldest revision after which events are still there.
        kept: Revision,
    },
    /// The record was written by a newer program.
    #[error(
        "the record has schema version {found}, this program knows {known}; start a newer bedplate"
    )]
    Schema {
        /// The version in the record.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// Another process holds the record for too long. Nothing is durable.
    #[error("the record is busy ({0}); look for another process that uses it, then try again")]
    Busy(String),
    /// The database server cannot be reached. Whether a batch is durable is not
    /// known.
    #[error(
        "the database cannot be reached ({0}); check that it runs and that its address is right"
    )]
    Unreachable(String),
    /// The database will not have us or what we said. Nothing is durable.
    #[error(
        "the record refused ({0}); check its path or address, the rights of its user, and its log"
    )]
    Refused(String),
}

impl StoreError {
    /// Whether a batch may be durable although its commit failed. Then nothing
    /// but loading the record again tells.
    pub fn outcome_unknown(&self) -> bool {
        matches!(self, StoreError::Io(_) | StoreError::Corrupt(_) | StoreError::Unreachable(_))
    }
}
