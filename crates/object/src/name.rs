//! Names: buckets, keys, owners. A name that exists is a legal one.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest key, in bytes of UTF-8.
pub const KEY_BYTES: usize = 1024;

/// Why a name is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// No bytes at all.
    #[error("a name must not be empty")]
    Empty,
    /// More bytes than a name may have.
    #[error("a key has at most {KEY_BYTES} bytes")]
    TooLong,
    /// Not what a bucket may be called.
    #[error(
        "a bucket's name has 3 to 63 characters: lower-case letters, digits, dots and hyphens; it begins and ends with a letter or digit, and is no IP address"
    )]
    Bucket,
}

/// A bucket's number: given once, never again. What keys are kept under, so that a
/// bucket that is made anew under an old name has nothing of the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BucketId(pub u32);

/// A bucket's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BucketName(Box<str>);

/// A key: 1 to 1,024 bytes of UTF-8, any characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(Box<str>);

/// Whose something is: the stable id of an account (S3: canonical user id).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Owner(pub Box<str>);

impl Key {
    /// Takes a key.
    ///
    /// # Errors
    /// When it is empty or too long.
    pub fn new(key: &str) -> Result<Self, NameError> {
        match key.len() {
            0 => Err(NameError::Empty),
            1..=KEY_BYTES => Ok(Self(key.into())),
            _ => Err(NameError::TooLong),
        }
    }
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl BucketName {
    /// Takes a bucket's name.
    ///
    /// # Errors
    /// When no bucket may be called so.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = name.as_bytes();
        let legal = (3..=63).contains(&bytes.len())
            && bytes.iter().all(|byte| edge(*byte) || matches!(byte, b'.' | b'-'))
            && edge(bytes[0])
            && edge(bytes[bytes.len() - 1])
            && !name.contains("..")
            && name.parse::<std::net::Ipv4Addr>().is_err();
        if legal { Ok(Self(name.into())) } else { Err(NameError::Bucket) }
    }
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
