//! What people and programs ask of the disk service of a host, and what it answers: the
//! words of its control socket, and of the verbs `bedplate volume` and `bedplate disk`.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Limits;
use crate::time::Timestamp;
use crate::unit::Bytes;

/// The file name of the control socket, in the service's directory.
pub const DISK_SOCKET: &str = "disk.sock";

/// Longest order and longest reply, in bytes.
pub const DISK_LINE: usize = 4 << 20;

/// What can be asked of the disk service of a host: one line of JSON each, with `verb`
/// beside the fields. Volumes are named `NAME`, snapshots `NAME@SNAPSHOT`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum DiskOrder {
    /// Make a pool, or open the one that a file holds. Answered with a [`Pool`].
    PoolCreate(PoolSpec),
    /// Answered with all [`Pool`]s.
    PoolList,
    /// Answered with a [`Pool`].
    PoolShow {
        /// Its name.
        pool: String,
    },
    /// Make a volume. Answered with a [`Volume`].
    VolumeCreate(VolumeSpec),
    /// Answered with all [`Volume`]s, without what was measured of them.
    VolumeList,
    /// Answered with a [`Volume`].
    VolumeShow {
        /// Its name.
        volume: String,
    },
    /// Keep what a volume is now. Answered with a [`Volume`], the snapshot.
    VolumeSnapshot {
        /// Of which volume.
        volume: String,
        /// The snapshot's name.
        name: String,
    },
    /// Make a volume that begins as a snapshot is. Answered with a [`Volume`].
    VolumeClone {
        /// Of which snapshot, `NAME@SNAPSHOT`.
        snapshot: String,
        /// The volume's name.
        name: String,
        /// What it may use.
        #[serde(default)]
        limits: Limits,
    },
    /// Make a volume larger. Answered with a [`Volume`].
    VolumeGrow {
        /// Which.
        volume: String,
        /// Its new size.
        size: Bytes,
    },
    /// Change what a volume may use, at once. Answered with a [`Volume`].
    VolumeLimit {
        /// Which.
        volume: String,
        /// All of its limits.
        limits: Limits,
    },
    /// Delete a volume or snapshot, for good. Answered with nothing.
    VolumeDelete {
        /// Which.
        volume: String,
    },
    /// Serve a volume to a virtual machine by vhost-user. Answered with an [`Attachment`].
    Attach {
        /// Which.
        volume: String,
        /// The path of the socket; one in the service's directory when absent.
        #[serde(default)]
        socket: Option<String>,
        /// How many queues are offered.
        #[serde(default)]
        queues: Option<u16>,
        /// No writes.
        #[serde(default)]
        read_only: bool,
    },
    /// End what `attach` began. Answered with nothing.
    Detach {
        /// Which volume.
        volume: String,
    },
    /// Serve a volume by NBD. Answered with an [`Attachment`].
    Serve {
        /// Which.
        volume: String,
        /// The path of the socket; one in the service's directory when absent.
        #[serde(default)]
        socket: Option<String>,
        /// No writes.
        #[serde(default)]
        read_only: bool,
    },
    /// End what `serve` began. Answered with nothing.
    Unserve {
        /// Which volume.
        volume: String,
    },
    /// Answered with a [`DiskStatus`].
    Status,
    /// Put another engine in the place of the one that runs. Answered with a
    /// [`DiskStatus`], by the new one.
    Replace {
        /// Its program; that of the keeper when absent.
        #[serde(default)]
        program: Option<String>,
    },
    /// Read all that a volume or snapshot holds and check it. Answered with a
    /// [`ScrubFound`].
    Scrub {
        /// Which.
        volume: String,
    },
}

/// How an order ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiskReply {
    /// As asked; what the order is answered with.
    Ok(serde_json::Value),
    /// Not.
    Error(DiskProblem),
}

/// Why an order was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiskProblem {
    /// Stable code.
    pub code: String,
    /// What happened and why.
    pub what: String,
    /// What to do next.
    pub next: String,
}

impl fmt::Display for DiskProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}); {}", self.what, self.code, self.next)
    }
}

impl std::error::Error for DiskProblem {}

/// What a pool is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PoolSpec {
    /// Its name.
    pub name: String,
    /// What it lies on.
    pub medium: PoolMedium,
    /// Its size. A file that is not there is made so large; one that is there, and a
    /// device, need none.
    #[serde(default)]
    pub size: Option<Bytes>,
}

/// What a pool lies on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PoolMedium {
    /// A file or a block device.
    File {
        /// Its path.
        path: String,
    },
    /// Memory, which is lost when the service ends.
    Memory,
}

