//! What a lane does by itself: it makes the log durable, writes checkpoints, gives back
//! what was deleted, and scrubs, a little each turn.

use crate::units::Nanos;

use super::Lane;
use super::flush::Commit;
use super::port::{PoolIndex, Port};

/// Below so much room in the log, nothing is left to chance.
const LITTLE_ROOM: usize = 16 << 10;
/// How many records may be appended before the pages that differ are counted again.
const COUNT_AGAIN: u64 = 512;

impl Lane {
    /// Does what is due. Called after each batch of requests and completions, and at the
    /// time that the last call gave: `None` means when something else happens.
    pub fn turn<P: Port>(&mut self, now: Nanos, port: &mut P) -> Option<Nanos> {
        if std::mem::take(&mut self.past) {
            crate::seal::settle();
        }
        self.slab.append(&mut self.woken, &mut self.later);
        let mut next: Option<Nanos> = None;
        for index in 0..self.pools.len() {
            let index = PoolIndex(index as u16);
            if let Some(wish) = self.pool_turn(index, now, port) {
                next = Some(next.map_or(wish, |next| next.min(wish)));
            }
        }
        self.drain(now, port);
        if self.later.is_empty() { next } else { Some(now) }
    }

    fn pool_turn<P: Port>(&mut self, index: PoolIndex, now: Nanos, port: &mut P) -> Option<Nanos> {
        let pool = self.pool(index);
        if !pool.opened && pool.running.is_none() && pool.frozen.is_none() && now >= pool.not_before
        {
            self.open_pool(index, now, port);
        }
        if !self.pool(index).commands.is_empty() {
            self.commands(index, now, port);
        }
        let pool = &mut self.pools[usize::from(index.0)];
        if pool.frozen.is_none() && pool.opened {
            if pool.reclaim() {
                self.slab.append(&mut self.woken, &mut pool.room);
            }
            self.log_turn(index, now, port);
        }
        let mut more = self.checkpoint_turn(index, now, port);
        let pool = self.pool(index);
        if pool.frozen.is_none() && pool.opened {
            more |= self.reap_step(index, now, port);
        }
        more |= self.scrub_step(index, now, port);
        if more { Some(now) } else { self.due(index) }
    }

    /// Makes the log durable when it is time.
    fn log_turn<P: Port>(&mut self, index: PoolIndex, now: Nanos, port: &mut P) {
        let (age, bytes) = (self.settings.log_age, self.settings.log_bytes);
        let pool = self.pool(index);
        let appended = pool.log.appended();
        if appended != pool.last_change.0 {
            pool.last_change = (appended, now);
        }
        if pool.log.durable() >= appended {
            pool.pending_since = None;
            // Room that only a checkpoint can make.
            pool.pressed |= pool.log.room() < LITTLE_ROOM;
            return;
        }
        let since = *pool.pending_since.get_or_insert(now);
        let due =
            pool.log.pending() >= bytes || now.since(since) >= age || pool.log.room() < LITTLE_ROOM;
        if due && pool.commit == Commit::Idle {
            self.commit(index, now, port);
        }
    }

    fn checkpoint_turn<P: Port>(&mut self, index: PoolIndex, now: Nanos, port: &mut P) -> bool {
        let pool = self.pool(index);
        let (idle, orders) = (pool.running.is_none(), pool.has_orders());
        if idle && (orders || !self.saving) && self.checkpoint_wanted(index, now) {
            self.begin_checkpoint(index);
        }
        self.pool(index).running.is_some() && self.checkpoint_step(index, now, port)
    }

    fn checkpoint_wanted(&mut self, index: PoolIndex, now: Nanos) -> bool {
        let settings = self.settings;
        let pool = &mut self.pools[usize::from(index.0)];
        let changed = pool.log.appended() >= pool.covered;
        if pool.frozen.is_some() || !pool.opened || now < pool.not_before {
            return false;
        }
        if !changed {
            // There is nothing to write: who waits for a checkpoint has it.
            pool.pressed = false;
            return !pool.checkpoint_tags.is_empty();
        }
        let records = pool.log.appended().0.saturating_sub(pool.covered.0);
        let full = pool.log.used() * 100.0 >= f64::from(settings.log_percent);
        if pool.pressed || full || records >= settings.log_records {
            return true;
        }
        let (last, since) = pool.last_change;
        if last.0.saturating_sub(pool.counted.0) >= COUNT_AGAIN {
            pool.counted = last;
            if pool.state.dirty_pages() >= settings.dirty_pages {
                return true;
            }
        }
        now.since(since) >= settings.idle
    }

    /// When a pool wants its next turn by itself.
    fn due(&self, index: PoolIndex) -> Option<Nanos> {
        let pool = &self.pools[usize::from(index.0)];
        if pool.frozen.is_some() {
            return None;
        }
        let log = pool
            .pending_since
            .filter(|_| pool.commit == Commit::Idle)
            .map(|since| since.plus(self.settings.log_age));
        let changed = pool.log.appended() >= pool.covered && pool.running.is_none();
        let idle =
            changed.then(|| pool.last_change.1.plus(self.settings.idle).max(pool.not_before));
        let pressed = (pool.pressed && changed).then_some(pool.not_before);
        [log, idle, pressed].into_iter().flatten().min()
    }
}
