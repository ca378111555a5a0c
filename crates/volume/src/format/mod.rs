//! What is on the medium: bytes only, no logic. `docs/volume-format.md` says the same for
//! whoever writes a second reader.
//!
//! Every decoder is total: whatever bytes it is given, it answers with a value or a
//! [`FormatError`], never with a panic, and allocates nothing by a number it has read.
//! Numbers are little-endian. Checksums are CRC32C, and are checked before anything else.

mod field;
pub mod group;
pub mod layout;
pub mod page;
pub mod record;
pub mod superblock;

use thiserror::Error;

pub use group::{GROUP_BLOCKS, GROUP_BYTES, GROUP_HEADER, GroupHeader};
pub use layout::{Area, Layout};
pub use page::{
    Entry, Expect, INDEX_ENTRIES, Index, IndexMut, LEAF_ENTRIES, Leaf, LeafMut, PAGE_HEADER,
    PageHeader, PageKind, Side, TABLE_ENTRIES, Table, TableMut, choose,
};
pub use record::{CHANGE_MAX, RECORD_MAX, Record, SMALL_MAX};
pub use superblock::{Directory, LogPosition, PoolTag, Superblock};

/// Why bytes of the medium are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FormatError {
    /// There is nothing of ours.
    #[error("this is not a pool of ours")]
    NotOurs,
    /// Of another version of the format.
    #[error("the format has version {found}, and this program reads version {known}")]
    Version {
        /// The one on the medium.
        found: u32,
        /// The one that we know.
        known: u32,
    },
    /// The checksum does not fit the bytes.
    #[error("the checksum of the {0} is wrong")]
    Checksum(What),
    /// A field has a value that it cannot have.
    #[error("the {0} holds a value that it cannot hold")]
    Value(What),
    /// It ends too early.
    #[error("the {0} ends too early")]
    Short(What),
    /// It is a good page, but of another place or kind: a write went astray.
    #[error("the page of block {found} was found at block {expected}, or is of another kind")]
    Astray {
        /// The place that was read.
        expected: u32,
        /// The place that the page says it belongs to.
        found: u32,
    },
    /// A page was written by two checkpoints that the superblock does not know.
    #[error("a page is of checkpoint {found}: the superblock of checkpoint {committed} is too old")]
    Later {
        /// The checkpoint that the superblock commits.
        committed: u64,
        /// The later one of the page's.
        found: u64,
    },
    /// The two copies of the superblock are of two pools.
    #[error("the two superblocks are of two pools")]
    TwoPools,
    /// Fewer blocks than a pool needs.
    #[error("{blocks} blocks are too few for a pool; {least} are needed")]
    TooSmall {
        /// So many there are.
        blocks: u32,
        /// So many are needed.
        least: u32,
    },
}

/// What the bytes were taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum What {
    /// A superblock.
    #[error("superblock")]
    Superblock,
    /// The layout in a superblock.
    #[error("layout")]
    Layout,
    /// The first 128 bytes of a page.
    #[error("header of a page")]
    PageHeader,
    /// The rest of a page.
    #[error("content of a page")]
    Page,
    /// A group of the log.
    #[error("group of the log")]
    Group,
    /// A record of the log.
    #[error("record of the log")]
    Record,
}
