//! The superblock: which pool this is, where what lies, and what the last checkpoint was.
//!
//! There are two copies, in blocks 0 and 1, written in turn: a write that is torn leaves
//! the other. The newer good one counts.

use serde::{Deserialize, Serialize};

use super::field::{array, put, put_u32, put_u64, u32_at, u64_at};
use super::{FormatError, GROUP_BLOCKS, Layout, What};
use crate::seal::crc::crc32c;
use crate::units::{BLOCK, EXTENT_BLOCKS, Place, Sequence};

/// The version of the format that this program writes and reads.
pub const VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"BEDPOOL\n";
const LAYOUT: usize = 88;
const CHECKSUM: usize = BLOCK - 4;

/// A place in the log: where replay begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPosition {
    /// The block of the ring that the group begins at.
    pub offset: u32,
    /// Who wrote it, or will: groups from here on have this incarnation or a later one.
    /// What a former life has left at the same offset has an earlier one.
    pub incarnation: u32,
    /// The number of its first record.
    pub sequence: Sequence,
    /// The number of the group.
    pub group: u64,
}

/// Where the directory of a checkpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Its first block, that of one of the two areas.
    pub place: Place,
    /// Its length.
    pub bytes: u32,
    /// The CRC32C of those bytes.
    pub crc: u32,
}

/// What marks the groups of a pool's log as its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PoolTag(pub u64);

/// The superblock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// The version of the format, [`VERSION`].
    pub version: u32,
    /// The UUID of the pool.
    pub pool: [u8; 16],
    /// How many blocks the pool has.
    pub blocks: u32,
    /// Where what lies.
    pub layout: Layout,
    /// How often the pool has been opened to be written. It is on the medium, synced,
    /// before the first group of the log is written under it.
    pub incarnation: u32,
    /// The checkpoint that is committed by this superblock.
    pub generation: u64,
    /// Where the log is replayed from.
    pub log_start: LogPosition,
    /// Where the directory of the checkpoint is.
    pub directory: Directory,
}

/// One of the two copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copy {
    /// In block 0.
    First,
    /// In block 1.
    Second,
}

impl Copy {
    /// Where it is.
    pub fn at(self) -> u64 {
        match self {
            Copy::First => 0,
            Copy::Second => BLOCK as u64,
        }
    }
    /// The one to be written next, when this one was picked or written last.
    pub fn other(self) -> Copy {
        match self {
            Copy::First => Copy::Second,
            Copy::Second => Copy::First,
        }
    }
}

impl Superblock {
    /// What the groups of this pool's log are marked with.
    pub fn tag(&self) -> PoolTag {
        PoolTag(u64_at(&self.pool, 0) ^ u64_at(&self.pool, 8))
    }

    /// The block for the medium.
    pub fn encode(&self) -> [u8; BLOCK] {
        let mut bytes = [0; BLOCK];
        put(&mut bytes, 0, MAGIC);
        put_u32(&mut bytes, 8, self.version);
        put_u32(&mut bytes, 12, self.blocks);
        put(&mut bytes, 16, &self.pool);
        put_u64(&mut bytes, 32, self.generation);
        put_u32(&mut bytes, 40, self.incarnation);
        put_u32(&mut bytes, 44, self.log_start.offset);
        put_u64(&mut bytes, 48, self.log_start.sequence.0);
        put_u64(&mut bytes, 56, self.log_start.group);
        put_u32(&mut bytes, 64, self.log_start.incarnation);
        put_u32(&mut bytes, 68, self.directory.place.0);
        put_u32(&mut bytes, 72, self.directory.bytes);
        put_u32(&mut bytes, 76, self.directory.crc);
        self.layout.encode(&mut bytes[LAYOUT..LAYOUT + Layout::BYTES]);
        let crc = crc32c(&bytes[..CHECKSUM]);
        put_u32(&mut bytes, CHECKSUM, crc);
        bytes
    }

    /// Reads a block of the medium.
    ///
    /// # Errors
    /// What is wrong with it; [`FormatError::NotOurs`] when nothing of ours is there.
    pub fn decode(bytes: &[u8; BLOCK]) -> Result<Superblock, FormatError> {
        if bytes[..8] != MAGIC[..] {
            return Err(FormatError::NotOurs);
        }
        if crc32c(&bytes[..CHECKSUM]) != u32_at(bytes, CHECKSUM) {
            return Err(FormatError::Checksum(What::Superblock));
        }
        let version = u32_at(bytes, 8);
        if version != VERSION {
            return Err(FormatError::Version { found: version, known: VERSION });
        }
        let blocks = u32_at(bytes, 12);
        let superblock = Superblock {
            version,
            pool: array(bytes, 16),
            blocks,
            layout: Layout::decode(&bytes[LAYOUT..LAYOUT + Layout::BYTES], blocks)?,
            incarnation: u32_at(bytes, 40),
            generation: u64_at(bytes, 32),
            log_start: LogPosition {
                offset: u32_at(bytes, 44),
                incarnation: u32_at(bytes, 64),
                sequence: Sequence(u64_at(bytes, 48)),
                group: u64_at(bytes, 56),
            },
            directory: Directory {
                place: Place(u32_at(bytes, 68)),
                bytes: u32_at(bytes, 72),
                crc: u32_at(bytes, 76),
            },
        };
        if superblock.sound() { Ok(superblock) } else { Err(FormatError::Value(What::Superblock)) }
    }

