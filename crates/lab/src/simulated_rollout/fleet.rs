//! The simulated fleet: racks of one hardware type each, and how often what goes wrong.
//!
//! Rates are those that were published:
//! - faults of a machine: 6.5 in 1,000 days (Kokolis and others, *Revisiting Reliability in
//!   Large-Scale Machine Learning Research Clusters*, 2024: RSC-1); by kind as the 419
//!   interruptions of the Llama 3 report (2024, table 5): devices 66 %, software 15 %,
//!   network 10 %, the rest 9 %;
//! - lemons: the same paper finds that 1.2 to 1.7 % of machines cause 13 % of failures, so 1.5 %
//!   fail ten times as often;
//! - racks and feeds: Dean (*Designs, Lessons and Advice from Building Large Distributed
//!   Systems*, LADIS 2009), for 1,800 machines in a year: 20 racks that vanish for 1 to 6
//!   hours, 5 racks that lose half of their packets, a power unit of 500 to 1,000 machines.
//!
//! Where nobody publishes, it is said beside the number.

use fleet::placement::{Domain, Place};
use fleet::rollout::Signal;

use crate::placement::demand::Dice;

/// Machines in a rack.
pub const RACK: u32 = 40;
/// Racks on a power feed.
pub const FEED: u32 = 20;
/// Shares of the hardware types, in tenths: a few generations, the older ones rarer (assumed).
pub const KINDS: [u32; 4] = [4, 3, 2, 1];

/// Faults of a machine in an hour.
pub const FAULTS: f64 = 6.5 / 1_000.0 / 24.0;
/// By kind, in hundredths.
const SIGNALS: [(Signal, u64); 4] =
    [(Signal::Device, 66), (Signal::Software, 15), (Signal::Network, 10), (Signal::Down, 9)];
/// One machine in so many is a lemon…
const LEMON_EVERY: u64 = 67;
/// …and fails so many times as often.
const LEMON: f64 = 10.0;

/// An event a year among so many machines, in an hour and for each machine.
const fn yearly(events: f64) -> f64 {
    events / 1_800.0 / 365.0 / 24.0
}
/// Racks that vanish, for each machine in an hour.
pub const RACKS_DOWN: f64 = yearly(20.0);
/// Racks that lose packets.
pub const RACKS_LOSSY: f64 = yearly(5.0);
/// Feeds that fail.
pub const FEEDS_DOWN: f64 = yearly(1.0);
/// Days on which the whole fleet is ill: something that everybody uses is (assumed: one a
/// month, and faults thrice as frequent).
pub const BAD_DAYS: f64 = 1.0 / 30.0;
/// See [`BAD_DAYS`].
pub const BAD_DAY: f64 = 3.0;
/// Reports of racks that get lost (assumed).
pub const LOST_REPORTS: f64 = 0.02;
/// Feeds whose racks report nothing for hours, each day (assumed).
pub const DEAF_FEEDS: f64 = 0.3;
/// Changes that fail with a good release (assumed; the policy accepts one in a hundred).
pub const FAILED_CHANGES: f64 = 0.005;

/// Where machines stand and what they are.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// By machine.
    pub places: Vec<Place>,
    /// By machine.
    pub kinds: Vec<u16>,
    lemons: Vec<bool>,
    /// Phase of the day's load, by rack: users of many countries.
    phases: Vec<f64>,
}

impl Fleet {
    /// So many machines.
    pub fn new(machines: u32, dice: &mut Dice) -> Self {
        let racks = machines.div_ceil(RACK);
        let place = |machine: u32| {
            let rack = machine / RACK;
            Place { domains: [Domain(rack), Domain(rack), Domain(rack / FEED), Domain(0)] }
        };
        let kind = |machine: u32| {
            let mut tenth = machine / RACK % 10;
            let of = KINDS.iter().position(|share| match tenth.checked_sub(*share) {
                Some(rest) => {
                    tenth = rest;
                    false
                }
                None => true,
            });
            of.unwrap_or_default() as u16
        };
        Self {
            places: (0..machines).map(place).collect(),
            kinds: (0..machines).map(kind).collect(),
            lemons: (0..machines).map(|_| dice.below(LEMON_EVERY) == 0).collect(),
            phases: (0..racks).map(|_| dice.share() * 0.3).collect(),
        }
    }

    /// Machines.
    pub fn size(&self) -> u32 {
        self.places.len() as u32
    }

    /// Racks.
    pub fn racks(&self) -> u32 {
        self.phases.len() as u32
    }

    /// Machines of a rack.
    pub fn rack(&self, rack: u32) -> std::ops::Range<u32> {
        rack * RACK..((rack + 1) * RACK).min(self.size())
    }

    /// How busy a rack is, in quarters: by the hour of the day, and less on weekends (assumed:
    /// nearly idle in the night, full in the afternoon).
    pub fn load(&self, rack: u32, hour: f64) -> u8 {
        let day = std::f64::consts::TAU * (hour / 24.0 + self.phases[rack as usize]);
        let weekend = if (hour / 24.0) as u64 % 7 >= 5 { 0.7 } else { 1.0 };
        let load = (0.5 - 0.45 * day.cos()) * weekend;
        (load * 4.0) as u8
    }

    /// How much more often machines fault at a load (assumed: half as often when idle).
    pub fn by_load(load: u8) -> f64 {
        [0.7, 0.9, 1.1, 1.3][usize::from(load.min(3))]
    }

    /// Whether a machine that was picked at random is the one that faults: lemons always are.
    pub fn accepts(&self, machine: u32, dice: &mut Dice) -> bool {
        self.lemons[machine as usize] || dice.share() < 1.0 / LEMON
    }

    /// How many must be picked at random, for one to be accepted on average.
    pub fn picks() -> f64 {
        let lemons = 1.0 / LEMON_EVERY as f64;
        LEMON / (lemons * LEMON + (1.0 - lemons))
    }
}

/// A kind of fault, as frequent as they are.
pub fn any_signal(dice: &mut Dice) -> Signal {
    let mut at = dice.below(SIGNALS.iter().map(|one| one.1).sum());
    for (signal, weight) in SIGNALS {
        match at.checked_sub(weight) {
            Some(rest) => at = rest,
            None => return signal,
        }
    }
    unreachable!("the weights sum up to the bound")
}

/// How many of so many expected events there are: Poisson, by its definition for few and by
/// the normal distribution for many.
pub fn poisson(mean: f64, dice: &mut Dice) -> u32 {
    if mean > 200.0 {
        let (one, two) = (1.0 - dice.share(), dice.share());
        let normal = (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * two).cos();
        return (mean + normal * mean.sqrt()).round().max(0.0) as u32;
    }
    let (least, mut product, mut count) = ((-mean).exp(), dice.share(), 0);
    while product > least {
        product *= dice.share();
        count += 1;
    }
    count
}
