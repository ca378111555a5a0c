//! The promise about limits, kept in virtual time: within 1 % in each second, however
//! irregularly anybody asks.

use model::volume::Limits;
use world::{Entropy, Seeded};

use super::{Gate, Node, Shares, cost};
use crate::units::Nanos;

const SECOND: u64 = 1_000_000_000;
const RATES: [u64; 9] = [100, 250, 1000, 3333, 5000, 20_000, 100_000, 250_000, 500_000];

/// When somebody asks.
#[derive(Clone, Copy, Debug)]
enum Asking {
    /// All the time, with pauses up to this.
    Every(u64),
    /// At the time that was answered, and up to so much later.
    WhenTold(u64),
}

const ASKING: [Asking; 6] = [
    Asking::Every(2_000),
    Asking::Every(100_000),
    Asking::Every(1_000_000),
    Asking::WhenTold(0),
    Asking::WhenTold(50_000),
    Asking::WhenTold(1_000_000),
];

struct Bench {
    gate: Gate,
    now: Nanos,
    entropy: Seeded,
}

impl Bench {
    fn new(seed: u64) -> Self {
        Self { gate: Gate::new(), now: Nanos(77 * SECOND), entropy: Seeded::new(seed) }
    }
    fn add(&mut self, parent: Option<Node>, limits: Limits) -> Node {
        self.gate.add(parent, limits, self.now)
    }
    /// Lets through what may go until `end`, and counts it.
    fn run(&mut self, node: Node, bytes: u64, asking: Asking, end: Nanos) -> u64 {
        let mut count = 0;
        loop {
            let told = loop {
                match self.gate.ready(node, self.now) {
                    Ok(()) => self.gate.charge(node, 1, bytes),
                    Err(told) => break told,
                }
                count += 1;
            };
            let next = match asking {
                Asking::Every(most) => self.now.plus(1 + self.entropy.below(most)),
                Asking::WhenTold(late) => told.plus(self.entropy.below(late + 1)),
            };
            if next >= end {
                self.now = end;
                return count;
            }
            self.now = next;
        }
    }
    /// What goes through in each of some seconds.
    fn seconds(&mut self, node: Node, bytes: u64, asking: Asking, count: usize) -> Vec<u64> {
        let each = |_| {
            let end = self.now.plus(SECOND);
            self.run(node, bytes, asking, end)
        };
        (0..count).map(each).collect()
    }
}

fn within_one_percent(seen: u64, limit: u64) -> bool {
    seen.abs_diff(limit) * 100 <= limit
}

fn iops(iops: u64) -> Limits {
    Limits { iops: Some(iops), ..Limits::NONE }
}

#[test]
fn requests_are_within_one_percent_in_each_second() {
    for rate in RATES {
        for asking in ASKING {
            let mut bench = Bench::new(rate);
            let node = bench.add(None, iops(rate));
            let seen = bench.seconds(node, 4096, asking, 3);
            let fine = seen.iter().all(|seen| within_one_percent(*seen, rate));
            assert!(fine, "{rate} IOPS, asked {asking:?}: {seen:?}");
        }
    }
}

#[test]
fn bytes_are_within_one_percent_in_each_second() {
    for rate in [5_000_000, 200_000_000, 2_000_000_000, 20_000_000_000] {
        for asking in ASKING {
            let mut bench = Bench::new(rate);
            let node = bench.add(None, Limits { bandwidth: Some(rate), ..Limits::NONE });
            let bytes = if rate < 1_000_000_000 { 4096 } else { 65536 };
            let seen = bench.seconds(node, bytes, asking, 3);
            let fine = seen.iter().all(|seen| within_one_percent(seen * bytes, rate));
            assert!(fine, "{rate} B/s, asked {asking:?}: {seen:?}");
        }
    }
}

#[test]
fn of_requests_and_bytes_the_nearer_limit_holds() {
    let limits = Limits { bandwidth: Some(40_960_000), ..iops(20_000) };
    let mut bench = Bench::new(1);
    let node = bench.add(None, limits);
    let small = bench.seconds(node, 512, Asking::Every(1_000_000), 2);
    assert!(small.iter().all(|seen| within_one_percent(*seen, 20_000)), "{small:?}");
    let large = bench.seconds(node, 4096, Asking::Every(1_000_000), 2);
    assert!(large.iter().all(|seen| within_one_percent(*seen, 10_000)), "{large:?}");
}

