//! Queues of virtual machines.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use serde::{Deserialize, Serialize};
use volume::lane::{Lane, VolumeHandle};
use volume::qos::{cost, cost_of_forgetting};
use volume::{Kind, Nanos, Outcome, Request, Tag};

use super::idle::Idle;
use super::leaving::SavedGuest;
use super::media::Driver;
use super::rounds::{FEW, Look, Served, Then};
use super::turn::Armed;
use super::{Front, Reactor, mark};
use crate::guest::{GuestMemory, Mapping};
use crate::ring::{Broken, Position, Queue, Scratch};
use crate::vhost_user::QueueStart;

/// Which queue: of which session, which of its.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GuestKey {
    /// A number that the engine gave the session, never used again.
    pub session: u64,
    /// Which queue of it.
    pub queue: u16,
}

/// A queue and what the lane knows of it.
pub(super) struct Guest {
    pub key: GuestKey,
    pub volume: VolumeHandle,
    pub queue: Queue,
    memory: Arc<GuestMemory>,
    /// Which of all that had this slot: late knocks are for others.
    turn: u16,
    idle: Idle,
    /// Its limits keep it until then.
    until: u64,
    /// The lane has no room for its next request before something completes.
    blocked: bool,
    /// The ring tells when the guest knocks.
    polled: bool,
    /// It was asked to knock.
    armed: bool,
    /// Who waits for its end.
    stopping: Option<Sender<Option<Position>>>,
}

impl Guest {
    /// The memory of the guest.
    pub fn memory(&self) -> &GuestMemory {
        &self.memory
    }

    /// Gives requests to the lane, as long as there are any and its limits and the budget
    /// allow: what that cost, and what is there now.
    #[inline]
    fn give(
        &mut self,
        lane: &mut Lane,
        driver: &mut Driver<'_>,
        scratch: &mut Scratch,
        tag: u64,
        now: u64,
        budget: u32,
    ) -> (u32, Then) {
        let mut cost = 0;
        let looks_ahead = lane.looks_ahead(self.volume);
        while cost < budget {
            if let Err(when) = lane.ready(self.volume, Nanos(now)) {
                self.blocked = when.0 == u64::MAX;
                self.until = if self.blocked { 0 } else { when.0 };
                return (cost, Then::Nothing);
            }
            if looks_ahead {
                self.queue.tell_ahead(lane, self.volume);
            }
            match self.queue.fetch(scratch) {
                None => return (cost, Then::Nothing),
                Some(Ok(fetched)) => {
                    let tag = Tag(tag | u64::from(fetched.head));
                    lane.submit(self.volume, tag, &fetched.request, Nanos(now), driver);
                    cost += cost_of(&fetched.request);
                }
                Some(Err(broken)) => {
                    let GuestKey { session, queue } = self.key;
                    tracing::warn!(session, queue, %broken, "a queue is served no more");
                    self.queue.complain();
                    return (cost, Then::Gone);
                }
            }
        }
        (cost, Then::More)
    }
}

impl Reactor {
    /// A queue is served from now on.
    pub fn add_guest(&mut self, key: GuestKey, volume: VolumeHandle, start: QueueStart) {
        let free = self.guests.iter().position(Option::is_none).unwrap_or(self.guests.len());
        let QueueStart { config, memory, record } = start;
        match Queue::new(config, Arc::clone(&memory), record) {
            Ok(queue) => self.put_guest(free as u16, key, volume, queue, memory),
            Err(broken) => refused(key, broken),
        }
    }

    /// Puts a queue into a slot.
    pub(super) fn put_guest(
        &mut self,
        slot: u16,
        key: GuestKey,
        volume: VolumeHandle,
        queue: Queue,
        memory: Arc<GuestMemory>,
    ) {
        while self.guests.len() <= usize::from(slot) {
            self.guests.push(None);
        }
        self.next_command += 1;
        self.guests[usize::from(slot)] = Some(Guest {
            key,
            volume,
            queue,
            memory,
            turn: self.next_command as u16,
            idle: Idle::new(self.polling, world::clock::monotonic_nanos()),
            until: 0,
            blocked: false,
            polled: false,
            armed: false,
            stopping: None,
        });
        self.follow_memory();
        self.wake_guest(slot);
        // What a predecessor or a crash left to be told is told now.
        self.touch(Front::Guest(slot));
    }

    fn guest_slot(&self, key: GuestKey) -> Option<u16> {
        let is = |guest: &Option<Guest>| guest.as_ref().is_some_and(|guest| guest.key == key);
        self.guests.iter().position(is).map(|at| at as u16)
    }

