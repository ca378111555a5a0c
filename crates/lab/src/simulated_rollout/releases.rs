//! Releases, and what is wrong with some of them. The engine sees none of this: it sees
//! faults.
//!
//! Nobody publishes how often releases are bad and how. The kinds are those that Gandalf (Li
//! and others, NSDI 2020) names for Azure: failures at once, failures after hours, those of
//! one hardware type, those under load, and those that two changes cause together. Factors
//! are spread evenly by their logarithm, so that each order of magnitude is as frequent.

use fleet::rollout::{Component, Hours, Release, Spec, Wave};

use crate::placement::demand::Dice;

/// What a release does to a machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Harm {
    /// Nothing.
    None,
    /// Goes down within the hour after the change, with this chance.
    Crash {
        /// The chance.
        part: f64,
    },
    /// Fails so many hours after the change, again and again.
    Leak {
        /// Hours, give or take a fifth.
        hours: f64,
        /// The part of machines that leak.
        part: f64,
    },
    /// Faults are multiplied on one hardware type.
    Kind {
        /// Which.
        kind: u16,
        /// By how much.
        factor: f64,
    },
    /// Faults are multiplied while a machine is busy.
    Load {
        /// By how much.
        factor: f64,
    },
    /// All faults are multiplied.
    Small {
        /// By how much.
        factor: f64,
    },
    /// Faults are multiplied on machines that have another release too.
    Pair {
        /// Which, by number; that one alone is harmless.
        with: usize,
        /// By how much.
        factor: f64,
    },
}

impl Harm {
    /// The kinds of harm, by name.
    pub const NAMES: [&str; 6] = ["crash", "leak", "one type", "load", "small", "pair"];

    /// Its place in [`Harm::NAMES`].
    pub fn kind(&self) -> Option<usize> {
        match self {
            Self::None => None,
            Self::Crash { .. } => Some(0),
            Self::Leak { .. } => Some(1),
            Self::Kind { .. } => Some(2),
            Self::Load { .. } => Some(3),
            Self::Small { .. } => Some(4),
            Self::Pair { .. } => Some(5),
        }
    }
}

/// A release, and the truth about it.
#[derive(Clone, Debug)]
pub struct Planned {
    /// As the engine is told.
    pub spec: Spec,
    /// What it does.
    pub harm: Harm,
}

/// One release in so many is bad, in turns of each kind.
const ONE_BAD_IN: usize = 6;
/// Releases between the two of a pair: they are out at the same time.
const PAIR_DISTANCE: usize = 3;

/// So many releases, for so many hardware types.
pub fn plan(count: usize, kinds: u16, dice: &mut Dice) -> Vec<Planned> {
    let mut planned: Vec<Planned> = Vec::with_capacity(count);
    let mut bad = 0;
    for at in 0..count {
        let harm = if at % ONE_BAD_IN == ONE_BAD_IN - 1 {
            bad += 1;
            harm(bad - 1, at, kinds, dice)
        } else {
            Harm::None
        };
        let spec = spec(at, dice);
        planned.push(Planned { spec, harm });
    }
    planned
}

fn harm(turn: usize, at: usize, kinds: u16, dice: &mut Dice) -> Harm {
    let mut between = |low: f64, high: f64| low * (high / low).powf(dice.share());
    match turn % Harm::NAMES.len() {
        0 => Harm::Crash { part: between(0.3, 1.0) },
        1 => Harm::Leak { hours: between(4.0, 48.0), part: between(0.5, 1.0) },
        2 => Harm::Kind { factor: between(2.0, 100.0), kind: dice.below(kinds.into()) as u16 },
        3 => Harm::Load { factor: between(2.0, 100.0) },
        4 => Harm::Small { factor: between(2.0, 3.0) },
        _ => Harm::Pair { factor: between(5.0, 100.0), with: at - PAIR_DISTANCE },
    }
}

/// Three in ten restart the machine: firmware and images do.
fn spec(at: usize, dice: &mut Dice) -> Spec {
    let (component, restarts) = match dice.below(10) {
        0 => (Component::Firmware, true),
        1 | 2 => (Component::Image, true),
        3..=6 => (Component::Agent, false),
        _ => (Component::Other("network".to_owned()), false),
    };
    // One in ten only in the night of UTC.
    let night = Hours { days: 0b111_1111, from: 20 * 60, to: 8 * 60 };
    let hours = if dice.below(10) == 0 { vec![night] } else { Vec::new() };
    let release =
        Release { component, version: format!("{}", at + 1), former: format!("{at}"), restarts };
    Spec { release, waves: Wave::usual(), hours, salt: dice.roll() }
}
