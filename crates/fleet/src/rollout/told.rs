//! Evidence in a form that a person can read.

use std::fmt;

use model::Duration;
use serde::{Deserialize, Serialize};

use super::evidence::About;
use super::fact::RolloutId;

/// What a verdict rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The wave, from 1.
    pub wave: u32,
    /// Machines that were changed, or are being.
    pub machines: u32,
    /// Machine-hours of changed machines that were seen in this wave.
    pub seen_hours: f64,
    /// Of the hours that should have been seen, the part that was.
    pub coverage: f64,
    /// The odds against innocence: how many times its stake a bet against it would be worth.
    pub odds: f64,
    /// The odds at which it is rolled back, when it is the only one.
    pub needed: f64,
    /// Faults on changed machines.
    pub faults: u32,
    /// Faults that matched machines without it would have had in their place.
    pub expected: f64,
    /// Where most of the odds come from.
    pub about: About,
    /// Faults there.
    pub about_faults: u32,
    /// Faults expected there.
    pub about_expected: f64,
    /// Regressions from this factor on are out of the question; absent when none is.
    pub bound: Option<f64>,
    /// The largest such factor of any single hardware type.
    pub bound_kind: Option<f64>,
    /// Changes that were made.
    pub changes: u32,
    /// Of those, how many failed.
    pub failed: u32,
    /// Other rollouts on the same machines, with the faults there and those expected.
    pub rivals: Vec<(RolloutId, u32, f64)>,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "wave {}, {} machines, {:.0} machine-hours seen ({:.0} % of what there was): {} \
             faults where {:.1} were to be expected from machines of the same hardware, load and \
             other releases without it",
            self.wave,
            self.machines,
            self.seen_hours,
            self.coverage * 100.0,
            self.faults,
            self.expected,
        )?;
        if self.odds >= 3.0 {
            write!(f, "; most telling are {self_about}", self_about = Where(self))?;
        }
        write!(
            f,
            ". The odds against it are {:.1} to 1; {:.0} to 1 roll it back",
            self.odds, self.needed
        )?;
        if let Some(bound) = self.bound {
            write!(f, ". It is not {bound} times as bad")?;
        }
        if let Some(bound) = self.bound_kind {
            write!(f, ", on no hardware type {bound} times")?;
        }
        if self.failed > 0 {
            write!(f, ". {} of {} changes failed", self.failed, self.changes)?;
        }
        for (rollout, faults, expected) in &self.rivals {
            write!(
                f,
                ". With rollout {} on the same machines: {faults} faults, {expected:.1} expected",
                rollout.0
            )?;
        }
        Ok(())
    }
}

/// Where the odds come from, in words.
struct Where<'a>(&'a Told);

impl fmt::Display for Where<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = &self.0.about;
        write!(f, "{} faults", self.0.about_faults)?;
        if let Some(signal) = about.signal {
            write!(f, " of the kind {}", format!("{signal:?}").to_lowercase())?;
        }
        if let Some(kind) = about.kind {
            write!(f, " on hardware type {kind}")?;
        }
        if let Some(within) = about.within {
            write!(f, " within {} of the change", Duration::from_secs(within))?;
        }
        write!(f, ", {:.2} expected", self.0.about_expected)
    }
}
