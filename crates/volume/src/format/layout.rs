//! Where what lies in a pool. Everything begins and ends at an extent, so that metadata
//! and data never share one.

use super::field::{put_u32, u32_at};
use super::{FormatError, GROUP_BLOCKS, TABLE_ENTRIES, What};
use crate::units::{BLOCK, EXTENT_BLOCKS, ExtentIndex, Place};

/// The smallest pool, in blocks: 16 MiB.
pub const POOL_BLOCKS_LEAST: u32 = 4096;
/// The smallest log, in blocks: 1 MiB.
const LOG_LEAST: u32 = 256;
/// The usual log, in blocks: 16 MiB. A longer one would make recovery longer.
const LOG_USUAL: u32 = 4096;
/// The smallest directory area, in blocks: 1 MiB.
const DIRECTORY_LEAST: u32 = 256;
/// The longest log that is believed when it is read, in blocks: 1 GiB.
const LOG_MOST: u32 = 262_144;

/// Neighbouring blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// The first of them.
    pub first: Place,
    /// How many there are.
    pub blocks: u32,
}

impl Area {
    /// Where it begins on the medium, in bytes.
    pub fn at(&self) -> u64 {
        self.first.bytes()
    }
    /// How long it is, in bytes.
    pub fn bytes(&self) -> u64 {
        u64::from(self.blocks) * BLOCK as u64
    }
    /// The block behind it. Wide, since an area may end where the numbers of blocks end.
    fn end(&self) -> u64 {
        u64::from(self.first.0) + u64::from(self.blocks)
    }
}

/// Where what lies. The first extent holds the two superblocks (blocks 0 and 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The table of extents: pairs of pages, page `n` at `first + 2 * n`.
    pub table: Area,
    /// The ring of the log.
    pub log: Area,
    /// The two areas of the directory, used in turn.
    pub directory: [Area; 2],
    /// The first extent for data and for pages of maps.
    pub data: ExtentIndex,
    /// The extent behind the last one.
    pub end: ExtentIndex,
}

impl Layout {
    /// Bytes of it in a superblock.
    pub(super) const BYTES: usize = 40;

    /// The layout of a new pool of so many blocks.
    ///
    /// # Errors
    /// [`FormatError::TooSmall`] for fewer than [`POOL_BLOCKS_LEAST`].
    pub fn for_blocks(blocks: u32) -> Result<Layout, FormatError> {
        if blocks < POOL_BLOCKS_LEAST {
            return Err(FormatError::TooSmall { blocks, least: POOL_BLOCKS_LEAST });
        }
        let mut next = EXTENT_BLOCKS;
        let mut take = |wanted: u32| {
            let area = Area { first: Place(next), blocks: wanted.next_multiple_of(EXTENT_BLOCKS) };
            next += area.blocks;
            area
        };
        let table = take(2 * table_pages(blocks));
        let log = take((blocks / 16).clamp(LOG_LEAST, LOG_USUAL));
        let directory = (blocks / 1024).max(DIRECTORY_LEAST);
        let directory = [take(directory), take(directory)];
        let data = Place(next).extent();
        Ok(Layout { table, log, directory, data, end: ExtentIndex(blocks / EXTENT_BLOCKS) })
    }

    /// How many pages (pairs) the table has.
    pub fn table_pages(&self) -> u32 {
        self.end.0.div_ceil(TABLE_ENTRIES_U32)
    }
    /// Where page `page` of the table is: the first block of its pair.
    pub fn table_place(&self, page: u32) -> Place {
        assert!(page < self.table_pages(), "a page of the table");
        self.table.first.plus(2 * page)
    }
    /// The extents that hold data and pages of maps.
    pub fn extents(&self) -> std::ops::Range<u32> {
        self.data.0..self.end.0
    }

