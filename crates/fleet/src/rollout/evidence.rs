//! Evidence for and against a release, as bets that can be looked at at any time.
//!
//! Each fault in the fleet is a question: was it on a machine that has the release, or on one
//! that has not? Among machines of one hardware type, one load and the same other releases, a
//! release that does nothing gets its share of faults, `hours with / (hours with + hours
//! without)`, whatever the day is like for the whole fleet. A release that multiplies faults
//! by r gets `r hours with / (r hours with + hours without)`. The product of the ratios of
//! both is a bet against innocence: under innocence its expectation never exceeds 1, so that
//! it passes 1,000 with a chance of at most 1 in 1,000, however often one looks (Ville). This
//! is the safe log-rank test of Grünwald, Ter Schure and Pérez-Ortiz. One over it is a bet
//! against "r or worse", and that is what lets a wave go on.
//!
//! A bet is placed for each factor, for the first hours after the change and for all time, for
//! each hardware type and signal and for all together. Their weighted mean is again such a
//! bet, so that looking in many places needs no further correction.

use serde::{Deserialize, Serialize};

use super::fact::Signal;
use super::logs::{exp, ln};

/// Factors that are bet on.
pub const FACTORS: [f64; 10] = [1.5, 2.0, 3.0, 4.0, 8.0, 16.0, 32.0, 128.0, 512.0, 1_024.0];

/// Spans since the change that are bet on, in seconds: faults that come at once, within a day,
/// and whenever.
pub const SPANS: [u64; 3] = [2 * 3_600, 24 * 3_600, u64::MAX];
const SPAN_WEIGHTS: [f64; 3] = [0.25, 0.25, 0.5];

/// Times the accepted part of changes that fail.
const FAILURE_FACTORS: [f64; 4] = [2.0, 5.0, 20.0, 90.0];
/// How much of the stake is bet on changes that fail.
const FAILURE_WEIGHT: f64 = 0.1;

/// A bet: what it stands at for each factor, as logarithms.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Slice {
    pub logs: [f64; FACTORS.len()],
    /// Faults on machines that have the release.
    pub faults: u32,
    /// What machines with the release would have had at the rate of those without.
    pub expected: f64,
}

/// One fault, as it concerns one release.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial {
    /// Of which hardware type.
    pub kind: u16,
    pub signal: Signal,
    /// Since when its machine has the release, in seconds; `None` when it has it not.
    pub age: Option<u64>,
    /// Hours of matched machines with the release, by [`SPANS`] since the change.
    pub with: [f64; SPANS.len()],
    /// Hours of matched machines without.
    pub without: f64,
}

/// All bets about one release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Evidence {
    kinds: u16,
    /// By span, then hardware type (0 for all), then signal (0 for all).
    slices: Vec<Slice>,
    /// Bets that more changes fail than may.
    failures: [f64; FAILURE_FACTORS.len()],
    pub changes: u32,
    pub failed: u32,
}

const SIGNALS: usize = Signal::ALL.len() + 1;

/// Where a slice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Faults within so many seconds of the change; all when absent.
    pub within: Option<u64>,
    /// Machines of one hardware type; all when absent.
    pub kind: Option<u16>,
    /// Faults of one kind; all when absent.
    pub signal: Option<Signal>,
}

impl Evidence {
    pub fn new(kinds: u16) -> Self {
        let slices = SPANS.len() * (usize::from(kinds) + 1) * SIGNALS;
        Self {
            kinds,
            slices: vec![Slice::default(); slices],
            failures: Default::default(),
            changes: 0,
            failed: 0,
        }
    }

    fn at(&self, span: usize, kind: usize, signal: usize) -> usize {
        (span * (usize::from(self.kinds) + 1) + kind) * SIGNALS + signal
    }

    /// Counts a fault. Says for how many with the release it stands when it is one without,
    /// and nothing when there was nothing to compare.
    pub fn count(&mut self, trial: &Trial) -> Option<f64> {
        let mut share = None;
        for (span, seconds) in SPANS.into_iter().enumerate() {
            let (with, without) = (trial.with[span], trial.without);
            // A fault of a machine that has it longer is no question about this span.
            if with <= 0.0 || without <= 0.0 || trial.age.is_some_and(|age| age > seconds) {
                continue;
            }
            let steps = steps(with, without, trial.age.is_some());
            // A fault without it stands for so many with it.
            let expected = if trial.age.is_none() { with / without } else { 0.0 };
            for kind in [0, usize::from(trial.kind) + 1] {
                for signal in [0, trial.signal as usize + 1] {
                    let at = self.at(span, kind, signal);
                    let slice = &mut self.slices[at];
                    for (log, step) in slice.logs.iter_mut().zip(steps) {
                        *log += step;
                    }
                    slice.faults += u32::from(trial.age.is_some());
                    slice.expected += expected;
                }
            }
            if seconds == u64::MAX {
                share = Some(expected);
            }
        }
        share
    }

