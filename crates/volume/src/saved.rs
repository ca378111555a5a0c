//! What a lane hands to its successor, when the program is replaced while it serves.
//!
//! The large things stay where they are, in regions that both processes can see: data on
//! its way, pages, extent table, the tail of the log. This is the rest: who waits for
//! what, and what is in flight. Operations keep their names, so that the driver of the
//! successor can hand in what the predecessor had begun.
//!
//! It comes in two parts, so that the moment in which nobody serves is short. [`Saved`] is
//! everything, taken while the predecessor serves on; the successor makes an
//! [`Heir`](crate::lane::Heir) of it. [`Round`]s bring the large things up to date as often
//! as it takes. Then [`Changes`] say all that is different: they are small. The heir takes
//! them on some times while the predecessor serves, and once more when that has stopped: so
//! what is done while nobody serves has just been done before, by the same code, in the
//! same memory.
//!
//! [`Saved`] is JSON with a version. Newer programs add fields with defaults; what a reader
//! does not know it ignores. So programs one version apart understand each other both
//! ways. The other two are JSON by the same rules, or, between programs that have the same
//! [`SHAPE`], the bytes of their fields one after the other ([`encode`]).
//! Guest memory is not in it: its addresses mean nothing to another process. The
//! successor is asked for the segments of each request by its tag.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::format::superblock::{Copy, Superblock};
use crate::lane::{Commit, Pending, Scrub, Tickets};
use crate::lane::{Frozen, Line, MediumIndex, PoolIndex, SavedSlot, Statistics};
use crate::log::{SavedLog, TailError};
use crate::qos;
use crate::state::{SavedState, StateChanges};
use crate::units::{Nanos, Place, Sequence, VolumeNumber};

/// The version that this program writes.
pub const SAVED_VERSION: u32 = 1;
/// The oldest version that it reads.
pub const SAVED_LEAST: u32 = 1;

/// What [`Changes`], [`Round`] and all that is in them look like. Another number for every
/// change of that: it says who may be sent bytes without names.
pub const SHAPE: u32 = 3;

/// The first byte of what is encoded.
mod encoding {
    pub const JSON: u8 = b'J';
    pub const COMPACT: u8 = b'C';
}

/// As it is sent to a successor. `compact` for one of the same [`SHAPE`].
pub fn encode<T: Serialize>(value: &T, compact: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64 << 10);
    if compact {
        bytes.push(encoding::COMPACT);
        return postcard::to_extend(value, bytes).expect("it is plain data");
    }
    bytes.push(encoding::JSON);
    serde_json::to_writer(&mut bytes, value).expect("it is plain data");
    bytes
}

/// As it was sent.
///
/// # Errors
/// [`RestoreError::Json`] and [`RestoreError::Compact`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RestoreError> {
    match bytes.split_first() {
        Some((&encoding::JSON, rest)) => Ok(serde_json::from_slice(rest)?),
        Some((&encoding::COMPACT, rest)) => Ok(postcard::from_bytes(rest)?),
        _ => Err(RestoreError::Unsound("an encoding")),
    }
}

/// What changed of the large things since the successor was last told. The predecessor
/// serves on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Round {
    pub(crate) pools: Vec<StateChanges>,
}

impl Round {
    /// How much it is, roughly: the next one is not larger if this one is small.
    pub fn weight(&self) -> usize {
        self.pools.iter().map(StateChanges::weight).sum()
    }
}

/// What is different from what the successor knows, at the end of a turn.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Changes {
    pub(crate) slots: Vec<SavedSlot>,
    /// Slots that are free have this generation.
    pub(crate) generation: u32,
    pub(crate) pools: Vec<SavedPool<StateChanges>>,
    /// Requests in flight of each volume.
    pub(crate) in_flight: Vec<u32>,
    pub(crate) meters: qos::SavedMeters,
    #[serde(default)]
    pub(crate) poor: Line,
    #[serde(default)]
    pub(crate) blocked: Line,
    #[serde(default)]
    pub(crate) later: Line,
}

/// A lane while it serves.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Saved {
    /// [`SAVED_VERSION`] of the program that wrote it.
    pub version: u32,
    /// What was in flight, in a lane at rest. An heir waits for [`Changes`] instead.
    #[serde(default)]
    pub(crate) slots: Vec<SavedSlot>,
    pub(crate) pools: Vec<SavedPool>,
    pub(crate) volumes: Vec<Option<SavedVolume>>,
    pub(crate) gate: qos::Saved,
    #[serde(default)]
    pub(crate) poor: Line,
    #[serde(default)]
    pub(crate) blocked: Line,
    #[serde(default)]
    pub(crate) later: Line,
}

/// A pool. `S` is [`SavedState`], or what changed of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SavedPool<S = SavedState> {
    pub medium: MediumIndex,
    /// The superblock as it is on the medium, base64. Nothing: it has not changed.
    pub superblock: String,
    /// It is the second copy.
    pub second: bool,
    pub state: S,
    pub log: SavedLog,
    #[serde(default)]
    pub frozen: Option<Frozen>,
    #[serde(default)]
    pub tickets: Tickets,
    #[serde(default)]
    pub commit: Commit,
    #[serde(default)]
    pub pending_since: Option<Nanos>,
    pub covered: Sequence,
    #[serde(default)]
    pub pages: Vec<(Place, u16)>,
    #[serde(default)]
    pub room: Line,
    #[serde(default)]
    pub flushes: Line,
    #[serde(default)]
    pub answers: Vec<Pending>,
    #[serde(default)]
    pub scrub: Option<Scrub>,
    #[serde(default)]
    pub reap_needs: Option<Place>,
}

