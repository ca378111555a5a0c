//! Time goes by in the simulated fleet: machines fault, racks vanish, changes take their time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use fleet::placement::Domain;
use fleet::rollout::{Decision, Fact, Machine, RolloutId, Signal, What};
use model::{Duration, Timestamp};

use super::fleet::{
    BAD_DAY, BAD_DAYS, DEAF_FEEDS, FAILED_CHANGES, FAULTS, FEED, FEEDS_DOWN, Fleet, LOST_REPORTS,
    RACKS_DOWN, RACKS_LOSSY, any_signal, poisson,
};
use super::releases::{Harm, Planned};
use crate::placement::demand::Dice;

/// A step of time.
pub const STEP: Duration = Duration::from_secs(900);
const HOUR: f64 = 3_600.0 * 1e6;
/// The highest of [`Fleet::by_load`].
const BUSIEST: f64 = 1.3;

/// What is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Staged {
        release: usize,
        machine: u32,
    },
    Changed {
        release: usize,
        machine: u32,
        ok: bool,
    },
    Reverted {
        release: usize,
        machine: u32,
    },
    Fault {
        machine: u32,
        signal: Signal,
    },
    /// With its rack, for so many minutes.
    Vanishes {
        machine: u32,
        minutes: u32,
    },
    /// By a release, if the machine still has it.
    Harmed {
        release: usize,
        machine: u32,
    },
}

/// Machines that have a release.
#[derive(Clone, Debug, Default)]
struct Holders {
    all: Vec<u32>,
    at: BTreeMap<u32, usize>,
}

impl Holders {
    fn add(&mut self, machine: u32) {
        if self.at.insert(machine, self.all.len()).is_none() {
            self.all.push(machine);
        }
    }

    fn remove(&mut self, machine: u32) {
        let Some(at) = self.at.remove(&machine) else { return };
        self.all.swap_remove(at);
        if let Some(moved) = self.all.get(at) {
            self.at.insert(*moved, at);
        }
    }
}

/// The world.
pub struct World {
    /// Where machines stand and what they are.
    pub fleet: Fleet,
    /// The time.
    pub now: Timestamp,
    releases: Vec<Planned>,
    dice: Dice,
    events: BinaryHeap<Reverse<(Timestamp, u64, Event)>>,
    order: u64,
    holders: Vec<Holders>,
    /// By release: whether it does harm, alone or with another.
    matters: Vec<bool>,
    down: Vec<Timestamp>,
    bad_until: Timestamp,
    deaf: BTreeMap<u32, Timestamp>,
    /// Machines that ever had the harm of a release.
    pub exposed: Vec<u32>,
}

impl World {
    /// A world in which nothing has happened yet.
    pub fn new(fleet: Fleet, releases: Vec<Planned>, dice: Dice) -> Self {
        let count = releases.len();
        let start = Timestamp::from_micros(1_767_225_600_000_000);
        let mut matters: Vec<bool> = releases.iter().map(|one| one.harm != Harm::None).collect();
        for release in &releases {
            if let Harm::Pair { with, .. } = release.harm {
                matters[with] = true;
            }
        }
        Self {
            down: vec![start; fleet.size() as usize],
            fleet,
            now: start,
            releases,
            dice,
            events: BinaryHeap::new(),
            order: 0,
            holders: vec![Holders::default(); count],
            matters,
            bad_until: start,
            deaf: BTreeMap::new(),
            exposed: vec![0; count],
        }
    }

    fn hours(&self, moment: Timestamp) -> f64 {
        moment.micros() as f64 / HOUR
    }

    fn push(&mut self, hours: f64, event: Event) {
        let at = self.now + Duration::from_micros((hours * HOUR) as u64);
        self.order += 1;
        self.events.push(Reverse((at, self.order, event)));
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.dice.share()
    }

    /// Does what was decided; it takes its time.
    pub fn obey(&mut self, decision: &Decision) {
        match *decision {
            Decision::Stage { rollout, machine } => {
                let hours = self.between(1.0 / 60.0, 10.0 / 60.0);
                self.push(hours, Event::Staged { release: at(rollout), machine: machine.0 });
            }
            Decision::Start { rollout, machine } => self.start(at(rollout), machine.0),
            Decision::Revert { rollout, machine } => {
                let hours = self.change_hours(at(rollout));
                self.push(hours, Event::Reverted { release: at(rollout), machine: machine.0 });
            }
            _ => {}
        }
    }

    /// A quarter to half an hour with a restart, some minutes without (assumed).
    fn change_hours(&mut self, release: usize) -> f64 {
        match self.releases[release].spec.release.restarts {
            true => self.between(0.25, 0.5),
            false => self.between(1.0 / 60.0, 5.0 / 60.0),
        }
    }