    pub(super) fn encode(&self, into: &mut [u8]) {
        let areas = [self.table, self.log, self.directory[0], self.directory[1]];
        for (index, area) in areas.iter().enumerate() {
            put_u32(into, index * 8, area.first.0);
            put_u32(into, index * 8 + 4, area.blocks);
        }
        put_u32(into, 32, self.data.0);
        put_u32(into, 36, self.end.0);
    }

    /// Reads one and checks that it could be that of a pool of so many blocks.
    pub(super) fn decode(bytes: &[u8], blocks: u32) -> Result<Layout, FormatError> {
        let area = |index: usize| Area {
            first: Place(u32_at(bytes, index * 8)),
            blocks: u32_at(bytes, index * 8 + 4),
        };
        let layout = Layout {
            table: area(0),
            log: area(1),
            directory: [area(2), area(3)],
            data: ExtentIndex(u32_at(bytes, 32)),
            end: ExtentIndex(u32_at(bytes, 36)),
        };
        if layout.sound(blocks) { Ok(layout) } else { Err(FormatError::Value(What::Layout)) }
    }

    /// Whether the areas are in order, apart from each other, inside the pool, whole
    /// extents, and long enough.
    fn sound(&self, blocks: u32) -> bool {
        let [one, two] = self.directory;
        let mut before = u64::from(EXTENT_BLOCKS);
        for area in [self.table, self.log, one, two] {
            let whole = area.first.within() == 0 && area.blocks % EXTENT_BLOCKS == 0;
            if !whole || area.blocks == 0 || u64::from(area.first.0) < before {
                return false;
            }
            before = area.end();
        }
        before <= u64::from(self.data.0) * u64::from(EXTENT_BLOCKS)
            && self.data < self.end
            && self.end.0 <= blocks / EXTENT_BLOCKS
            && u64::from(self.table.blocks) >= 2 * u64::from(self.table_pages())
            && (4 * GROUP_BLOCKS..=LOG_MOST).contains(&self.log.blocks)
            && one.blocks == two.blocks
    }
}

const TABLE_ENTRIES_U32: u32 = 248;
const _: () = assert!(TABLE_ENTRIES == 248);

/// How many pages the table of so many blocks has.
fn table_pages(blocks: u32) -> u32 {
    (blocks / EXTENT_BLOCKS).div_ceil(TABLE_ENTRIES_U32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_smallest_pool_is_mostly_data() {
        let layout = Layout::for_blocks(POOL_BLOCKS_LEAST).expect("enough");
        assert_eq!(layout.log.bytes(), 1 << 20);
        assert!(layout.extents().len() * 16 > 3200, "{layout:?}");
        assert!(Layout::for_blocks(POOL_BLOCKS_LEAST - 1).is_err());
    }

    #[test]
    fn the_largest_pool_has_a_layout() {
        let layout = Layout::for_blocks(u32::MAX).expect("enough");
        assert!(layout.sound(u32::MAX));
        assert_eq!(layout.log.bytes(), 16 << 20);
    }

    proptest! {
        #[test]
        fn every_layout_is_sound_and_read_again(blocks in POOL_BLOCKS_LEAST..) {
            let layout = Layout::for_blocks(blocks).expect("enough");
            prop_assert!(layout.sound(blocks));
            let last = layout.table_place(layout.table_pages() - 1);
            prop_assert!(last.0 + 2 <= layout.log.first.0);
            let mut bytes = [0; Layout::BYTES];
            layout.encode(&mut bytes);
            prop_assert_eq!(Layout::decode(&bytes, blocks), Ok(layout));
            prop_assert!(Layout::decode(&bytes, layout.end.0 * 16 - 1).is_err());
        }

        #[test]
        fn any_bytes_are_a_sound_layout_or_none(
            bytes in prop::array::uniform32(any::<u8>()), more in any::<[u8; 8]>(), blocks: u32,
        ) {
            let bytes = [&bytes[..], &more[..]].concat();
            if let Ok(layout) = Layout::decode(&bytes, blocks) {
                prop_assert!(layout.sound(blocks));
            }
        }
    }
}
