//! The directory of a pool: its volumes and snapshots, their limits, and the keys their
//! extents are under. Small, kept whole in memory, written whole at each checkpoint;
//! between checkpoints each change of it is a record of the log.

use std::collections::BTreeMap;

use model::Bytes;
use model::volume::Limits;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::seal::keys::WrappedKey;
use crate::units::{BLOCK, Epoch, Origin, Place, VolumeNumber};

/// The version of the directory that this program writes.
pub const DIRECTORY_VERSION: u32 = 1;

/// Most volumes and snapshots of a pool.
pub const MOST_ENTRIES: usize = 100_000;

/// What a pool knows besides its map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Directory {
    /// [`DIRECTORY_VERSION`] when it was written.
    pub version: u32,
    /// The current epoch: what is born now is born in it. Begins at 1.
    pub epoch: Epoch,
    /// The next volume or snapshot gets this number.
    pub next_number: u32,
    /// The next owner of extents gets this number.
    pub next_origin: u32,
    /// Volumes and snapshots.
    pub entries: BTreeMap<VolumeNumber, Entry>,
    /// Owners of extents.
    pub origins: BTreeMap<Origin, OriginEntry>,
}

/// A volume or a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number in the pool.
    pub number: VolumeNumber,
    /// Its id everywhere.
    pub id: Uuid,
    /// Its name; unique among volumes, and among the snapshots of a volume.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its size in blocks.
    pub blocks: u32,
    /// Blocks of it that hold something.
    pub mapped: u32,
    /// Its index pages, in order; nowhere when there is none yet.
    pub indexes: Vec<Place>,
    /// When it was made, in microseconds UTC.
    pub created: i64,
    /// What it may use.
    #[serde(default)]
    pub limits: Limits,
    /// It goes away: 0 when that was asked, `n + 1` when leaf page `n` is the next to be
    /// looked at. Only one snapshot of a pool has begun at a time: its pages are not whole.
    #[serde(default)]
    pub leaving: Option<u32>,
    /// Whatever people attach to it.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A volume: it can be written.
    Volume {
        /// Who owns what it writes now.
        origin: Origin,
        /// What was born up to then is not its own: of the snapshot it is a clone of.
        base: Epoch,
        /// The snapshot that it is a clone of.
        #[serde(default)]
        clone_of: Option<VolumeNumber>,
    },
    /// A snapshot: it never changes.
    Snapshot {
        /// Of which volume.
        of: VolumeNumber,
        /// What was born up to then is in it.
        epoch: Epoch,
    },
}

/// An owner of extents: a volume under one of its keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OriginEntry {
    /// Whose it is.
    pub volume: VolumeNumber,
    /// Which of its keys this is, from 1.
    pub key_epoch: u32,
    /// The key, sealed; without one, what is stored is not encrypted.
    #[serde(default)]
    pub key: Option<WrappedKey>,
}

/// A change of the directory, as it is in the log. Everything in it was decided before:
/// applying it takes no choice and no clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A new, empty volume.
    Create {
        /// Its id.
        id: Uuid,
        /// Its name.
        name: String,
        /// Its size in blocks.
        blocks: u32,
        /// What it may use.
        limits: Limits,
        /// Its key, sealed.
        key: Option<WrappedKey>,
        /// When, in microseconds UTC.
        now: i64,
        /// What people attach.
        #[serde(default)]
        labels: BTreeMap<String, String>,
    },
    /// A snapshot of a volume.
    Snapshot {
        /// Of which.
        of: VolumeNumber,
        /// Its id.
        id: Uuid,
        /// Its name.
        name: String,
        /// When, in microseconds UTC.
        now: i64,
    },
    /// A volume that begins as a snapshot is.
    Clone {
        /// Of which snapshot.
        of: VolumeNumber,
        /// Its id.
        id: Uuid,
        /// Its name.
        name: String,
        /// What it may use.
        limits: Limits,
        /// Its key for what it writes, sealed.
        key: Option<WrappedKey>,
        /// When, in microseconds UTC.
        now: i64,
    },
    /// A volume becomes larger.
    Grow {
        /// Which.
        volume: VolumeNumber,
        /// Its new size in blocks.
        blocks: u32,
    },
    /// A volume may use something else.
    Limit {
        /// Which.
        volume: VolumeNumber,
        /// What it may use from now on.
        limits: Limits,
    },
    /// What a volume writes from now on is under a new key.
    Rekey {
        /// Which.
        volume: VolumeNumber,
        /// The key, sealed.
        key: WrappedKey,
    },
    /// A volume or snapshot goes away. A volume's keys go at once.
    Remove {
        /// Which.
        number: VolumeNumber,
    },
    /// So many leaf pages of what goes away are done.
    Leaving {
        /// Which.
        number: VolumeNumber,
        /// The next leaf page to look at.
        leaf: u32,
    },
    /// It is gone.
    Gone {
        /// Which.
        number: VolumeNumber,
    },
    /// No extent belongs to this owner any more.
    Forget {
        /// Which.
        origin: Origin,
    },
}

/// So many blocks, as people say it.
fn size(blocks: &u32) -> Bytes {
    Bytes(u64::from(*blocks) * BLOCK as u64)
}

