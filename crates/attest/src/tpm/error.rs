//! What can go wrong on the machine's side.

use std::io;

/// A TPM operation that failed.
#[derive(Debug, thiserror::Error)]
pub enum TpmError {
    /// The machine has no TPM 2.0 that the kernel knows of.
    #[error("there is no TPM: neither /dev/tpmrm0 nor /dev/tpm0 is there")]
    NoDevice,
    /// The way to the TPM failed.
    #[error("cannot {doing}: {source}")]
    Transport {
        /// What was tried.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// The TPM refused a command.
    #[error("the TPM refused {command}: {name} ({code:#x})")]
    Refused {
        /// Command, by its name in the specification.
        command: String,
        /// Response code by its name, where it has one.
        name: String,
        /// Response code (TPM 2.0 part 2 section 6.6).
        code: u32,
    },
    /// The answer is not one that a TPM may give.
    #[error("the TPM's answer makes no sense: {0}")]
    Answer(String),
    /// The caller asked for something that no TPM can do.
    #[error("cannot ask that of a TPM: {0}")]
    Request(String),
}

impl TpmError {
    /// Wraps what the system said.
    pub(super) fn transport(doing: impl Into<String>, source: io::Error) -> Self {
        TpmError::Transport { doing: doing.into(), source }
    }

    /// Whether the TPM said that a handle or NV index does not exist.
    pub(super) fn is_absent(&self) -> bool {
        // TPM_RC_HANDLE of the first handle or parameter; the N and P bits say which.
        matches!(self, TpmError::Refused { code, .. } if code & 0x0bf == 0x08b)
    }
}
