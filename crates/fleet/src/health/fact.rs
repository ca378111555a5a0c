//! What the engine hears, and what it wants done.

use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::case::{Case, CaseNumber};
use super::rules::Source;
use super::state::Verdict;
use crate::placement::{Domain, Level};
use crate::repair::Action;

/// What a management controller knows of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BmcSays {
    /// The host runs: its kernel fed the controller's watchdog within the last second.
    Running,
    /// The host has power, and its kernel feeds the watchdog no more.
    Stalled,
    /// The host stopped: its kernel or its processor said so in the event log, after the
    /// machine was heard last; or the watchdog ran out.
    Stopped,
    /// The host is switched off.
    Off,
    /// Nothing, but its port at the management switch is up.
    Mute,
    /// Nothing, and its port at the management switch is down: it has no power.
    Dark,
}

/// What runs on a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Workloads.
    pub workloads: u8,
    /// Of those, how many can be moved while they run.
    pub movable: u8,
}

/// How a repair ended, by the word of whoever carried it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It was done. Whether it helped is another question.
    Done,
    /// It could not be done.
    Failed,
    /// A test was done, and found a fault.
    Found,
}

/// Something that is heard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fact {
    /// The relay of its rack misses a machine: as many heartbeats in a row as it may.
    Quiet {
        /// Which.
        machine: u32,
        /// When it was heard last.
        since: Timestamp,
    },
    /// The relay of its rack hears a machine again.
    Heard {
        /// Which.
        machine: u32,
        /// How often its host has booted.
        boot: u32,
    },
    /// A neighbour that was asked says whether a machine's kernel answers it.
    Neighbour {
        /// Of which.
        machine: u32,
        /// Whether it answered.
        answered: bool,
    },
    /// What the BMC of a machine that was asked about says.
    Bmc {
        /// Of which.
        machine: u32,
        /// Its word.
        says: BmcSays,
    },
    /// The stream from the relay of a rack has stopped.
    RackQuiet {
        /// Which.
        rack: Domain,
        /// When it was heard last.
        since: Timestamp,
    },
    /// The stream from a relay of the rack flows again.
    RackHeard {
        /// Which.
        rack: Domain,
    },
    /// What was found out of one member of a quiet rack: whether it answers other racks,
    /// and what its BMC says.
    RackMember {
        /// Of which rack.
        rack: Domain,
        /// Whether it answered.
        answered: bool,
        /// Its BMC's word.
        says: BmcSays,
    },
    /// A sensor's value, a line of a log, an error counter, a complaint.
    Signal {
        /// Of which machine.
        machine: u32,
        /// Where it comes from.
        source: Source,
        /// Which sensor or counter; empty for lines.
        name: String,
        /// Its value; 0 for lines.
        value: f64,
        /// The line; empty for values.
        text: String,
    },
    /// What runs on a machine has changed.
    Load {
        /// Which machine.
        machine: u32,
        /// What runs there now.
        load: Load,
    },
    /// A repair ended.
    Ended {
        /// Whose.
        case: CaseNumber,
        /// Which.
        action: Action,
        /// How.
        outcome: Outcome,
    },
    /// A person has mended what a case was about.
    Returned {
        /// Which case.
        case: CaseNumber,
    },
    /// Time has passed: see [`super::Health::next_deadline`].
    Time,
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Decision {
    /// Ask three neighbours in the rack, and the BMC, about a machine.
    Probe {
        /// Which.
        machine: u32,
    },
    /// Ask about some members of a quiet rack from elsewhere.
    ProbeRack {
        /// Which.
        rack: Domain,
        /// Its members to be asked about.
        members: Vec<u32>,
    },
    /// The rack answers: let another of its machines be the relay.
    ChangeRelay {
        /// Which rack.
        rack: Domain,
    },
    /// What is thought of a machine has changed.
    Judged {
        /// Which.
        machine: u32,
        /// Until now.
        was: Verdict,
        /// From now on.
        is: Verdict,
    },
    /// A case was opened.
    Opened {
        /// Its number.
        case: CaseNumber,
    },
    /// Carry out a repair, and say how it ended before the deadline.
    Repair {
        /// Whose.
        case: CaseNumber,
        /// Of which machine.
        machine: u32,
        /// What.
        action: Action,
        /// Until when.
        deadline: Timestamp,
    },
    /// A person has to look: of a machine, or of a domain.
    CallPerson {
        /// Whose case.
        case: CaseNumber,
        /// The domain, when it is not about one machine.
        domain: Option<(Level, Domain)>,
    },
    /// A case has ended; here it is, whole, for the record.
    Closed {
        /// It.
        case: Box<Case>,
    },
}