/// A pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// What it lies on.
    pub medium: PoolMedium,
    /// Its size.
    pub size: Bytes,
    /// What is free of it.
    pub free: Bytes,
    /// Volumes and snapshots in it.
    pub volumes: u32,
    /// Why it takes no writes, when it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<String>,
    /// Blocks found damaged since the engine started.
    #[serde(default)]
    pub damaged: u64,
}

/// What a volume is to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VolumeSpec {
    /// Its name.
    pub name: String,
    /// Where its data is.
    #[serde(default)]
    pub backing: Backing,
    /// Its size. With an image or a raw backing: theirs, when absent.
    #[serde(default)]
    pub size: Option<Bytes>,
    /// The path of an image that it begins as: raw, or qcow2. Whoever asks copies it in:
    /// the service itself opens no images.
    #[serde(default)]
    pub image: Option<String>,
    /// What it may use.
    #[serde(default)]
    pub limits: Limits,
    /// Whether its data is encrypted on the medium.
    #[serde(default)]
    pub encrypt: bool,
}

/// Where the data of a volume is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Backing {
    /// In a pool; in the only one there is, when none is named.
    Pool {
        /// Which.
        #[serde(default)]
        name: Option<String>,
    },
    /// In a file or device as it is, block for block.
    Raw {
        /// Its path.
        path: String,
    },
    /// Nowhere: reads are zeros, writes are forgotten. For measuring.
    Null,
}

impl Default for Backing {
    fn default() -> Self {
        Self::Pool { name: None }
    }
}

/// What a scrub found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScrubFound {
    /// Blocks of 4 KiB that were checked.
    pub blocks: u64,
    /// Those of them that are not what was written.
    pub damaged: u64,
    /// Runs of blocks, and pages of the map, that could not be read.
    pub unread: u64,
}

/// A volume or a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Volume {
    /// `NAME`, or `NAME@SNAPSHOT`.
    pub name: String,
    /// Where its data is. In a pool: always with its name.
    pub backing: Backing,
    /// Its size.
    pub size: Bytes,
    /// How much of it holds something.
    pub used: Bytes,
    /// What it may use.
    pub limits: Limits,
    /// Whether its data is encrypted.
    pub encrypted: bool,
    /// What it is a clone of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clone_of: Option<String>,
    /// When it was made; not known of raw and null volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// Where it is served.
    #[serde(default)]
    pub attachments: Vec<Attachment>,
    /// What its requests took, by kind. Only where one volume is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub latency: Vec<Latency>,
}

/// Where a volume is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attachment {
    /// Which volume.
    pub volume: String,
    /// How.
    pub protocol: DiskProtocol,
    /// The path of its socket.
    pub socket: String,
    /// No writes.
    pub read_only: bool,
    /// Clients at the moment.
    pub clients: u32,
}

/// How a volume is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiskProtocol {
    /// To a virtual machine, as a virtio disk.
    VhostUser,
    /// To anybody, by NBD.
    Nbd,
}

/// What requests of a kind took, from fetch to reply, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// `read`, `write`, `flush`, `discard` or `write_zeroes`.
    pub kind: String,
    /// How many there were.
    pub count: u64,
    /// Half of them took no longer.
    pub p50: u64,
    /// 99 of 100.
    pub p99: u64,
    /// 999 of 1,000.
    pub p999: u64,
    /// All but one of 100,000.
    pub p99999: u64,
    /// The longest.
    pub most: u64,
}

/// The disk service of a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DiskStatus {
    /// The version of the engine.
    pub version: String,
    /// Which engine this is: 1 is the first that the keeper started.
    pub generation: u64,
    /// Its process.
    pub pid: u32,
    /// How it came: `started`, `restarted` after a crash, or `replaced` another.
    pub came: String,
    /// Pools.
    pub pools: u32,
    /// Volumes and snapshots.
    pub volumes: u32,
    /// Where volumes are served.
    pub attachments: u32,
    /// Its threads that serve, with how each polls.
    pub lanes: Vec<LaneStatus>,
    /// Live replacements.
    pub cut_overs: CutOvers,
    /// What protects the process, in a sentence.
    pub confinement: String,
}

/// A thread that serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LaneStatus {
    /// The core that it is pinned to.
    #[serde(default)]
    pub core: Option<u32>,
    /// Whether it always polls.
    pub always_polls: bool,
    /// Queues of virtual machines and connections of NBD clients.
    pub fronts: u32,
}

/// How long volumes stood still in live replacements: from the last request that an
/// engine fetched to the first poll of the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CutOvers {
    /// How many lanes were handed over so far.
    pub count: u64,
    /// The last one, nanoseconds.
    pub last: u64,
    /// Of the latest 256, nanoseconds.
    pub p50: u64,
    /// Of the latest 256, nanoseconds.
    pub p99: u64,
    /// Of the latest 256, nanoseconds.
    pub worst: u64,
}
