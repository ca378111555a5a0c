//! What an engine of rollouts is told, and what it decides. Both are recorded; the same facts
//! in the same order give the same decisions and the same state.

use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::gate::Verdict;
use super::release::Spec;
use super::told::Told;
use crate::placement::{Domain, Place};

/// A machine: a number that the caller gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Machine(pub u32);

/// A rollout: numbered from 0 as they are created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RolloutId(pub u32);

/// What kind of fault a machine had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// It went down.
    Down,
    /// Software on it failed, or hung.
    Software,
    /// A device of it failed: memory, disk, GPU.
    Device,
    /// It lost packets, or its link.
    Network,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Down, Self::Software, Self::Device, Self::Network];
}

/// Something that is known, and since when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// When it was so.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

/// What can be known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A machine joins: where it stands, and its hardware type. Machines are numbered as they
    /// join. A rollout is about those that were there when it was created.
    Joined {
        /// Where.
        place: Place,
        /// Of which hardware type.
        kind: u16,
    },
    /// Somebody wants a rollout.
    Created(Spec),
    /// Somebody wants that it changes no further machine.
    Paused(RolloutId),
    /// Somebody wants that it goes on.
    Resumed(RolloutId),
    /// Somebody wants that it ends as it is: changed machines stay changed.
    Aborted(RolloutId),
    /// Somebody wants all machines back on the former release.
    Recalled(RolloutId),
    /// Both the new release and the former one lie ready on a machine.
    Staged {
        /// For which rollout.
        rollout: RolloutId,
        /// Where.
        machine: Machine,
    },
    /// A machine was changed, or could not be.
    Changed {
        /// By which rollout.
        rollout: RolloutId,
        /// Which.
        machine: Machine,
        /// Whether it came back with the new release.
        ok: bool,
    },
    /// A machine went back, or could not.
    Reverted {
        /// From which rollout.
        rollout: RolloutId,
        /// Which.
        machine: Machine,
        /// Whether it came back with the former release.
        ok: bool,
    },
    /// A machine had a fault.
    Fault {
        /// Which.
        machine: Machine,
        /// Of what kind.
        signal: Signal,
    },
    /// What a rack's relay heard since the last look. A rack that says nothing was not
    /// watched: its machines are neither well nor ill.
    Watched {
        /// Which rack.
        rack: Domain,
        /// How busy its machines were, in quarters: 0 for idle, 3 for full.
        load: u8,
        /// Machines of it that were not heard of.
        silent: Vec<Machine>,
    },
    /// Time passed.
    Clock,
}

/// What is to be done, and what was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Put the new release and the former one ready on a machine; change nothing yet.
    Stage {
        /// For which rollout.
        rollout: RolloutId,
        /// Where.
        machine: Machine,
    },
    /// Change a machine.
    Start {
        /// For which rollout.
        rollout: RolloutId,
        /// Which.
        machine: Machine,
    },
    /// Take a machine back to the former release.
    Revert {
        /// For which rollout.
        rollout: RolloutId,
        /// Which.
        machine: Machine,
    },
    /// A machine needs a person: it neither takes the release nor gives it back.
    Person {
        /// For which rollout.
        rollout: RolloutId,
        /// Which.
        machine: Machine,
    },
    /// The gate says something else than before.
    Verdict {
        /// About which rollout.
        rollout: RolloutId,
        /// What.
        verdict: Verdict,
        /// On what evidence.
        evidence: Box<Told>,
    },
    /// A rollout is over.
    Ended {
        /// Which.
        rollout: RolloutId,
        /// How.
        end: End,
    },
}

/// How a rollout ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Every machine has it, but those that a person has.
    Complete,
    /// Somebody ended it as it was.
    Aborted,
    /// No machine has it, but those that a person has.
    RolledBack,
}
