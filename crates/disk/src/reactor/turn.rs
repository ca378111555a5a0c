//! A turn of the loop, and the sleep between turns.

use std::time::Duration;

use volume::Nanos;
use volume::lane::{Op, VolumeHandle};
use world::clock::monotonic_nanos;
use world::disk::Ended;

use super::rounds::{Fronts, LOOK, Look, ROUND, Served, Then};
use super::{Front, Reactor, mark};

/// What is done for a client of a socket at a time, in units of [`volume::qos::cost`].
const SOCKET: u32 = 32;
/// Shorter waits are not slept through, nanoseconds: falling asleep and waking cost as
/// much.
const NAP: u64 = 10_000;
/// Longest sleep, so that a clock of a lane that says nothing is still looked at.
const LONGEST: Duration = Duration::from_secs(1);

impl Reactor {
    /// Until somebody ends it.
    pub(super) fn run(mut self) {
        let mut now = monotonic_nanos();
        while !self.over {
            if self.leaving.is_some() {
                self.forward();
                self.work_off();
                now = monotonic_nanos();
                continue;
            }
            let worked = self.turn(now);
            let began = std::mem::replace(&mut now, monotonic_nanos());
            if self.lane.owes_times() {
                // Clients have the answers: one look at the clock for all of them.
                self.lane.settle(Nanos(now));
            }
            if worked {
                self.idle.worked(began);
            } else if self.idle.is_over(began) || self.all_wait(began) {
                self.rest(began);
                now = monotonic_nanos();
            } else {
                std::hint::spin_loop();
            }
        }
    }

    /// Everything that can be done now. `false`: there was nothing.
    pub(super) fn turn(&mut self, now: u64) -> bool {
        let mut worked = self.work_off();
        // Before it works: the turn before has made everything visible.
        worked |= self.depart();
        if self.leaving.is_some() {
            return true;
        }
        // That may have taken long.
        let now = if worked { monotonic_nanos() } else { now };
        worked |= self.take_completions(now);
        worked |= self.visit(now);
        if worked || self.next_turn.is_some_and(|next| next.0 <= now) {
            self.next_turn = self.drive(|lane, driver| lane.turn(Nanos(now), driver));
            self.pass_on();
            self.hear_events();
        }
        self.publish();
        self.pinned.go_on(&mut self.ring);
        self.submit();
        worked
    }

    /// What other threads want done.
    fn work_off(&mut self) -> bool {
        if !self.bell.was_rung() {
            return false;
        }
        while let Ok(work) = self.work.try_recv() {
            work(self);
        }
        true
    }

    /// What the ring and a predecessor have for us.
    pub(super) fn take_completions(&mut self, now: u64) -> bool {
        let came = &mut self.came;
        self.ring.completions(|completion| came.push(completion));
        let mut worked = !self.came.is_empty();
        let mut came = std::mem::take(&mut self.came);
        for completion in came.drain(..) {
            if completion.user_data & mark::POLL != 0 {
                self.knocked(completion.user_data & !mark::POLL, completion.more);
            } else {
                self.completed(completion.user_data, completion.result, now);
            }
        }
        self.came = came;
        while let Some(forwarded) = self.forwarded.as_ref().and_then(|ring| ring.pop()) {
            worked = true;
            let ended = u32::try_from(forwarded.result).map_err(|_| -forwarded.result);
            self.completed(forwarded.operation, ended, now);
        }
        if worked {
            self.pass_on();
        }
        worked
    }

    fn completed(&mut self, operation: u64, ended: Ended, now: u64) {
        let result = ended.map_err(|error| match error {
            libc::ENOSPC => volume::MediumFault::Full,
            other => volume::MediumFault::Io(other),
        });
        self.drive(|lane, driver| lane.completed(Op(operation), result, Nanos(now), driver));
    }

    /// Somebody who was asked to knocks. Number 0 is the bell.
    fn knocked(&mut self, who: u64, more: bool) {
        let (slot, turn) = (who as u16, (who >> 16) as u16);
        match who & mark::MASK {
            mark::GUEST => self.guest_knocked(slot, turn, more),
            mark::SOCKET => self.socket_knocked(slot, turn, more),
            _ if !more => self.ring.poll(mark::POLL, self.bell.descriptor()),
            _ => {}
        }
    }

    /// Whether all that are awake wait for a time that is worth a sleep: looking at them
    /// until then would be in vain.
    fn all_wait(&self, now: u64) -> bool {
        let until = |front: Front| match front {
            Front::Guest(slot) => self.guest_waits(slot),
            Front::Socket(slot) => self.socket_waits(slot),
        };
        let woken = self.woken.iter().copied();
        let nobody = self.woken.is_empty() && self.rounds.count() == 0;
        nobody
            || !self.idle.always()
                && woken.chain(self.rounds.all()).all(|front| until(front) > now + NAP)
    }

    /// Looks at the front ends that are awake, and serves them for a while.
    fn visit(&mut self, now: u64) -> bool {
        self.look_at_woken();
        if let Some(front) = self.rounds.only() {
            let served = self.serve(front, now, ROUND);
            if served.then == Then::Gone {
                self.rounds.remove(front);
            }
            return served.worked;
        }
        let crowd = self.rounds.count() > LOOK;
        let mut rounds = std::mem::take(&mut self.rounds);
        let worked = rounds.run(&mut Visit { reactor: self, now, crowd });
        self.rounds = rounds;
        worked
    }

