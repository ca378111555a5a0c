//! Records of the log, and how they lie in a segment.
//!
//! A record is a header of 48 bytes, a payload (postcard), and maybe a small body,
//! padded to 8 bytes. The header's checksum covers header and payload; the body has
//! its own. Numbers are little endian:
//!
//! ```text
//!  0 magic  4 format  6 zero   8 payload length  12 body length  16 sequence
//! 24 batch 32 place in the batch  36 records in the batch  40 body CRC32C  44 CRC32C
//! ```
//!
//! A batch is what one sync made durable. Batches are numbered without gaps, so a
//! reader can tell a record that was being written when the power went from one that
//! was durable and is damaged: behind the latter, a later batch follows.

use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::sum::crc32c;
use crate::bucket::Bucket;
use crate::entry::{
    Algorithm, Attributes, Coverage, Entry, Extent, Location, PartInfo, Sequence, Tag,
};
use crate::name::{BucketId, Key};

/// The format that this program writes, and the newest that it reads.
pub const FORMAT: u16 = 1;
/// Bytes of a record's header.
pub const HEADER: usize = 48;
/// Bytes of a log segment before its first record.
pub const PREFACE: usize = 64;
const MAGIC: [u8; 4] = *b"BPR1";
const PREFACE_MAGIC: [u8; 8] = *b"BPOBJLOG";
/// Longer than any record that is written: a body of 5 TiB has checksums of 340 MB.
const MOST: u64 = 512 << 20;

/// What was changed. The newest record of a thing says all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// A bucket, as it is now.
    Bucket(Box<Bucket>),
    /// A bucket is gone, with its uploads.
    BucketGone(BucketId),
    /// A version, as it is now.
    Version(Box<VersionRecord>),
    /// A version is gone.
    Removed { bucket: BucketId, key: Key, sequence: Sequence },
    /// An upload began.
    Upload(Box<UploadRecord>),
    /// A part came.
    Part(Box<PartRecord>),
    /// An upload is gone, with its parts.
    Aborted { bucket: BucketId, key: Key, upload: Sequence },
}

/// A version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRecord {
    pub bucket: BucketId,
    pub key: Key,
    /// Its number: of the record that made it, which need not be this one.
    pub sequence: Sequence,
    pub null: bool,
    pub marker: bool,
    pub modified: Timestamp,
    pub size: u64,
    pub tag: Tag,
    pub class: u8,
    pub attributes: Attributes,
    /// Its body, unless that is in the record.
    pub extents: Vec<Extent>,
    /// The version that it takes the place of.
    pub replaces: Option<Sequence>,
    /// The upload that it was put together from.
    pub upload: Option<Sequence>,
}

/// An upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRecord {
    pub bucket: BucketId,
    pub key: Key,
    pub begun: Timestamp,
    pub class: u8,
    pub checksum: Option<(Algorithm, Coverage)>,
    pub attributes: Attributes,
}

/// A part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRecord {
    pub bucket: BucketId,
    pub upload: Sequence,
    pub info: PartInfo,
    pub modified: Timestamp,
    pub extents: Vec<Extent>,
}

impl VersionRecord {
    /// As the index has it.
    pub fn entry(&self, head: Location) -> Entry {
        let checksum = self.attributes.checksum.as_ref();
        Entry {
            sequence: self.sequence,
            null: self.null,
            delete_marker: self.marker,
            modified: self.modified,
            size: self.size,
            tag: self.tag,
            class: self.class,
            checksum: checksum.map(|sum| (sum.algorithm, sum.coverage)),
            head,
        }
    }
}

/// A record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub payload: u32,
    pub body: u32,
    pub sequence: Sequence,
    pub batch: u64,
    pub place: u32,
    pub count: u32,
    pub body_sum: u32,
    pub sum: u32,
}

