//! How patient the engine is. All of it is data that an operator may change.

use model::Duration;
use serde::{Deserialize, Serialize};

use crate::repair::Action;

/// How repairs are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// By what worked before, weighed by what it costs.
    Learnt,
    /// Always the same: power-cycle, install anew, call a person. What teams do by hand;
    /// here to be compared with.
    Fixed,
    /// The same, but a machine that still serves is emptied first.
    FixedEmptied,
}

/// Spans and counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// How repairs are chosen.
    pub policy: Policy,
    /// How many neighbours are asked about a machine.
    pub neighbours: u8,
    /// Unsettled suspicions are asked about again after this, then twice it, and so on.
    pub ask_again: Duration,
    /// At most this long between two questions.
    pub ask_again_most: Duration,
    /// A machine that is reachable and whose agent is quiet for so long has a case.
    pub agent_patience: Duration,
    /// A machine that runs and reaches nobody for so long has a case.
    pub isolated_patience: Duration,
    /// A machine that has power and does not move for so long has a case.
    pub stalled_patience: Duration,
    /// A machine of which nothing is known for so long has a case.
    pub unknown_patience: Duration,
    /// Answers about a quiet rack are waited for so long.
    pub rack_patience: Duration,
    /// A quiet rack calls a person after so long.
    pub rack_person: Duration,
    /// After a domain is heard again, its machines have so long to come back.
    pub rack_return: Duration,
    /// Repairs that disturb begin so long after their case was opened: what fails together
    /// is seen together by then.
    pub settle: Duration,
    /// Deaths in one rack within this time count together.
    pub together: Duration,
    /// So many in one rack are the rack's case,
    pub rack_least: u32,
    /// if they are so many of a hundred of its machines.
    pub rack_percent: u32,
    /// So many of a thousand machines in doubt, or of a thousand racks quiet, are the
    /// fleet's case: it is more likely that we are cut off.
    pub fleet_permille: u32,
    /// But never fewer than this.
    pub fleet_least: u32,
    /// A case that waits for room in the budget, or is held, looks again after this.
    pub look_again: Duration,
    /// How long a repair must have helped before its case is closed.
    pub proving: Duration,
    /// So many cases of one machine
    pub lemon_cases: u32,
    /// within this time make it a lemon.
    pub lemon_within: Duration,
    /// How long a person has, before the case calls again.
    pub person_patience: Duration,
    /// Minutes of work that one interrupted workload loses.
    pub minutes_interrupted: f64,
    /// What an hour of a machine out of service counts, in minutes of work.
    pub minutes_per_hour_out: f64,
}

impl Default for Settings {
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        Self {
            policy: Policy::Learnt,
            neighbours: 3,
            ask_again: Duration::from_secs(1),
            ask_again_most: Duration::from_secs(30),
            agent_patience: Duration::from_secs(30),
            isolated_patience: Duration::from_secs(10),
            stalled_patience: Duration::from_secs(60),
            unknown_patience: Duration::from_secs(60),
            rack_patience: Duration::from_millis(1_000),
            rack_person: minutes(30),
            rack_return: minutes(10),
            settle: Duration::from_secs(10),
            together: minutes(1),
            rack_least: 4,
            rack_percent: 20,
            fleet_permille: 20,
            fleet_least: 5,
            look_again: minutes(1),
            proving: minutes(60),
            lemon_cases: 3,
            lemon_within: Duration::from_secs(14 * 86_400),
            person_patience: Duration::from_secs(7 * 86_400),
            minutes_interrupted: 15.0,
            minutes_per_hour_out: 10.0,
        }
    }
}

impl Settings {
    /// How long a repair may take.
    pub fn patience(&self, action: Action) -> Duration {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        match action {
            Action::ProbeAgain => minutes(5),
            Action::RestartAgent | Action::ResetDevice => minutes(10),
            Action::SetAside => minutes(5),
            Action::Migrate => minutes(60),
            Action::Drain => minutes(24 * 60),
            Action::PowerCycle => minutes(30),
            Action::Reinstall | Action::Reflash => minutes(90),
            Action::BurnIn => minutes(6 * 60),
            Action::Person => self.person_patience,
        }
    }
}
