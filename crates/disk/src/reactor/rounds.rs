//! In which order front ends are served when there are several.
//!
//! Those that always have something more take turns ([`Shares`]): a turn is some 16
//! requests, so that what it needs stays in the cache and its client is told once. Those
//! that had nothing when they were looked at last are looked at again after every few
//! requests of the others, and when one of them has a little by then, and its volume had
//! no more than its share, it is served and told at once. So a client with one request
//! at a time waits for some requests of its neighbours, and not for a round of them all:
//! what `fq_codel` does for sparse flows (RFC 8290), counted in cost and not in bytes.
//! A client that wants more than its share stands in line like everybody.

use volume::qos::{Shares, Turn};

/// What is done for one before those that had nothing are looked at again, in units of
/// [`volume::qos::cost`]: eight requests of one block. With four, heavy clients whose
/// queue happens to be short are taken for light ones, and told one by one.
const BATCH: u32 = 16;
/// At most so many requests are a little.
pub(super) const FEW: u16 = 4;
/// What is done before completions are looked at, and the lane does what it does by
/// itself.
pub(super) const ROUND: u32 = 128;
/// How many of those that had nothing are looked at each time.
pub(super) const LOOK: usize = 8;

/// What a look at a front end says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It has nothing.
    Nothing,
    /// It has at most [`FEW`] requests, for this volume.
    Few(usize),
    /// It has more, or that is not known.
    Many(usize),
    /// It knocks when it has something: it is not looked at any more.
    Gone,
}

/// What serving one came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Served {
    /// What was done for it.
    pub cost: u32,
    /// Whether anything was done.
    pub worked: bool,
    /// What it has now.
    pub then: Then,
}

/// What a front end that was served has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// More, probably.
    More,
    /// Nothing, or it has to wait.
    Nothing,
    /// It is not looked at any more.
    Gone,
}

impl Served {
    /// It has nothing, or has to wait.
    pub const NOTHING: Served = Served { cost: 0, worked: false, then: Then::Nothing };
    /// It is not looked at any more.
    pub const GONE: Served = Served { then: Then::Gone, ..Self::NOTHING };
}

/// The front ends themselves.
pub(super) trait Fronts {
    /// Which.
    type Front: Copy + Eq;
    /// Looks whether one that had nothing has something now. This is asked very often.
    fn glance(&mut self, front: Self::Front) -> Look;
    /// The same, once a round, and with whatever else is to be seen to then.
    fn look(&mut self, front: Self::Front) -> Look;
    /// Does something for one, until this much is used.
    fn serve(&mut self, front: Self::Front, budget: u32) -> Served;
    /// Makes its answers visible, and tells its client.
    fn publish(&mut self, front: Self::Front);
    /// What was asked of disks goes to them.
    fn send_off(&mut self);
}

/// Front ends that are awake, and where the next round begins.
#[derive(Debug)]
pub(super) struct Rounds<F> {
    /// Who has something.
    shares: Shares<F>,
    /// Who had nothing when it was looked at last.
    light: Vec<F>,
    /// Which of them was looked at last.
    at: usize,
}

impl<F> Default for Rounds<F> {
    fn default() -> Self {
        Self { shares: Shares::default(), light: Vec::new(), at: 0 }
    }
}