    fn start(&mut self, release: usize, machine: u32) {
        let took = self.change_hours(release);
        let ok = self.down[machine as usize] <= self.now && self.dice.share() >= FAILED_CHANGES;
        self.push(took, Event::Changed { release, machine, ok });
        if !ok {
            return;
        }
        if self.matters[release] {
            self.holders[release].add(machine);
        }
        let harm = self.releases[release].harm;
        let harmed = |world: &Self, release: usize, other: usize| {
            world.holders[release].at.contains_key(&machine)
                && world.holders[other].at.contains_key(&machine)
        };
        match harm {
            Harm::Pair { with, .. } => {
                self.exposed[release] += u32::from(harmed(self, release, with));
            }
            _ => self.exposed[release] += 1,
        }
        for later in release + 1..self.releases.len().min(release + 8) {
            if let Harm::Pair { with, .. } = self.releases[later].harm
                && with == release
            {
                self.exposed[later] += u32::from(harmed(self, release, later));
            }
        }
        match harm {
            Harm::Crash { part } if self.dice.share() < part => {
                let hours = took + self.dice.share();
                self.push(hours, Event::Harmed { release, machine });
            }
            Harm::Leak { hours, part } if self.dice.share() < part => {
                let hours = took + hours * self.between(0.8, 1.2);
                self.push(hours, Event::Harmed { release, machine });
            }
            _ => {}
        }
    }

    /// Lets a step of time go by: what became known in it, in order.
    pub fn step(&mut self) -> Vec<Fact> {
        let end = self.now + STEP;
        self.background();
        self.confounders();
        self.harms();
        let mut facts = Vec::new();
        while let Some(Reverse((at, _, event))) = self.events.peek().copied() {
            if at >= end {
                break;
            }
            self.events.pop();
            self.now = self.now.max(at);
            facts.extend(self.happens(event).map(|what| Fact { at, what }));
        }
        self.now = end;
        if (end.micros() as u64).is_multiple_of(HOUR as u64) {
            self.reports(&mut facts);
        }
        facts
    }

    fn happens(&mut self, event: Event) -> Option<What> {
        let id = |release: usize| RolloutId(release as u32);
        match event {
            Event::Staged { release, machine } => {
                Some(What::Staged { rollout: id(release), machine: Machine(machine) })
            }
            Event::Changed { release, machine, ok } => {
                Some(What::Changed { rollout: id(release), machine: Machine(machine), ok })
            }
            Event::Reverted { release, machine } => {
                let ok = self.down[machine as usize] <= self.now;
                if ok {
                    self.holders[release].remove(machine);
                }
                Some(What::Reverted { rollout: id(release), machine: Machine(machine), ok })
            }
            Event::Fault { machine, signal } => self.faults(machine, signal),
            Event::Vanishes { machine, minutes } => {
                let was_down = self.down[machine as usize] > self.now;
                self.goes_down(machine, f64::from(minutes) / 60.0);
                let what = What::Fault { machine: Machine(machine), signal: Signal::Down };
                (!was_down).then_some(what)
            }
            Event::Harmed { release, machine } => {
                if !self.holders[release].at.contains_key(&machine) {
                    return None;
                }
                match self.releases[release].harm {
                    Harm::Leak { hours, .. } => {
                        let again = hours * self.between(0.8, 1.2);
                        self.push(again, Event::Harmed { release, machine });
                        self.faults(machine, Signal::Software)
                    }
                    _ => self.faults(machine, Signal::Down),
                }
            }
        }
    }

    /// A machine that is down faults no more. Down takes hours (assumed: six in the mean).
    fn faults(&mut self, machine: u32, signal: Signal) -> Option<What> {
        if self.down[machine as usize] > self.now {
            return None;
        }
        if signal == Signal::Down {
            let hours = -6.0 * (1.0 - self.dice.share()).ln();
            self.goes_down(machine, hours);
        }
        Some(What::Fault { machine: Machine(machine), signal })
    }

    fn goes_down(&mut self, machine: u32, hours: f64) {
        let until = self.now + Duration::from_micros((hours * HOUR) as u64);
        self.down[machine as usize] = self.down[machine as usize].max(until);
    }

    /// Faults that machines have anyway.
    fn background(&mut self) {
        let bad = if self.bad_until > self.now { BAD_DAY } else { 1.0 };
        let all = f64::from(self.fleet.size());
        for _ in 0..self.picks(all * bad) {
            let machine = self.dice.below(self.fleet.size().into()) as u32;
            self.perhaps(machine);
        }
    }

    /// How many machines are looked at so that as many fault as so many do in a step.
    fn picks(&mut self, machines: f64) -> u32 {
        let step = STEP.micros() as f64 / HOUR;
        poisson(FAULTS * step * machines * Fleet::picks() * BUSIEST, &mut self.dice)
    }

