//! What becomes of single machines: begun with, changed, taken back, given up.

use model::Timestamp;

use super::fact::{Decision, End, Machine, RolloutId};
use super::gate::{Blame, Verdict};
use super::state::{Phase, Rollouts, Stage};
use super::turn::Refusal;
use crate::budget::Budget;

impl Rollouts {
    /// A change ended, well or not.
    pub(super) fn changed(
        &mut self,
        budget: &mut Budget,
        id: RolloutId,
        machine: u32,
        ok: bool,
        decisions: &mut Vec<Decision>,
    ) -> Result<(), Refusal> {
        let (now, accepted, span) = (self.now, self.policy.failures, self.policy.rack_span);
        let rack = self.rows.get(machine as usize).ok_or(Refusal::Unknown)?.rack as usize;
        // A rack that vanishes while it is changed is one failure.
        let again = self.racks[rack].failed.is_some_and(|at| at + span > now);
        let run = self.of_machine(id, machine)?;
        let Stage::Changing(since) = run.stages[machine as usize] else {
            return Err(Refusal::Stage);
        };
        run.stages[machine as usize] = if ok { Stage::Done(since) } else { Stage::Failed(since) };
        run.last_done = now;
        if ok || !again {
            run.evidence.change(ok, accepted);
        }
        if !ok || run.reverting() {
            run.to_revert.push_back((now, machine));
        }
        if !ok && !again {
            self.racks[rack].failed = Some(now);
        }
        self.landed(budget, id, machine);
        self.end_when_done(id, decisions);
        Ok(())
    }

    /// A machine went back, or did not.
    pub(super) fn reverted(
        &mut self,
        budget: &mut Budget,
        id: RolloutId,
        machine: u32,
        ok: bool,
        decisions: &mut Vec<Decision>,
    ) -> Result<(), Refusal> {
        let (now, most, wait) = (self.now, self.policy.tries, self.policy.change_limit);
        let kind = self.rows.get(machine as usize).ok_or(Refusal::Unknown)?.kind;
        let run = self.of_machine(id, machine)?;
        let Stage::Reverting(_, tries) = run.stages[machine as usize] else {
            return Err(Refusal::Stage);
        };
        let bit = run.bit();
        let gone = ok || tries + 1 >= most;
        run.stages[machine as usize] = match (ok, gone) {
            (true, _) => Stage::Reverted,
            (false, true) => Stage::Person,
            (false, false) => Stage::Again(tries + 1),
        };
        if gone {
            run.with -= 1;
            // Another machine takes its place in the wave.
            run.reached[usize::from(kind)] -= 1;
        } else {
            // It may be down: a little later it may not be.
            let later = wait.percent(100 * (u64::from(tries) + 1));
            run.to_revert.push_back((now + later, machine));
        }
        if !ok && gone {
            run.persons += 1;
            decisions.push(Decision::Person { rollout: id, machine: Machine(machine) });
        }
        if gone {
            let pattern = self.rows[machine as usize].pattern & !bit;
            self.set_pattern(machine, pattern);
        }
        self.landed(budget, id, machine);
        self.end_when_done(id, decisions);
        Ok(())
    }

    /// Nothing is under way on a machine any more.
    fn landed(&mut self, budget: &mut Budget, id: RolloutId, machine: u32) {
        let run = &mut self.runs[id.0 as usize];
        run.in_flight.remove(&machine);
        let row = &self.rows[machine as usize];
        if run.spec.release.restarts {
            budget.give_back(&row.place);
        }
        let rack = &mut self.racks[row.rack as usize];
        rack.in_flight -= 1;
        rack.last = self.now;
    }

    /// Something begins on a machine, in a rack that this rollout has or takes.
    fn takes_off(&mut self, budget: &mut Budget, id: RolloutId, machine: u32) -> bool {
        let run = &mut self.runs[id.0 as usize];
        let row = &self.rows[machine as usize];
        let rack = &mut self.racks[row.rack as usize];
        let free = match run.phase {
            // What goes back does not wait until others have settled.
            Phase::Reverting(_) => rack.in_flight == 0 || rack.owner == Some(id),
            _ => rack.owner.is_none_or(|owner| owner == id) && !rack.wanted,
        };
        if !free || (run.spec.release.restarts && budget.take(&row.place, self.now).is_err()) {
            return false;
        }
        rack.owner = Some(id);
        rack.in_flight += 1;
        rack.last = self.now;
        run.in_flight.insert(machine, self.now);
        true
    }