    /// A queue is served no more. `done` hears when nothing of it is in flight.
    pub fn stop_guest(&mut self, key: GuestKey, done: Sender<Option<Position>>) {
        let Some(slot) = self.guest_slot(key) else {
            let _ = done.send(None);
            return;
        };
        if let Some(guest) = &mut self.guests[usize::from(slot)] {
            guest.stopping = Some(done);
        }
        self.end_guest(slot);
        // What a crash left in flight is done before the queue is let go.
        if self.guests[usize::from(slot)].is_some() {
            self.wake(Front::Guest(slot));
        }
    }

    /// The memory of a session has changed.
    pub fn set_guest_memory(&mut self, session: u64, memory: &Arc<GuestMemory>) {
        for guest in self.guests.iter_mut().flatten().filter(|guest| guest.key.session == session) {
            guest.memory = Arc::clone(memory);
            if let Err(broken) = guest.queue.set_memory(Arc::clone(memory)) {
                tracing::warn!(session, queue = guest.key.queue, %broken, "a queue lost its memory");
                guest.queue.complain();
            }
        }
        self.follow_memory();
    }

    /// The kernel is told of the memory that guests have now, and no other.
    fn follow_memory(&mut self) {
        let mut used: Vec<Arc<Mapping>> = Vec::new();
        for mapping in self.guests.iter().flatten().flat_map(|guest| guest.memory.mappings()) {
            if !used.iter().any(|other| Arc::ptr_eq(other, mapping)) {
                used.push(Arc::clone(mapping));
            }
        }
        self.pinned.follow(&mut self.ring, &used);
    }

    /// Answers of a queue are told to somebody else.
    pub fn set_guest_call(&mut self, key: GuestKey, call: Option<std::os::fd::OwnedFd>) {
        let slot = self.guest_slot(key);
        if let Some(guest) = slot.and_then(|slot| self.guests[usize::from(slot)].as_mut()) {
            guest.queue.set_call(call);
        }
    }

    /// Queues of a session that are served.
    pub fn guests_of(&self, session: u64) -> usize {
        self.guests.iter().flatten().filter(|guest| guest.key.session == session).count()
    }

    /// Looks whether a queue that was empty has something. Nothing else is done.
    #[inline]
    pub(super) fn glance_at_guest(&mut self, slot: u16, now: u64) -> Look {
        let Some(guest) = &mut self.guests[usize::from(slot)] else { return Look::Nothing };
        if guest.until > now || guest.stopping.is_some() {
            return Look::Nothing;
        }
        match guest.queue.waiting() {
            0 => Look::Nothing,
            1..=FEW => Look::Few(usize::from(guest.volume.0)),
            _ => Look::Many(usize::from(guest.volume.0)),
        }
    }

    /// Looks whether a queue that was empty has something, and whether it is one of too
    /// many to go on looking at.
    pub(super) fn look_at_guest(&mut self, slot: u16, now: u64, crowd: bool) -> Look {
        let Some(guest) = &mut self.guests[usize::from(slot)] else { return Look::Gone };
        if guest.stopping.is_some() {
            let volume = usize::from(guest.volume.0);
            return if guest.queue.has_left_over() { Look::Many(volume) } else { Look::Gone };
        }
        if guest.until > now {
            return Look::Nothing;
        }
        (guest.until, guest.blocked) = (0, false);
        let answers = guest.queue.has_answers();
        let over = guest.idle.is_over(now);
        let look = self.glance_at_guest(slot, now);
        if look == Look::Nothing && answers {
            self.touch(Front::Guest(slot));
        } else if look == Look::Nothing && crowd && over {
            // Others keep the lane awake: this one knocks when it has something.
            return match self.arm_guest(slot) {
                Armed::Busy => Look::Nothing,
                Armed::Knocks | Armed::Waits(_) => Look::Gone,
            };
        }
        look
    }

    /// Takes requests of a queue, until this much of the core is used.
    #[inline]
    pub(super) fn visit_guest(&mut self, slot: u16, now: u64, budget: u32) -> Served {
        let Self { guests, lane, ring, media, said, scratch, .. } = self;
        let Some(guest) = &mut guests[usize::from(slot)] else { return Served::GONE };
        if guest.stopping.is_some() && !guest.queue.has_left_over() {
            return Served::GONE;
        }
        if guest.until > now {
            return Served::NOTHING;
        }
        (guest.until, guest.blocked) = (0, false);
        let mut driver = Driver { ring, media, said };
        let tag = mark::GUEST | u64::from(slot) << 16;
        let (cost, then) = guest.give(lane, &mut driver, scratch, tag, now, budget);
        let answers = guest.queue.has_answers();
        if cost > 0 {
            guest.idle.worked(now);
            self.pass_on();
        } else if answers {
            self.touch(Front::Guest(slot));
        }
        Served { cost, worked: cost > 0, then }
    }