    /// Counts a change; `accepted` is the part that may fail.
    pub fn change(&mut self, ok: bool, accepted: f64) {
        self.changes += 1;
        self.failed += u32::from(!ok);
        for (log, factor) in self.failures.iter_mut().zip(FAILURE_FACTORS) {
            let part = (accepted * factor).min(0.99);
            *log += match ok {
                true => ln((1.0 - part) / (1.0 - accepted)),
                false => ln(part / accepted),
            };
        }
    }

    /// What all bets together stand at, as a logarithm.
    pub fn log_odds(&self) -> f64 {
        let most = self.terms().map(|term| term.1).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = self.terms().map(|(weight, log)| weight * exp(log - most)).sum();
        most + ln(sum)
    }

    /// Weights, which sum up to 1, and logarithms.
    fn terms(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let slices = self.slices.iter().enumerate().flat_map(|(at, slice)| {
            let weight = (1.0 - FAILURE_WEIGHT) * self.weight(at) / FACTORS.len() as f64;
            slice.logs.iter().map(move |log| (weight, *log))
        });
        let weight = FAILURE_WEIGHT / FAILURE_FACTORS.len() as f64;
        slices.chain(self.failures.iter().map(move |log| (weight, *log)))
    }

    /// Half of the stake of a span is on all hardware types together, half of that on all
    /// signals together; each single one has its part of the rest.
    fn weight(&self, at: usize) -> f64 {
        let (span, kind, signal) = self.place(at);
        let half = |index: usize, others: f64| if index == 0 { 0.5 } else { 0.5 / others };
        SPAN_WEIGHTS[span]
            * half(kind, f64::from(self.kinds))
            * half(signal, Signal::ALL.len() as f64)
    }

    fn place(&self, at: usize) -> (usize, usize, usize) {
        let kinds = usize::from(self.kinds) + 1;
        (at / SIGNALS / kinds, at / SIGNALS % kinds, at % SIGNALS)
    }

    /// The smallest factor such that it and all larger ones are excluded, at a chance of
    /// `missed` that one of them is there all the same. Infinite when none is.
    pub fn bound(&self, kind: Option<u16>, missed: f64) -> f64 {
        let kind = kind.map_or(0, |kind| usize::from(kind) + 1);
        let logs = &self.slices[self.at(SPANS.len() - 1, kind, 0)].logs;
        let excluded = ln(missed);
        let out = logs.iter().rev().take_while(|log| **log <= excluded).count();
        FACTORS.get(FACTORS.len() - out).copied().unwrap_or(f64::INFINITY)
    }

    /// All faults since the change, of all hardware types.
    pub fn whole(&self) -> &Slice {
        &self.slices[self.at(SPANS.len() - 1, 0, 0)]
    }

    /// The slice that says most against the release.
    pub fn loudest(&self) -> (About, &Slice) {
        let loud = |at: usize| {
            let most = self.slices[at].logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            most + ln(self.weight(at))
        };
        let all = 0..self.slices.len();
        let best = all.max_by(|one, two| loud(*one).total_cmp(&loud(*two))).unwrap_or(0);
        let (span, kind, signal) = self.place(best);
        let about = About {
            within: Some(SPANS[span]).filter(|span| *span != u64::MAX),
            kind: kind.checked_sub(1).map(|kind| kind as u16),
            signal: signal.checked_sub(1).map(|signal| Signal::ALL[signal]),
        };
        (about, &self.slices[best])
    }
}

