//! What was deleted gives back what it used, some of it each turn.

use crate::state::Reap;
use crate::units::Nanos;

use super::pool::Frozen;
use super::port::{PoolIndex, Port};
use super::{Event, Lane};

/// Steps of the metadata in one turn. Each looks at some hundred pages at most.
const STEPS: u32 = 4;

impl Lane {
    /// Does some of it. True: there is more to do at once.
    pub(super) fn reap_step<P: Port>(
        &mut self,
        index: PoolIndex,
        now: Nanos,
        port: &mut P,
    ) -> bool {
        for _ in 0..STEPS {
            let pool = &mut self.pools[usize::from(index.0)];
            if !pool.reaping || pool.reap_needs.is_some() {
                return false;
            }
            // What waits to become usable again must not lie in extents that others get.
            pool.reclaim();
            let (durable, replayed) = (pool.log.durable(), pool.replayed());
            match pool.state.reap(durable, replayed, &mut pool.log) {
                Reap::Worked => {}
                Reap::Idle => {
                    pool.reaping = pool.state.is_reaping();
                    pool.pressed |= pool.reaping && pool.state.needs_checkpoint(replayed);
                    return false;
                }
                Reap::Damaged(place) => {
                    self.tell(Event::CorruptPage { pool: index, place });
                    self.freeze(index, Frozen::Map, now, port);
                    return false;
                }
                Reap::Need(need) => {
                    pool.reap_needs = Some(need.place);
                    self.want_page(index, None, need, now, port);
                }
            }
        }
        self.pool(index).reaping
    }
}
