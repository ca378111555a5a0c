//! A case: something is wrong with a machine, or with a domain. It says what, since when, why
//! we think so, what was done, and what it waits for. Every stage has a deadline, and there
//! is no stage without a way on; a case ends, or is with a person.

use std::fmt;

use model::{Duration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Turn;
use super::fact::{Decision, Outcome};
use super::state::Timer;
use crate::budget::Spent;
use crate::placement::{Domain, Level};
use crate::repair::{Action, Symptom};

/// The number of a case, from 1 on, in the order of opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CaseNumber(pub std::num::NonZeroU32);

impl fmt::Display for CaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "case {}", self.0)
    }
}

/// What a case is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// A machine.
    Machine(u32),
    /// All machines of a domain.
    Domain(Level, Domain),
    /// All machines.
    Fleet,
}

/// What a case waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// For others that fail at the same time.
    Settling,
    /// For the case of a domain, which explains it.
    Held(CaseNumber),
    /// For room in the budget.
    Blocked(Spent),
    /// For the end of a repair.
    Repairing(Action),
    /// For the machine to be heard after a repair.
    Awaiting(Action),
    /// For the symptom to stay away, after a repair or by itself.
    Proving(Option<Action>),
    /// For a domain to be heard.
    Watching,
    /// For the machines of a domain that is heard again.
    Returning,
    /// For a person.
    Person,
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Ending {
    /// By itself.
    Recovered,
    /// By a repair.
    Repaired(Action),
    /// By a person.
    Person,
}

/// Something that happened in a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// It was opened.
    Opened(Symptom, String),
    /// Something else was seen.
    Seen(Symptom, String),
    /// The case of a domain holds it.
    Held(CaseNumber),
    /// It would be repaired so, if there were room.
    Blocked(Action, Spent),
    /// A repair began, because of so many times that it worked and did not.
    Began(Action, u32, u32),
    /// A repair ended.
    Ended(Action, Outcome),
    /// A repair took too long.
    Overdue(Action),
    /// The machine, or the domain, is heard again.
    Heard,
    /// It has had so many cases lately.
    Lemon(u32),
    /// A person was called.
    CalledPerson,
    /// It ended.
    Closed(Ending),
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened(symptom, why) => write!(f, "opened: {symptom}: {why}"),
            Self::Seen(symptom, why) => write!(f, "seen: {symptom}: {why}"),
            Self::Held(by) => write!(f, "held by {by}, which explains it"),
            Self::Blocked(action, spent) => write!(f, "would {action}, but {spent}"),
            Self::Began(action, worked, not) => {
                write!(f, "began to {action} (for this, it worked {worked} times and {not} not)")
            }
            Self::Ended(action, Outcome::Done) => write!(f, "did {action}"),
            Self::Ended(action, Outcome::Failed) => write!(f, "could not {action}"),
            Self::Ended(action, Outcome::Found) => write!(f, "did {action}: it found a fault"),
            Self::Overdue(action) => write!(f, "did not {action} in time, or it did not help"),
            Self::Heard => f.write_str("heard again"),
            Self::Lemon(cases) => write!(f, "a lemon: {cases} cases lately"),
            Self::CalledPerson => f.write_str("called a person"),
            Self::Closed(Ending::Recovered) => f.write_str("closed: it recovered by itself"),
            Self::Closed(Ending::Repaired(action)) => write!(f, "closed: to {action} helped"),
            Self::Closed(Ending::Person) => f.write_str("closed: a person mended it"),
        }
    }
}

/// A case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Its number.
    pub number: CaseNumber,
    /// What it is about.
    pub subject: Subject,
    /// What is wrong.
    pub symptom: Symptom,
    /// Since when.
    pub opened: Timestamp,
    /// What it waits for.
    pub stage: Stage,
    /// When the stage ends, whatever happens.
    pub deadline: Timestamp,
    /// What was tried, in order.
    pub tried: Vec<Action>,
    /// Whether the machine has cases again and again.
    pub lemon: bool,
    /// Whether a person was called.
    pub person: bool,
    /// What happened, in order.
    pub timeline: Vec<(Timestamp, Entry)>,
}

/// Entries of a timeline; more of what is seen again and again is left out.
const ENTRIES_MOST: usize = 200;

impl Case {
    /// Adds to the timeline.
    pub(crate) fn note(&mut self, now: Timestamp, entry: Entry) {
        if self.timeline.len() < ENTRIES_MOST || matches!(entry, Entry::Closed(_)) {
            self.timeline.push((now, entry));
        }
    }

    /// The timeline for a person to read, a line an entry.
    pub fn story(&self) -> String {
        let lines = self.timeline.iter().map(|(at, entry)| format!("{at}  {entry}\n"));
        lines.collect()
    }
}

