//! Keys of volumes, sealed by the key provider's key.

use serde::{Deserialize, Serialize};

/// A key as it is kept: sealed, of no use without the key provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappedKey {
    /// Which of the provider's keys sealed it.
    pub by: String,
    /// Nonce, sealed key and authentication tag, base64.
    pub sealed: String,
}
