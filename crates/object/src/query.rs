//! What may be asked of the store. Answers come from a snapshot: all of one answer is
//! of one moment.

use model::Timestamp;

use crate::entry::{Algorithm, Coverage, Entry, PartInfo};
use crate::mutation::UploadId;
use crate::name::{Key, Owner};

/// A page of keys.
#[derive(Clone, Debug, Default)]
pub struct ListKeys {
    /// Only keys that begin so.
    pub prefix: String,
    /// Keys are folded into a prefix at its first occurrence after `prefix`.
    pub delimiter: Option<String>,
    /// Only keys and folded prefixes after this one.
    pub after: Option<String>,
    /// The most entries and folded prefixes together.
    pub limit: usize,
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<T> {
    /// A thing.
    Item(T),
    /// All keys that begin so.
    Prefix(String),
}

/// A page of a list, in order of the keys' bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, N> {
    /// What is there.
    pub lines: Vec<Line<T>>,
    /// Where the next page begins; none when this is the last.
    pub next: Option<N>,
}

/// A page of versions, newest first within a key.
#[derive(Clone, Debug, Default)]
pub struct ListVersions {
    /// As for keys.
    pub prefix: String,
    /// As for keys.
    pub delimiter: Option<String>,
    /// After this key, or within it after this version.
    pub after: Option<(String, Option<crate::entry::Sequence>)>,
    /// As for keys.
    pub limit: usize,
}

/// A version in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: Key,
    /// What is known of it.
    pub entry: Entry,
    /// It is its key's newest.
    pub latest: bool,
    /// Whose it is, when that was asked for.
    pub owner: Option<Owner>,
}

/// A page of uploads, by key, then by age.
#[derive(Clone, Debug, Default)]
pub struct ListUploads {
    /// As for keys.
    pub prefix: String,
    /// As for keys.
    pub delimiter: Option<String>,
    /// After this key, or within it after this upload.
    pub after: Option<(String, Option<UploadId>)>,
    /// As for keys.
    pub limit: usize,
}

/// An upload that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its name.
    pub id: UploadId,
    /// Of which key it will be a version.
    pub key: Key,
    /// When it began.
    pub begun: Timestamp,
    /// The class of storage that was asked for.
    pub class: u8,
    /// Checksums that its parts have.
    pub checksum: Option<(Algorithm, Coverage)>,
    /// What the version will have.
    pub attributes: crate::entry::Attributes,
}

/// Parts of an upload, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What is known of it.
    pub info: PartInfo,
    /// When it came.
    pub modified: Timestamp,
}

/// What a bucket holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Versions, with delete markers.
    pub versions: u64,
    /// Their bytes, as clients see them.
    pub bytes: u64,
    /// Uploads that have begun.
    pub uploads: u64,
}
