//! A lane leaves: what a successor needs is gathered in one turn, and from then on this
//! one only forwards what the kernel still tells it. If the successor fails before it
//! has taken over, this one goes on as if nothing had been.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use volume::saved::Changes;
use volume::{Nanos, Segment};
use world::clock::monotonic_nanos;

use super::sockets::{LeftSocket, NewSocket};
use super::{Front, Reactor, mark};
use crate::nbd::{self, Connection};
use crate::reactor::{GuestKey, SocketKey};
use crate::ring::SavedQueue;
use crate::shared::completions::{Completion, Completions};

/// A lane between two processes: what is different from what its heir knows. Whoever
/// changes the shape of anything in it gives [`volume::saved::SHAPE`] another number.
#[derive(Debug, Serialize, Deserialize)]
pub struct SavedLane {
    /// The engine's.
    pub lane: Changes,
    /// Queues of guests.
    pub guests: Vec<SavedGuest>,
    /// Clients.
    pub sockets: Vec<SavedSocket>,
    /// Memory of guests' requests in flight, by tag: guest addresses and lengths.
    pub memory: Vec<(u64, Vec<(u64, u32)>)>,
    /// The next number for commands.
    pub next_command: u64,
}

/// A queue.
#[derive(Debug, Serialize, Deserialize)]
pub struct SavedGuest {
    /// Its slot: tags in flight speak of it.
    pub slot: u16,
    /// Which it is.
    pub key: GuestKey,
    /// Its state.
    pub queue: SavedQueue,
}

/// A client.
#[derive(Debug, Serialize, Deserialize)]
pub struct SavedSocket {
    /// Its slot: tags in flight speak of it.
    pub slot: u16,
    /// Which it is.
    pub key: SocketKey,
    /// Its state.
    pub connection: nbd::Saved,
}

/// Where completions go after the lane has left.
pub(super) struct Forward {
    ring: Completions,
    wake: OwnedFd,
    sockets: Vec<LeftSocket>,
    /// When the last request was fetched, at the latest.
    since: u64,
}

impl Reactor {
    /// A successor is about to come, or is not after all. Whether [`Reactor::leave`] may
    /// be called now: else a few turns later.
    pub fn prepare_to_leave(&mut self, leaving: bool) -> bool {
        self.lane.prepare_to_save(leaving);
        self.touch_all();
        leaving && self.lane.can_save()
    }

    /// Stops fetching and gathers everything, at a turn's end. `None`: not at this
    /// moment. From now on completions go into the ring, and `wake` is written to.
    pub fn leave(
        &mut self,
        ring: Completions,
        wake: OwnedFd,
    ) -> Result<SavedLane, (Completions, OwnedFd)> {
        let now = monotonic_nanos();
        if !self.settle_for_leaving() {
            return Err((ring, wake));
        }
        let memory = self.memory_in_flight();
        let lane = self.lane.save(Nanos(now));
        let guests = self.save_guests();
        let (sockets, left) = self.save_sockets();
        self.active.clear();
        self.touched.clear();
        self.leaving = Some(Forward { ring, wake, sockets: left, since: now });
        Ok(SavedLane { lane, guests, sockets, memory, next_command: self.next_command })
    }

    /// When it left: no request was fetched after that.
    pub fn stopped(&self) -> u64 {
        self.leaving.as_ref().map_or_else(monotonic_nanos, |leaving| leaving.since)
    }

    /// Nothing of the lane is on its way out: answers are visible, operations are given to
    /// the kernel. What it has for us by now is forwarded like all that comes later: the
    /// successor can work on it while it serves. Whether the lane can be saved.
    fn settle_for_leaving(&mut self) -> bool {
        self.pass_on();
        self.publish();
        self.ring.submit().is_ok() && self.said.replies.is_empty() && self.lane.can_save()
    }

    /// The memory of guests' requests in flight, as guest addresses. What is not in a
    /// guest's memory any more is not among it.
    fn memory_in_flight(&mut self) -> Vec<(u64, Vec<(u64, u32)>)> {
        let all = self.lane.memory_in_flight();
        let of_guest = |tag: u64, segments: &[Segment]| {
            let memory = self.guests.get(usize::from((tag >> 16) as u16))?.as_ref()?.memory();
            let address = |segment: &Segment| {
                let at = segment.address() as usize;
                memory.regions().zip(memory.mapped()).find_map(|((spec, _), (start, length))| {
                    let inside = at
                        .checked_sub(start.as_ptr() as usize)
                        .filter(|offset| *offset < length)?;
                    Some((spec.guest + inside as u64, segment.len() as u32))
                })
            };
            segments.iter().map(address).collect::<Option<Vec<_>>>().map(|list| (tag, list))
        };
        let guests = all.iter().filter(|(tag, _)| tag.0 & mark::MASK == mark::GUEST);
        guests.filter_map(|(tag, segments)| of_guest(tag.0, segments)).collect()
    }

    /// A turn of a lane that has left. When nothing is in flight any more, it is over.
    pub(super) fn forward(&mut self) {
        let mut came = std::mem::take(&mut self.came);
        self.ring.completions(|completion| came.push(completion));
        let Some(leaving) = &self.leaving else { return };
        for completion in came.drain(..).filter(|completion| completion.user_data & mark::POLL == 0)
        {
            let result = match completion.result {
                Ok(bytes) => i32::try_from(bytes).unwrap_or(i32::MAX),
                Err(error) => -error,
            };
            leaving.ring.push(Completion { operation: completion.user_data, result });
        }
        self.came = came;
        if self.ring.in_flight() == 0 && self.confirmed {
            leaving.ring.close();
            self.over = true;
        }
        crate::shared::knock(leaving.wake.as_fd());
        if self.over {
            return;
        }
        if self.bell.sleep() {
            if let Err(error) = self.ring.wait(1, Some(Duration::from_millis(100))) {
                panic!("{error}");
            }
            self.bell.awake();
        }
    }

    /// The successor has taken over for good: when nothing is in flight, this one ends.
    pub fn confirm_leaving(&mut self) {
        self.confirmed = true;
    }

    /// The successor has failed: this one goes on.
    pub fn come_back(&mut self, saved: Option<SavedLane>) {
        self.lane.prepare_to_save(false);
        if let Some(leaving) = self.leaving.take() {
            // What came meanwhile is in the ring that nobody else reads.
            self.forwarded = Some(leaving.ring);
            let saved = saved.map(|saved| saved.sockets).unwrap_or_default();
            for (left, saved) in leaving.sockets.into_iter().zip(saved) {
                let LeftSocket { slot, key, volume, transport, gone, memory } = left;
                match Connection::restore(saved.connection, memory) {
                    Ok(connection) => {
                        self.put_socket(
                            slot,
                            NewSocket { key, volume, connection, transport, gone },
                        );
                    }
                    Err(error) => tracing::error!(%error, "a client is hung up on"),
                }
            }
        }
        self.touch_all();
    }

    fn touch_all(&mut self) {
        for slot in 0..self.guests.len() {
            if self.guests[slot].is_some() {
                self.wake(Front::Guest(slot as u16));
                self.touch(Front::Guest(slot as u16));
            }
        }
        for slot in 0..self.sockets.len() {
            if self.sockets[slot].is_some() {
                self.wake(Front::Socket(slot as u16));
                self.touch(Front::Socket(slot as u16));
            }
        }
    }
}
