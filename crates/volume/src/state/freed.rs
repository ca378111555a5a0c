//! Places that were freed and are not usable yet.
//!
//! Where data was is usable when the record that freed it is durable. Where a page was,
//! later: a replay reads pages as of the committed checkpoint, also those that a record
//! changes or copies before a later one frees them. So they stay as they are until a
//! checkpoint is committed whose log begins behind the record that freed them.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::units::{Place, Sequence};

/// A place that was freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// By which record.
    pub by: Sequence,
    /// Reads that began before have greater tickets.
    pub ticket: u64,
    /// Which.
    pub place: Place,
}

/// As it goes to a successor.
pub type Saved = (Sequence, u64, Place);

/// Such places, the oldest first.
#[derive(Debug, Default)]
pub struct Freed {
    queue: VecDeque<Pending>,
    /// Those that became usable.
    gone: u64,
    /// Those that a successor was told of, usable by now or not.
    told: u64,
}

/// What is different since a successor was last told.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FreedChanges {
    /// So many of those that it knows of are still not usable.
    pub kept: u64,
    /// Those that were freed since.
    pub fresh: Vec<Saved>,
}

impl Freed {
    /// One more.
    #[inline]
    pub fn push(&mut self, freed: Pending) {
        self.queue.push_back(freed);
    }
    /// The oldest.
    #[inline]
    pub fn first(&self) -> Option<Pending> {
        self.queue.front().copied()
    }
    /// The oldest is usable.
    pub fn pop(&mut self) {
        self.gone += u64::from(self.queue.pop_front().is_some());
    }
    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// All of them, for a successor. From now on changes are for it.
    pub fn saved(&mut self) -> Vec<Saved> {
        self.told = self.so_far();
        self.queue.iter().map(saved).collect()
    }
    /// Those of a predecessor.
    pub fn restored(saved: Vec<Saved>) -> Self {
        Self { queue: saved.into_iter().map(pending).collect(), ..Self::default() }
    }
    /// What is different since a successor was last told.
    pub fn changes(&mut self) -> FreedChanges {
        let fresh = usize::try_from(self.so_far() - self.told).unwrap_or(usize::MAX);
        let kept = self.queue.len().saturating_sub(fresh);
        self.told = self.so_far();
        FreedChanges { kept: kept as u64, fresh: self.queue.range(kept..).map(saved).collect() }
    }
    /// Follows a predecessor. `None`: it speaks of more than there are.
    pub fn follow(&mut self, changes: FreedChanges) -> Option<()> {
        let gone = self.queue.len().checked_sub(usize::try_from(changes.kept).ok()?)?;
        self.queue.drain(..gone);
        self.queue.extend(changes.fresh.into_iter().map(pending));
        Some(())
    }
    fn so_far(&self) -> u64 {
        self.gone + self.queue.len() as u64
    }
}

fn saved(pending: &Pending) -> Saved {
    (pending.by, pending.ticket, pending.place)
}

fn pending((by, ticket, place): Saved) -> Pending {
    Pending { by, ticket, place }
}