    /// Takes requests of one.
    #[inline]
    fn serve(&mut self, front: Front, now: u64, budget: u32) -> Served {
        match front {
            Front::Guest(slot) => self.visit_guest(slot, now, budget),
            Front::Socket(slot) => self.visit_socket(slot, now, budget),
        }
    }

    fn look_at_woken(&mut self) {
        while let Some(front) = self.woken.pop() {
            self.rounds.add(front);
        }
    }

    /// Passes on what the lane said.
    pub(super) fn pass_on(&mut self) {
        if self.said.replies.is_empty() && self.said.answers.is_empty() {
            return;
        }
        let mut replies = std::mem::take(&mut self.said.replies);
        for (tag, outcome) in replies.drain(..) {
            let slot = (tag.0 >> 16) as u16;
            match tag.0 & mark::MASK {
                mark::GUEST => self.guest_replied(slot, tag.0 as u16, outcome),
                mark::SOCKET => self.socket_replied(slot, tag.0 as u16, outcome),
                _ => panic!("the lane answers what it was asked"),
            }
        }
        self.said.replies = replies;
        for (tag, answer) in std::mem::take(&mut self.said.answers) {
            self.answered(tag, answer);
        }
    }

    /// Makes the answers of one visible, if it has any. Of which volume.
    fn publish_one(&mut self, front: Front) -> Option<VolumeHandle> {
        let at = self.touched.iter().position(|touched| *touched == front)?;
        self.touched.swap_remove(at);
        match front {
            Front::Guest(slot) => {
                let volume = self.guests[usize::from(slot)].as_ref()?.volume;
                self.publish_guest(slot);
                Some(volume)
            }
            Front::Socket(slot) => {
                let volume = self.sockets[usize::from(slot)].as_ref()?.volume;
                self.publish_socket(slot);
                Some(volume)
            }
        }
    }

    /// Gives the kernel what the lane asked for.
    fn submit(&mut self) {
        if let Err(error) = self.ring.submit() {
            // Without its ring a lane cannot go on; the next engine may.
            panic!("{error}");
        }
    }

    /// Makes answers visible, once for each front end that has any.
    pub(super) fn publish(&mut self) {
        while let Some(front) = self.touched.pop() {
            match front {
                Front::Guest(slot) => self.publish_guest(slot),
                Front::Socket(slot) => self.publish_socket(slot),
            }
        }
    }

    /// A front end has something to publish.
    #[inline]
    pub(super) fn touch(&mut self, front: Front) {
        if !self.touched.contains(&front) {
            self.touched.push(front);
        }
    }

    /// A front end is looked at again.
    pub(super) fn wake(&mut self, front: Front) {
        if !self.woken.contains(&front) {
            self.woken.push(front);
        }
    }

    /// Sleeps until somebody knocks, something completes, or a time has come.
    fn rest(&mut self, now: u64) {
        let Some(until) = self.arm_all(now) else { return };
        if !self.bell.sleep() {
            return;
        }
        let turn = self.next_turn.map_or(u64::MAX, |next| next.0);
        let left = Duration::from_nanos(turn.min(until).saturating_sub(now)).min(LONGEST);
        if !left.is_zero()
            && let Err(error) = self.ring.wait(1, Some(left))
        {
            panic!("{error}");
        }
        self.bell.awake();
    }

    /// Asks all front ends to knock. `None`: one of them has something already. Else the
    /// earliest time at which a limit lets one go on.
    fn arm_all(&mut self, now: u64) -> Option<u64> {
        self.look_at_woken();
        let mut until = u64::MAX;
        let fronts: Vec<Front> = self.rounds.all().collect();
        for front in fronts {
            let armed = match front {
                Front::Guest(slot) => self.arm_guest(slot),
                Front::Socket(slot) => self.arm_socket(slot, now),
            };
            match armed {
                Armed::Knocks => self.rounds.remove(front),
                Armed::Waits(time) => until = until.min(time),
                Armed::Busy => until = 0,
            }
        }
        (until != 0).then_some(until)
    }
}

/// The front ends of a lane, for the time of a visit.
struct Visit<'a> {
    reactor: &'a mut Reactor,
    /// The clock is read again when something was published.
    now: u64,
    /// There are too many to look at all of them all the time.
    crowd: bool,
}

impl Fronts for Visit<'_> {
    type Front = Front;
    #[inline]
    fn glance(&mut self, front: Front) -> Look {
        match front {
            Front::Guest(slot) => self.reactor.glance_at_guest(slot, self.now),
            // To look is a system call.
            Front::Socket(_) => Look::Nothing,
        }
    }
    #[inline]
    fn look(&mut self, front: Front) -> Look {
        match front {
            Front::Guest(slot) => self.reactor.look_at_guest(slot, self.now, self.crowd),
            Front::Socket(slot) => self.reactor.look_at_socket(slot, self.now),
        }
    }
    #[inline]
    fn serve(&mut self, front: Front, budget: u32) -> Served {
        let budget = match front {
            Front::Guest(_) => budget,
            // Each look at it is a system call.
            Front::Socket(_) => SOCKET,
        };
        self.reactor.serve(front, self.now, budget)
    }
    fn publish(&mut self, front: Front) {
        if let Some(volume) = self.reactor.publish_one(front) {
            self.now = monotonic_nanos();
            self.reactor.lane.settle_volume(volume, Nanos(self.now));
        }
    }
    fn send_off(&mut self) {
        self.reactor.submit();
    }
}

/// How a front end took it that the lane wants to sleep.
pub(super) enum Armed {
    /// It will knock.
    Knocks,
    /// Its limits keep it from going on before this time.
    Waits(u64),
    /// It has something.
    Busy,
}
