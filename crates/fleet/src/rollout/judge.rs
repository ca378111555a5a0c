//! Verdicts, on what the looks found.

use super::evidence::Evidence;
use super::fact::{Decision, End, Machine, RolloutId};
use super::gate::{Blame, Hold, Verdict, accused};
use super::logs::{exp, ln};
use super::state::{Phase, Rollouts, Run};
use super::told::Told;

/// Of the faults beyond what was expected, this part lies where another rollout is too…
const SHARED_EXCESS: f64 = 0.8;
/// …though at most this part of the machines does…
const SHARED_EXPECTED: f64 = 0.6;
/// …and so many faults would fall there by chance once in twenty thousand times, there being
/// some twenty others: then it is both together.
const SHARED_LOG: f64 = 9.9;
/// So many faults beyond what was expected, at least.
const SHARED_LEAST: f64 = 3.0;

/// Rollouts with such odds against them are kept apart when machines are matched: who has one
/// is compared with others that have it. The rest would only divide the fleet into strata too
/// small to compare anything in.
const APART: f64 = 2.0;

impl Rollouts {
    /// Judges all rollouts, and lets those go on that may.
    pub(super) fn judge(&mut self, decisions: &mut Vec<Decision>) {
        let judged = self.runs.iter().filter(|run| run.judged());
        let odds: Vec<(f64, RolloutId)> =
            judged.map(|run| (run.evidence.log_odds(), run.id)).collect();
        for id in accused(odds.clone(), f64::from(self.policy.family), self.policy.false_part) {
            // One that went back as another's rival a moment ago is on its way already.
            if self.runs[id.0 as usize].judged() {
                self.condemn(id, decisions);
            }
        }
        for (log, id) in odds {
            if self.runs[id.0 as usize].judged() {
                self.decide_one(id, log, decisions);
            }
        }
        let apart = |run: &&Run| run.reverting() || run.evidence.log_odds() >= ln(APART);
        let active = self.runs.iter().filter(|run| !run.ended());
        self.suspects = active.filter(apart).fold(0, |bits, run| bits | run.bit());
    }

    /// Rolls one back: by itself, or one of two that are bad only together.
    fn condemn(&mut self, id: RolloutId, decisions: &mut Vec<Decision>) {
        let Some(rival) = self.rival_of(id) else {
            self.roll_back(id, Blame::Release, decisions);
            return;
        };
        // Who reached fewer machines came later to those that both have, and is sooner back.
        let reached = |id: RolloutId| (self.runs[id.0 as usize].with, std::cmp::Reverse(id));
        let (elder, younger) = match reached(id) < reached(rival) {
            true => (rival, id),
            false => (id, rival),
        };
        self.roll_back(younger, Blame::Together(elder), decisions);
        // What was counted against the elder is the pair's. It starts again when the other is
        // gone.
        let kinds = self.kinds;
        let run = &mut self.runs[elder.0 as usize];
        run.evidence = Evidence::new(kinds);
        run.shared.clear();
        run.rival = Some(younger);
    }

    /// The rollout that is there wherever this one does harm, if there is one.
    fn rival_of(&self, id: RolloutId) -> Option<RolloutId> {
        let run = &self.runs[id.0 as usize];
        let whole = run.evidence.whole();
        let excess = f64::from(whole.faults) - whole.expected;
        let mut rivals = run.shared.iter().filter(|(rival, (faults, expected))| {
            let share = (expected / whole.expected.max(1e-9)).clamp(1e-3, 1.0);
            self.runs[rival.0 as usize].judged()
                && excess >= SHARED_LEAST
                && f64::from(*faults) - expected >= SHARED_EXCESS * excess
                && share <= SHARED_EXPECTED
                && f64::from(*faults) * -ln(share) >= SHARED_LOG
        });
        rivals.next_back().map(|(rival, _)| *rival)
    }

    fn decide_one(&mut self, id: RolloutId, log: f64, decisions: &mut Vec<Decision>) {
        let run = &self.runs[id.0 as usize];
        let why = match run.phase {
            Phase::Paused => vec![Hold::Paused],
            _ => self.holds(run, log),
        };
        // Doubt alone does not close the gate, it holds the pace: a machine in some hours, from
        // the next wave when this one has no more to learn from.
        let go = why.iter().all(|why| *why == Hold::Suspect);
        let verdict = if why.is_empty() { Verdict::Go } else { Verdict::Hold(why) };
        if verdict != run.verdict {
            let evidence = Box::new(self.told(id));
            let verdict = verdict.clone();
            decisions.push(Decision::Verdict { rollout: id, verdict, evidence });
        }
        self.runs[id.0 as usize].verdict = verdict;
        if go {
            self.go_on(id, decisions);
        }
    }

