//! Who goes next on a core: whoever used least of it (start-time fair queueing: Goyal,
//! Vin and Cheng, 1996), by cost.
//!
//! All that have something to do advance together. Whoever had nothing to do joins where
//! the hindmost is, so it goes next: a volume with a request now and then does not wait
//! behind seven that are never done. It brings nothing with it from when it had nothing
//! to do, and what it used it used: coming and going gains nobody anything. The same
//! holds for those that wait for a limit they share.

/// How far somebody may go before the others are looked at again, in units of [`cost`]:
/// a few requests, so that the state of one volume is used while it is in the cache.
const ROUND: u64 = 32;

/// What a request costs a core: itself, and what has to be copied, checked and
/// encrypted for it.
#[inline]
pub fn cost(bytes: u64) -> u32 {
    u32::try_from(1 + bytes.div_ceil(crate::BLOCK as u64)).unwrap_or(u32::MAX)
}

/// A member of [`Shares`]. Used again after it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Member(u32);

/// Those who share a core.
#[derive(Debug, Default)]
pub struct Shares {
    members: Vec<State>,
    free: Vec<u32>,
    /// Those who have something to do.
    awake: Vec<u32>,
    /// Where the last turn that was used began.
    hindmost: u64,
    /// Whose turn it is, and where it began.
    turn: Option<(u32, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    used: u64,
    awake: bool,
    here: bool,
}

impl Shares {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Somebody who will have things to do; [`Shares::wake`] says when.
    pub fn join(&mut self) -> Member {
        let state = State { used: self.hindmost, awake: false, here: true };
        let member = match self.free.pop() {
            Some(member) => {
                self.members[member as usize] = state;
                member
            }
            None => {
                self.members.push(state);
                self.members.len() as u32 - 1
            }
        };
        self.awake.reserve(self.members.len() - self.awake.len());
        Member(member)
    }

    /// Somebody is gone.
    pub fn leave(&mut self, member: Member) {
        assert!(self.members[member.0 as usize].here, "a member leaves once");
        self.rest(member);
        self.members[member.0 as usize].here = false;
        self.free.push(member.0);
    }

    /// Somebody has something to do now. Nothing changes if that was known.
    #[inline]
    pub fn wake(&mut self, member: Member) {
        let state = &mut self.members[member.0 as usize];
        assert!(state.here, "who left has nothing to do");
        if state.awake {
            return;
        }
        state.awake = true;
        state.used = state.used.max(self.hindmost);
        let used = state.used;
        self.awake.push(member.0);
        if self.turn.is_some_and(|(other, _)| self.members[other as usize].used >= used) {
            self.turn = None;
        }
    }

    /// Whose turn it is, if anybody has something to do. Then either [`Shares::spent`]
    /// says what it did, or [`Shares::rest`] that it has nothing to do or may not.
    #[inline]
    pub fn next_up(&mut self) -> Option<Member> {
        match self.turn {
            Some((member, began)) if self.members[member as usize].used < began + ROUND => {
                Some(Member(member))
            }
            _ => self.look(),
        }
    }

    /// Looks for the hindmost; among equals for the one that came last.
    fn look(&mut self) -> Option<Member> {
        let used = |member: &u32| self.members[*member as usize].used;
        let member = *self.awake.iter().rev().min_by_key(|member| used(member))?;
        self.turn = Some((member, used(&member)));
        Some(Member(member))
    }

    /// Somebody whose turn it was did something at this cost.
    #[inline]
    pub fn spent(&mut self, member: Member, cost: u32) {
        self.members[member.0 as usize].used += u64::from(cost);
        if let Some((_, began)) = self.turn {
            self.hindmost = self.hindmost.max(began);
        }
    }

    /// Somebody has nothing to do, or has to wait for something.
    #[inline]
    pub fn rest(&mut self, member: Member) {
        let state = &mut self.members[member.0 as usize];
        if !std::mem::take(&mut state.awake) {
            return;
        }
        let at = self.awake.iter().position(|other| *other == member.0);
        self.awake.remove(at.expect("who is awake is on the list"));
        if self.turn.is_some_and(|(other, _)| other == member.0) {
            self.turn = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each got, when each request of a member has its cost and none is ever done.
    fn divide(shares: &mut Shares, costs: &[(Member, u32)], rounds: usize) -> Vec<u64> {
        let mut got = vec![0; costs.len()];
        costs.iter().for_each(|(member, _)| shares.wake(*member));
        for _ in 0..rounds {
            let next = shares.next_up().expect("somebody has something to do");
            let at = costs.iter().position(|(member, _)| *member == next).expect("a member");
            shares.spent(next, costs[at].1);
            got[at] += u64::from(costs[at].1);
        }
        got
    }

    #[test]
    fn the_core_is_divided_by_cost_and_not_by_requests() {
        let mut shares = Shares::new();
        let costs = [1, 2, 17, 257].map(|cost| (shares.join(), cost));
        let got = divide(&mut shares, &costs, 100_000);
        let (least, most) = (*got.iter().min().expect("4"), *got.iter().max().expect("4"));
        assert!(most - least <= 257 + ROUND, "{got:?}");
    }

    #[test]
    fn who_asks_for_little_goes_first() {
        let mut shares = Shares::new();
        let busy: Vec<_> = (0..7).map(|_| (shares.join(), 17)).collect();
        let victim = shares.join();
        for requests in 20..100 {
            divide(&mut shares, &busy, requests);
            shares.wake(victim);
            assert_eq!(shares.next_up(), Some(victim));
            shares.spent(victim, 2);
            shares.rest(victim);
        }
    }

    #[test]
    fn coming_and_going_gains_nothing() {
        let mut shares = Shares::new();
        let (steady, restless) = (shares.join(), shares.join());
        let mut got = [0, 0];
        for _ in 0..10_000 {
            shares.wake(steady);
            shares.wake(restless);
            let next = shares.next_up().expect("two have something to do");
            shares.spent(next, 2);
            got[usize::from(next == restless)] += 2;
            shares.rest(restless);
        }
        assert!(got[1] <= got[0] + ROUND, "{got:?}");
    }

    #[test]
    fn who_rests_or_left_is_not_asked() {
        let mut shares = Shares::new();
        let (one, two) = (shares.join(), shares.join());
        assert_eq!(shares.next_up(), None);
        shares.wake(one);
        shares.wake(two);
        shares.leave(one);
        assert_eq!(shares.next_up(), Some(two));
        shares.rest(two);
        assert_eq!(shares.next_up(), None);
        assert_eq!(shares.join(), one);
        assert_eq!(shares.next_up(), None);
    }

    #[test]
    fn a_request_has_the_cost_of_its_blocks() {
        assert_eq!((cost(0), cost(512), cost(4096), cost(65536)), (1, 2, 2, 17));
        assert_eq!(cost(u64::MAX), u32::MAX);
    }
}
