//! A queue changes hands while it is served: its small state, out and in.

use std::sync::Arc;

use crate::guest::GuestMemory;
use crate::in_flight::InFlight;

use super::queue::{Layout, Pending, Queue, Stage};
use super::{Broken, QueueConfig, SavedPending, SavedQueue};

impl Queue {
    /// Of a queue that a predecessor serves: ready for [`Queue::take`], and not touched.
    pub fn heir(
        config: QueueConfig,
        memory: Arc<GuestMemory>,
        record: InFlight,
    ) -> Result<Queue, Broken> {
        let queue = Self::idle(config, memory, record)?;
        match &queue.ring {
            Layout::Split(ring) => ring.warm(),
            Layout::Packed(ring) => ring.warm(),
        }
        queue.record.warm(queue.pending.len() as u16);
        Ok(queue)
    }

    /// Its small state, for a successor, who owns the requests in flight from then on.
    ///
    /// # Panics
    /// When answers were not published.
    pub fn saved(&self) -> SavedQueue {
        assert!(self.batch.is_empty(), "a queue is saved after `publish`");
        let of = |(head, pending): (usize, &Pending)| SavedPending {
            head: head as u16,
            status: pending.status,
            written: pending.written,
            descriptors: pending.descriptors,
        };
        let fetched = |(_, pending): &(usize, &Pending)| pending.stage == Stage::Fetched;
        let used = match &self.ring {
            Layout::Split(ring) => ring.published(),
            Layout::Packed(ring) => ring.published().bits(),
        };
        SavedQueue {
            position: self.position(),
            used,
            order: self.order,
            pending: self.pending.iter().enumerate().filter(fetched).map(of).collect(),
            again: self.again.clone(),
            broken: self.broken,
        }
    }

    /// Goes on exactly where the predecessor stopped. Its requests in flight are ours to
    /// finish. What both can see is not changed, so that this may be done again for a later
    /// state, as long as the queue is not served here.
    pub fn take(&mut self, saved: &SavedQueue) -> Result<(), Broken> {
        (self.order, self.broken) = (saved.order, saved.broken);
        self.owes_notice = true;
        self.pending.fill(Pending::FREE);
        self.in_flight = 0;
        for one in &saved.pending {
            let place = self.memory.at(one.status, 1, &mut self.hint).ok_or(Broken::Status)?;
            let pending = self.pending.get_mut(usize::from(one.head)).ok_or(Broken::Head)?;
            let SavedPending { status, written, descriptors, .. } = *one;
            *pending =
                Pending { stage: Stage::Fetched, status, place, written, descriptors, slot: 0 };
            self.in_flight += 1;
        }
        for head in &saved.again {
            self.pending.get_mut(usize::from(*head)).ok_or(Broken::Head)?.stage = Stage::Again;
        }
        self.again.clone_from(&saved.again);
        self.restore_ring(saved)
    }
}