    /// The lane answers.
    #[inline]
    pub(super) fn guest_replied(&mut self, slot: u16, head: u16, outcome: Outcome) {
        let guest = self.guests[usize::from(slot)].as_mut();
        guest.expect("a queue with requests in flight stays").queue.finish(head, outcome);
        self.touch(Front::Guest(slot));
    }

    /// Makes its answers visible, and tells the guest once.
    #[inline]
    pub(super) fn publish_guest(&mut self, slot: u16) {
        let Some(guest) = &mut self.guests[usize::from(slot)] else { return };
        if guest.queue.publish() {
            guest.queue.notify();
        }
        if guest.stopping.is_some() {
            self.end_guest(slot);
        }
    }

    /// Lets go of a queue that somebody waits for, when nothing of it is in flight.
    fn end_guest(&mut self, slot: u16) {
        let at = usize::from(slot);
        let busy = |guest: &Guest| guest.queue.in_flight() > 0 || guest.queue.has_left_over();
        if self.guests[at].as_ref().is_none_or(busy) {
            return;
        }
        let Some(guest) = self.guests[at].take() else { return };
        if guest.polled {
            self.ring.cancel_poll(poll_number(slot, guest.turn));
            // It must be over before the descriptor's number is somebody else's.
            let _ = self.ring.submit();
        }
        let position = guest.queue.close();
        drop(guest.memory);
        self.follow_memory();
        if let Some(done) = guest.stopping {
            let _ = done.send(Some(position));
        }
    }

    /// The guest knocks.
    pub(super) fn guest_knocked(&mut self, slot: u16, turn: u16, more: bool) {
        let Some(Some(guest)) = self.guests.get_mut(usize::from(slot)) else { return };
        if guest.turn != turn {
            return;
        }
        guest.polled = more;
        if guest.stopping.is_none() && guest.queue.broken().is_none() {
            self.wake_guest(slot);
        }
    }

    fn wake_guest(&mut self, slot: u16) {
        if let Some(guest) = &mut self.guests[usize::from(slot)] {
            guest.armed = false;
            guest.queue.disarm();
        }
        self.wake(Front::Guest(slot));
    }

    /// Until when its limits keep it from going on; 0 when they do not.
    pub(super) fn guest_waits(&self, slot: u16) -> u64 {
        let guest = self.guests[usize::from(slot)].as_ref();
        guest.filter(|guest| !guest.queue.has_answers()).map_or(0, |guest| guest.until)
    }

    /// The lane wants to sleep, or at least not to look at this one.
    pub(super) fn arm_guest(&mut self, slot: u16) -> Armed {
        let Some(guest) = &mut self.guests[usize::from(slot)] else { return Armed::Knocks };
        if guest.stopping.is_some() || guest.queue.broken().is_some() {
            return Armed::Knocks;
        }
        if guest.blocked {
            return Armed::Waits(u64::MAX);
        }
        if guest.until != 0 {
            return Armed::Waits(guest.until);
        }
        let Some(kick) = guest.queue.kick() else {
            // Nobody can knock: it is looked at now and then.
            return Armed::Waits(guest.idle.last() + super::idle::LONGEST);
        };
        if !guest.polled {
            guest.polled = true;
            self.ring.poll(poll_number(slot, guest.turn), kick);
        }
        if guest.queue.arm() {
            guest.queue.disarm();
            guest.idle.worked(world::clock::monotonic_nanos());
            return Armed::Busy;
        }
        guest.armed = true;
        Armed::Knocks
    }

    /// Stops looking at all queues and saves them, for a successor. Everything they
    /// answered must have been published.
    pub(super) fn save_guests(&self) -> Vec<SavedGuest> {
        let each = |(slot, guest): (u16, &Option<Guest>)| {
            let guest = guest.as_ref()?;
            Some(SavedGuest { slot, key: guest.key, queue: guest.queue.saved() })
        };
        (0..).zip(&self.guests).filter_map(each).collect()
    }
}

/// What a request costs the core.
#[inline]
pub(super) fn cost_of(request: &Request<'_>) -> u32 {
    match request.kind {
        Kind::Read | Kind::Write => cost(request.length),
        Kind::Discard | Kind::WriteZeroes => cost_of_forgetting(request.length),
        Kind::Flush => 1,
    }
}

pub(super) fn refused(key: GuestKey, broken: Broken) {
    let GuestKey { session, queue } = key;
    tracing::warn!(session, queue, %broken, "a queue cannot be served");
}

fn poll_number(slot: u16, turn: u16) -> u64 {
    mark::POLL | mark::GUEST | u64::from(turn) << 16 | u64::from(slot)
}
