//! One fact in, decisions out.

use std::collections::BTreeMap;

use model::Timestamp;
use thiserror::Error;

use super::evidence::Evidence;
use super::fact::{Decision, End, Fact, RolloutId, Signal, What};
use super::gate::{Blame, Hold, Verdict};
use super::release::{Extent, Spec};
use super::state::{MOST_AT_ONCE, Phase, Rack, Rollouts, Row, Run, Seen, Stage};
use crate::budget::Budget;
use crate::placement::{Domain, Place};

/// Why a fact is not taken. Nothing is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It is older than what is known.
    #[error("the fact is older than the last one")]
    Older,
    /// There is no such machine, rack or rollout.
    #[error("there is no such machine, rack or rollout")]
    Unknown,
    /// The rollout is over, or on its way back.
    #[error("the rollout is over, or on its way back")]
    Over,
    /// Too many rollouts at once.
    #[error("there are as many rollouts at once as can be told apart ({MOST_AT_ONCE})")]
    Many,
    /// There are no waves, or the last leaves machines out.
    #[error("a rollout has waves, and the last of them is the rest")]
    Waves,
    /// The machine is not being staged, changed or taken back by this rollout.
    #[error("the machine is not where the fact says that it was")]
    Stage,
}

impl Rollouts {
    /// Takes a fact, and says what is to be done. The budget is shared with repairs, and has
    /// the same machines.
    ///
    /// # Errors
    /// A [`Refusal`], and nothing is changed.
    pub fn apply(&mut self, budget: &mut Budget, fact: &Fact) -> Result<Vec<Decision>, Refusal> {
        if fact.at < self.now {
            return Err(Refusal::Older);
        }
        let before = std::mem::replace(&mut self.now, fact.at);
        if self.window.opened == Timestamp::default() {
            self.window.opened = fact.at;
        }
        let mut decisions = Vec::new();
        let taken = self.take(budget, &fact.what, &mut decisions);
        if taken.is_err() {
            self.now = before;
        }
        taken.map(|()| decisions)
    }

    fn take(
        &mut self,
        budget: &mut Budget,
        what: &What,
        decisions: &mut Vec<Decision>,
    ) -> Result<(), Refusal> {
        match what {
            What::Joined { place, kind } => self.join(*place, *kind),
            What::Created(spec) => self.create(spec)?,
            What::Paused(id) => {
                let run = self.judged(*id)?;
                run.phase = Phase::Paused;
                run.verdict = Verdict::Hold(vec![Hold::Paused]);
            }
            What::Resumed(id) => self.judged(*id)?.phase = Phase::Running,
            What::Aborted(id) => {
                self.judged(*id)?.phase = Phase::Aborting;
                self.drop_staged(*id);
            }
            What::Recalled(id) => {
                self.judged(*id)?;
                self.roll_back(*id, Blame::Person, decisions);
            }
            What::Staged { rollout, machine } => {
                let run = self.of_machine(*rollout, machine.0)?;
                if run.stages[machine.0 as usize] != Stage::Staging {
                    return Err(Refusal::Stage);
                }
                run.stages[machine.0 as usize] = Stage::Staged;
                run.in_flight.remove(&machine.0);
                run.staged.insert(machine.0);
            }
            What::Changed { rollout, machine, ok } => {
                self.changed(budget, *rollout, machine.0, *ok, decisions)?;
            }
            What::Reverted { rollout, machine, ok } => {
                self.reverted(budget, *rollout, machine.0, *ok, decisions)?;
            }
            What::Fault { machine, signal } => self.fault(machine.0, *signal)?,
            What::Watched { rack, load, silent } => {
                let rack = *self.rack_of.get(rack).ok_or(Refusal::Unknown)?;
                self.window.loads.insert(rack, (*load).min(3));
                self.window.silent.extend(silent.iter().map(|machine| machine.0));
            }
            What::Clock => self.clock(budget, decisions),
        }
        Ok(())
    }

    fn clock(&mut self, budget: &mut Budget, decisions: &mut Vec<Decision>) {
        if self.now >= self.window.opened + self.policy.look {
            self.look(decisions);
        }
        self.time_out(budget, decisions);
        self.revert_some(budget, decisions);
        self.start_some(budget, decisions);
    }

    fn join(&mut self, place: Place, kind: u16) {
        let machine = u32::try_from(self.rows.len()).expect("fewer than 2^32 machines");
        let domain: Domain = place.domains[0];
        let next = u32::try_from(self.racks.len()).expect("fewer racks than machines");
        let rack = *self.rack_of.entry(domain).or_insert(next);
        if rack == next {
            self.racks.push(Rack {
                domain,
                machines: Vec::new(),
                owner: None,
                in_flight: 0,
                last: Timestamp::default(),
                wanted: false,
                faults: Vec::new(),
                failed: None,
            });
        }
        self.racks[rack as usize].machines.push(machine);
        self.kinds = self.kinds.max(kind + 1);
        self.rows.push(Row { place, kind, rack, pattern: 0, last_fault: None });
    }

