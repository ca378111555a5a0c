//! Operating system images.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::ImageId;
use crate::resource::Resource;
use crate::unit::Bytes;

/// An image that machines can be deployed with.
pub type Image = Resource<ImageId, ImageSpec, ImageStatus>;

/// What an image is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImageSpec {
    /// Layout of the file once unpacked.
    pub format: ImageFormat,
    /// How the file is packed.
    pub compression: Compression,
    /// Whose it is; everybody's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

/// What is known of an image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImageStatus {
    /// Whether every byte is here and checked.
    pub ready: bool,
    /// Of the file as it is stored.
    pub checksum: Option<Checksum>,
    /// Size of the file as it is stored.
    pub stored: Bytes,
    /// Size on disk, unpacked.
    pub size: Bytes,
}

/// Layout of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ImageFormat {
    /// The bytes of the disk.
    Raw,
    /// QEMU's copy-on-write format, version 2 or 3, without a backing file.
    Qcow2,
}

/// How an image is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// Not at all.
    None,
    /// Zstandard (RFC 8878).
    Zstd,
    /// gzip (RFC 1952).
    Gzip,
    /// xz.
    Xz,
}

/// SHA-256 of a file.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Checksum(String);

impl TryFrom<String> for Checksum {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Checksum::parse(&text).ok_or("a checksum is sha256: and 64 hexadecimal digits")
    }
}
impl From<Checksum> for String {
    fn from(checksum: Checksum) -> String {
        checksum.to_string()
    }
}

impl Checksum {
    /// From 64 hexadecimal digits, with or without `sha256:` before them.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let whole = digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        whole.then(|| Self(digits.to_ascii_lowercase()))
    }
    /// From the digest.
    pub fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }
    /// 64 hexadecimal digits, lower case.
    pub fn hex(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}
impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