    /// A machine that was picked faults, if it is one that does.
    fn perhaps(&mut self, machine: u32) {
        let rack = self.fleet.places[machine as usize].domains[0].0;
        let load = self.fleet.load(rack, self.hours(self.now));
        let busy = self.dice.share() < Fleet::by_load(load) / BUSIEST;
        if busy && self.fleet.accepts(machine, &mut self.dice) {
            let signal = any_signal(&mut self.dice);
            let hours = self.dice.share() * STEP.micros() as f64 / HOUR;
            self.push(hours, Event::Fault { machine, signal });
        }
    }

    /// Faults that releases cause, beyond those that come at once.
    fn harms(&mut self) {
        for release in 0..self.releases.len() {
            let harm = self.releases[release].harm;
            let factor = match harm {
                Harm::Kind { factor, .. }
                | Harm::Load { factor }
                | Harm::Small { factor }
                | Harm::Pair { factor, .. } => factor,
                _ => continue,
            };
            let holders = self.holders[release].all.len();
            for _ in 0..self.picks((factor - 1.0) * holders as f64) {
                let pick = self.dice.below(holders as u64) as usize;
                let machine = self.holders[release].all[pick];
                if self.is_harmed(harm, machine) {
                    self.perhaps(machine);
                }
            }
        }
    }

    fn is_harmed(&self, harm: Harm, machine: u32) -> bool {
        match harm {
            Harm::Kind { kind, .. } => self.fleet.kinds[machine as usize] == kind,
            Harm::Load { .. } => {
                let rack = self.fleet.places[machine as usize].domains[0].0;
                self.fleet.load(rack, self.hours(self.now)) >= 2
            }
            Harm::Pair { with, .. } => self.holders[with].at.contains_key(&machine),
            _ => true,
        }
    }

    /// What goes wrong without any release.
    fn confounders(&mut self) {
        let step = STEP.micros() as f64 / HOUR;
        let machines = f64::from(self.fleet.size()) * step;
        let racks = u64::from(self.fleet.racks());
        for _ in 0..poisson(RACKS_DOWN * machines, &mut self.dice) {
            let rack = self.dice.below(racks) as u32;
            self.vanish(rack..rack + 1);
        }
        for _ in 0..poisson(FEEDS_DOWN * machines, &mut self.dice) {
            let feed = self.dice.below(racks) as u32 / FEED;
            self.vanish(feed * FEED..((feed + 1) * FEED).min(racks as u32));
        }
        for _ in 0..poisson(RACKS_LOSSY * machines, &mut self.dice) {
            let rack = self.dice.below(racks) as u32;
            let hours = self.between(1.0, 6.0);
            for machine in self.fleet.rack(rack) {
                if self.dice.below(2) == 0 {
                    let at = self.dice.share() * hours;
                    self.push(at, Event::Fault { machine, signal: Signal::Network });
                }
            }
        }
        if poisson(BAD_DAYS / 24.0 * step, &mut self.dice) > 0 {
            self.bad_until = self.now + Duration::from_secs(24 * 3_600);
        }
        if poisson(DEAF_FEEDS / 24.0 * step, &mut self.dice) > 0 {
            let feed = self.dice.below(racks) as u32 / FEED;
            let hours = self.between(1.0, 12.0);
            self.deaf.insert(feed, self.now + Duration::from_micros((hours * HOUR) as u64));
        }
    }

    /// All machines of some racks go down together, for 1 to 6 hours.
    fn vanish(&mut self, racks: std::ops::Range<u32>) {
        let hours = self.between(1.0, 6.0);
        for machine in racks.flat_map(|rack| self.fleet.rack(rack)).collect::<Vec<_>>() {
            let at = self.dice.share() / 30.0;
            self.push(at, Event::Vanishes { machine, minutes: (hours * 60.0) as u32 });
        }
    }

    /// What the relays of the racks say of the last hour.
    fn reports(&mut self, facts: &mut Vec<Fact>) {
        let hour = self.hours(self.now);
        for rack in 0..self.fleet.racks() {
            let deaf = self.deaf.get(&(rack / FEED)).is_some_and(|until| *until > self.now);
            if deaf || self.dice.share() < LOST_REPORTS {
                continue;
            }
            let down = |machine: &u32| self.down[*machine as usize] > self.now;
            let silent = self.fleet.rack(rack).filter(down).map(Machine).collect();
            let load = self.fleet.load(rack, hour - 0.5);
            let what = What::Watched { rack: Domain(rack), load, silent };
            facts.push(Fact { at: self.now, what });
        }
    }
}

fn at(rollout: RolloutId) -> usize {
    rollout.0 as usize
}
