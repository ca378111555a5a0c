//! Tokens: how people and scripts prove who they are. A token is shown once;
//! what is kept is its digest. It has 256 random bits, so a plain SHA-256 is
//! enough: there is nothing to guess, and nothing to slow down.

use std::path::Path;

use model::Secret;
use world::entropy::{Entropy, new_token};

use super::IdentityError;
use super::durable::{PRIVATE, read_text, write_whole};

/// Begins every token, so that one that leaked is found by a search.
pub const PREFIX: &str = "bp_";
/// Name of the file, in the data directory, of the first administrator's token.
pub const ADMIN_FILE: &str = "admin.token";
/// No token is longer; more is refused before it is hashed.
pub const LONGEST: usize = 128;

/// A new token: `bp_` and 64 hexadecimal digits.
pub fn new_secret(entropy: &mut dyn Entropy) -> Secret {
    Secret::new(format!("{PREFIX}{}", new_token::<32>(entropy)))
}

/// What is kept of a token: its SHA-256, hexadecimal.
pub fn digest(token: &str) -> String {
    hex_digest(token.as_bytes())
}

/// SHA-256, hexadecimal.
pub fn hex_digest(bytes: &[u8]) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| {
        [DIGITS[usize::from(byte >> 4)] as char, DIGITS[usize::from(byte & 15)] as char]
    });
    digits.collect()
}

/// Whether two secrets are the same, in a time that tells nothing about where they
/// differ.
pub fn same_secret(one: &[u8], other: &[u8]) -> bool {
    let difference = one.iter().zip(other).fold(0, |sum, (a, b)| std::hint::black_box(sum | a ^ b));
    one.len() == other.len() && difference == 0
}

/// The first administrator's token.
#[derive(Debug)]
pub struct AdminToken {
    /// The token.
    pub secret: Secret,
    /// Whether it was made just now: then it is to be printed, once.
    pub fresh: bool,
}

/// The token with which the first administrator begins: made and written to
/// `DIR/admin.token` at the first start, read at every later one. `None` when
/// somebody has removed the file, which they may once they have tokens of their own.
///
/// The caller asks for a token with its [`digest`] to be recorded as long as the
/// record holds no token at all: so a crash between the two leaves nobody outside.
/// `empty` says that the record holds no token.
pub fn bootstrap_admin(
    directory: &Path,
    empty: bool,
    entropy: &mut dyn Entropy,
) -> Result<Option<AdminToken>, IdentityError> {
    let path = directory.join(ADMIN_FILE);
    if let Some(text) = read_text(&path)? {
        let token = text.trim();
        if !token.starts_with(PREFIX) || token.len() > LONGEST {
            return Err(IdentityError::damaged(&path, "it does not hold a token"));
        }
        return Ok(Some(AdminToken { secret: Secret::new(token), fresh: false }));
    }
    if !empty {
        return Ok(None);
    }
    let secret = new_secret(entropy);
    write_whole(&path, format!("{}\n", secret.expose()).as_bytes(), PRIVATE)?;
    Ok(Some(AdminToken { secret, fresh: true }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use world::SystemEntropy;

    #[test]
    fn digests_are_sha256_in_hexadecimal() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest(""), empty);
    }

    #[test]
    fn secrets_are_the_same_or_not() {
        assert!(same_secret(b"abc", b"abc"));
        assert!(!same_secret(b"abc", b"abd") && !same_secret(b"abc", b"ab"));
    }

    #[test]
    fn tokens_differ_and_can_be_searched_for() {
        let (one, other) = (new_secret(&mut SystemEntropy), new_secret(&mut SystemEntropy));
        assert_ne!(one, other);
        assert!(one.expose().starts_with(PREFIX));
        assert_eq!(one.expose().len(), PREFIX.len() + 64);
    }
}
