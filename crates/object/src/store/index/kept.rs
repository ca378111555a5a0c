//! Values of the index's tables. They are small: a list reads only these.

use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::bucket::Bucket;
use crate::entry::{Algorithm, Coverage, Entry, Extent, Location, PartInfo};
use crate::store::StoreError;

/// A version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What lists show.
    pub entry: Entry,
    /// Whose it is: a number of the table of owners; 0 is nobody.
    pub owner: u32,
    /// Its body is in segments of bodies.
    pub outside: bool,
}

/// A piece of a segment of bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Piece {
    pub segment: u32,
    pub offset: u64,
    pub length: u64,
}

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketKept {
    pub head: Location,
    pub bucket: Bucket,
}

/// An upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadKept {
    pub head: Location,
    pub begun: Timestamp,
    pub class: u8,
    pub checksum: Option<(Algorithm, Coverage)>,
}

/// A part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartKept {
    pub head: Location,
    pub info: PartInfo,
    pub modified: Timestamp,
    pub pieces: Vec<Piece>,
}

impl From<&Extent> for Piece {
    fn from(extent: &Extent) -> Self {
        Self { segment: extent.segment, offset: extent.offset, length: extent.length }
    }
}

/// A value as bytes.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, Vec::with_capacity(96)).expect("values have no unknown lengths")
}

/// A value from bytes.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, StoreError> {
    postcard::from_bytes(bytes)
        .map_err(|error| StoreError::Damaged(format!("an entry of the index: {error}")))
}
