//! The engine: everything that has logic. It opens pools, serves volumes, and carries
//! orders out, until it is replaced, dies, or is told to end.
//!
//! How it comes to be ([`start`]): alone, from `disk.json`; after a crash, from what its
//! predecessor deposited with the keeper; or beside a predecessor that lives and hands
//! over ([`crate::handover`]).
//!
//! One thread per connection of the control socket and per session of a VMM talks to
//! the lane's thread by [`crate::reactor::LaneHandle::ask`]. What is common to them is
//! in a [`Table`] behind a lock that no thread of a lane ever takes.

pub(crate) mod book;
pub(crate) mod clients;
pub(crate) mod guests;
mod key;
pub(crate) mod outside;
pub(crate) mod pools;
pub(crate) mod problem;
pub(crate) mod start;
mod status;
mod steps;
mod verbs;
mod volumes;

pub use start::{EngineError, Settings, run};

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::keeper::client::Keeper;
use crate::reactor::{LaneHandle, LaneSettings};
use crate::shared::page::StatusPage;
use book::Book;
use clients::Clients;
use guests::Guests;
use outside::Open;
use pools::OpenPool;

/// The only lane. Another core is another service, with a directory and pools of its own.
pub const LANE: usize = 0;

/// An engine.
pub struct Engine {
    pub(crate) directory: PathBuf,
    pub(crate) settings: LaneSettings,
    pub(crate) keeper: Keeper,
    pub(crate) generation: u64,
    /// How it came to be, for people.
    pub(crate) came: &'static str,
    pub(crate) page: StatusPage,
    pub(crate) lane: LaneHandle,
    pub(crate) keys: key::Keys,
    pub(crate) table: Mutex<Table>,
    /// What confines the process, in a sentence.
    pub(crate) confinement: Mutex<String>,
    /// Numbers of sessions and clients. Never used again, not even by a successor.
    pub(crate) numbers: AtomicU64,
    /// The control socket, to be served again when a replacement failed.
    pub(crate) orders_socket: Mutex<Option<OwnedFd>>,
    /// Orders that are not answered yet.
    pub(crate) underway: std::sync::Arc<crate::orders::Underway>,
    /// One order that changes something at a time.
    pub(crate) orders: Mutex<()>,
    /// What happens while a successor is being put in our place.
    pub(crate) replacing: crate::handover::Replacing,
}

/// What the engine has.
#[derive(Default)]
pub(crate) struct Table {
    pub book: Book,
    pub pools: BTreeMap<String, OpenPool>,
    pub open: BTreeMap<String, Open>,
    pub guests: BTreeMap<String, Guests>,
    pub clients: BTreeMap<String, Clients>,
}

impl Engine {
    pub(crate) fn table(&self) -> MutexGuard<'_, Table> {
        // A thread that panicked over it left nothing half done that matters more than
        // serving on.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// A number for a session or client.
    pub(crate) fn number(&self) -> u64 {
        self.generation << 32 | self.numbers.fetch_add(1, Ordering::Relaxed)
    }
    /// Writes the book down, for the next engine and the next start.
    pub(crate) fn keep_book(&self, book: &Book) -> std::io::Result<()> {
        book.write(&self.directory)?;
        self.keeper.put("book", book, &[])
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Engine").field("generation", &self.generation).finish_non_exhaustive()
    }
}
