//! What an old engine says of itself before it hands over. Versioned on its own: fields
//! are only added, with defaults.

use std::collections::BTreeMap;
use std::path::PathBuf;

use model::Bytes;
use model::volume::PoolSpec;
use serde::{Deserialize, Serialize};
use volume::lane::{MediumIndex, PoolIndex, VolumeHandle};
use volume::qos::Node;

use crate::engine::book::{Book, Served};

/// The version that this program writes; it reads it, and those one before and after.
pub const VERSION: u32 = 3;

/// An engine at rest, without its lane.
#[derive(Debug, Serialize, Deserialize)]
pub struct Shape {
    /// [`VERSION`] of the program that wrote it.
    pub version: u32,
    /// What it was told to have.
    pub book: Book,
    /// Files and devices, in the order in which their descriptors go along.
    pub files: Vec<FileShape>,
    /// Pools by name.
    pub pools: BTreeMap<String, PoolShape>,
    /// Open volumes by name.
    pub open: BTreeMap<String, OpenShape>,
    /// Where volumes are served, which may differ from the book where one was not to be had.
    pub served: Vec<Served>,
}

/// A file or device.
#[derive(Debug, Serialize, Deserialize)]
pub struct FileShape {
    /// Its index among the media of the lane.
    pub at: u16,
    /// Where it is.
    pub path: PathBuf,
}

/// A pool.
#[derive(Debug, Serialize, Deserialize)]
pub struct PoolShape {
    /// What it was to be.
    pub spec: PoolSpec,
    /// Its index in the lane.
    pub index: PoolIndex,
    /// Its medium.
    pub medium: MediumIndex,
    /// Its size.
    pub size: Bytes,
    /// Owners of its extents, each with its sealed key, and whose that is: which volume's,
    /// and which of its keys.
    pub origins: crate::reactor::SealedKeys,
}

/// An open volume.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct OpenShape {
    /// Its handle in the lane.
    pub handle: VolumeHandle,
    /// Its limits in the lane.
    pub node: Node,
    /// Its file, if it is raw.
    pub medium: Option<MediumIndex>,
    /// Its size in bytes.
    pub bytes: u64,
    /// It cannot be written.
    pub read_only: bool,
    /// How many serve it.
    pub users: u32,
}

impl Shape {
    /// Whether this program understands it.
    pub fn is_understood(&self) -> bool {
        self.version.abs_diff(VERSION) <= 1
    }
}
