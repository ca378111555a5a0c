//! A machine that is not heard. One path that is quiet proves nothing: heartbeats are lost,
//! agents crash, ports fail. So silence of the agent only makes the engine ask: three
//! neighbours whether the machine's kernel answers them, and the BMC, on its own network, what
//! the host does. A machine is *dead* by positive evidence only: nobody in its rack reaches
//! it, and its BMC says that it stopped or is off, or the BMC itself has lost its power.
//! Everything else is slow, isolated or unknown, and is asked about again, ever more seldom.

use model::{Duration, Timestamp};

use super::Turn;
use super::case::Subject;
use super::fact::{BmcSays, Decision};
use super::state::{Doubt, Timer, Verdict};
use crate::repair::Symptom;

impl Turn<'_> {
    /// The relay misses a machine.
    pub(super) fn quiet(&mut self, machine: u32, since: Timestamp) {
        if self.state.machine(machine).is_none() || self.state.doubts.contains_key(&machine) {
            return;
        }
        let due = self.now + self.settings.ask_again;
        let doubt = Doubt { since, due, round: 0, yes: 0, no: 0, says: None };
        self.state.doubts.insert(machine, doubt);
        self.state.timers.insert((due, Timer::Quiet(machine)));
        self.out.push(Decision::Probe { machine });
    }

    /// The relay hears a machine.
    pub(super) fn heard(&mut self, machine: u32, boot: u32) {
        if self.state.machine(machine).is_none() {
            return;
        }
        if let Some(doubt) = self.state.doubts.remove(&machine) {
            self.state.timers.remove(&(doubt.due, Timer::Quiet(machine)));
        }
        let row = self.state.row(machine);
        let rebooted = boot != row.boot;
        row.boot = boot;
        self.judge(machine, Verdict::Alive);
        if let Some(case) = self.state.row(machine).case {
            self.heard_in_case(case, rebooted);
        }
    }

    /// A neighbour says whether it reaches a machine.
    pub(super) fn neighbour(&mut self, machine: u32, answered: bool) {
        let Some(doubt) = self.state.doubts.get_mut(&machine) else { return };
        if answered {
            doubt.yes = doubt.yes.saturating_add(1);
        } else {
            doubt.no = doubt.no.saturating_add(1);
        }
        self.weigh(machine);
    }

    /// A BMC says what its host does.
    pub(super) fn bmc(&mut self, machine: u32, says: BmcSays) {
        let Some(doubt) = self.state.doubts.get_mut(&machine) else { return };
        doubt.says = Some(says);
        self.weigh(machine);
    }

    /// It is time to ask again.
    pub(super) fn quiet_due(&mut self, machine: u32) {
        let Some(doubt) = self.state.doubts.get(&machine).copied() else { return };
        if doubt.due > self.now {
            return;
        }
        self.weigh(machine);
        let wait = again(self.settings.ask_again, self.settings.ask_again_most, doubt.round);
        let due = self.now + wait;
        let round = doubt.round.saturating_add(1);
        let next = Doubt { due, round, yes: 0, no: 0, says: None, ..doubt };
        self.state.doubts.insert(machine, next);
        self.state.timers.insert((due, Timer::Quiet(machine)));
        self.out.push(Decision::Probe { machine });
    }

    /// What follows from all that was said so far.
    fn weigh(&mut self, machine: u32) {
        let doubt = self.state.doubts[&machine];
        let quiet = self.now.since(doubt.since);
        let settings = self.settings;
        // All that were asked, or all but one: a neighbour may be ill itself.
        let nobody = doubt.yes == 0 && doubt.no + 1 >= settings.neighbours && doubt.no > 0;
        let (verdict, symptom, patience) = if doubt.yes > 0 {
            (Verdict::Slow, Symptom::AgentSilent, settings.agent_patience)
        } else if !nobody {
            return;
        } else {
            match doubt.says {
                Some(BmcSays::Off | BmcSays::Stopped | BmcSays::Dark) => {
                    (Verdict::Dead, Symptom::Dead, Duration::ZERO)
                }
                Some(BmcSays::Running) => {
                    (Verdict::Isolated, Symptom::Isolated, settings.isolated_patience)
                }
                Some(BmcSays::Stalled) => {
                    (Verdict::Unknown, Symptom::Stalled, settings.stalled_patience)
                }
                Some(BmcSays::Mute) | None => {
                    (Verdict::Unknown, Symptom::Unreachable, settings.unknown_patience)
                }
            }
        };
        self.judge(machine, verdict);
        if quiet < patience {
            return;
        }
        match self.state.rows[machine as usize].case {
            Some(case) => self.symptom_in_case(case, symptom, || evidence(&doubt, quiet)),
            // What a domain explains needs no case of its own, as long as it does.
            None if self.holder(machine).is_some() => {}
            None => {
                self.open(Subject::Machine(machine), symptom, evidence(&doubt, quiet));
            }
        }
    }

    /// Changes what is thought of a machine, and tells it.
    pub(super) fn judge(&mut self, machine: u32, is: Verdict) {
        let row = self.state.row(machine);
        let was = row.verdict;
        if was == is || was == Verdict::Dead && is != Verdict::Alive {
            return;
        }
        row.verdict = is;
        self.count_doubt(machine, was, is);
        self.out.push(Decision::Judged { machine, was, is });
    }
}

/// The first wait, doubled with every round.
fn again(first: Duration, most: Duration, round: u8) -> Duration {
    let micros = first.micros().saturating_mul(1 << u32::from(round).min(20));
    Duration::from_micros(micros.min(most.micros()))
}

/// What was found out, for people.
fn evidence(doubt: &Doubt, quiet: Duration) -> String {
    let bmc = match doubt.says {
        Some(BmcSays::Running) => "its BMC says that the host runs",
        Some(BmcSays::Stalled) => "its BMC says that the host has power and does not move",
        Some(BmcSays::Stopped) => "its BMC says that the host has stopped",
        Some(BmcSays::Off) => "its BMC says that the host is off",
        Some(BmcSays::Mute) => "its BMC does not answer, and has power",
        Some(BmcSays::Dark) => "its BMC has no power",
        None => "its BMC has not answered yet",
    };
    format!(
        "not heard for {quiet}; of its neighbours {} reach it and {} do not; {bmc}",
        doubt.yes, doubt.no
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_become_more_seldom() {
        let (first, most) = (Duration::from_secs(1), Duration::from_secs(30));
        let waits = [0, 1, 4, 5, 200].map(|round| again(first, most, round).micros() / 1_000_000);
        assert_eq!(waits, [1, 2, 16, 30, 30]);
    }
}
