//! Attestation: what a machine's firmware and boot must look like, and the
//! judgement of what they did look like.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{JudgementId, MachineId, PolicyId};
use crate::resource::Resource;
use crate::time::Timestamp;

/// A policy for machines of one make.
pub type Policy = Resource<PolicyId, PolicySpec, PolicyStatus>;

/// What is asked of a machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PolicySpec {
    /// What happens when the evidence does not match.
    pub mode: PolicyMode,
    /// The events allowed in each PCR of the SHA-256 bank, in order.
    pub pcrs: BTreeMap<u8, Vec<ExpectedEvent>>,
    /// PEM certificates that an endorsement certificate must chain to; any TPM when empty.
    pub endorsement_roots: Vec<String>,
}

/// Whether a policy is enforced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyMode {
    /// The machine's TPM must be genuine and its log must match its quote; what
    /// the log says is kept, not judged.
    #[default]
    Learn,
    /// The log must say what the policy says.
    Enforce,
}

/// An event that a policy expects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExpectedEvent {
    /// Event type by name (TCG PC Client Platform Firmware Profile section 10.4.1).
    pub kind: String,
    /// What it measures, for people.
    pub what: String,
    /// SHA-256, hexadecimal.
    pub digest: String,
}

/// What a policy was learnt from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyStatus {
    /// The golden machine.
    pub learnt_from: Option<MachineId>,
    /// When.
    pub learnt_at: Option<Timestamp>,
}

/// The last judgement of a machine's quote with all that it rests on. The machine's own
/// status has the finding only, for it is written at every step. Its id is the machine's.
pub type Judgement = Resource<JudgementId, JudgementSpec, Verdict>;

/// Nothing is wanted of a judgement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JudgementSpec {}

/// The judgement of a quote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// When.
    pub at: Timestamp,
    /// The nonce that the quote answered, hexadecimal.
    pub nonce: String,
    /// By which policy (name and generation).
    pub policy: String,
    /// How it came out.
    pub finding: Finding,
    /// The PCR values that were quoted, hexadecimal. Like the events, they are told of one
    /// machine, and left out of lists and watches.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pcrs: BTreeMap<u8, String>,
    /// Events of the log, by PCR: what a policy is learnt from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<u8, Vec<ExpectedEvent>>,
}

impl Verdict {
    /// Takes out what the finding rests on: the whole verdict, when there was any.
    pub fn take_grounds(&mut self) -> Option<Verdict> {
        if self.pcrs.is_empty() && self.events.is_empty() {
            return None;
        }
        let whole = self.clone();
        (self.pcrs, self.events) = (BTreeMap::new(), BTreeMap::new());
        Some(whole)
    }
}

/// How a judgement came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum Finding {
    /// All as the policy says.
    Trusted,
    /// Genuine and fresh; there is no policy to judge the firmware by yet.
    Learning,
    /// Not genuine, not fresh, or not as the policy says.
    Refused {
        /// Stable word.
        code: RefusalCode,
        /// In words: which PCR and which event differ.
        message: String,
    },
}

/// Why evidence was refused, in stable words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalCode {
    /// A structure could not be parsed.
    Malformed,
    /// The signature is not of the key that was let in.
    BadSignature,
    /// The quote answers another nonce: old, or of another exchange.
    Replayed,
    /// The quote is not of this TPM.
    ForeignTpm,
    /// The quoted digest is not that of the PCR values.
    PcrMismatch,
    /// The event log does not lead to the PCR values.
    LogMismatch,
    /// An event is not as the policy says.
    PolicyMismatch,
}

impl RefusalCode {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            RefusalCode::Malformed => "malformed",
            RefusalCode::BadSignature => "bad-signature",
            RefusalCode::Replayed => "replayed",
            RefusalCode::ForeignTpm => "foreign-tpm",
            RefusalCode::PcrMismatch => "pcr-mismatch",
            RefusalCode::LogMismatch => "log-mismatch",
            RefusalCode::PolicyMismatch => "policy-mismatch",
        }
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
