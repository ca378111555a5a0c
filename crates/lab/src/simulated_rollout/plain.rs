//! What the engine is compared with: the usual gate. After each wave it waits for a fixed
//! time, then compares the rate of faults of changed machines with that of all others against
//! a fixed threshold.

use std::collections::{BTreeMap, BTreeSet};

use fleet::rollout::{
    Blame, Decision, End, Extent, Fact, Machine, RolloutId, Spec, Told, Verdict, What,
};
use model::{Duration, Timestamp};

use super::pilot::Pilot;

/// How long a wave is watched after its last machine.
const BAKE: Duration = Duration::from_secs(24 * 3_600);
/// Times the rate of the others, from which on it goes back…
const THRESHOLD: f64 = 2.0;
/// …with so many faults at least: one alone is chance.
const LEAST: u32 = 2;

/// One rollout.
struct Run {
    spec: Spec,
    wave: usize,
    order: Vec<u32>,
    /// How many of the order were begun with.
    begun: usize,
    with: BTreeMap<u32, Timestamp>,
    under_way: BTreeSet<u32>,
    pace: (Timestamp, u32),
    last_done: Timestamp,
    /// When this wave began, and what was counted since.
    since: Timestamp,
    faults: u32,
    hours: f64,
    back: bool,
    over: bool,
}

/// The gate.
#[derive(Default)]
pub struct Plain {
    kinds: Vec<u16>,
    racks: Vec<u32>,
    runs: Vec<Run>,
    /// Faults of the fleet by hour.
    all: BTreeMap<i64, u32>,
    told: Option<Timestamp>,
}

const HOUR: i64 = 3_600_000_000;

impl Pilot for Plain {
    fn take(&mut self, fact: &Fact) -> Vec<Decision> {
        let mut decisions = Vec::new();
        match &fact.what {
            What::Joined { place, kind } => {
                self.kinds.push(*kind);
                self.racks.push(place.domains[0].0);
            }
            What::Created(spec) => self.create(spec, fact.at),
            What::Changed { rollout, machine, .. } => {
                let run = &mut self.runs[rollout.0 as usize];
                run.under_way.remove(&machine.0);
                run.last_done = fact.at;
                if run.back {
                    decisions.push(Decision::Revert { rollout: *rollout, machine: *machine });
                }
            }
            What::Reverted { rollout, machine, ok } => {
                let run = &mut self.runs[rollout.0 as usize];
                if *ok {
                    run.with.remove(&machine.0);
                } else {
                    decisions.push(Decision::Revert { rollout: *rollout, machine: *machine });
                }
            }
            What::Fault { machine, .. } => {
                *self.all.entry(fact.at.micros() / HOUR).or_default() += 1;
                for run in self.runs.iter_mut().filter(|run| !run.over) {
                    run.faults += u32::from(run.with.contains_key(&machine.0));
                }
            }
            What::Clock => self.clock(fact.at, &mut decisions),
            _ => {}
        }
        decisions
    }
}

impl Plain {
    fn create(&mut self, spec: &Spec, now: Timestamp) {
        let mut order: Vec<u32> = (0..self.kinds.len() as u32).collect();
        let mix = |rack: u32| (u64::from(rack) ^ spec.salt).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        order.sort_by_cached_key(|machine| {
            let rack = self.racks[*machine as usize];
            (mix(rack).rotate_left(29).wrapping_mul(0xD6E8_FEB8_6659_FD93), rack, *machine)
        });
        self.runs.push(Run {
            spec: spec.clone(),
            wave: 0,
            order,
            begun: 0,
            with: BTreeMap::new(),
            under_way: BTreeSet::new(),
            pace: (now, 0),
            last_done: now,
            since: now,
            faults: 0,
            hours: 0.0,
            back: false,
            over: false,
        });
    }

