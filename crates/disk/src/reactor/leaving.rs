//! A lane leaves. Between two turns it tells its successor how it is, some times, while it
//! serves on; then it does the same once more and stops. From then on it only forwards what
//! the kernel still tells it. If the successor fails before it has taken over, this one
//! goes on as if nothing had been.
//!
//! The lane's own thread does that, and goes on when the successor has followed: both are
//! running then, and what they are about to do they have just done.

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

/// Who a lane goes to.
pub trait Successor: Send {
    /// Whether it has followed all that it was told.
    fn follows(&self) -> bool;
    /// Is told how the lane is, which serves on. `false`: that is not possible.
    fn tell(&mut self, lane: &SavedLane) -> bool;
    /// Is given the lane: it stopped at this moment, in nanoseconds, and was gathered then.
    fn give(self: Box<Self>, lane: &SavedLane, stopped: u64);
    /// The lane does not come.
    fn give_up(self: Box<Self>);
}

/// A lane that is about to leave.
pub struct Departure {
    /// Who it goes to.
    pub successor: Box<dyn Successor>,
    /// Where completions go from then on, and what is written to then.
    pub forward: (Completions, OwnedFd),
    /// So often the successor is told how the lane is, before.
    pub rounds: u32,
    /// After this it is too late.
    pub until: u64,
}

/// Where completions go after the lane has left.
pub(super) struct Forward {
    ring: Completions,
    wake: OwnedFd,
    sockets: Vec<(LeftSocket, SavedSocket)>,
}

impl Reactor {
    /// A successor is about to come, or is not after all. Whether the lane may leave now:
    /// else a few turns later.
    pub fn prepare_to_leave(&mut self, leaving: bool) -> bool {
        self.lane.prepare_to_save(leaving);
        self.touch_all();
        leaving && self.lane.can_save()
    }

    /// Leaves at the next good moment.
    pub fn leave(&mut self, departure: Departure) {
        self.prepare_to_leave(true);
        self.departing = Some(departure);
    }

    /// Between two turns: one step towards leaving. `false`: nobody wants to.
    pub(super) fn depart(&mut self) -> bool {
        let Some(mut departure) = self.departing.take() else { return false };
        if !departure.successor.follows() || !self.lane.can_save() {
            if monotonic_nanos() > departure.until {
                departure.successor.give_up();
            } else {
                self.departing = Some(departure);
            }
        } else if let Some(left) = departure.rounds.checked_sub(1) {
            let lane = self.lane.rehearse();
            let told = departure.successor.tell(&self.gather(lane));
            departure.rounds = if told { left } else { 0 };
            self.departing = Some(departure);
        } else {
            self.depart_now(departure);
        }
        true
    }

    /// Stops fetching. From now on completions go into the ring of the departure.
    fn depart_now(&mut self, departure: Departure) {
        let now = monotonic_nanos();
        if !self.settle_for_leaving() {
            self.departing = Some(departure);
            return;
        }
        let Departure { successor, forward: (ring, wake), .. } = departure;
        let lane = self.lane.save(Nanos(now));
        let mut saved = self.gather(lane);
        let (sockets, left) = self.save_sockets();
        saved.sockets = sockets;
        successor.give(&saved, now);
        self.rounds.clear();
        self.woken.clear();
        self.touched.clear();
        let sockets = left.into_iter().zip(saved.sockets).collect();
        self.leaving = Some(Forward { ring, wake, sockets });
    }

    /// What goes to a successor, without clients.
    fn gather(&self, lane: Changes) -> SavedLane {
        let (memory, guests) = (self.memory_in_flight(), self.save_guests());
        SavedLane { lane, guests, sockets: Vec::new(), memory, next_command: self.next_command }
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
    fn memory_in_flight(&self) -> Vec<(u64, Vec<(u64, u32)>)> {
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
        let all = self.lane.memory_in_flight();
        let guests = all.filter(|(tag, _)| tag.0 & mark::MASK == mark::GUEST);
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
    pub fn come_back(&mut self) {
        self.departing = None;
        self.lane.prepare_to_save(false);
        if let Some(leaving) = self.leaving.take() {
            // What came meanwhile is in the ring that nobody else reads.
            self.forwarded = Some(leaving.ring);
            for (left, saved) in leaving.sockets {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};

    use rustix::event::{EventfdFlags, eventfd};
    use volume::Region;

    use super::*;
    use crate::reactor::{LaneHandle, LaneSettings, Polling};

    /// A successor that says what it hears.
    struct Watched {
        follows: Arc<AtomicBool>,
        says: Sender<&'static str>,
    }

    impl Watched {
        fn say(&self, what: &'static str) {
            self.says.send(what).expect("the test listens");
        }
    }

    impl Successor for Watched {
        fn follows(&self) -> bool {
            self.follows.load(Ordering::SeqCst)
        }
        fn tell(&mut self, _: &SavedLane) -> bool {
            self.follows.store(false, Ordering::SeqCst);
            self.say("told");
            true
        }
        fn give(self: Box<Self>, _: &SavedLane, stopped: u64) {
            assert!(stopped <= monotonic_nanos());
            self.say("given");
        }
        fn give_up(self: Box<Self>) {
            self.say("given up");
        }
    }

    fn lane() -> LaneHandle {
        let settings = LaneSettings { core: None, polling: Polling::Adaptive };
        let started =
            LaneHandle::start("test".into(), settings, Region::leaked(2 << 20), |_| Ok(()));
        started.expect("io_uring").0
    }

    /// Begins to leave, to a successor that has followed so far; what that says.
    fn leave(
        lane: &LaneHandle,
        rounds: u32,
        until: u64,
    ) -> (Arc<AtomicBool>, Receiver<&'static str>) {
        let (says, heard) = channel();
        let follows = Arc::new(AtomicBool::new(true));
        let successor = Box::new(Watched { follows: Arc::clone(&follows), says });
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("eventfd");
        let forward = (Completions::create().expect("memory"), wake);
        lane.tell(move |lane| lane.leave(Departure { successor, forward, rounds, until }))
            .expect("it runs");
        (follows, heard)
    }

    fn has_left(lane: &LaneHandle) -> bool {
        lane.ask(|lane| lane.leaving.is_some()).expect("it runs")
    }

    fn end(lane: LaneHandle) {
        lane.tell(|lane| lane.over = true).expect("it runs");
        assert!(lane.join());
    }

    #[test]
    fn it_leaves_when_the_successor_has_followed_each_round() {
        let lane = lane();
        let (follows, heard) = leave(&lane, 2, u64::MAX);
        for _ in 0..2 {
            assert_eq!(heard.recv(), Ok("told"));
            (0..10).for_each(|_| assert!(!has_left(&lane), "it has not followed"));
            assert!(heard.try_recv().is_err(), "one after the other");
            follows.store(true, Ordering::SeqCst);
        }
        assert_eq!(heard.recv(), Ok("given"));
        assert!(has_left(&lane));
        lane.ask(Reactor::come_back).expect("it runs");
        assert!(!has_left(&lane));
        end(lane);
    }

    #[test]
    fn it_stays_when_the_successor_does_not_follow() {
        let lane = lane();
        let (_, heard) = leave(&lane, 1, 0);
        assert_eq!((heard.recv(), heard.recv()), (Ok("told"), Ok("given up")));
        assert!(!has_left(&lane));
        lane.ask(Reactor::come_back).expect("it runs");
        let (_, heard) = leave(&lane, 0, u64::MAX);
        assert_eq!(heard.recv(), Ok("given"), "and can leave to another");
        lane.ask(Reactor::come_back).expect("it runs");
        end(lane);
    }
}
