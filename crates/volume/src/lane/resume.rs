//! What waits, and how it goes on.

use crate::request::{Fault, MediumFault};
use crate::units::Nanos;

use super::ops::{Body, Phase, Slot};
use super::port::{Op, PoolIndex, Port, VolumeHandle};
use super::volume::Back;
use super::{Lane, Wait};

impl Lane {
    /// An operation that the driver was asked for is done: so many bytes, or why not.
    /// Each is handed in once.
    pub fn completed<P: Port>(
        &mut self,
        op: Op,
        result: Result<u32, MediumFault>,
        now: Nanos,
        port: &mut P,
    ) {
        let slot = self.slab.find(op).expect("a driver completes what is in flight, once");
        match self.slab.body(slot) {
            Body::Part(part) => match part.phase {
                Phase::Reading => self.read_done(slot, result, now, port),
                Phase::Fetching => self.fetched(slot, result, now, port),
                Phase::Writing => self.written(slot, result, now, port),
                Phase::Merging | Phase::Mapping => panic!("nothing of {op:?} is at the driver"),
            },
            Body::Request(_) => self.raw_done(slot, result, now, port),
            Body::Page(page) => {
                let page = *page;
                self.page_done(slot, page, result, now, port);
            }
            Body::LogWrite { pool, number } => {
                let group = (*pool, *number);
                self.log_written(slot, group, result, now, port);
            }
            Body::LogSync { pool } => {
                let pool = *pool;
                self.log_synced(slot, pool, result, now, port);
            }
            Body::Checkpoint { pool, buffer } => {
                let (pool, buffer) = (*pool, *buffer);
                self.checkpoint_done(slot, pool, buffer, result, now, port);
            }
            Body::Scrub(part) => {
                let part = *part;
                self.scrubbed(slot, part, result, now, port);
            }
            Body::Free => unreachable!("a free slot is not found"),
        }
        self.drain(now, port);
    }

    /// A part is over: its buffer is free, and its request goes on.
    pub(super) fn part_over<P: Port>(
        &mut self,
        slot: Slot,
        fault: Option<Fault>,
        now: Nanos,
        port: &mut P,
    ) {
        let part = *self.slab.part(slot);
        self.buffers.give(part.buffer);
        if part.phase != Phase::Reading {
            self.writers.leave(slot, (part.pool, part.number), part.lba);
            self.slab.append(&mut self.woken, &mut self.blocked);
        }
        self.slab.remove(slot);
        let parent = self.slab.asked(part.parent);
        parent.parts -= 1;
        if let Some(fault) = fault {
            parent.fail(fault);
        }
        // Who waits for something else comes back when that is there.
        if !self.slab.waits(part.parent) {
            self.go(part.parent, now, port);
        }
    }

    /// Something cannot go on now: it stands in the line of what it needs.
    pub(super) fn wait<P: Port>(
        &mut self,
        slot: Slot,
        index: PoolIndex,
        wait: Wait,
        now: Nanos,
        port: &mut P,
    ) {
        match wait {
            Wait::Page(need) => self.want_page(index, Some(slot), need, now, port),
            Wait::Room => {
                self.slab.push(&mut self.pools[usize::from(index.0)].room, slot);
                self.commit(index, now, port);
            }
            Wait::Resources => self.slab.push(&mut self.poor, slot),
            Wait::Block => self.slab.push(&mut self.blocked, slot),
            Wait::Turn => self.slab.push(&mut self.later, slot),
            Wait::Itself => {}
        }
    }

    /// Takes up everything that can go on.
    pub(super) fn drain<P: Port>(&mut self, now: Nanos, port: &mut P) {
        loop {
            while let Some(slot) = self.slab.pop(&mut self.woken) {
                self.resume(slot, now, port);
            }
            if self.poor.is_empty() || !self.slab.roomy() || !self.buffers.available() {
                return;
            }
            let Some(slot) = self.slab.pop(&mut self.poor) else { return };
            self.resume(slot, now, port);
            // What was freed is used up, or it wants what there is none of yet.
            if self.poor.last() == Some(slot) {
                return;
            }
        }
    }

    fn resume<P: Port>(&mut self, slot: Slot, now: Nanos, port: &mut P) {
        match self.slab.body(slot) {
            Body::Request(_) => self.go(slot, now, port),
            Body::Part(part) if part.phase == Phase::Merging => self.merge(slot, now, port),
            Body::Part(part) if part.phase == Phase::Mapping => self.map_part(slot, now, port),
            other => panic!("{other:?} does not wait"),
        }
    }

    /// The pool of a thin volume.
    #[inline]
    pub(super) fn pool_of(&self, handle: VolumeHandle) -> PoolIndex {
        self.thin(handle).0
    }
    /// Whether a volume is in a pool whose medium is memory.
    #[inline]
    pub(super) fn in_memory(&self, handle: VolumeHandle) -> bool {
        match self.volumes[usize::from(handle.0)].as_ref().map(|volume| &volume.back) {
            Some(Back::Thin { pool, .. }) => self.pools[usize::from(pool.0)].memory.is_some(),
            _ => false,
        }
    }
}
