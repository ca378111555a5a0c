//! A case from one repair to the next. At most one repair of a machine is under way; what
//! disturbs waits for the budget, and for the case of a domain that explains it; and each
//! way out of a stage leads to another stage with a deadline, to a person, or to the end.

use super::action::Action;
use super::choose;
use super::ladder;
use super::symptom::Symptom;
use crate::budget::Spent;
use crate::health::case::{CaseNumber, Entry, Stage, Subject};
use crate::health::fact::{Decision, Outcome};
use crate::health::settings::Policy;
use crate::health::state::draw;
use crate::health::{Ending, Turn};

impl Turn<'_> {
    /// Does the next thing in a machine's case.
    pub(crate) fn advance(&mut self, number: CaseNumber, machine: u32) {
        if let Some(holder) = self.holder(machine) {
            if self.state.cases[&number].stage != Stage::Held(holder) {
                self.note(number, Entry::Held(holder));
            }
            // Nothing is out because of a case that only waits.
            self.give_back(machine);
            return self.stand(number, Stage::Held(holder), self.now + self.settings.look_again);
        }
        match self.next_action(number, machine) {
            Some(action) => self.begin(number, machine, action),
            None => self.call_person(number),
        }
    }

    /// What is tried next; `None` when a person has to look.
    fn next_action(&mut self, number: CaseNumber, machine: u32) -> Option<Action> {
        let case = &self.state.cases[&number];
        let (symptom, lemon) = (case.symptom, case.lemon);
        let row = self.state.rows[machine as usize];
        let policy = self.settings.policy;
        // A lemon is not mended by what seemed to mend it before: it is tested.
        const LEMON: &[ladder::Rung] = &[(Action::BurnIn, 1, 1)];
        let rungs = match policy {
            Policy::Learnt if lemon && symptom != Symptom::Disk => LEMON,
            Policy::Learnt => ladder::rungs(symptom),
            Policy::Fixed | Policy::FixedEmptied => ladder::fixed(symptom),
        };
        let tried = case.tried.clone();
        let serves = symptom.serves() && row.load.workloads > 0;
        let empties = policy != Policy::Fixed && serves;
        let action = if policy == Policy::Learnt {
            // What is emptied first interrupts nothing.
            let interrupted = if empties { 0 } else { row.load.workloads };
            let mut random = self.state.random;
            let (settings, experience) = (self.settings, &self.state.experience);
            let about = (symptom, row.kind);
            let draw = || draw(&mut random);
            let chosen =
                choose::next(experience, settings, about, rungs, &tried, interrupted, draw);
            self.state.random = random;
            chosen?
        } else {
            rungs.iter().map(|rung| rung.0).find(|action| !tried.contains(action))?
        };
        if !empties || !action.interrupts() {
            return Some(action);
        }
        if row.load.movable > 0 && !tried.contains(&Action::Migrate) {
            return Some(Action::Migrate);
        }
        Some(if tried.contains(&Action::Drain) { action } else { Action::Drain })
    }

    /// Begins a repair, if there is room for it.
    fn begin(&mut self, number: CaseNumber, machine: u32, action: Action) {
        if action.disturbs() && !self.state.rows[machine as usize].out {
            let place = self.state.place(machine);
            if let Err(spent) = self.budget.take(&place, self.now) {
                return self.blocked(number, action, spent);
            }
            self.state.rows[machine as usize].out = true;
        }
        let (symptom, kind) =
            (self.state.cases[&number].symptom, self.state.rows[machine as usize].kind);
        let (worked, not) = self.state.experience.of(symptom, kind, action);
        self.note(number, Entry::Began(action, worked, not));
        let deadline = self.now + self.settings.patience(action);
        self.state.cases.get_mut(&number).expect("the case is open").tried.push(action);
        self.stand(number, Stage::Repairing(action), deadline);
        self.out.push(Decision::Repair { case: number, machine, action, deadline });
    }

    /// There is no room: it waits, and says what it would do.
    fn blocked(&mut self, number: CaseNumber, action: Action, spent: Spent) {
        if !matches!(self.state.cases[&number].stage, Stage::Blocked(_)) {
            self.note(number, Entry::Blocked(action, spent));
        }
        let again = self.now + self.settings.look_again;
        let deadline = match spent {
            Spent::Hourly { until, .. } => again.max(until),
            Spent::AtOnce { .. } => again,
        };
        self.stand(number, Stage::Blocked(spent), deadline);
    }

    /// A repair ended, by the word of whoever carried it out.
    pub(crate) fn ended(&mut self, number: CaseNumber, action: Action, outcome: Outcome) {
        let Some(case) = self.state.cases.get(&number) else { return };
        let (Subject::Machine(machine), Stage::Repairing(under_way)) = (case.subject, case.stage)
        else {
            return;
        };
        if under_way != action {
            return;
        }
        let symptom = case.symptom;
        self.note(number, Entry::Ended(action, outcome));
        match outcome {
            Outcome::Done | Outcome::Failed if action.prepares() => self.advance(number, machine),
            Outcome::Done if self.state.doubted(machine) => {
                let patience = self.settings.patience(action);
                self.stand(number, Stage::Awaiting(action), self.now + patience);
            }
            Outcome::Done => self.prove(number, Some(action)),
            Outcome::Failed => self.did_not_help(number, action),
            Outcome::Found => {
                let kind = self.state.rows[machine as usize].kind;
                self.state.experience.learn(symptom, kind, action, false);
                self.call_person(number);
            }
        }
    }

    /// A repair did not help, or could not be done.
    pub(crate) fn did_not_help(&mut self, number: CaseNumber, action: Action) {
        let case = &self.state.cases[&number];
        let Subject::Machine(machine) = case.subject else { return };
        let symptom = case.symptom;
        let kind = self.state.rows[machine as usize].kind;
        self.state.experience.learn(symptom, kind, action, false);
        self.advance(number, machine);
    }

    /// The machine is in service again; whether it helped is seen now.
    fn prove(&mut self, number: CaseNumber, action: Option<Action>) {
        if let Subject::Machine(machine) = self.state.cases[&number].subject {
            self.give_back(machine);
        }
        self.stand(number, Stage::Proving(action), self.now + self.settings.proving);
    }

    /// The machine of a case is heard.
    pub(crate) fn heard_in_case(&mut self, number: CaseNumber, rebooted: bool) {
        let case = &self.state.cases[&number];
        let silence = case.symptom.is_silence();
        match case.stage {
            Stage::Awaiting(Action::Person) => {
                self.note(number, Entry::Heard);
                self.close(number, Ending::Person);
            }
            Stage::Awaiting(action) => {
                self.note(number, Entry::Heard);
                self.prove(number, Some(action));
            }
            Stage::Settling | Stage::Held(_) | Stage::Blocked(_) if silence => {
                self.note(number, Entry::Heard);
                self.prove(number, None);
            }
            Stage::Repairing(_) if rebooted => self.note(number, Entry::Heard),
            _ => {}
        }
    }

    /// A symptom is seen on a machine that has a case.
    pub(crate) fn symptom_in_case(
        &mut self,
        number: CaseNumber,
        symptom: Symptom,
        why: impl FnOnce() -> String,
    ) {
        let case = self.state.cases.get_mut(&number).expect("the case is open");
        let Subject::Machine(machine) = case.subject else { return };
        match case.stage {
            // What a repair itself causes is no symptom, and a person sees for himself.
            Stage::Repairing(_) | Stage::Awaiting(_) | Stage::Person => {}
            Stage::Proving(action) => {
                case.note(self.now, Entry::Seen(symptom, why()));
                let was = std::mem::replace(&mut case.symptom, symptom);
                if let Some(action) = action {
                    let kind = self.state.rows[machine as usize].kind;
                    self.state.experience.learn(was, kind, action, false);
                }
                self.advance(number, machine);
            }
            _ if symptom != case.symptom && symptom.rank() < case.symptom.rank() => {
                case.symptom = symptom;
                case.note(self.now, Entry::Seen(symptom, why()));
            }
            _ => {}
        }
    }

    /// The machine is not out by our doing any more.
    pub(crate) fn give_back(&mut self, machine: u32) {
        if std::mem::take(&mut self.state.rows[machine as usize].out) {
            let place = self.state.place(machine);
            self.budget.give_back(&place);
        }
    }
}