impl<F: Copy + Eq> Rounds<F> {
    /// All that are looked at.
    pub fn all(&self) -> impl Iterator<Item = F> + '_ {
        self.light.iter().copied().chain(self.shares.awake())
    }
    /// How many are looked at.
    pub fn count(&self) -> usize {
        self.light.len() + self.shares.count()
    }
    /// The one that is looked at, when there is only one.
    #[inline]
    pub fn only(&self) -> Option<F> {
        if self.count() == 1 { self.all().next() } else { None }
    }
    /// One is looked at from now on.
    pub fn add(&mut self, front: F) {
        if self.all().all(|other| other != front) {
            self.light.push(front);
        }
    }
    /// One is not looked at any more.
    pub fn remove(&mut self, front: F) {
        self.light.retain(|other| *other != front);
        self.shares.rest(front);
    }
    /// Nobody is looked at any more.
    pub fn clear(&mut self) {
        self.light.clear();
        self.shares.clear();
    }

    /// Serves all for a while. Whether there was anything to do.
    pub fn run(&mut self, fronts: &mut impl Fronts<Front = F>) -> bool {
        let mut done = self.look_at_all(fronts);
        while done.cost < ROUND
            && let Some(turn) = self.shares.next_up()
        {
            done.add(self.turn(fronts, turn));
        }
        done.worked
    }

    /// One has its turn, and others that have a little come in between.
    fn turn(&mut self, fronts: &mut impl Fronts<Front = F>, turn: Turn<F>) -> Done {
        let mut done = Done::default();
        loop {
            let served = fronts.serve(turn.who, BATCH);
            self.shares.spent(turn.volume, served.cost);
            done.count(&served);
            if served.then != Then::More {
                self.shares.rest(turn.who);
                if served.then == Then::Nothing {
                    self.light.push(turn.who);
                }
                break;
            }
            if self.shares.is_over(&turn) {
                break;
            }
            done.add(self.glance_at_some(fronts));
        }
        if done.worked {
            // Who waits longest goes first: telling takes as long as some requests.
            done.add(self.glance_at_some(fronts));
            fronts.publish(turn.who);
            done.add(self.glance_at_some(fronts));
        }
        done
    }

    /// Looks at some of those that had nothing.
    fn glance_at_some(&mut self, fronts: &mut impl Fronts<Front = F>) -> Done {
        let mut done = Done::default();
        for _ in 0..LOOK.min(self.light.len()) {
            self.at = if self.at + 1 < self.light.len() { self.at + 1 } else { 0 };
            let Some(front) = self.light.get(self.at) else { break };
            let look = fronts.glance(*front);
            done.add(self.looked(fronts, self.at, look).0);
        }
        done
    }

    /// Looks at all of those that had nothing, each round.
    fn look_at_all(&mut self, fronts: &mut impl Fronts<Front = F>) -> Done {
        let (mut done, mut at) = (Done::default(), 0);
        while let Some(front) = self.light.get(at) {
            let look = fronts.look(*front);
            let (did, stays) = self.looked(fronts, at, look);
            done.add(did);
            at += usize::from(stays);
        }
        done
    }

    /// What a look came to: what was done, and whether it stays one that has nothing.
    #[inline]
    fn looked(
        &mut self,
        fronts: &mut impl Fronts<Front = F>,
        at: usize,
        look: Look,
    ) -> (Done, bool) {
        let mut done = Done::default();
        let stays = match look {
            Look::Nothing => return (done, true),
            Look::Few(volume) if self.shares.goes_first(volume) => {
                let front = self.light[at];
                let served = fronts.serve(front, BATCH);
                self.shares.spent(volume, served.cost);
                done.count(&served);
                fronts.publish(front);
                fronts.send_off();
                if served.then == Then::More {
                    self.shares.wake(front, volume);
                }
                served.then == Then::Nothing
            }
            Look::Few(volume) | Look::Many(volume) => {
                self.shares.wake(self.light[at], volume);
                false
            }
            Look::Gone => false,
        };
        if !stays {
            self.light.swap_remove(at);
        }
        (done, stays)
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    cost: u32,
    worked: bool,
}

impl Done {
    #[inline]
    fn count(&mut self, served: &Served) {
        self.add(Self { cost: served.cost, worked: served.worked });
    }
    #[inline]
    fn add(&mut self, other: Self) {
        self.cost = self.cost.saturating_add(other.cost);
        self.worked |= other.worked;
    }
}

#[cfg(test)]
#[path = "rounds_tests.rs"]
mod tests;