/// How far each bet moves by one fault.
fn steps(with: f64, without: f64, on_changed: bool) -> [f64; FACTORS.len()] {
    FACTORS.map(|factor| {
        let step = ln((with + without) / (factor * with + without));
        if on_changed { step + ln(factor) } else { step }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random: SplitMix64.
    struct Dice(u64);

    impl Dice {
        fn share(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    /// Faults of a fleet in which machines with the release have them `factor` times as often:
    /// the highest that the bets ever stood at, and where they ended.
    fn run(seed: u64, factor: f64, faults: u32) -> (f64, Evidence) {
        let mut dice = Dice(seed);
        let mut evidence = Evidence::new(2);
        let mut most = f64::NEG_INFINITY;
        for step in 0..faults {
            // More and more machines are changed; a few of them lately.
            let with = 10.0 + 90.0 * f64::from(step) / f64::from(faults);
            let without = 400.0 - with;
            let lately = with * 0.1;
            let hit = dice.share() < factor * with / (factor * with + without);
            let age = hit.then(|| match dice.share() {
                part if part < 0.1 => 600,
                part if part < 0.3 => 40_000,
                _ => 400_000,
            });
            evidence.count(&Trial {
                kind: (dice.share() * 2.0) as u16,
                signal: Signal::ALL[(dice.share() * 4.0) as usize],
                age,
                with: [lately, with * 0.3, with],
                without,
            });
            most = most.max(evidence.log_odds());
        }
        (most, evidence)
    }

    #[test]
    fn an_innocent_release_is_accused_as_seldom_as_promised() {
        // 1,000 releases, each looked at after every fault: odds of 5 may be reached by one
        // in 5 (200, and three deviations more), odds of 20 by one in 20.
        let (mut five, mut twenty) = (0, 0);
        for seed in 0..1_000 {
            let (most, _) = run(seed, 1.0, 100);
            five += u32::from(most >= ln(5.0));
            twenty += u32::from(most >= ln(20.0));
        }
        assert!((1..=200 + 38).contains(&five), "{five} of 1,000");
        assert!(twenty <= 50 + 21, "{twenty} of 1,000");
    }

    #[test]
    fn a_better_release_is_accused_less() {
        let accused = (0..200).filter(|seed| run(*seed, 0.5, 100).0 >= ln(20.0)).count();
        assert!(accused <= 5, "{accused} of 200");
    }

    #[test]
    fn a_regression_is_found_and_never_excluded() {
        let (mut found, mut excluded) = (0, 0);
        for seed in 0..100 {
            let (most, evidence) = run(seed, 3.0, 400);
            found += u32::from(most >= ln(1_000.0));
            excluded += u32::from(evidence.bound(None, 0.01) <= 3.0);
        }
        assert!(found >= 97, "{found} of 100");
        assert!(excluded <= 1 + 3, "{excluded} of 100");
    }

    #[test]
    fn innocence_excludes_regressions() {
        let bounded = (0..40).filter(|seed| run(*seed, 1.0, 600).1.bound(None, 0.01) <= 2.0);
        assert!(bounded.count() >= 37);
        assert_eq!(Evidence::new(2).bound(None, 0.01), f64::INFINITY, "no data excludes nothing");
    }

    #[test]
    fn the_stake_is_one() {
        let evidence = Evidence::new(5);
        let sum: f64 = evidence.terms().map(|term| term.0).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        assert!(evidence.log_odds().abs() < 1e-12);
    }

    #[test]
    fn failed_changes_accuse() {
        let mut evidence = Evidence::new(1);
        (0..200).for_each(|at| evidence.change(at % 100 != 0, 0.01));
        assert!(evidence.log_odds() < ln(2.0), "one in a hundred may fail");
        (0..4).for_each(|_| evidence.change(false, 0.01));
        let mut first = Evidence::new(1);
        (0..4).for_each(|_| first.change(false, 0.01));
        assert!(first.log_odds() > ln(1_000.0), "four canaries that do not come back");
    }

    #[test]
    fn it_says_where() {
        let mut evidence = Evidence::new(3);
        let other = Trial {
            kind: 0,
            signal: Signal::Device,
            age: None,
            with: [1.0, 20.0, 40.0],
            without: 1_000.0,
        };
        for _ in 0..60 {
            evidence.count(&other);
            evidence.count(&Trial { kind: 2, ..other });
            evidence.count(&Trial { signal: Signal::Network, ..other });
        }
        for at in 0..6 {
            evidence.count(&Trial {
                kind: 2,
                signal: Signal::Network,
                age: Some(at * 60),
                with: [1.0, 20.0, 40.0],
                without: 1_000.0,
            });
        }
        let (about, slice) = evidence.loudest();
        assert_eq!((about.kind, about.signal), (Some(2), Some(Signal::Network)));
        assert_eq!((about.within, slice.faults), (Some(7_200), 6));
    }
}
