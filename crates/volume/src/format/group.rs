//! A group: the records that are written to the log at once, behind a header of 64 bytes,
//! filled up with zeros to whole blocks.
//!
//! The checksum tells a torn group from a whole one. The pool's tag, the number and the
//! incarnation tell a group of now from what a former life of the ring has left.

use super::field::{put_u32, put_u64, u32_at, u64_at};
use super::superblock::PoolTag;
use super::{FormatError, What};
use crate::seal::crc::crc32c;
use crate::units::{BLOCK, Sequence};

/// The longest group, in blocks.
pub const GROUP_BLOCKS: u32 = 16;
/// The longest group, in bytes.
pub const GROUP_BYTES: usize = 16 * BLOCK;
/// The length of the header, in bytes. Records follow at once.
pub const GROUP_HEADER: usize = 64;
const MAGIC: u32 = u32::from_le_bytes(*b"BPLG");
const MOST: usize = GROUP_BYTES - GROUP_HEADER;

/// What stands before the records of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupHeader {
    /// Whose log it is.
    pub tag: PoolTag,
    /// Its number; each group has that of the group before plus one.
    pub number: u64,
    /// The number of its first record.
    pub first: Sequence,
    /// The last record that was known to be durable, with all that was written before it,
    /// when the group was closed.
    pub synced_through: Sequence,
    /// Who closed it.
    pub incarnation: u32,
    /// The block of the ring that it begins at.
    pub offset: u32,
    /// How many records it has.
    pub count: u32,
    /// How many bytes they have together.
    pub bytes: u32,
}

impl GroupHeader {
    /// How many blocks the group has.
    pub fn blocks(&self) -> u32 {
        let bytes = GROUP_HEADER + usize::try_from(self.bytes).unwrap_or(MOST);
        u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(GROUP_BLOCKS)
    }
    /// The number of the first record of the next group.
    pub fn next(&self) -> Sequence {
        Sequence(self.first.0 + u64::from(self.count))
    }

    /// Puts the header before the records, which are already there, and the checksum of
    /// both into it. What is behind the records is not touched.
    pub fn seal(&self, group: &mut [u8]) {
        let bytes = usize::try_from(self.bytes).expect("a group is short");
        assert!(bytes <= MOST, "a group is not too long");
        put_u32(group, 4, MAGIC);
        put_u64(group, 8, self.tag.0);
        put_u64(group, 16, self.number);
        put_u64(group, 24, self.first.0);
        put_u64(group, 32, self.synced_through.0);
        put_u32(group, 40, self.incarnation);
        put_u32(group, 44, self.offset);
        put_u32(group, 48, self.count);
        put_u32(group, 52, self.bytes);
        put_u64(group, 56, 0);
        let crc = crc32c(&group[4..GROUP_HEADER + bytes]);
        put_u32(group, 0, crc);
    }

    /// Reads the group that the bytes begin with: its header and its records.
    ///
    /// # Errors
    /// [`FormatError::Short`] when it goes on behind the bytes, so that more of them
    /// would help; else what is wrong with it.
    pub fn decode(group: &[u8]) -> Result<(GroupHeader, &[u8]), FormatError> {
        if group.len() < GROUP_HEADER {
            return Err(FormatError::Short(What::Group));
        }
        if u32_at(group, 4) != MAGIC {
            return Err(FormatError::NotOurs);
        }
        let header = GroupHeader {
            tag: PoolTag(u64_at(group, 8)),
            number: u64_at(group, 16),
            first: Sequence(u64_at(group, 24)),
            synced_through: Sequence(u64_at(group, 32)),
            incarnation: u32_at(group, 40),
            offset: u32_at(group, 44),
            count: u32_at(group, 48),
            bytes: u32_at(group, 52),
        };
        let bytes = usize::try_from(header.bytes).ok().filter(|bytes| *bytes <= MOST);
        let bytes = bytes.ok_or(FormatError::Value(What::Group))?;
        let Some(records) = group[GROUP_HEADER..].get(..bytes) else {
            return Err(FormatError::Short(What::Group));
        };
        if crc32c(&group[4..GROUP_HEADER + bytes]) != u32_at(group, 0) {
            return Err(FormatError::Checksum(What::Group));
        }
        let sane = header.first.0 < u64::MAX / 2 && header.number < u64::MAX / 2;
        if sane { Ok((header, records)) } else { Err(FormatError::Value(What::Group)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn example() -> (GroupHeader, Vec<u8>) {
        let header = GroupHeader {
            tag: PoolTag(7),
            number: 3,
            first: Sequence(40),
            synced_through: Sequence(38),
            incarnation: 2,
            offset: 16,
            count: 5,
            bytes: 5000,
        };
        let mut group = vec![0xA5; GROUP_HEADER + 5000];
        header.seal(&mut group);
        (header, group)
    }

    #[test]
    fn what_is_sealed_is_read() {
        let (header, group) = example();
        assert_eq!(GroupHeader::decode(&group), Ok((header, &[0xA5; 5000][..])));
        assert_eq!((header.blocks(), header.next()), (2, Sequence(45)));
        let short = Err(FormatError::Short(What::Group));
        assert_eq!(GroupHeader::decode(&group[..5063]), short);
        assert_eq!(GroupHeader::decode(&group[..63]), short);
    }

    proptest! {
        #[test]
        fn no_change_of_a_byte_is_overlooked(at in 0..5064_usize, bits in 1_u8..) {
            let (_, mut group) = example();
            group[at] ^= bits;
            prop_assert!(GroupHeader::decode(&group).is_err());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200), bytes_field in 0..200_u32,
        ) {
            if bytes.len() >= GROUP_HEADER {
                put_u32(&mut bytes, 4, MAGIC);
                put_u32(&mut bytes, 52, bytes_field);
                let end = GROUP_HEADER + usize::try_from(bytes_field).expect("small");
                if end <= bytes.len() {
                    let crc = crc32c(&bytes[4..end]);
                    put_u32(&mut bytes, 0, crc);
                }
            }
            if let Ok((header, records)) = GroupHeader::decode(&bytes) {
                prop_assert_eq!(records.len(), usize::try_from(header.bytes).expect("small"));
            }
        }
    }
}