    /// What stands in the way of the next wave.
    fn holds(&self, run: &Run, log: f64) -> Vec<Hold> {
        let wave = &run.spec.waves[run.wave as usize];
        let policy = &self.policy;
        let everybody = 1.0 - self.quiet.len() as f64 / self.rows.len().max(1) as f64;
        let unheard = run.heard < policy.coverage * everybody || everybody == 0.0;
        let waits = run.staged.iter().any(|machine| !self.quiet.contains(machine));
        let changing = !run.all_reached() || waits || !run.in_flight.is_empty();
        let baking =
            run.seen < u64::from(wave.bake_hours) * 3_600 || self.now < run.last_done + wave.least;
        let (whole, kind) = self.bounds(run);
        let unsure = wave.exclude.is_some_and(|factor| whole > factor)
            || wave.exclude_kind.is_some_and(|factor| kind > factor);
        // When every machine has it nothing more can be learned, and doubt convicts nobody.
        let over = run.wave + 1 == run.spec.waves.len() as u32 && !changing && !baking;
        let all = [
            (Hold::Rival, run.rival.is_some()),
            (Hold::Suspect, log >= ln(policy.caution) && !over),
            (Hold::Unheard, unheard),
            (Hold::Changing, changing),
            (Hold::Baking, baking),
            (Hold::Unsure, unsure),
        ];
        all.into_iter().filter(|(_, holds)| *holds).map(|(why, _)| why).collect()
    }

    /// Factors from which on a regression is excluded: of all, and of the hardware type of
    /// which least is known.
    fn bounds(&self, run: &Run) -> (f64, f64) {
        let missed = self.policy.missed;
        let there = (0..).zip(&run.total).filter(|(_, total)| **total > 0);
        let kinds = there.map(|(kind, _)| run.evidence.bound(Some(kind), missed));
        (run.evidence.bound(None, missed), kinds.fold(1.0, f64::max))
    }

    fn go_on(&mut self, id: RolloutId, decisions: &mut Vec<Decision>) {
        let now = self.now;
        let run = &mut self.runs[id.0 as usize];
        if run.wave + 1 < run.spec.waves.len() as u32 {
            run.wave += 1;
            (run.seen, run.last_done) = (0, now);
            return;
        }
        // Machines that nothing was heard of for all the time are somebody's to look at.
        let left: Vec<u32> = run.staged.iter().copied().collect();
        run.persons += left.len() as u32;
        let persons = left
            .into_iter()
            .map(|machine| Decision::Person { rollout: id, machine: Machine(machine) });
        decisions.extend(persons);
        let back: Vec<u32> = run.to_revert.drain(..).map(|(_, machine)| machine).collect();
        run.persons += back.len() as u32;
        decisions.extend(
            back.into_iter()
                .map(|machine| Decision::Person { rollout: id, machine: Machine(machine) }),
        );
        self.end(id, End::Complete, decisions);
    }

    /// What a verdict about a rollout rests on.
    pub(super) fn told(&self, id: RolloutId) -> Told {
        let run = &self.runs[id.0 as usize];
        let evidence = &run.evidence;
        let (about, slice) = evidence.loudest();
        let whole = evidence.whole();
        let judged = self.runs.iter().filter(|run| run.judged()).count();
        let (bound, bound_kind) = self.bounds(run);
        let finite = |bound: f64| Some(bound).filter(|bound| bound.is_finite());
        let rivals = run.shared.iter().filter(|(_, (faults, _))| *faults > 0);
        Told {
            wave: run.wave + 1,
            machines: run.with,
            seen_hours: run.seen as f64 / 3_600.0,
            coverage: run.heard,
            odds: exp(evidence.log_odds()),
            needed: (judged as f64).max(f64::from(self.policy.family)) / self.policy.false_part,
            faults: whole.faults,
            expected: whole.expected,
            about,
            about_faults: slice.faults,
            about_expected: slice.expected,
            bound: finite(bound),
            bound_kind: finite(bound_kind),
            changes: evidence.changes,
            failed: evidence.failed,
            rivals: rivals.map(|(id, (faults, expected))| (*id, *faults, *expected)).collect(),
        }
    }
}