    fn create(&mut self, spec: &Spec) -> Result<(), Refusal> {
        let whole = spec.waves.last().is_some_and(|wave| wave.extent == Extent::Rest);
        if !whole {
            return Err(Refusal::Waves);
        }
        let used =
            self.runs.iter().filter(|run| !run.ended()).fold(0, |bits, run| bits | run.bit());
        let slot = (!used).trailing_zeros() as u8;
        if usize::from(slot) >= MOST_AT_ONCE {
            return Err(Refusal::Many);
        }
        let id = RolloutId(u32::try_from(self.runs.len()).expect("fewer than 2^32 rollouts"));
        let kinds = usize::from(self.kinds);
        let mut total = vec![0; kinds];
        for row in &self.rows {
            total[usize::from(row.kind)] += 1;
        }
        self.runs.push(Run {
            id,
            phase: Phase::Running,
            slot,
            begun: self.now,
            wave: 0,
            stages: vec![Stage::Untouched; self.rows.len()],
            total,
            reached: vec![0; kinds],
            opened: vec![Vec::new(); kinds],
            left: self.order(spec.salt),
            staged: Default::default(),
            in_flight: BTreeMap::new(),
            to_revert: Default::default(),
            with: 0,
            persons: 0,
            started: self.now,
            pace: (self.now, 0),
            recent: Default::default(),
            last_done: self.now,
            seen: 0,
            heard: 1.0,
            evidence: Evidence::new(self.kinds),
            verdict: Verdict::Hold(vec![Hold::Changing]),
            rival: None,
            shared: BTreeMap::new(),
            spec: spec.clone(),
        });
        Ok(())
    }

    /// Racks by hardware type, in an order that the salt says.
    fn order(&self, salt: u64) -> Vec<std::collections::VecDeque<u32>> {
        let mut racks: Vec<u32> = (0..self.racks.len() as u32).collect();
        racks.sort_by_cached_key(|rack| (mix(salt ^ mix(u64::from(*rack))), *rack));
        let has = |rack: &u32, kind: u16| {
            let machines = &self.racks[*rack as usize].machines;
            machines.iter().any(|machine| self.rows[*machine as usize].kind == kind)
        };
        let of = |kind| racks.iter().copied().filter(|rack| has(rack, kind)).collect();
        (0..self.kinds).map(of).collect()
    }

    fn judged(&mut self, id: RolloutId) -> Result<&mut Run, Refusal> {
        let run = self.runs.get_mut(id.0 as usize).ok_or(Refusal::Unknown)?;
        if run.judged() { Ok(run) } else { Err(Refusal::Over) }
    }

    pub(super) fn of_machine(&mut self, id: RolloutId, machine: u32) -> Result<&mut Run, Refusal> {
        let run = self.runs.get_mut(id.0 as usize).ok_or(Refusal::Unknown)?;
        match run.stages.get(machine as usize) {
            _ if run.ended() => Err(Refusal::Over),
            Some(_) => Ok(run),
            None => Err(Refusal::Unknown),
        }
    }

    fn fault(&mut self, machine: u32, signal: Signal) -> Result<(), Refusal> {
        let pattern = self.rows.get(machine as usize).ok_or(Refusal::Unknown)?.pattern;
        self.window.faults.push(Seen { at: self.now, machine, signal, pattern });
        Ok(())
    }

    /// A rollout is over: its bit is nobody's, and its racks are free.
    pub(super) fn end(&mut self, id: RolloutId, end: End, decisions: &mut Vec<Decision>) {
        let run = &mut self.runs[id.0 as usize];
        let bit = run.bit();
        run.phase = Phase::Ended(end);
        assert!(run.in_flight.is_empty(), "a rollout ends with nothing under way");
        (run.stages, run.left, run.recent) = (Vec::new(), Vec::new(), Default::default());
        run.staged.clear();
        for machine in 0..self.rows.len() as u32 {
            let pattern = self.rows[machine as usize].pattern;
            self.set_pattern(machine, pattern & !bit);
        }
        self.suspects &= !bit;
        for rack in self.racks.iter_mut().filter(|rack| rack.owner == Some(id)) {
            rack.owner = None;
        }
        for run in self.runs.iter_mut().filter(|run| run.rival == Some(id)) {
            run.rival = None;
        }
        decisions.push(Decision::Ended { rollout: id, end });
    }
}

/// Numbers from numbers, well mixed (SplitMix64).
pub(super) fn mix(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}
