//! Operations: long work that can be watched, waited for and settled.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{MachineId, OperationId};
use crate::machine::{Reason, Rung, StepKind};
use crate::time::Timestamp;

/// Long work on one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Operation {
    /// Which.
    pub id: OperationId,
    /// What kind of work.
    pub kind: OperationKind,
    /// On which machine.
    pub machine: MachineId,
    /// Whose, where it is a tenant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// How it stands.
    pub state: OperationState,
    /// Who asked.
    pub actor: String,
    /// When it was asked for.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// Why it needs attention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Steps begun so far; the last one is the current one.
    pub steps: u32,
}

/// The kinds of work.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum OperationKind {
    /// From enrolled to available.
    Enroll,
    /// From available to active.
    Deploy,
    /// From active to available, sanitised.
    Release,
    /// Back from quarantine or maintenance to available, sanitised.
    Recover,
}

impl OperationKind {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            OperationKind::Enroll => "enroll",
            OperationKind::Deploy => "deploy",
            OperationKind::Release => "release",
            OperationKind::Recover => "recover",
        }
    }
}

impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How an operation stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum OperationState {
    /// Going on.
    Running,
    /// Came to its end.
    Done,
    /// Stands still with a reason: retry, skip or abandon.
    NeedsAttention,
    /// A person ended it.
    Abandoned,
}

impl OperationState {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            OperationState::Running => "running",
            OperationState::Done => "done",
            OperationState::NeedsAttention => "needs-attention",
            OperationState::Abandoned => "abandoned",
        }
    }
    /// Whether it will not change any more.
    pub const fn ended(self) -> bool {
        matches!(self, OperationState::Done | OperationState::Abandoned)
    }
}

impl fmt::Display for OperationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One try of one step: the journal of an operation and the timeline of a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepRecord {
    /// Of which operation.
    pub operation: OperationId,
    /// Number in the operation, from 0.
    pub index: u32,
    /// Which step.
    pub kind: StepKind,
    /// In which state of the machine's life.
    pub lifecycle: crate::machine::Lifecycle,
    /// Tries so far.
    pub attempt: u32,
    /// On which rung of the ladder.
    pub rung: Rung,
    /// When the step first began.
    pub started: Timestamp,
    /// When it ended; absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<StepResult>,
    /// Evidence or fault, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepResult {
    /// With its evidence.
    Done,
    /// At the end of its ladder.
    Failed,
    /// A person skipped it.
    Skipped,
    /// The operation ended before it did.
    Abandoned,
}

/// What a person does about an operation that needs attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Settlement {
    /// Try the step again from the first rung.
    Retry,
    /// Take the step as done. Refused where safety hangs on it (attest, sanitise).
    Skip,
    /// End the operation; the machine stays quarantined.
    Abandon,
}