    /// Of the two copies the newer good one, and which it is.
    ///
    /// # Errors
    /// What is wrong with the first copy, when neither is good;
    /// [`FormatError::TwoPools`] when they are good but of two pools, which is what a
    /// formatting that was cut short leaves.
    pub fn pick(
        first: &[u8; BLOCK],
        second: &[u8; BLOCK],
    ) -> Result<(Superblock, Copy), FormatError> {
        match (Superblock::decode(first), Superblock::decode(second)) {
            (Ok(first), Ok(second)) if first.pool != second.pool => Err(FormatError::TwoPools),
            (Ok(first), Ok(second)) if first.age() < second.age() => Ok((second, Copy::Second)),
            (Ok(first), _) => Ok((first, Copy::First)),
            (Err(_), Ok(second)) => Ok((second, Copy::Second)),
            (Err(FormatError::NotOurs), Err(error)) | (Err(error), Err(_)) => Err(error),
        }
    }

    /// Greater in the newer one: both numbers only rise.
    fn age(&self) -> (u64, u32) {
        (self.generation, self.incarnation)
    }

    /// Whether the numbers can be: an offset inside the ring, a directory in its area.
    fn sound(&self) -> bool {
        let start = &self.log_start;
        let in_ring = start.offset <= self.layout.log.blocks - GROUP_BLOCKS;
        let area = self.layout.directory.iter().find(|area| area.first == self.directory.place);
        in_ring
            && start.incarnation <= self.incarnation
            && start.sequence.0 > 0
            && start.sequence.0 < u64::MAX / 2
            && start.group < u64::MAX / 2
            && self.generation < u64::MAX / 2
            && self.blocks >= EXTENT_BLOCKS
            && area.is_some_and(|area| u64::from(self.directory.bytes) <= area.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn example(generation: u64, incarnation: u32) -> Superblock {
        let layout = Layout::for_blocks(1 << 20).expect("enough");
        let (offset, sequence) = (17, Sequence(99));
        Superblock {
            version: VERSION,
            pool: *b"sixteen byte ids",
            blocks: 1 << 20,
            layout,
            incarnation,
            generation,
            log_start: LogPosition { offset, incarnation: 1, sequence, group: 5 },
            directory: Directory { place: layout.directory[1].first, bytes: 77, crc: 3 },
        }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Superblock::decode(&example(4, 2).encode()), Ok(example(4, 2)));
    }

    #[test]
    fn the_newer_good_copy_is_picked() {
        let (old, new) = (example(4, 2), example(5, 2));
        let torn = {
            let mut bytes = new.encode();
            bytes[40] ^= 1;
            bytes
        };
        let pick = |a: &[u8; BLOCK], b: &[u8; BLOCK]| Superblock::pick(a, b);
        assert_eq!(pick(&old.encode(), &new.encode()), Ok((new, Copy::Second)));
        assert_eq!(pick(&new.encode(), &old.encode()), Ok((new, Copy::First)));
        assert_eq!(pick(&old.encode(), &torn), Ok((old, Copy::First)));
        assert_eq!(pick(&torn, &old.encode()), Ok((old, Copy::Second)));
        assert_eq!(pick(&torn, &torn), Err(FormatError::Checksum(What::Superblock)));
        assert_eq!(pick(&[0; BLOCK], &torn), Err(FormatError::Checksum(What::Superblock)));
        assert_eq!(pick(&[0; BLOCK], &[0; BLOCK]), Err(FormatError::NotOurs));
        let reopened = example(5, 3);
        assert_eq!(pick(&reopened.encode(), &new.encode()), Ok((reopened, Copy::First)));
    }

    #[test]
    fn two_pools_are_told_apart() {
        let other = Superblock { pool: [7; 16], ..example(9, 9) };
        let picked = Superblock::pick(&example(1, 1).encode(), &other.encode());
        assert_eq!(picked, Err(FormatError::TwoPools));
        assert_ne!(other.tag(), example(1, 1).tag());
    }

    #[test]
    fn other_versions_are_refused_by_name() {
        let bytes = Superblock { version: 2, ..example(1, 1) }.encode();
        let refused = Err(FormatError::Version { found: 2, known: 1 });
        assert_eq!(Superblock::decode(&bytes), refused);
    }

    proptest! {
        #[test]
        fn no_change_of_a_byte_is_overlooked(at in 0..BLOCK, bits in 1_u8..) {
            let mut bytes = example(4, 2).encode();
            bytes[at] ^= bits;
            prop_assert!(Superblock::decode(&bytes).is_err());
        }

        /// With a right checksum, so that the rest is reached.
        #[test]
        fn any_bytes_are_read_without_a_panic(
            bytes in prop::collection::vec((8..160_usize, any::<u8>()), 0..40),
        ) {
            let mut block = example(4, 2).encode();
            bytes.into_iter().for_each(|(at, byte)| block[at] = byte);
            let crc = crc32c(&block[..CHECKSUM]);
            put_u32(&mut block, CHECKSUM, crc);
            if let Ok(read) = Superblock::decode(&block) {
                prop_assert!(read.sound());
            }
        }
    }
}
