//! Why something was not accepted: a stable word for programs, a sentence for people.

use model::attestation::{Finding, RefusalCode};

/// Evidence that was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// Stable word.
    pub code: RefusalCode,
    /// In words: what was wrong, and where.
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(RefusalCode::Malformed, message)
    }
}

impl From<Refusal> for Finding {
    fn from(refusal: Refusal) -> Self {
        Finding::Refused { code: refusal.code, message: refusal.message }
    }
}
