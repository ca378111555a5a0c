//! Which machines come next: as many as the wave and its pace allow, from racks that are free.

use model::{Duration, Timestamp};

use super::fact::{Decision, Machine, RolloutId};
use super::gate::{Hold, Verdict};
use super::release::Extent;
use super::state::{Phase, Rollouts, Run, Stage};
use crate::budget::Budget;

/// Machines that wait to be changed, in hours of the wave's pace, at most.
const MOST_WAITING_HOURS: u32 = 4;

impl Run {
    /// With how many further machines it may begin now: with as many as it likes, with one
    /// now and then when it is under suspicion, or with none.
    fn may_start(&self, now: Timestamp, probe: Duration) -> u32 {
        let held = |by: Hold| matches!(&self.verdict, Verdict::Hold(why) if why.contains(&by));
        if self.phase != Phase::Running || held(Hold::Unheard) || held(Hold::Rival) {
            return 0;
        }
        match held(Hold::Suspect) {
            true => u32::from(now >= self.started + probe),
            false => u32::MAX,
        }
    }

    /// Machines of a hardware type that this wave reaches, where that is a number.
    fn target(&self, kind: usize) -> u32 {
        let total = self.total[kind];
        match self.spec.waves[self.wave as usize].extent {
            Extent::Machines(count) => count.min(total),
            Extent::Permille(part) => {
                u32::try_from((u64::from(total) * u64::from(part)).div_ceil(1_000))
                    .map_or(total, |count| count.min(total))
            }
            Extent::Racks(_) | Extent::Rest => total,
        }
    }

    /// Whether the wave may begin with a further machine of a rack.
    fn may_open(&self, kind: usize, rack: u32) -> bool {
        match self.spec.waves[self.wave as usize].extent {
            Extent::Racks(count) => {
                let opened = &self.opened[kind];
                opened.iter().take(count as usize).any(|one| *one == rack)
                    || opened.len() < count as usize
            }
            _ => true,
        }
    }

    /// Whether all machines of the wave were begun with.
    pub(super) fn all_reached(&self) -> bool {
        (0..self.total.len()).all(|kind| {
            self.reached[kind] >= self.target(kind)
                || !self.left[kind].iter().any(|rack| self.may_open(kind, *rack))
        })
    }
}

impl Rollouts {
    /// Lets each rollout begin with what it may.
    pub(super) fn start_some(&mut self, budget: &mut Budget, decisions: &mut Vec<Decision>) {
        for at in 0..self.runs.len() {
            let run = &mut self.runs[at];
            let hours = &run.spec.hours;
            let open = hours.is_empty() || hours.iter().any(|hours| hours.open(self.now));
            let most = run.may_start(self.now, self.policy.probe);
            if !open || most == 0 {
                continue;
            }
            if self.now >= run.pace.0 + Duration::from_secs(3_600) {
                run.pace = (self.now, 0);
            }
            let id = run.id;
            // Whoever may begin with one machine only takes one that is ready, if there is.
            let ready = self.runs[at].staged.iter().any(|machine| !self.quiet.contains(machine));
            if most == u32::MAX || !ready && self.runs[at].in_flight.is_empty() {
                for kind in 0..self.kinds {
                    self.stage_kind(id, kind, most, decisions);
                }
            }
            self.start_staged(budget, id, most, decisions);
        }
    }

    /// Begins with machines of one hardware type.
    fn stage_kind(
        &mut self,
        id: RolloutId,
        kind: u16,
        mut at_most: u32,
        decisions: &mut Vec<Decision>,
    ) {
        let at = usize::from(kind);
        let run = &self.runs[id.0 as usize];
        // Types that came later than the rollout are not its concern.
        if at >= run.total.len() {
            return;
        }
        let racks: Vec<u32> = run.left[at].iter().copied().collect();
        for rack in racks {
            let run = &mut self.runs[id.0 as usize];
            let most = run.spec.waves[run.wave as usize].per_hour;
            let room = run.target(at).saturating_sub(run.reached[at]);
            // Who waits for the budget holds racks that others could use.
            let waits = u32::try_from(run.staged.len()).unwrap_or(u32::MAX);
            let room = room.min(most.saturating_sub(run.pace.1));
            let room = room.min(most.saturating_mul(MOST_WAITING_HOURS).saturating_sub(waits));
            let room = room.min(at_most);
            if room == 0 {
                return;
            }
            let row = &self.racks[rack as usize];
            let free = row.owner.is_none_or(|owner| owner == id) && !row.wanted;
            if free && run.may_open(at, rack) {
                let before = decisions.len();
                self.stage_rack(id, kind, rack, room, decisions);
                at_most = at_most.saturating_sub((decisions.len() - before) as u32);
            }
        }
    }

    fn stage_rack(
        &mut self,
        id: RolloutId,
        kind: u16,
        rack: u32,
        room: u32,
        decisions: &mut Vec<Decision>,
    ) {
        let run = &mut self.runs[id.0 as usize];
        let row = &mut self.racks[rack as usize];
        (row.owner, row.last) = (Some(id), self.now);
        let known = run.stages.len();
        let untouched = |machine: &&u32| {
            let at = **machine as usize;
            at < known && self.rows[at].kind == kind && run.stages[at] == Stage::Untouched
        };
        let waiting: Vec<u32> = row.machines.iter().filter(untouched).copied().collect();
        for machine in waiting.iter().take(room as usize) {
            run.stages[*machine as usize] = Stage::Staging;
            run.in_flight.insert(*machine, self.now);
            run.reached[usize::from(kind)] += 1;
            run.pace.1 += 1;
            decisions.push(Decision::Stage { rollout: id, machine: Machine(*machine) });
        }
        let opened = &mut run.opened[usize::from(kind)];
        if !opened.contains(&rack) {
            opened.push(rack);
        }
        if waiting.len() <= room as usize {
            run.left[usize::from(kind)].retain(|one| *one != rack);
        }
    }
}
