//! A turn of the loop, and the sleep between turns.

use std::time::Duration;

use volume::Nanos;
use volume::lane::Op;
use world::clock::monotonic_nanos;
use world::disk::Ended;

use super::{Front, Reactor, mark};

/// Requests that a front end gives in a turn when it is not the only one. Few, so that
/// none waits long for its neighbours.
const QUANTUM: u32 = 16;
/// And when it is the only one.
const ALONE: u32 = 64;
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
            } else if self.active.is_empty() || self.idle.is_over(began) || self.all_wait(began) {
                self.rest(began);
                now = monotonic_nanos();
            } else {
                std::hint::spin_loop();
            }
        }
    }

    /// Everything that can be done now. `false`: there was nothing.
    fn turn(&mut self, now: u64) -> bool {
        let mut worked = false;
        worked |= self.work_off();
        if self.leaving.is_some() {
            return true;
        }
        worked |= self.take_completions(now);
        worked |= self.visit(now);
        if worked || self.next_turn.is_some_and(|next| next.0 <= now) {
            self.next_turn = self.drive(|lane, driver| lane.turn(Nanos(now), driver));
            self.pass_on();
            self.hear_events();
        }
        self.publish();
        if let Err(error) = self.ring.submit() {
            // Without its ring a lane cannot go on; the next engine may.
            panic!("{error}");
        }
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
        let until = |front: &Front| match *front {
            Front::Guest(slot) => self.guest_waits(slot),
            Front::Socket(slot) => self.socket_waits(slot),
        };
        !self.idle.always() && self.active.iter().all(|front| until(front) > now + NAP)
    }

    /// Looks at each front end that is awake.
    fn visit(&mut self, now: u64) -> bool {
        let quantum = if self.active.len() > 1 { QUANTUM } else { ALONE };
        let mut worked = false;
        let mut at = 0;
        while at < self.active.len() {
            let front = self.active[at];
            let (busy, stays) = match front {
                Front::Guest(slot) => self.visit_guest(slot, now, quantum),
                Front::Socket(slot) => self.visit_socket(slot, now, quantum),
            };
            worked |= busy;
            if stays {
                at += 1;
            } else {
                self.active.swap_remove(at);
            }
        }
        if worked {
            // Who was first is last next time.
            let one = self.active.len().min(1);
            self.active.rotate_left(one);
        }
        worked
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
        if !self.active.contains(&front) {
            self.active.push(front);
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
        let mut until = u64::MAX;
        let mut waiting = Vec::new();
        for front in std::mem::take(&mut self.active) {
            let armed = match front {
                Front::Guest(slot) => self.arm_guest(slot),
                Front::Socket(slot) => self.arm_socket(slot, now),
            };
            match armed {
                Armed::Knocks => {}
                Armed::Waits(time) => {
                    until = until.min(time);
                    waiting.push(front);
                }
                Armed::Busy => {
                    waiting.push(front);
                    until = 0;
                }
            }
        }
        self.active = waiting;
        (until != 0).then_some(until)
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
