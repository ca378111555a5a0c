//! Short ways to say why an order failed. The control plane acts on the kind
//! (again, another disk, quarantine), people read the words.

use model::agent::{AgentFailure, AgentFailureKind};

fn failure(kind: AgentFailureKind, message: impl Into<String>) -> AgentFailure {
    AgentFailure { kind, message: message.into() }
}

/// The network failed in the middle; again may help.
pub fn network(message: impl Into<String>) -> AgentFailure {
    failure(AgentFailureKind::Network, message)
}
/// The bytes are not those of the checksum.
pub fn checksum(message: impl Into<String>) -> AgentFailure {
    failure(AgentFailureKind::Checksum, message)
}
/// A disk failed, is too small or is missing.
pub fn disk(message: impl Into<String>) -> AgentFailure {
    failure(AgentFailureKind::Disk, message)
}
/// The TPM failed.
pub fn tpm(message: impl Into<String>) -> AgentFailure {
    failure(AgentFailureKind::Tpm, message)
}
/// A test did not pass, or data remained.
pub fn hardware(message: impl Into<String>) -> AgentFailure {
    failure(AgentFailureKind::Hardware, message)
}
/// The order makes no sense here.
pub fn refused(message: impl Into<String>) -> AgentFailure {
    failure(AgentFailureKind::Refused, message)
}
