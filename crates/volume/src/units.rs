//! The units of a pool. Each number has a type, so that a place on the medium is not
//! taken for a place in a volume.

use serde::{Deserialize, Serialize};

/// Bytes in a block, the smallest thing that is mapped, checked and encrypted.
pub const BLOCK: usize = 4096;

/// Blocks in an extent, the smallest thing that belongs to somebody.
pub const EXTENT_BLOCKS: u32 = 16;

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);
    };
}

unit!(
    /// A block of the medium, counted from its start. 0 is the superblock's, and
    /// stands for "nowhere" where data is meant.
    Place(u32)
);
unit!(
    /// A block of a volume, counted from its start.
    Lba(u32)
);
unit!(
    /// An extent of the medium: blocks `16 * n` to `16 * n + 15`.
    ExtentIndex(u32)
);
unit!(
    /// A volume or snapshot of a pool. Never used again.
    VolumeNumber(u32)
);
unit!(
    /// Who owns an extent: a volume under one of its keys. Never used again. 0 is nobody.
    Origin(u32)
);
unit!(
    /// Moments that snapshots are made at. Each snapshot of a pool begins a new one.
    Epoch(u32)
);
unit!(
    /// The number of a record in the log of a pool, from 1. 0 is before the first.
    Sequence(u64)
);
unit!(
    /// Nanoseconds of a clock that only goes forward.
    Nanos(u64)
);

impl Place {
    /// Not on the medium: zeros.
    pub const NONE: Place = Place(0);

    /// Whether this is a place at all.
    #[inline]
    pub fn is_some(self) -> bool {
        self.0 != 0
    }
    /// The extent that holds it.
    #[inline]
    pub fn extent(self) -> ExtentIndex {
        ExtentIndex(self.0 / EXTENT_BLOCKS)
    }
    /// Which block of its extent it is, below [`EXTENT_BLOCKS`].
    #[inline]
    pub fn within(self) -> u32 {
        self.0 % EXTENT_BLOCKS
    }
    /// The block so many further.
    #[inline]
    pub fn plus(self, blocks: u32) -> Place {
        Place(self.0.checked_add(blocks).expect("a medium has fewer than 2^32 blocks"))
    }
    /// Where it is on the medium, in bytes.
    #[inline]
    pub fn bytes(self) -> u64 {
        u64::from(self.0) * BLOCK as u64
    }
}

impl ExtentIndex {
    /// Its first block.
    #[inline]
    pub fn first(self) -> Place {
        Place(self.0 * EXTENT_BLOCKS)
    }
}

impl Lba {
    /// The block so many further.
    #[inline]
    pub fn plus(self, blocks: u32) -> Lba {
        Lba(self.0.checked_add(blocks).expect("a volume has fewer than 2^32 blocks"))
    }
}

impl Sequence {
    /// The one after.
    #[inline]
    pub fn next(self) -> Sequence {
        Sequence(self.0 + 1)
    }
}

impl Nanos {
    /// Later by so many nanoseconds.
    #[inline]
    pub fn plus(self, nanos: u64) -> Nanos {
        Nanos(self.0.saturating_add(nanos))
    }
    /// How long after the other; 0 when it is not after it.
    #[inline]
    pub fn since(self, earlier: Nanos) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
