//! What the store says when it cannot answer.

use thiserror::Error;

/// Why the store cannot answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The medium does not read or write.
    #[error("the medium fails: {0}")]
    Medium(String),
    /// What is on the medium is not what was written: it is told as an error, never
    /// handed out.
    #[error("what is stored is damaged: {0}")]
    Damaged(String),
    /// No space is left.
    #[error("no space is left")]
    Full,
    /// The files were written by a later program.
    #[error("the files are of format {found}; this program reads up to {known}")]
    Format {
        /// What the files say.
        found: u16,
        /// What this program knows.
        known: u16,
    },
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::Full,
            std::io::ErrorKind::InvalidData => Self::Damaged(error.to_string()),
            _ => Self::Medium(error.to_string()),
        }
    }
}

impl From<redb::StorageError> for StoreError {
    fn from(error: redb::StorageError) -> Self {
        match error {
            redb::StorageError::Io(error) => error.into(),
            redb::StorageError::Corrupted(what) => Self::Damaged(what),
            other => Self::Medium(other.to_string()),
        }
    }
}

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                match redb::Error::from(error) {
                    redb::Error::Io(error) => error.into(),
                    redb::Error::Corrupted(what) => Self::Damaged(what),
                    other => Self::Medium(other.to_string()),
                }
            }
        }
    )*};
}
from_redb!(redb::TransactionError, redb::TableError, redb::CommitError, redb::DatabaseError);

impl From<StoreError> for crate::Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::Full,
            other => Self::Medium(other.to_string()),
        }
    }
}
