//! Who is served next: deficit round robin between accounts (Shreedhar and Varghese,
//! 1995), with the cost told after the service. An account with a thousand connections
//! gets as much as one with a single connection, when both want all they can get.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

/// What an account may spend before the next one's turn. In bytes.
const QUANTUM: i64 = 128 << 10;
/// Accounts that are remembered although they want nothing.
const REMEMBERED: usize = 1024;

/// Account numbers are random already, or nearly: one multiplication spreads them.
#[derive(Default)]
pub struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }
}

#[derive(Debug)]
struct Flow<T> {
    waiting: VecDeque<T>,
    /// What it may still spend. Debts stay, credit is lost with the turn.
    credit: i64,
}

/// Queues of accounts, and whose turn it is.
#[derive(Debug)]
pub struct Shares<T> {
    flows: HashMap<u64, Flow<T>, BuildHasherDefault<Spread>>,
    /// Those who wait, in order of their turns.
    ring: VecDeque<u64>,
    length: usize,
    /// From so many accounts on those who want nothing are forgotten.
    crowd: usize,
}

impl<T> Default for Shares<T> {
    fn default() -> Self {
        Self { flows: HashMap::default(), ring: VecDeque::new(), length: 0, crowd: REMEMBERED }
    }
}

impl<T> Shares<T> {
    /// Something waits.
    pub fn push(&mut self, account: u64, item: T) {
        if self.flows.len() > self.crowd {
            // Debts as well: whoever has a thousand accounts has enough of everything. And
            // seldom, so that a crowd costs each who comes next to nothing.
            self.flows.retain(|_, flow| !flow.waiting.is_empty());
            self.crowd = REMEMBERED.max(2 * self.flows.len());
        }
        let flow = self
            .flows
            .entry(account)
            .or_insert_with(|| Flow { waiting: VecDeque::new(), credit: 0 });
        if flow.waiting.is_empty() {
            flow.credit = flow.credit.min(0) + QUANTUM;
            self.ring.push_back(account);
        }
        flow.waiting.push_back(item);
        self.length += 1;
    }

    /// What is served next, and whose it is.
    pub fn pop(&mut self) -> Option<(u64, T)> {
        loop {
            let account = *self.ring.front()?;
            let flow = self.flows.get_mut(&account).expect("who waits is known");
            if flow.credit <= 0 {
                flow.credit += QUANTUM;
                self.ring.rotate_left(1);
                continue;
            }
            let item = flow.waiting.pop_front().expect("who is in the ring waits");
            if flow.waiting.is_empty() {
                self.ring.pop_front();
            }
            self.length -= 1;
            return Some((account, item));
        }
    }

    /// What serving it took.
    pub fn charge(&mut self, account: u64, cost: u64) {
        if let Some(flow) = self.flows.get_mut(&account) {
            // A debt is bounded: nobody waits for long because of what was once.
            let cost = i64::try_from(cost).unwrap_or(i64::MAX);
            flow.credit = flow.credit.saturating_sub(cost).max(-64 * QUANTUM);
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Serves so many times; what each account got. `again`: it wants more at once.
    fn serve(shares: &mut Shares<u64>, times: usize) -> HashMap<u64, u64> {
        let mut got = HashMap::new();
        for _ in 0..times {
            let (account, cost) = shares.pop().expect("somebody waits");
            shares.charge(account, cost);
            *got.entry(account).or_default() += cost;
            shares.push(account, cost);
        }
        got
    }

    #[test]
    fn a_flood_of_connections_gets_no_more_than_one_connection() {
        let mut shares = Shares::default();
        for _ in 0..1000 {
            shares.push(1, 4096);
        }
        shares.push(2, 4096);
        let got = serve(&mut shares, 10_000);
        let (one, two) = (got[&1], got[&2]);
        // The single one waits for its own last service, never for a thousand others.
        assert!(two * 33 >= one, "{one} {two}");
        let mut shares = Shares::default();
        for _ in 0..1000 {
            shares.push(1, 4096);
        }
        for _ in 0..40 {
            shares.push(2, 4096);
        }
        let got = serve(&mut shares, 10_000);
        assert!(got[&2] * 10 >= got[&1] * 9, "{got:?}");
    }

    #[test]
    fn large_pieces_are_paid_for_afterwards() {
        let mut shares = Shares::default();
        for _ in 0..10 {
            shares.push(1, 1 << 20);
            shares.push(2, 16 << 10);
        }
        let got = serve(&mut shares, 5000);
        let (large, small) = (got[&1] as f64, got[&2] as f64);
        assert!((large / small - 1.0).abs() < 0.2, "{got:?}");
    }

    #[test]
    fn one_account_alone_is_served_in_order() {
        let mut shares = Shares::default();
        for item in 0..100_u64 {
            shares.push(7, item);
        }
        assert_eq!(shares.len(), 100);
        for item in 0..100 {
            assert_eq!(shares.pop(), Some((7, item)));
            shares.charge(7, 1 << 20);
        }
        assert!(shares.pop().is_none() && shares.is_empty());
    }

    #[test]
    fn those_who_left_are_forgotten() {
        let mut shares = Shares::default();
        for account in 0..10_000 {
            shares.push(account, ());
            assert_eq!(shares.pop(), Some((account, ())));
        }
        assert!(shares.flows.len() <= REMEMBERED + 1);
        // Who owes something is no exception.
        for account in 0..10_000 {
            shares.push(account, ());
            shares.charge(account, 1 << 30);
            assert!(shares.pop().is_some());
        }
        assert!(shares.flows.len() <= REMEMBERED + 1);
    }
}