/// Why the directory does not change. Codes are stable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// There is none.
    #[error("there is no volume or snapshot {0:?} in this pool")]
    Unknown(VolumeNumber),
    /// The name is taken.
    #[error("the name `{0}` is taken; choose another or delete what has it")]
    NameTaken(String),
    /// It must be a volume.
    #[error("`{0}` is a snapshot, which never changes; make a clone of it and use that")]
    NotAVolume(String),
    /// It must be a snapshot.
    #[error("`{0}` is a volume; make a snapshot of it first")]
    NotASnapshot(String),
    /// It is needed.
    #[error("`{name}` is still needed by {by}; delete that first")]
    InUse {
        /// What was to go.
        name: String,
        /// The name of what needs it.
        by: String,
    },
    /// It goes away already.
    #[error("`{0}` is being deleted")]
    Leaving(String),
    /// Volumes do not become smaller, and not larger than the format allows.
    #[error("a volume of {} cannot become {}: it can only grow, up to {}", size(.now), size(.wanted), size(.most))]
    Size {
        /// Its size.
        now: u32,
        /// What was asked.
        wanted: u32,
        /// The most there can be.
        most: u32,
    },
    /// Too many.
    #[error("a pool holds at most {MOST_ENTRIES} volumes and snapshots; delete some")]
    TooMany,
    /// Writes of the volume are in flight: a snapshot waits for them.
    #[error("writes are in flight")]
    Busy,
    /// The log has no room at the moment.
    #[error("the log is full for the moment")]
    LogFull,
}

impl ChangeError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            ChangeError::Unknown(_) => "volume_unknown",
            ChangeError::NameTaken(_) => "name_taken",
            ChangeError::NotAVolume(_) => "not_a_volume",
            ChangeError::NotASnapshot(_) => "not_a_snapshot",
            ChangeError::InUse { .. } => "in_use",
            ChangeError::Leaving(_) => "being_deleted",
            ChangeError::Size { .. } => "size_not_allowed",
            ChangeError::TooMany => "too_many",
            ChangeError::Busy => "busy",
            ChangeError::LogFull => "log_full",
        }
    }
}

impl Default for Directory {
    fn default() -> Self {
        Self {
            version: DIRECTORY_VERSION,
            epoch: Epoch(1),
            next_number: 1,
            next_origin: 1,
            entries: BTreeMap::new(),
            origins: BTreeMap::new(),
        }
    }
}

impl Directory {
    /// An entry.
    pub fn entry(&self, number: VolumeNumber) -> Result<&Entry, ChangeError> {
        self.entries.get(&number).ok_or(ChangeError::Unknown(number))
    }
    /// A volume by its name. One that goes away has lost its name already.
    pub fn volume(&self, name: &str) -> Option<&Entry> {
        let named = |entry: &&Entry| entry.name == name && entry.leaving.is_none();
        self.entries.values().filter(named).find(|entry| entry.is_volume())
    }
    /// A snapshot of a volume by its name. One that goes away has lost its name already.
    pub fn snapshot(&self, of: VolumeNumber, name: &str) -> Option<&Entry> {
        self.snapshots(of).find(|entry| entry.name == name && entry.leaving.is_none())
    }
    /// The snapshots of a volume, the oldest first.
    pub fn snapshots(&self, volume: VolumeNumber) -> impl Iterator<Item = &Entry> {
        // Numbers grow with time, and so does the order of the map.
        self.entries
            .values()
            .filter(move |entry| matches!(entry.kind, Kind::Snapshot { of, .. } if of == volume))
    }
    /// The epoch of the last snapshot of a volume, or of what it is a clone of: what was
    /// born up to then may be somebody else's too.
    pub fn shared_up_to(&self, volume: VolumeNumber) -> Epoch {
        let last = self.snapshots(volume).last().map(Entry::snapshot_epoch);
        last.unwrap_or_else(|| self.entries.get(&volume).map(Entry::base).unwrap_or_default())
    }
    /// What a snapshot stands between: the epoch of the one before it (or of what the
    /// volume is a clone of), and the one after it (or the volume).
    pub fn neighbours(&self, snapshot: VolumeNumber) -> Option<(Epoch, VolumeNumber)> {
        let Kind::Snapshot { of, .. } = self.entries.get(&snapshot)?.kind else { return None };
        let before = self.snapshots(of).take_while(|entry| entry.number < snapshot).last();
        let after = self.snapshots(of).find(|entry| entry.number > snapshot);
        let base = self.entries.get(&of).map(Entry::base).unwrap_or_default();
        Some((before.map_or(base, Entry::snapshot_epoch), after.map_or(of, |entry| entry.number)))
    }
    /// The clones of a snapshot.
    pub fn clones(&self, snapshot: VolumeNumber) -> impl Iterator<Item = &Entry> {
        let is = move |kind: &Kind| matches!(kind, Kind::Volume { clone_of: Some(of), .. } if *of == snapshot);
        self.entries.values().filter(move |entry| is(&entry.kind))
    }
    /// The owners that a volume has and had.
    pub fn origins_of(&self, volume: VolumeNumber) -> impl Iterator<Item = Origin> {
        self.origins
            .iter()
            .filter(move |(_, origin)| origin.volume == volume)
            .map(|(number, _)| *number)
    }
}

impl Entry {
    /// Whether it is a volume.
    pub fn is_volume(&self) -> bool {
        matches!(self.kind, Kind::Volume { .. })
    }
    /// The owner of what it writes. Nobody for a snapshot.
    pub fn origin(&self) -> Origin {
        match self.kind {
            Kind::Volume { origin, .. } => origin,
            Kind::Snapshot { .. } => Origin(0),
        }
    }
    fn base(&self) -> Epoch {
        match self.kind {
            Kind::Volume { base, .. } => base,
            Kind::Snapshot { .. } => Epoch(0),
        }
    }
    fn snapshot_epoch(&self) -> Epoch {
        match self.kind {
            Kind::Snapshot { epoch, .. } => epoch,
            Kind::Volume { .. } => Epoch(0),
        }
    }
}