impl Turn<'_> {
    /// Opens a case.
    pub(crate) fn open(&mut self, subject: Subject, symptom: Symptom, why: String) -> CaseNumber {
        self.state.cases_opened += 1;
        let number = std::num::NonZeroU32::new(self.state.cases_opened).expect("counted from 1");
        let number = CaseNumber(number);
        let now = self.now;
        let (stage, wait) = match subject {
            Subject::Machine(_) => (Stage::Settling, self.settings.settle),
            _ => (Stage::Watching, self.settings.look_again),
        };
        let deadline = now + wait;
        let mut case = Case {
            number,
            subject,
            symptom,
            opened: now,
            stage,
            deadline,
            tried: Vec::new(),
            lemon: false,
            person: false,
            timeline: vec![(now, Entry::Opened(symptom, why))],
        };
        match subject {
            Subject::Machine(machine) => {
                self.state.row(machine).case = Some(number);
                let cases = self.cases_lately(machine);
                case.lemon = symptom.is_of_hardware() && cases >= self.settings.lemon_cases;
                if case.lemon {
                    case.note(now, Entry::Lemon(cases));
                }
            }
            Subject::Domain(level, domain) => {
                self.state.domain_cases.insert(Some((level, domain)), number);
            }
            Subject::Fleet => drop(self.state.domain_cases.insert(None, number)),
        }
        self.state.cases.insert(number, case);
        self.state.timers.insert((deadline, Timer::Case(number)));
        self.out.push(Decision::Opened { case: number });
        number
    }

    /// Puts a case into a stage with its deadline.
    pub(crate) fn stand(&mut self, number: CaseNumber, stage: Stage, deadline: Timestamp) {
        let case = self.state.cases.get_mut(&number).expect("the case is open");
        self.state.timers.remove(&(case.deadline, Timer::Case(number)));
        case.stage = stage;
        case.deadline = deadline;
        self.state.timers.insert((deadline, Timer::Case(number)));
    }

    /// Adds to the timeline of an open case.
    pub(crate) fn note(&mut self, number: CaseNumber, entry: Entry) {
        let now = self.now;
        self.state.cases.get_mut(&number).expect("the case is open").note(now, entry);
    }

    /// The deadline of a case has come.
    pub(super) fn case_due(&mut self, number: CaseNumber) {
        let Some(case) = self.state.cases.get(&number) else { return };
        match (case.subject, case.stage) {
            (Subject::Machine(_), Stage::Person | Stage::Awaiting(Action::Person)) => {
                self.call_person(number);
            }
            (Subject::Machine(_), Stage::Repairing(action) | Stage::Awaiting(action)) => {
                self.note(number, Entry::Overdue(action));
                self.did_not_help(number, action);
            }
            (Subject::Machine(_), Stage::Proving(action)) => {
                let ending = action.map_or(Ending::Recovered, Ending::Repaired);
                self.close(number, ending);
            }
            (Subject::Machine(machine), _) => self.advance(number, machine),
            _ => self.domain_due(number),
        }
    }

    /// A domain is heard again: its machines have a while to come back.
    pub(super) fn returning(&mut self, number: CaseNumber) {
        if self.state.cases[&number].stage != Stage::Returning {
            self.note(number, Entry::Heard);
            self.stand(number, Stage::Returning, self.now + self.settings.rack_return);
        }
    }

    /// A domain is heard, and its machines had their time.
    pub(super) fn close_returned(&mut self, number: CaseNumber) {
        let person = self.state.cases[&number].person;
        self.close(number, if person { Ending::Person } else { Ending::Recovered });
    }

    /// Ends a case.
    pub(crate) fn close(&mut self, number: CaseNumber, ending: Ending) {
        let mut case = self.state.cases.remove(&number).expect("the case is open");
        self.state.timers.remove(&(case.deadline, Timer::Case(number)));
        case.note(self.now, Entry::Closed(ending));
        match case.subject {
            Subject::Machine(machine) => {
                self.give_back(machine);
                self.state.row(machine).case = None;
                if let Ending::Repaired(action) = ending {
                    let kind = self.state.row(machine).kind;
                    self.state.experience.learn(case.symptom, kind, action, true);
                }
                if case.symptom.is_of_hardware() {
                    self.remember(machine, ending);
                }
            }
            Subject::Domain(level, domain) => {
                self.state.domain_cases.remove(&Some((level, domain)));
            }
            Subject::Fleet => drop(self.state.domain_cases.remove(&None)),
        }
        self.out.push(Decision::Closed { case: Box::new(case) });
    }

    /// Calls a person, and waits.
    pub(crate) fn call_person(&mut self, number: CaseNumber) {
        let case = self.state.cases.get_mut(&number).expect("the case is open");
        case.person = true;
        let domain = match case.subject {
            Subject::Machine(machine) => {
                // It is out because it is broken now, and not by our doing.
                self.give_back(machine);
                None
            }
            Subject::Domain(level, domain) => Some((level, domain)),
            Subject::Fleet => None,
        };
        let wait = match self.state.cases[&number].subject {
            Subject::Machine(_) => self.settings.person_patience,
            _ => self.settings.look_again,
        };
        self.note(number, Entry::CalledPerson);
        self.stand(number, Stage::Person, self.now + wait);
        self.out.push(Decision::CallPerson { case: number, domain });
    }

    /// A person says that it is mended.
    pub(super) fn returned(&mut self, number: CaseNumber) {
        let Some(case) = self.state.cases.get(&number) else { return };
        match case.subject {
            Subject::Machine(machine) if case.person => {
                self.state.history.remove(&machine);
                if !self.state.doubted(machine) {
                    return self.close(number, Ending::Person);
                }
                // It has to boot; and a person may be wrong, too.
                let patience = self.settings.patience(Action::PowerCycle);
                self.stand(number, Stage::Awaiting(Action::Person), self.now + patience);
            }
            _ => {}
        }
    }

    /// Cases of a machine within the time that makes a lemon, with the one being opened.
    fn cases_lately(&self, machine: u32) -> u32 {
        let within = |at: &&Timestamp| self.now.since(**at) <= self.settings.lemon_within;
        let past = self.state.history.get(&machine);
        1 + past.map_or(0, |past| past.iter().filter(within).count() as u32)
    }

    /// Remembers that a machine had a case.
    fn remember(&mut self, machine: u32, ending: Ending) {
        let (now, within): (Timestamp, Duration) = (self.now, self.settings.lemon_within);
        if matches!(ending, Ending::Person | Ending::Repaired(Action::SetAside)) {
            // The part that failed is gone, or is used no more.
            self.state.history.remove(&machine);
            return;
        }
        let past = self.state.history.entry(machine).or_default();
        past.retain(|at| now.since(*at) <= within);
        past.push(now);
    }
}
