//! What a front end asks of a volume, and what it hears.

use thiserror::Error;

use crate::memory::Segment;

/// A front end's name for a request. Comes back with the reply; means nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag(pub u64);

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Data of the volume into the segments.
    Read,
    /// The segments into the volume.
    Write,
    /// What was acknowledged before becomes durable.
    Flush,
    /// The range may be forgotten: it reads as zeros where whole blocks are in it.
    Discard,
    /// The range becomes zeros.
    WriteZeroes,
}

/// One request. Offset and length are in bytes and multiples of 512; for reads and
/// writes the segments together are as long as `length`.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What.
    pub kind: Kind,
    /// From which byte of the volume.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
    /// Whether a write is durable before it is acknowledged (forced unit access).
    pub fua: bool,
    /// The memory of the front end. It stays valid, and may change, until the reply.
    pub segments: &'a [Segment],
}

/// How a request ended.
pub type Outcome = Result<(), Fault>;

/// Why a request failed. Codes are stable: they are shown to people and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Fault {
    /// Beyond the end, not in sectors of 512 bytes, or segments of another length.
    #[error("the range is not inside the volume, or not in sectors of 512 bytes")]
    Range,
    /// Neither the volume nor its front end does this.
    #[error("the volume does not do this")]
    Unsupported,
    /// The volume is read-only: a snapshot, or so by its settings.
    #[error("the volume is read-only")]
    ReadOnly,
    /// The pool has no free place.
    #[error("the pool is full")]
    NoSpace,
    /// The medium failed.
    #[error("the medium failed")]
    Medium,
    /// What the medium gave is not what was written.
    #[error("the data on the medium is not what was written")]
    Corrupt,
    /// The pool stopped taking writes after a failed sync.
    #[error("the pool takes no writes since the medium failed to sync")]
    Frozen,
    /// The volume is gone or was closed.
    #[error("the volume is not open")]
    Closed,
}

impl Fault {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Fault::Range => "out_of_range",
            Fault::Unsupported => "unsupported",
            Fault::ReadOnly => "read_only",
            Fault::NoSpace => "no_space",
            Fault::Medium => "medium_failed",
            Fault::Corrupt => "data_corrupt",
            Fault::Frozen => "pool_frozen",
            Fault::Closed => "volume_closed",
        }
    }
}

/// Why an operation on a medium failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum MediumFault {
    /// It said so, with an error number of the system.
    #[error("the medium answered with error {0}")]
    Io(i32),
    /// It has no room.
    #[error("the medium is full")]
    Full,
    /// Fewer bytes than asked.
    #[error("the medium gave fewer bytes than asked")]
    Short,
}
