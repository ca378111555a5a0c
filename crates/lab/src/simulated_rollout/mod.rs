//! Two hundred releases on a simulated fleet, some of them bad in ways that are known here
//! and not to the engine. What is counted: which of the bad ones it takes back, how many good
//! ones, and how many machines a bad one reached before that.
//!
//! Read in this order: [`fleet`] (machines and what goes wrong anyway, by published rates),
//! [`releases`] (what is wrong with releases), [`world`] (time), [`pilot`] (the engine, with
//! a second one that must say the same), [`plain`] (the usual gate, for comparison).

pub mod fleet;
pub mod pilot;
pub mod plain;
pub mod releases;
pub mod world;

use ::fleet::rollout::{Decision, End, Fact, Verdict, What};
use model::Timestamp;

use crate::placement::demand::Dice;
use fleet::Fleet;
use pilot::Pilot;
use releases::{Harm, plan};
use world::World;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The same seed, the same run.
    pub seed: u64,
    /// Machines.
    pub machines: u32,
    /// Releases.
    pub releases: usize,
    /// Of those, so many at once.
    pub at_once: usize,
    /// It ends after so many days, whatever is still out.
    pub days: u32,
}

/// What became of one release.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The truth about it.
    pub harm: Harm,
    /// When it was created.
    pub created: Timestamp,
    /// When it was condemned, if it was, and the evidence in words.
    pub condemned: Option<(Timestamp, String)>,
    /// When and how it ended, if it has.
    pub ended: Option<(Timestamp, End)>,
    /// What the gate said last.
    pub last: String,
    /// Machines that it harmed, or could have.
    pub exposed: u32,
}

/// What became of all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// By release.
    pub outcomes: Vec<Outcome>,
    /// Days that it took.
    pub days: f64,
    /// How often the second engine said something else.
    pub mismatches: u64,
    /// Machines.
    pub machines: u32,
}

/// Lets a pilot take all releases through the fleet.
pub fn run(options: Options, pilot: &mut dyn Pilot, tell: &mut dyn FnMut(&str)) -> Findings {
    let mut dice = Dice(options.seed);
    let fleet = Fleet::new(options.machines, &mut dice);
    let kinds = fleet.kinds.iter().max().map_or(0, |kind| kind + 1);
    let releases = plan(options.releases, kinds, &mut dice);
    let mut world = World::new(fleet, releases.clone(), dice);
    let mut findings = Findings { machines: options.machines, ..Findings::default() };
    for machine in 0..world.fleet.size() as usize {
        let (place, kind) = (world.fleet.places[machine], world.fleet.kinds[machine]);
        pilot.take(&Fact { at: world.now, what: What::Joined { place, kind } });
    }
    let start = world.now;
    for step in 1..=options.days * 96 {
        while findings.outcomes.len() < releases.len() && findings.active() < options.at_once {
            let release = &releases[findings.outcomes.len()];
            pilot.take(&Fact { at: world.now, what: What::Created(release.spec.clone()) });
            findings.outcomes.push(Outcome {
                harm: release.harm,
                created: world.now,
                condemned: None,
                ended: None,
                last: String::new(),
                exposed: 0,
            });
        }
        let mut facts = world.step();
        facts.push(Fact { at: world.now, what: What::Clock });
        for fact in facts {
            for decision in pilot.take(&fact) {
                findings.note(&decision, fact.at, tell);
                world.obey(&decision);
            }
        }
        if step % 96 == 0 {
            findings.mismatches = pilot.day();
            tell(&findings.progress(step / 96));
        }
        if findings.active() == 0 && findings.outcomes.len() == releases.len() {
            break;
        }
    }
    findings.days = world.now.since(start).secs_f64() / 86_400.0;
    for (outcome, exposed) in findings.outcomes.iter_mut().zip(world.exposed) {
        outcome.exposed = exposed;
    }
    findings
}

