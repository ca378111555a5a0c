//! Effects: what the control plane asks of the world. An effect leaves through
//! the outbox with an id and the machine's generation; whoever carries it out
//! dedups by id and refuses an older generation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent::{AgentCommand, AgentFact, AgentFailure};
use crate::bmc::{BmcCommand, BmcFact, BmcFailure};
use crate::id::{EffectId, MachineId};
use crate::time::Timestamp;

/// One effect on one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Effect {
    /// Its key: the same effect delivered twice has the same.
    pub id: EffectId,
    /// On which machine.
    pub machine: MachineId,
    /// The machine's count of effects with this one. Older ones are refused.
    pub sequence: u64,
    /// After this nobody waits for it any more.
    pub deadline: Timestamp,
    /// What to do.
    pub action: Action,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Action {
    /// By the machine's BMC.
    Bmc {
        /// The request.
        command: BmcCommand,
    },
    /// By the agent that runs on the machine.
    Agent {
        /// The request.
        command: AgentCommand,
    },
}

/// How an effect ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// The BMC answered.
    Bmc {
        /// What it said.
        fact: BmcFact,
    },
    /// The BMC did not do it.
    BmcFailed {
        /// Why.
        failure: BmcFailure,
    },
    /// The agent did it.
    Agent {
        /// What it reports.
        fact: AgentFact,
    },
    /// The agent could not.
    AgentFailed {
        /// Why.
        failure: AgentFailure,
    },
}
