//! What was acknowledged becomes durable. Groups of the log are written, then one sync
//! makes them, and all data before them, durable; everybody who waits is answered
//! together, and who comes meanwhile rides with the next.
//!
//! A sync that failed is not tried again: the system may have dropped what it could not
//! write, and would say yes the second time. The pool is frozen instead.

use serde::{Deserialize, Serialize};

use crate::request::{Fault, MediumFault};
use crate::units::{Nanos, Sequence};

use super::Lane;
use super::ops::{Body, Slot};
use super::pool::Frozen;
use super::port::{PoolIndex, Port};

/// Where the making durable is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Commit {
    /// Nothing is going on.
    #[default]
    Idle,
    /// Groups of the log are being written.
    Writing {
        /// How many are not written yet.
        left: u32,
    },
    /// They are written, and are being made durable.
    Syncing {
        /// The last record in them.
        through: Sequence,
    },
}

impl Lane {
    /// A request is answered when everything up to now is durable. False: it is already.
    pub(super) fn wait_until_durable<P: Port>(
        &mut self,
        slot: Slot,
        now: Nanos,
        port: &mut P,
    ) -> bool {
        let asked = *self.slab.asked(slot);
        let index = self.pool_of(asked.volume);
        let pool = &mut self.pools[usize::from(index.0)];
        let wanted = pool.log.appended();
        self.slab.asked(slot).durable = Some(wanted);
        if pool.frozen.is_some() {
            self.slab.asked(slot).fault = Some(Fault::Frozen);
            return false;
        }
        if pool.log.durable() >= wanted {
            return false;
        }
        self.slab.push(&mut pool.flushes, slot);
        self.commit(index, now, port);
        true
    }

    /// Begins to make durable what is not, unless that is going on.
    pub(super) fn commit<P: Port>(&mut self, index: PoolIndex, now: Nanos, port: &mut P) {
        let pool = &mut self.pools[usize::from(index.0)];
        if pool.commit != Commit::Idle || pool.frozen.is_some() || !pool.opened {
            return;
        }
        if pool.log.durable() >= pool.log.appended() {
            return;
        }
        let mut left = 0;
        while let Some(cut) = pool.log.cut() {
            if let Some(memory) = &mut pool.memory {
                let group = pool.log.tail().bytes(cut.bytes.start, cut.bytes.len());
                memory.bytes_mut(cut.at as usize, group.len()).copy_from_slice(group);
                pool.log.written(cut.number);
                continue;
            }
            let group = pool.log.tail().segment(cut.bytes.start, cut.bytes.len() as u32);
            let slot = self.slab.insert(Body::LogWrite { pool: index, number: cut.number });
            port.write(self.slab.name(slot), pool.medium, cut.at, &[group]);
            left += 1;
        }
        if pool.memory.is_some() {
            let through = pool.log.written_through();
            return self.durable(index, through, now, port);
        }
        pool.commit = Commit::Writing { left };
        if left == 0 {
            self.sync_log(index, port);
        }
    }

    /// A group of the log is on the medium, or not.
    pub(super) fn log_written<P: Port>(
        &mut self,
        slot: Slot,
        (index, number): (PoolIndex, u64),
        result: Result<u32, MediumFault>,
        now: Nanos,
        port: &mut P,
    ) {
        self.slab.remove(slot);
        let pool = self.pool(index);
        // A frozen pool has no commit: what still comes of it is of no use.
        let Commit::Writing { left } = pool.commit else { return };
        if result.is_err() {
            return self.freeze(index, Frozen::Log, now, port);
        }
        pool.log.written(number);
        pool.commit = Commit::Writing { left: left - 1 };
        if left == 1 {
            self.sync_log(index, port);
        }
    }

    fn sync_log<P: Port>(&mut self, index: PoolIndex, port: &mut P) {
        let slot = self.slab.insert(Body::LogSync { pool: index });
        let pool = self.pool(index);
        // What the sync will make durable: everything that was written when it began.
        pool.commit = Commit::Syncing { through: pool.log.written_through() };
        let medium = pool.medium;
        port.sync(self.slab.name(slot), medium);
    }

    /// The sync is done, or failed.
    pub(super) fn log_synced<P: Port>(
        &mut self,
        slot: Slot,
        index: PoolIndex,
        result: Result<u32, MediumFault>,
        now: Nanos,
        port: &mut P,
    ) {
        self.slab.remove(slot);
        let Commit::Syncing { through } = self.pool(index).commit else { return };
        match result {
            Ok(_) => self.durable(index, through, now, port),
            Err(_) => self.freeze(index, Frozen::Sync, now, port),
        }
    }

    /// Everything up to a record is durable: who waited for it hears so.
    fn durable<P: Port>(&mut self, index: PoolIndex, through: Sequence, now: Nanos, port: &mut P) {
        let pool = self.pool(index);
        pool.log.synced(through);
        assert!(pool.log.durable() >= through, "what is synced is durable");
        (pool.commit, pool.pending_since) = (Commit::Idle, None);
        let durable = pool.log.durable();
        while let Some(slot) = self.pools[usize::from(index.0)].flushes.first() {
            if self.slab.asked(slot).durable.is_none_or(|wanted| wanted > durable) {
                break;
            }
            let line = &mut self.pools[usize::from(index.0)].flushes;
            self.slab.pop(line);
            self.reply(slot, now, port);
        }
        self.answer_durable(index, port);
        let pool = &mut self.pools[usize::from(index.0)];
        pool.reclaim();
        pool.reaping |= pool.state.is_reaping();
        self.slab.append(&mut self.woken, &mut pool.room);
        let more = !pool.flushes.is_empty() || !pool.answers.is_empty();
        if more {
            self.commit(index, now, port);
        }
    }

    /// Nobody who waits for a frozen pool to be durable is told that it is.
    pub(super) fn refuse_flushes<P: Port>(&mut self, index: PoolIndex, now: Nanos, port: &mut P) {
        while !self.pools[usize::from(index.0)].flushes.is_empty() {
            let line = &mut self.pools[usize::from(index.0)].flushes;
            if let Some(slot) = self.slab.pop(line) {
                self.slab.asked(slot).fault = Some(Fault::Frozen);
                self.reply(slot, now, port);
            }
        }
    }
}
