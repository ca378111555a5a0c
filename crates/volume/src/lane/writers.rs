//! Which blocks are being written at the moment.
//!
//! Whole blocks may be written at the same time as often as a guest likes: one of the
//! writes is mapped last. But who changes a part of a block reads it first, and what
//! others write meanwhile would be lost. So a partial write waits for every write of
//! its block, and everybody waits for a partial write of theirs.

use crate::units::{EXTENT_BLOCKS, Lba, VolumeNumber};

use super::ops::{Body, NO_SLOT, SLOTS, Slab, Slot};
use super::port::PoolIndex;

const BUCKETS: usize = 256;

/// The parts that write, found by what they write. A part never crosses a multiple of
/// 16 blocks, so it is in one bucket.
#[derive(Debug)]
pub(crate) struct Writers {
    heads: [Slot; BUCKETS],
    next: Vec<Slot>,
}

impl Writers {
    pub fn new() -> Self {
        Self { heads: [NO_SLOT; BUCKETS], next: vec![NO_SLOT; SLOTS] }
    }
    /// Nobody writes.
    pub fn clear(&mut self) {
        self.heads.fill(NO_SLOT);
    }
    /// Whether somebody is in the way of a write of these blocks.
    #[inline]
    pub fn conflict(
        &self,
        slab: &Slab,
        what: (PoolIndex, VolumeNumber),
        lba: Lba,
        blocks: u32,
        partial: bool,
    ) -> bool {
        let mut slot = self.heads[bucket(what, lba)];
        while slot != NO_SLOT {
            if let Body::Part(part) = slab.body(slot)
                && part.overlaps(what.0, what.1, lba, blocks)
                && (partial || part.partial())
            {
                return true;
            }
            slot = self.next[usize::from(slot)];
        }
        false
    }
    /// A part begins to write.
    #[inline]
    pub fn enter(&mut self, slot: Slot, what: (PoolIndex, VolumeNumber), lba: Lba) {
        let head = &mut self.heads[bucket(what, lba)];
        self.next[usize::from(slot)] = *head;
        *head = slot;
    }
    /// It is done.
    #[inline]
    pub fn leave(&mut self, slot: Slot, what: (PoolIndex, VolumeNumber), lba: Lba) {
        let head = &mut self.heads[bucket(what, lba)];
        if *head == slot {
            *head = self.next[usize::from(slot)];
            return;
        }
        let mut at = *head;
        while at != NO_SLOT {
            let next = self.next[usize::from(at)];
            if next == slot {
                self.next[usize::from(at)] = self.next[usize::from(slot)];
                return;
            }
            at = next;
        }
        panic!("who leaves has entered");
    }
}

#[inline]
fn bucket((pool, number): (PoolIndex, VolumeNumber), lba: Lba) -> usize {
    let key =
        u64::from(pool.0) << 56 ^ u64::from(number.0) << 28 ^ u64::from(lba.0 / EXTENT_BLOCKS);
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize
}
