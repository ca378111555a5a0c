//! Who goes next on a core: the volume that used least of it (start-time fair queueing:
//! Goyal, Vin and Cheng, 1996), by cost.
//!
//! All that have something to do advance together. Whoever had nothing to do joins where
//! the hindmost is, so it goes next: a volume with a request now and then does not wait
//! behind seven that are never done. It brings nothing with it from when it had nothing
//! to do, and what it used it used: coming and going gains nobody more than one turn. A
//! volume with many queues has what a volume with one queue has.

/// How far one may go before the others are looked at again, in units of [`cost`]: a few
/// requests, so that the state of one volume is used while it is in the cache.
const TURN: u64 = 32;
/// Blocks of a range that is forgotten that cost as much as one that is copied.
const FORGOTTEN: u64 = 16;

/// What a request costs a core: itself, and what has to be copied, checked and
/// encrypted for it.
#[inline]
pub fn cost(bytes: u64) -> u32 {
    u32::try_from(1 + bytes.div_ceil(crate::BLOCK as u64)).unwrap_or(u32::MAX)
}

/// What it costs a core to forget a range: at most as much as is done of it at a time.
#[inline]
pub fn cost_of_forgetting(bytes: u64) -> u32 {
    cost((bytes / FORGOTTEN).min((crate::lane::STEPS as usize * crate::BLOCK) as u64 / FORGOTTEN))
}

/// Those who share a core: front ends (`K`) of volumes, which are known by small numbers.
#[derive(Debug)]
pub struct Shares<K> {
    /// What each volume used, as the hindmost counts.
    used: Vec<u64>,
    /// Who has something to do, for which volume. Who was served last stands last.
    awake: Vec<(K, usize)>,
    /// Where the turn began that was given last.
    hindmost: u64,
}

/// Somebody's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn<K> {
    /// Whose.
    pub who: K,
    /// For which volume.
    pub volume: usize,
    end: u64,
}

impl<K> Default for Shares<K> {
    fn default() -> Self {
        Self { used: Vec::new(), awake: Vec::new(), hindmost: 0 }
    }
}