    fn clock(&mut self, now: Timestamp, decisions: &mut Vec<Decision>) {
        let passed = self.told.map_or(0.0, |told| now.since(told).secs_f64() / 3_600.0);
        self.told = Some(now);
        let machines = self.kinds.len();
        for (at, run) in self.runs.iter_mut().enumerate().filter(|(_, run)| !run.over) {
            let id = RolloutId(at as u32);
            if run.back {
                run.over = run.with.is_empty() && run.under_way.is_empty();
                if run.over {
                    decisions.push(Decision::Ended { rollout: id, end: End::RolledBack });
                }
                continue;
            }
            run.hours += run.with.len() as f64 * passed;
            run.start(id, machines, now, decisions);
            let target = run.target(machines);
            if run.begun < target || !run.under_way.is_empty() || now < run.last_done + BAKE {
                continue;
            }
            run.gate(id, machines, &self.all, now, decisions);
        }
    }
}

impl Run {
    fn target(&self, machines: usize) -> usize {
        match self.spec.waves[self.wave].extent {
            Extent::Machines(count) => count as usize * 4,
            Extent::Racks(count) => count as usize * 4 * super::fleet::RACK as usize,
            Extent::Permille(part) => machines * part as usize / 1_000,
            Extent::Rest => machines,
        }
    }

    fn start(&mut self, id: RolloutId, machines: usize, now: Timestamp, out: &mut Vec<Decision>) {
        if now >= self.pace.0 + Duration::from_secs(3_600) {
            self.pace = (now, 0);
        }
        let open = self.spec.hours.is_empty() || self.spec.hours.iter().any(|one| one.open(now));
        let most = self.spec.waves[self.wave].per_hour;
        while open && self.begun < self.target(machines) && self.pace.1 < most {
            let machine = self.order[self.begun];
            self.begun += 1;
            self.pace.1 += 1;
            self.with.insert(machine, now);
            self.under_way.insert(machine);
            out.push(Decision::Start { rollout: id, machine: Machine(machine) });
        }
    }

    fn gate(
        &mut self,
        id: RolloutId,
        machines: usize,
        all: &BTreeMap<i64, u32>,
        now: Timestamp,
        out: &mut Vec<Decision>,
    ) {
        let whole: u32 = all.range(self.since.micros() / HOUR..).map(|(_, faults)| faults).sum();
        let hours = now.since(self.since).secs_f64() / 3_600.0 * machines as f64;
        let others = f64::from(whole - self.faults.min(whole)) / (hours - self.hours).max(1.0);
        let rate = f64::from(self.faults) / self.hours.max(1e-9);
        if self.faults >= LEAST && rate > THRESHOLD * others && self.with.len() < machines {
            self.back = true;
            let verdict = Verdict::RollBack(Blame::Release);
            let evidence = Box::new(told(self, others));
            out.push(Decision::Verdict { rollout: id, verdict, evidence });
            let done = self.with.keys().map(|machine| Machine(*machine));
            out.extend(done.map(|machine| Decision::Revert { rollout: id, machine }));
            return;
        }
        if self.wave + 1 == self.spec.waves.len() {
            self.over = true;
            out.push(Decision::Ended { rollout: id, end: End::Complete });
            return;
        }
        self.wave += 1;
        (self.since, self.faults, self.hours, self.last_done) = (now, 0, 0.0, now);
    }
}

fn told(run: &Run, others: f64) -> Told {
    let expected = others * run.hours;
    Told {
        wave: run.wave as u32 + 1,
        machines: run.with.len() as u32,
        seen_hours: run.hours,
        coverage: 1.0,
        odds: f64::from(run.faults) / expected.max(1e-9),
        needed: THRESHOLD,
        faults: run.faults,
        expected,
        about: fleet::rollout::About { within: None, kind: None, signal: None },
        about_faults: run.faults,
        about_expected: expected,
        bound: None,
        bound_kind: None,
        changes: run.begun as u32,
        failed: 0,
        rivals: Vec::new(),
    }
}