    /// What said nothing for too long has failed; what is not staged is staged again.
    pub(super) fn time_out(&mut self, budget: &mut Budget, decisions: &mut Vec<Decision>) {
        let late = |began: &Timestamp| *began + self.policy.change_limit <= self.now;
        let overdue: Vec<(RolloutId, u32)> = self
            .runs
            .iter()
            .flat_map(|run| run.in_flight.iter().map(|(machine, began)| (run.id, *machine, began)))
            .filter(|(_, _, began)| late(began))
            .map(|(id, machine, _)| (id, machine))
            .collect();
        for (id, machine) in overdue {
            let run = &mut self.runs[id.0 as usize];
            let done = match run.stages[machine as usize] {
                Stage::Changing(_) => self.changed(budget, id, machine, false, decisions),
                Stage::Reverting(..) => self.reverted(budget, id, machine, false, decisions),
                _ => {
                    run.in_flight.insert(machine, self.now);
                    decisions.push(Decision::Stage { rollout: id, machine: Machine(machine) });
                    Ok(())
                }
            };
            done.expect("it is under way");
        }
        for rack in &mut self.racks {
            if rack.in_flight == 0 && rack.last + self.policy.settle <= self.now {
                rack.owner = None;
            }
        }
    }

    /// All machines with the release are to go back.
    pub(super) fn roll_back(&mut self, id: RolloutId, blame: Blame, decisions: &mut Vec<Decision>) {
        let evidence = Box::new(self.told(id));
        self.drop_staged(id);
        let now = self.now;
        let run = &mut self.runs[id.0 as usize];
        run.phase = Phase::Reverting(blame);
        run.verdict = Verdict::RollBack(blame);
        let verdict = run.verdict.clone();
        decisions.push(Decision::Verdict { rollout: id, verdict, evidence });
        let with = (0..).zip(&run.stages);
        let back = with.filter(|(_, stage)| matches!(stage, Stage::Done(_)));
        let back: Vec<u32> = back.map(|(machine, _)| machine).collect();
        run.to_revert.extend(back.into_iter().map(|machine| (now, machine)));
        self.end_when_done(id, decisions);
    }

    /// Forgets machines on which nothing was changed yet.
    pub(super) fn drop_staged(&mut self, id: RolloutId) {
        let run = &mut self.runs[id.0 as usize];
        run.staged.clear();
        let stages = &run.stages;
        run.in_flight.retain(|machine, _| stages[*machine as usize] != Stage::Staging);
        for stage in &mut run.stages {
            if matches!(stage, Stage::Staging | Stage::Staged) {
                *stage = Stage::Untouched;
            }
        }
    }

    pub(super) fn end_when_done(&mut self, id: RolloutId, decisions: &mut Vec<Decision>) {
        let run = &self.runs[id.0 as usize];
        let idle = run.in_flight.is_empty();
        match run.phase {
            Phase::Reverting(_) if idle && run.to_revert.is_empty() => {
                self.end(id, End::RolledBack, decisions);
            }
            Phase::Aborting if idle => self.end(id, End::Aborted, decisions),
            _ => {}
        }
    }

    /// Takes machines back, as many as the budget has.
    pub(super) fn revert_some(&mut self, budget: &mut Budget, decisions: &mut Vec<Decision>) {
        self.racks.iter_mut().for_each(|rack| rack.wanted = false);
        for at in 0..self.runs.len() {
            let run = &self.runs[at];
            let id = run.id;
            if matches!(run.phase, Phase::Ended(_) | Phase::Paused | Phase::Aborting) {
                self.end_when_done(id, decisions);
                continue;
            }
            for _ in 0..run.to_revert.len() {
                let Some((from, machine)) = self.runs[at].to_revert.pop_front() else { break };
                if from > self.now || !self.takes_off(budget, id, machine) {
                    self.runs[at].to_revert.push_back((from, machine));
                    continue;
                }
                let stage = &mut self.runs[at].stages[machine as usize];
                let tries = if let Stage::Again(tries) = *stage { tries } else { 0 };
                *stage = Stage::Reverting(self.now, tries);
                decisions.push(Decision::Revert { rollout: id, machine: Machine(machine) });
            }
            if self.runs[at].reverting() {
                for (_, machine) in &self.runs[at].to_revert {
                    let rack = self.rows[*machine as usize].rack;
                    self.racks[rack as usize].wanted = true;
                }
            }
            self.end_when_done(id, decisions);
        }
    }

    /// Changes machines that are staged, so many at most, as far as racks are free and the
    /// budget has any.
    pub(super) fn start_staged(
        &mut self,
        budget: &mut Budget,
        id: RolloutId,
        mut most: u32,
        decisions: &mut Vec<Decision>,
    ) {
        let staged: Vec<u32> = self.runs[id.0 as usize].staged.iter().copied().collect();
        for machine in staged {
            if most == 0 {
                return;
            }
            if self.quiet.contains(&machine) || !self.takes_off(budget, id, machine) {
                continue;
            }
            let run = &mut self.runs[id.0 as usize];
            run.staged.remove(&machine);
            run.stages[machine as usize] = Stage::Changing(self.now);
            run.with += 1;
            run.started = self.now;
            most -= 1;
            run.recent.push_back((self.now, machine));
            let pattern = self.rows[machine as usize].pattern | run.bit();
            self.set_pattern(machine, pattern);
            decisions.push(Decision::Start { rollout: id, machine: Machine(machine) });
        }
    }
}