#[test]
fn an_idle_volume_saves_no_more_than_lateness() {
    let mut bench = Bench::new(2);
    let node = bench.add(None, iops(100_000));
    bench.now = bench.now.plus(3600 * SECOND);
    let seen = bench.seconds(node, 4096, Asking::Every(1_000_000), 1);
    assert!(within_one_percent(seen[0], 100_000), "{seen:?}");
}

#[test]
fn credit_is_earned_while_idle_and_lasts_as_long_as_was_said() {
    let limits = Limits { burst_iops: Some(3000), burst_seconds: Some(5), ..iops(1000) };
    let asking = Asking::Every(1_000_000);
    let mut bench = Bench::new(3);
    let node = bench.add(None, limits);
    // Nothing is saved at first.
    assert!(within_one_percent(bench.seconds(node, 0, asking, 1)[0], 1000));
    // Half of what can be saved: 5,000 requests, so 2.5 s of bursting.
    bench.now = bench.now.plus(5 * SECOND);
    let half = bench.seconds(node, 0, asking, 4);
    assert!(within_one_percent(half[0], 3000) && within_one_percent(half[1], 3000), "{half:?}");
    assert!(within_one_percent(half[2], 2000) && within_one_percent(half[3], 1000), "{half:?}");
    // An hour saves no more than was said.
    bench.now = bench.now.plus(3600 * SECOND);
    let whole = bench.seconds(node, 0, asking, 7);
    assert!(whole[..5].iter().all(|seen| within_one_percent(*seen, 3000)), "{whole:?}");
    assert!(whole[5..].iter().all(|seen| within_one_percent(*seen, 1000)), "{whole:?}");
}

#[test]
fn nested_limits_hold_at_each_height() {
    let mut bench = Bench::new(4);
    let project = bench.add(None, iops(10_000));
    let machine = bench.add(Some(project), iops(8000));
    let volumes = [
        bench.add(Some(machine), iops(1000)),
        bench.add(Some(machine), iops(9000)),
        bench.add(Some(project), Limits::NONE),
    ];
    let mut shares = Shares::default();
    let mut seen = [0; 3];
    let end = bench.now.plus(4 * SECOND);
    while bench.now < end {
        (0..volumes.len()).for_each(|at| shares.wake(at, at));
        while let Some(turn) = shares.next_up() {
            while !shares.is_over(&turn) && bench.gate.ready(volumes[turn.who], bench.now).is_ok() {
                bench.gate.charge(volumes[turn.who], 1, 4096);
                shares.spent(turn.volume, cost(4096));
                seen[turn.who] += 1;
            }
            if !shares.is_over(&turn) {
                shares.rest(turn.who);
            }
        }
        bench.now = bench.now.plus(1 + bench.entropy.below(1_000_000));
    }
    let per_second = seen.map(|seen| seen / 4);
    assert!(within_one_percent(per_second.iter().sum(), 10_000), "{per_second:?}");
    assert!(within_one_percent(per_second[0], 1000), "{per_second:?}");
    // The two that are not held by their own limits share what is left.
    assert!(per_second[1].abs_diff(per_second[2]) < 900, "{per_second:?}");
}

#[test]
fn a_live_change_holds_from_the_next_second_on() {
    let mut bench = Bench::new(5);
    let node = bench.add(None, iops(500_000));
    for rate in [100, 500_000, 1000, 20_000, 250] {
        bench.seconds(node, 4096, Asking::Every(1_000_000), 1);
        bench.gate.set(node, iops(rate), bench.now);
        let seen = bench.seconds(node, 4096, Asking::Every(1_000_000), 2);
        assert!(seen.iter().all(|seen| within_one_percent(*seen, rate)), "{rate}: {seen:?}");
    }
}

#[test]
fn a_huge_request_is_paid_back_and_no_more() {
    let mut bench = Bench::new(6);
    let limits = Limits { bandwidth: Some(40_960_000), ..Limits::NONE };
    let node = bench.add(None, limits);
    bench.gate.ready(node, bench.now).expect("nothing is owed");
    bench.gate.charge(node, 1, 2 * 40_960_000);
    let seen = bench.seconds(node, 4096, Asking::WhenTold(1_000_000), 4);
    assert_eq!(seen[..2], [0, 0]);
    assert!(seen[2..].iter().all(|seen| within_one_percent(*seen, 10_000)), "{seen:?}");
}
