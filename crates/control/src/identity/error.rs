//! What can go wrong with identities, in stable words.

use std::path::{Path, PathBuf};

/// Why an identity could not be made, read or believed.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file of ours could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of ours does not hold what it must.
    #[error(
        "{path}: {reason}; put the file back from a copy, or move the whole directory away to begin anew"
    )]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate signing request cannot be accepted.
    #[error("the certificate signing request cannot be accepted: {0}")]
    Request(&'static str),
    /// A certificate does not name a role of ours.
    #[error("the certificate names no role: {0}")]
    Stranger(&'static str),
    /// A certificate could not be made.
    #[error("a certificate could not be made: {0}")]
    Making(String),
    /// A sealed secret cannot be opened.
    #[error("the secret sealed under the key {key} cannot be opened: {reason}")]
    Sealed {
        /// Which key was named.
        key: String,
        /// Why.
        reason: &'static str,
    },
}

impl IdentityError {
    /// A fault of a file.
    pub(crate) fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }
    /// A file that holds something else.
    pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), reason: reason.into() }
    }
}

impl From<rcgen::Error> for IdentityError {
    fn from(error: rcgen::Error) -> Self {
        Self::Making(error.to_string())
    }
}
