//! How much fits into the log.
//!
//! Two things may be short. The tail, until groups are written: cut and write. The ring,
//! until a checkpoint is committed: begin one in time, by [`Log::used`]. A checkpoint
//! appends nothing, and the open group has its place in the ring from the start, so it can
//! always be closed and a checkpoint always be finished. Some groups are kept back all the
//! same, for what is appended without asking.

use super::Log;
use crate::format::{GROUP_BYTES, GROUP_HEADER, RECORD_MAX};
use crate::units::BLOCK;

/// Groups of the ring that [`Log::room`] does not promise.
const RESERVE: u32 = 2;
/// A group is left when the next record does not fit: so much of it may stay empty.
const LEFT: usize = RECORD_MAX - 1;

impl Log {
    /// How many bytes of records may be appended before anything is written or released.
    /// It is a promise, whatever their lengths, and so less than what would fit at best.
    #[inline]
    pub fn room(&self) -> usize {
        self.room
    }

    /// How much of the ring is taken, from 0 to 1. Checkpoints give it free.
    pub fn used(&self) -> f64 {
        f64::from(self.ring.taken()) / f64::from(self.ring.blocks)
    }

    /// Bytes of records that have not been handed out to be written.
    pub fn pending(&self) -> usize {
        let closed = self.groups.iter().rev().take_while(|group| group.number >= self.handed);
        let blocks: u32 = closed.map(|group| group.blocks).sum();
        let closed = usize::try_from(blocks).expect("a tail is short") * BLOCK;
        closed + self.end - GROUP_HEADER
    }

    /// Computes again what the open group may hold and what else there is room for.
    pub(super) fn measure(&mut self) {
        let blocks = self.held.free_at_head().min(self.ring.free_at_head());
        self.limit = usize::try_from(blocks).expect("few blocks") * BLOCK;
        let ring = self.ring.free_groups().saturating_sub(RESERVE);
        if ring == 0 {
            self.room = 0;
            return;
        }
        let open = self.limit.saturating_sub(self.end).saturating_sub(LEFT);
        let groups = self.held.free_groups().min(ring);
        // The open group is one of them, when it may have the full length.
        let others = usize::try_from(groups.saturating_sub(1)).expect("few groups");
        self.room = open + others * (GROUP_BYTES - GROUP_HEADER - LEFT);
    }
}
