//! SHA-256 and hexadecimal: the only hash and the only way to write one here.
//! Policies, verdicts and logs all speak of the SHA-256 bank.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// A SHA-256 value.
pub(crate) type Sha256Value = [u8; 32];

/// SHA-256 over the parts, one after the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> Sha256Value {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