impl Findings {
    fn active(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.ended.is_none()).count()
    }

    fn progress(&self, day: u32) -> String {
        let begun = self.outcomes.len();
        let condemned = self.outcomes.iter().filter(|one| one.condemned.is_some()).count();
        format!("day {day}: {begun} begun, {condemned} condemned, {} active", self.active())
    }

    fn note(&mut self, decision: &Decision, at: Timestamp, tell: &mut dyn FnMut(&str)) {
        if let Decision::Verdict { rollout, verdict, evidence } = decision {
            let last = &mut self.outcomes[rollout.0 as usize].last;
            *last = format!("{verdict:?}: {evidence}");
        }
        match decision {
            Decision::Verdict { rollout, verdict: Verdict::RollBack(blame), evidence } => {
                let outcome = &mut self.outcomes[rollout.0 as usize];
                let words = format!("{blame:?}: {evidence}");
                tell(&format!("rollout {} ({:?}) {words}", rollout.0, outcome.harm));
                outcome.condemned = Some((at, words));
            }
            Decision::Ended { rollout, end } => {
                self.outcomes[rollout.0 as usize].ended = Some((at, *end));
            }
            _ => {}
        }
    }

    /// Whether a release is bad: by itself, or as one of a pair.
    fn guilty(&self, at: usize) -> bool {
        let pair = |later: &Outcome| matches!(later.harm, Harm::Pair { with, .. } if with == at);
        self.outcomes[at].harm != Harm::None || self.outcomes.iter().any(pair)
    }

    /// Whether a bad one was condemned: of a pair it is enough when one was.
    fn caught(&self, at: usize) -> bool {
        let other = match self.outcomes[at].harm {
            Harm::Pair { with, .. } => self.outcomes[with].condemned.is_some(),
            _ => false,
        };
        self.outcomes[at].condemned.is_some() || other
    }

    fn bad(&self) -> impl Iterator<Item = (usize, &Outcome)> {
        self.outcomes.iter().enumerate().filter(|(_, outcome)| outcome.harm != Harm::None)
    }

    /// Of the bad ones, how many in a hundred were condemned.
    pub fn recall_percent(&self) -> f64 {
        let caught = self.bad().filter(|(at, _)| self.caught(*at)).count();
        percent(caught, self.bad().count())
    }

    /// Of the condemned, how many in a hundred were bad.
    pub fn precision_percent(&self) -> f64 {
        let condemned = |at: &usize| self.outcomes[*at].condemned.is_some();
        let condemned: Vec<usize> = (0..self.outcomes.len()).filter(condemned).collect();
        let right = condemned.iter().filter(|at| self.guilty(**at)).count();
        percent(right, condemned.len())
    }

    /// How many bad ones of a kind were condemned.
    pub fn caught_of(&self, kind: usize) -> usize {
        let bad = self.bad().filter(|(_, one)| one.harm.kind() == Some(kind));
        bad.filter(|(at, _)| self.caught(*at)).count()
    }

    /// How many good ones were condemned.
    pub fn wronged(&self) -> usize {
        let condemned = |at: &usize| self.outcomes[*at].condemned.is_some();
        (0..self.outcomes.len()).filter(condemned).filter(|at| !self.guilty(*at)).count()
    }

    /// Machines that bad ones reached, in hundredths of the fleet, in order; of one kind, or
    /// of all.
    pub fn exposed_percent(&self, kind: Option<usize>) -> Vec<f64> {
        let bad = self.bad().filter(|(_, one)| kind.is_none() || one.harm.kind() == kind);
        let share = |exposed: u32| f64::from(exposed) * 100.0 / f64::from(self.machines.max(1));
        let mut all: Vec<f64> = bad.map(|(_, outcome)| share(outcome.exposed)).collect();
        all.sort_by(f64::total_cmp);
        all
    }

    /// Hours from the creation of bad ones to their verdict, in order.
    pub fn verdict_hours(&self) -> Vec<f64> {
        let condemned = self.bad().filter_map(|(_, one)| Some((one, one.condemned.as_ref()?.0)));
        sorted(condemned.map(|(one, at)| at.since(one.created).secs_f64() / 3_600.0))
    }

    /// Days that good ones took to be everywhere, in order.
    pub fn good_days(&self) -> Vec<f64> {
        let good = self.outcomes.iter().filter(|outcome| outcome.harm == Harm::None);
        let complete = good.filter_map(|one| match one.ended {
            Some((at, End::Complete)) => Some(at.since(one.created).secs_f64() / 86_400.0),
            _ => None,
        });
        sorted(complete)
    }

    /// What was said last of rollouts that had not ended.
    pub fn unfinished(&self) -> Vec<&str> {
        let open = self.outcomes.iter().filter(|outcome| outcome.ended.is_none());
        open.map(|outcome| outcome.last.as_str()).collect()
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The value in the middle of an ordered list; 0 for none.
pub fn median(values: &[f64]) -> f64 {
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 100.0 } else { part as f64 * 100.0 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_run() {
        let options = Options { seed: 3, machines: 2_000, releases: 6, at_once: 3, days: 3 };
        let run = || run(options, &mut pilot::Engine::default(), &mut |_| {});
        let (one, two) = (run(), run());
        assert_eq!(one, two);
        assert_eq!(one.mismatches, 0);
    }
}
