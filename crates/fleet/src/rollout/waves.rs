//! Which machines come next: as many as the wave and its pace allow, from racks that are free.

use model::Duration;

use super::fact::{Decision, Machine, RolloutId};
use super::gate::{Hold, Verdict};
use super::release::Extent;
use super::state::{Phase, Rollouts, Run, Stage};
use crate::budget::Budget;

impl Run {
    /// Whether it may begin with further machines.
    fn may_start(&self) -> bool {
        const STOPS: [Hold; 3] = [Hold::Suspect, Hold::Unheard, Hold::Rival];
        let held = match &self.verdict {
            Verdict::Hold(why) => why.iter().any(|one| STOPS.contains(one)),
            _ => false,
        };
        self.phase == Phase::Running && !held
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
            if !open || !run.may_start() {
                continue;
            }
            if self.now >= run.pace.0 + Duration::from_secs(3_600) {
                run.pace = (self.now, 0);
            }
            let id = run.id;
            for kind in 0..self.kinds {
                self.stage_kind(id, kind, decisions);
            }
            self.start_staged(budget, id, decisions);
        }
    }

    /// Begins with machines of one hardware type.
    fn stage_kind(&mut self, id: RolloutId, kind: u16, decisions: &mut Vec<Decision>) {
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
            let room = room.min(most.saturating_sub(run.pace.1));
            if room == 0 {
                return;
            }
            let row = &self.racks[rack as usize];
            let free = row.owner.is_none_or(|owner| owner == id) && !row.wanted;
            if free && run.may_open(at, rack) {
                self.stage_rack(id, kind, rack, room, decisions);
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