/// A volume at rest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SavedVolume {
    pub back: SavedBack,
    pub bytes: u64,
    #[serde(default)]
    pub read_only: bool,
    pub node: qos::Node,
    #[serde(default)]
    pub statistics: Statistics,
    pub in_flight: u32,
}

/// What is behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SavedBack {
    Null,
    Raw { medium: MediumIndex },
    Thin { pool: PoolIndex, number: VolumeNumber },
}

/// Why a successor cannot go on.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// Written by a program that is too new or too old.
    #[error(
        "the saved state has version {found}; this program reads {SAVED_LEAST} to {SAVED_VERSION}"
    )]
    Version {
        /// The version it has.
        found: u32,
    },
    /// Not what a lane saves.
    #[error("the saved state cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// As above, without names.
    #[error("the saved state cannot be read: {0}")]
    Compact(#[from] postcard::Error),
    /// It contradicts itself.
    #[error("the saved state contradicts itself: {0}")]
    Unsound(&'static str),
    /// Other regions than it speaks of.
    #[error("the saved state speaks of {wanted} pools, and the memory of {given} was given")]
    Pools {
        /// Pools that were saved.
        wanted: usize,
        /// Pools whose memory was given.
        given: usize,
    },
    /// The log.
    #[error(transparent)]
    Tail(#[from] TailError),
    /// The limits.
    #[error(transparent)]
    Gate(#[from] qos::SavedError),
}

impl Saved {
    /// As it is handed over.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a saved lane is plain data")
    }
    /// As it was handed over.
    ///
    /// # Errors
    /// [`RestoreError::Version`] and [`RestoreError::Json`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RestoreError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        // The version first: what stands behind it may have another shape.
        let Versioned { version: found } = serde_json::from_slice(bytes)?;
        if !(SAVED_LEAST..=SAVED_VERSION).contains(&found) {
            return Err(RestoreError::Version { found });
        }
        Ok(serde_json::from_slice(bytes)?)
    }
    /// How many pools there are.
    pub fn pools(&self) -> usize {
        self.pools.len()
    }
}

impl<S> SavedPool<S> {
    pub(crate) fn encode(superblock: &Superblock) -> String {
        STANDARD.encode(superblock.encode())
    }
    pub(crate) fn decode(&self) -> Result<(Superblock, Copy), RestoreError> {
        let wrong = RestoreError::Unsound("a superblock");
        let bytes =
            STANDARD.decode(&self.superblock).map_err(|_| RestoreError::Unsound("a superblock"))?;
        let Ok(bytes) = bytes.as_slice().try_into() else { return Err(wrong) };
        let superblock = Superblock::decode(bytes).map_err(|_| wrong)?;
        Ok((superblock, if self.second { Copy::Second } else { Copy::First }))
    }
}

/// A tag, by its number.
pub(crate) mod tag {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::request::Tag;

    pub(crate) fn serialize<S: Serializer>(tag: &Tag, to: S) -> Result<S::Ok, S::Error> {
        tag.0.serialize(to)
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Tag, D::Error> {
        u64::deserialize(from).map(Tag)
    }
}

/// The kind of a request, by its name.
pub(crate) mod kind {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::request::Kind;

    const NAMES: [(Kind, &str); 5] = [
        (Kind::Read, "read"),
        (Kind::Write, "write"),
        (Kind::Flush, "flush"),
        (Kind::Discard, "discard"),
        (Kind::WriteZeroes, "write_zeroes"),
    ];

    pub(crate) fn serialize<S: Serializer>(kind: &Kind, to: S) -> Result<S::Ok, S::Error> {
        NAMES[*kind as usize].1.serialize(to)
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Kind, D::Error> {
        let name = std::borrow::Cow::<'_, str>::deserialize(from)?;
        let found = NAMES.iter().find(|(_, known)| *known == name);
        found
            .map(|(kind, _)| *kind)
            .ok_or_else(|| D::Error::custom("a kind of request that is not known"))
    }
}

/// A fault, by its code.
pub(crate) mod fault {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::request::Fault;

    const ALL: [Fault; 8] = [
        Fault::Range,
        Fault::Unsupported,
        Fault::ReadOnly,
        Fault::NoSpace,
        Fault::Medium,
        Fault::Corrupt,
        Fault::Frozen,
        Fault::Closed,
    ];

    #[allow(clippy::ref_option, reason = "serde hands a reference in")]
    pub(crate) fn serialize<S: Serializer>(
        fault: &Option<Fault>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        fault.map(|fault| fault.code()).serialize(to)
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Fault>, D::Error> {
        let Some(code) = Option::<String>::deserialize(from)? else { return Ok(None) };
        let found = ALL.into_iter().find(|fault| fault.code() == code);
        found.map(Some).ok_or_else(|| D::Error::custom("a fault that is not known"))
    }
}

/// A page that is needed.
pub(crate) mod need {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::frames::Use;
    use crate::state::Need;
    use crate::units::Place;

    pub(crate) fn serialize<S: Serializer>(need: &Need, to: S) -> Result<S::Ok, S::Error> {
        (need.place, need.what, need.index).serialize(to)
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Need, D::Error> {
        let (place, what, index) = <(Place, Use, u32)>::deserialize(from)?;
        Ok(Need { place, what, index })
    }
}

/// What a change made.
pub(crate) mod answer {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::state::Answer;
    use crate::units::{Origin, Sequence, VolumeNumber};

    pub(crate) fn serialize<S: Serializer>(answer: &Answer, to: S) -> Result<S::Ok, S::Error> {
        (answer.number, answer.origin, answer.by).serialize(to)
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Answer, D::Error> {
        let (number, origin, by) = <(VolumeNumber, Option<Origin>, Sequence)>::deserialize(from)?;
        Ok(Answer { number, origin, by })
    }
}
