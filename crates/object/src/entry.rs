//! What is kept of one version of an object: a short [`Entry`] in the index, and its
//! [`Attributes`] in the log, beside the body when that is small.

use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::name::{Key, Owner};

/// The order of everything that was ever recorded. A version's number is the sequence
/// of the record that made it: a higher one is newer.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Sequence(pub u64);

/// A piece of a body in a segment file. Each piece belongs to one version, part or
/// upload, never to two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// The segment's number.
    pub segment: u32,
    /// Its first byte in the segment.
    pub offset: u64,
    /// Its length in bytes, as stored (encrypted bodies have tags in between).
    pub length: u64,
    /// CRC32C of each 64 KiB of it, the last one shorter.
    pub sums: Vec<u32>,
}

/// Bytes of one checksum of an [`Extent`].
pub const SUMMED_BYTES: u64 = 64 * 1024;

/// Where the record with a version's attributes lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The log segment's number.
    pub segment: u32,
    /// The record's first byte.
    pub offset: u64,
    /// The record's length with its header, and with the body when that is inside.
    pub length: u32,
}

/// An entity tag: the MD5 of the content, or of the parts' MD5s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// The MD5.
    pub md5: [u8; 16],
    /// How many parts it was put together from; 0 when in one go.
    pub parts: u16,
}

/// One version in the index: enough to list it and to find the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its order among versions, and its name.
    pub sequence: Sequence,
    /// It was written while its bucket kept no versions: it is *the* null version.
    pub null: bool,
    /// It says that the object is gone.
    pub delete_marker: bool,
    /// When it was written.
    pub modified: Timestamp,
    /// The content's length, as clients see it.
    pub size: u64,
    /// Its entity tag.
    pub tag: Tag,
    /// The class of storage that was asked for: an index into [`CLASSES`].
    pub class: u8,
    /// How its checksum was made, for lists; 0 when there is none.
    pub checksum: Option<(Algorithm, Coverage)>,
    /// Where its attributes are.
    pub head: Location,
}

/// Classes of storage that are told back as they were given. All are kept alike.
pub const CLASSES: [&str; 8] = [
    "STANDARD",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "REDUCED_REDUNDANCY",
    "GLACIER",
    "GLACIER_IR",
    "DEEP_ARCHIVE",
];

/// A checksum's algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// CRC-32 (ISO-HDLC), 4 bytes.
    Crc32,
    /// CRC-32C (Castagnoli), 4 bytes.
    Crc32c,
    /// CRC-64/NVME, 8 bytes.
    Crc64Nvme,
    /// SHA-1, 20 bytes.
    Sha1,
    /// SHA-256, 32 bytes.
    Sha256,
}

/// What a checksum covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Coverage {
    /// The whole content.
    Whole,
    /// The parts' checksums.
    Composite,
}

/// A checksum that a client gave or wanted, kept to be told back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    /// How it was made.
    pub algorithm: Algorithm,
    /// Of what.
    pub coverage: Coverage,
    /// Its bytes, most significant first.
    pub value: Vec<u8>,
}

/// One part of an object that was put together from parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartInfo {
    /// Its number, 1 to 10,000.
    pub number: u16,
    /// Its length, as clients see it.
    pub size: u64,
    /// Its MD5.
    pub md5: [u8; 16],
    /// Its checksum.
    pub checksum: Option<Checksum>,
}

/// How a body is encrypted. Bodies are sealed in units of 64 KiB by AES-256-GCM; a
/// unit's nonce is its number, so each body has a key of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sealing {
    /// The key is ours, wrapped by the key provider's.
    Ours {
        /// The body's key, wrapped.
        wrapped: Vec<u8>,
        /// How it was asked for: told back as given (S3: `AES256`, `aws:kms`).
        scheme: Box<str>,
        /// The name of the key that was asked for, when there was one.
        key_name: Option<Box<str>>,
    },
    /// The key is the client's and comes with each request. The body's own key is
    /// wrapped by it.
    Theirs {
        /// The body's key, wrapped by the client's.
        wrapped: Vec<u8>,
        /// The MD5 of the client's key, told back.
        key_md5: [u8; 16],
    },
}

/// How long something is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetentionMode {
    /// Those with a special right may shorten it.
    Governance,
    /// Nobody may.
    Compliance,
}

/// Until when something is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Who may undo it.
    pub mode: RetentionMode,
    /// It may go afterwards.
    pub until: Timestamp,
}

/// All of a version that is not in its [`Entry`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Whose it is.
    pub owner: Option<Owner>,
    /// Headers told back as given, by lower-case name: `content-type`,
    /// `content-encoding`, `cache-control`, `content-disposition`,
    /// `content-language`, `expires`, and what a dialect wants kept.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// The client's own names and values, without a dialect's prefix.
    pub metadata: Vec<(Box<str>, Box<str>)>,
    /// Tags.
    pub tags: Vec<(Box<str>, Box<str>)>,
    /// Who may do what, beside the bucket's policy.
    pub grants: Vec<crate::access::Grant>,
    /// Its checksum.
    pub checksum: Option<Checksum>,
    /// Its parts, in order; empty when it was written in one go.
    pub parts: Vec<PartInfo>,
    /// How its body is encrypted.
    pub sealing: Option<Sealing>,
    /// Until when it must stay.
    pub retention: Option<Retention>,
    /// It must stay, whatever the time.
    pub legal_hold: Option<bool>,
}

/// A body, as handed to the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// No bytes.
    #[default]
    Empty,
    /// Small: goes into the log beside the attributes.
    Inline(bytes::Bytes),
    /// Written to segments already (not necessarily synced: the store syncs these
    /// segments before it records them).
    Extents(Vec<Extent>),
}

/// Bodies up to this length (as stored) go into the log.
pub const INLINE_BYTES: u64 = 64 * 1024;

/// A version found: its entry and what the log says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Of which key.
    pub key: Key,
    /// From the index.
    pub entry: Entry,
    /// From the log.
    pub attributes: Attributes,
    /// Where its body is: an inline one is an extent inside its record.
    pub extents: Vec<Extent>,
}