impl Header {
    /// Reads a header; `None` when this is none.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER] = bytes.get(..HEADER)?.try_into().ok()?;
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let header = Self {
            payload: word(8),
            body: word(12),
            sequence: Sequence(long(16)),
            batch: long(24),
            place: word(32),
            count: word(36),
            body_sum: word(40),
            sum: word(44),
        };
        let known = bytes[..4] == MAGIC && bytes[4..8] == [FORMAT as u8, 0, 0, 0];
        (known && header.length() <= MOST && header.place < header.count).then_some(header)
    }

    fn bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.payload.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.body.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.batch.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.place.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.count.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.body_sum.to_le_bytes());
        bytes[44..].copy_from_slice(&self.sum.to_le_bytes());
        bytes
    }

    /// Bytes of the whole record, padded.
    pub fn length(&self) -> u64 {
        (HEADER as u64 + u64::from(self.payload) + u64::from(self.body)).next_multiple_of(8)
    }

    /// Bytes before the body.
    pub fn head(&self) -> usize {
        HEADER + self.payload as usize
    }

    /// Whether header and payload are what was written. `bytes` begin with the header.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        let Some(payload) = bytes.get(HEADER..self.head()) else { return false };
        sum_of(&bytes[..44], payload) == self.sum
    }

    /// Whether the body is, too.
    pub fn body_holds(&self, bytes: &[u8]) -> bool {
        let end = self.head() + self.body as usize;
        bytes.get(self.head()..end).is_some_and(|body| crc32c(body) == self.body_sum)
    }
}

fn sum_of(header: &[u8], payload: &[u8]) -> u32 {
    let mut digest = super::sum::Crc32c::new();
    digest.update(header);
    digest.update(payload);
    digest.finish()
}

/// Appends a record without its place in a batch: [`seal`] puts that in. Returns its
/// length.
pub fn append(into: &mut Vec<u8>, sequence: Sequence, record: &Record, body: &[u8]) -> u32 {
    let start = into.len();
    into.resize(start + HEADER, 0);
    let payload = postcard::to_extend(record, Vec::new()).expect("a record has no unknown lengths");
    into.extend_from_slice(&payload);
    into.extend_from_slice(body);
    let header = Header {
        payload: u32::try_from(payload.len()).expect("a record is shorter than 4 GiB"),
        body: u32::try_from(body.len()).expect("a small body is shorter than 4 GiB"),
        sequence,
        batch: 0,
        place: 0,
        count: 1,
        body_sum: crc32c(body),
        sum: 0,
    };
    into[start..start + HEADER].copy_from_slice(&header.bytes());
    into.resize(into.len().next_multiple_of(8), 0);
    assert!(header.length() <= MOST, "a record is at most {MOST} bytes long");
    (into.len() - start) as u32
}

/// Gives the record that begins here its place in a batch, and its checksum.
pub fn seal(bytes: &mut [u8], batch: u64, place: u32, count: u32) {
    let mut header = Header::read(bytes).expect("what was appended is a record");
    (header.batch, header.place, header.count) = (batch, place, count);
    let raw = header.bytes();
    header.sum = sum_of(&raw[..44], &bytes[HEADER..header.head()]);
    bytes[..HEADER].copy_from_slice(&header.bytes());
}

/// Reads a record's payload.
pub fn payload(header: &Header, bytes: &[u8]) -> Option<Record> {
    postcard::from_bytes(bytes.get(HEADER..header.head())?).ok()
}

/// What a log segment begins with: numbers that must never be given twice, though what
/// had them may be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preface {
    pub number: u32,
    pub next_sequence: u64,
    pub next_bucket: u32,
    pub next_segment: u32,
}

impl Preface {
    /// As bytes.
    pub fn bytes(&self) -> [u8; PREFACE] {
        let mut bytes = [0; PREFACE];
        bytes[..8].copy_from_slice(&PREFACE_MAGIC);
        bytes[8..10].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.next_sequence.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.next_bucket.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.next_segment.to_le_bytes());
        let sum = crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// From bytes: `Err` with the format when that is a later one.
    pub fn read(bytes: &[u8; PREFACE]) -> Result<Option<Self>, u16> {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        if bytes[..8] != PREFACE_MAGIC || word(60) != crc32c(&bytes[..60]) {
            return Ok(None);
        }
        let format = u16::from_le_bytes([bytes[8], bytes[9]]);
        if format > FORMAT {
            return Err(format);
        }
        let next_sequence = u64::from(word(16)) | u64::from(word(20)) << 32;
        Ok(Some(Self {
            number: word(12),
            next_sequence,
            next_bucket: word(24),
            next_segment: word(28),
        }))
    }
}