impl<K: Copy + Eq> Shares<K> {
    /// Who has something to do.
    pub fn awake(&self) -> impl Iterator<Item = K> + '_ {
        self.awake.iter().map(|(who, _)| *who)
    }
    /// How many have something to do.
    pub fn count(&self) -> usize {
        self.awake.len()
    }

    /// Somebody who had nothing to do has something now.
    #[inline]
    pub fn wake(&mut self, who: K, volume: usize) {
        self.catch_up(volume);
        self.awake.push((who, volume));
    }

    /// Whose turn it is, if anybody has something to do.
    #[inline]
    pub fn next_up(&mut self) -> Option<Turn<K>> {
        let used = |at: &usize| self.used[self.awake[*at].1];
        let at = (0..self.awake.len()).min_by_key(used)?;
        let (who, volume) = self.awake.remove(at);
        self.awake.push((who, volume));
        self.hindmost = self.hindmost.max(self.used[volume]);
        Some(Turn { who, volume, end: self.used[volume] + TURN })
    }

    /// Whether a turn is over.
    #[inline]
    pub fn is_over(&self, turn: &Turn<K>) -> bool {
        self.used[turn.volume] >= turn.end
    }

    /// Whether a volume that had nothing to do, and has a little now, goes before those
    /// that are never done: it had no more than its share.
    #[inline]
    pub fn goes_first(&self, volume: usize) -> bool {
        self.used.get(volume).is_none_or(|used| *used <= self.hindmost + TURN)
    }

    /// Something was done for a volume at this cost.
    #[inline]
    pub fn spent(&mut self, volume: usize, cost: u32) {
        self.catch_up(volume);
        self.used[volume] += u64::from(cost);
    }

    /// Somebody has nothing to do, or has to wait for something.
    #[inline]
    pub fn rest(&mut self, who: K) {
        // Who was served last stands last, and it is mostly that one.
        if let Some(at) = self.awake.iter().rposition(|(other, _)| *other == who) {
            self.awake.remove(at);
        }
    }

    /// Nobody has anything to do. Volumes keep what they used.
    pub fn clear(&mut self) {
        self.awake.clear();
    }

    fn catch_up(&mut self, volume: usize) {
        if volume >= self.used.len() {
            self.used.resize(volume + 1, 0);
        }
        self.used[volume] = self.used[volume].max(self.hindmost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each volume got, when each request of a front end has its cost and none is
    /// ever done.
    fn divide(shares: &mut Shares<u32>, fronts: &[(u32, usize, u32)], turns: usize) -> Vec<u64> {
        let volumes = fronts.iter().map(|front| front.1).max().unwrap_or(0) + 1;
        let mut got = vec![0; volumes];
        fronts.iter().for_each(|(who, volume, _)| shares.wake(*who, *volume));
        for _ in 0..turns {
            let turn = shares.next_up().expect("somebody has something to do");
            let cost = fronts.iter().find(|front| front.0 == turn.who).expect("a front end").2;
            while !shares.is_over(&turn) {
                shares.spent(turn.volume, cost);
                got[turn.volume] += u64::from(cost);
            }
        }
        fronts.iter().for_each(|(who, ..)| shares.rest(*who));
        got
    }

    #[test]
    fn the_core_is_divided_by_cost_and_not_by_requests() {
        let fronts = [(0, 0, 1), (1, 1, 2), (2, 2, 17), (3, 3, 257)];
        let got = divide(&mut Shares::default(), &fronts, 100_000);
        let (least, most) = (*got.iter().min().expect("4"), *got.iter().max().expect("4"));
        assert!(most - least <= 257 + TURN, "{got:?}");
    }

    #[test]
    fn many_queues_are_no_more_than_one_and_share_evenly() {
        let mut shares = Shares::default();
        let fronts = [(0, 0, 2), (1, 1, 2), (2, 1, 2), (3, 1, 2)];
        let got = divide(&mut shares, &fronts, 10_000);
        assert!(got[0].abs_diff(got[1]) <= 2 * TURN, "{got:?}");
        fronts.iter().for_each(|(who, volume, _)| shares.wake(*who, *volume));
        let mut turns = [0_u32; 4];
        for _ in 0..6_000 {
            let turn = shares.next_up().expect("all have something to do");
            turns[turn.who as usize] += 1;
            shares.spent(turn.volume, TURN as u32);
        }
        assert!(turns[1..].iter().all(|count| count.abs_diff(1_000) <= 1), "{turns:?}");
    }

    #[test]
    fn who_asks_for_little_goes_first() {
        let mut shares = Shares::default();
        let busy: Vec<_> = (0..7).map(|at| (at, at as usize, 17)).collect();
        for turns in 20..100 {
            divide(&mut shares, &busy, turns);
            assert!(shares.goes_first(7));
            shares.wake(7, 7);
            assert_eq!(shares.next_up().map(|turn| turn.who), Some(7));
            shares.spent(7, 2);
            shares.rest(7);
        }
    }

    #[test]
    fn coming_and_going_gains_no_more_than_a_turn() {
        let mut shares = Shares::default();
        let mut got = [0_u64, 0];
        shares.wake(0_u32, 0);
        for _ in 0..10_000 {
            // It has something whenever anybody looks.
            if shares.goes_first(1) {
                shares.spent(1, 2);
                got[1] += 2;
                continue;
            }
            let turn = shares.next_up().expect("it has something to do");
            shares.spent(turn.volume, 2);
            got[0] += 2;
        }
        assert!(got[1] <= got[0] + 2 * TURN, "{got:?}");
    }

    #[test]
    fn who_rests_is_not_asked_and_others_are() {
        let mut shares = Shares::default();
        assert_eq!(shares.next_up(), None);
        shares.wake('a', 0);
        shares.wake('b', 1);
        shares.rest('a');
        shares.rest('c');
        assert_eq!(shares.next_up().map(|turn| turn.who), Some('b'));
        assert_eq!(shares.awake().collect::<Vec<_>>(), ['b']);
        shares.clear();
        assert_eq!((shares.next_up(), shares.count()), (None, 0));
    }

    #[test]
    fn a_request_has_the_cost_of_its_blocks() {
        assert_eq!((cost(0), cost(512), cost(4096), cost(65536)), (1, 2, 2, 17));
        assert_eq!(cost(u64::MAX), u32::MAX);
        assert_eq!((cost_of_forgetting(0), cost_of_forgetting(65536)), (1, 2));
        assert_eq!(cost_of_forgetting(u64::MAX), 65);
    }
}
