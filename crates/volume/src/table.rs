//! The extent table: who owns each extent of a pool, since when, and which of its
//! blocks hold something.
//!
//! It lies in memory as it lies on the medium: pages of 248 entries behind a header.
//! In memory an entry has one thing more, the blocks that are *busy*: given out and not
//! yet mapped, or given free and not yet usable. That never reaches the medium.

use serde::{Deserialize, Serialize};

use crate::format::page::{PAGE_HEADER, TABLE_ENTRIES};
use crate::frames::News;
use crate::memory::Region;
use crate::units::{BLOCK, EXTENT_BLOCKS, Epoch, ExtentIndex, Origin, Place, Sequence};

const ENTRY: usize = 16;
const ALL: u16 = u16::MAX;

/// Where the parts of an entry are, in bytes.
mod part {
    pub const ORIGIN: usize = 0;
    pub const BIRTH: usize = 4;
    pub const VALID: usize = 8;
    pub const FLAGS: usize = 10;
    pub const BUSY: usize = 12;
    pub const NOTES: usize = 14;
}

/// The flag of extents that hold pages of the map, in pairs of blocks.
const PAGES: u16 = 1;

/// The table of one pool.
#[derive(Debug)]
pub struct Table {
    region: Region,
    extents: u32,
    /// The first extent that data may be in; those before are the pool's own.
    first: u32,
    /// Free extents on each page.
    free: Vec<u16>,
    free_total: u32,
    /// Where the search for a free extent goes on.
    cursor: u32,
    /// For each page: whether it differs from the medium, the last record that changed
    /// it, and the side that holds its committed version.
    pages: Vec<PageState>,
    /// What changed since a successor was last told.
    news: News,
}

/// What is known of a page of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageState {
    /// It differs from the medium.
    pub dirty: bool,
    /// The record that must be durable before it is written.
    pub changed: Sequence,
    /// The side that holds the committed version, when there is one.
    pub second: Option<bool>,
}

/// How many bytes of memory the table of a medium of so many blocks needs.
pub fn table_bytes(blocks: u32) -> usize {
    table_pages(blocks) as usize * BLOCK
}

/// How many pages the table of a medium of so many blocks has.
pub fn table_pages(blocks: u32) -> u32 {
    (blocks / EXTENT_BLOCKS).div_ceil(TABLE_ENTRIES as u32)
}

impl Table {
    /// A table in a region that holds what was loaded, or zeros. Counts what is free.
    pub fn new(region: Region, blocks: u32, first: ExtentIndex) -> Self {
        assert!(region.len() >= table_bytes(blocks), "the region holds the table");
        let pages = table_pages(blocks) as usize;
        let mut table = Self {
            region,
            extents: blocks / EXTENT_BLOCKS,
            first: first.0,
            free: vec![0; pages],
            free_total: 0,
            cursor: first.0,
            pages: vec![PageState::default(); pages],
            news: News::default(),
        };
        table.count();
        table
    }

    /// Counts the free extents anew.
    pub fn count(&mut self) {
        self.free.fill(0);
        self.free_total = 0;
        for extent in self.first..self.extents {
            if self.origin(ExtentIndex(extent)) == Origin(0) {
                self.free[extent as usize / TABLE_ENTRIES] += 1;
                self.free_total += 1;
            }
        }
    }

    fn at(&self, extent: ExtentIndex) -> usize {
        assert!(extent.0 < self.extents, "an extent of the pool");
        let (page, entry) = (extent.0 as usize / TABLE_ENTRIES, extent.0 as usize % TABLE_ENTRIES);
        page * BLOCK + PAGE_HEADER + entry * ENTRY
    }
    /// Brings what is known of an extent near.
    #[inline]
    pub fn bring(&self, extent: ExtentIndex) {
        if extent.0 < self.extents {
            self.region.bring(self.at(extent));
        }
    }
    fn word(&self, extent: ExtentIndex, part: usize) -> u32 {
        let at = self.at(extent) + part;
        u32::from_le_bytes(self.region.bytes(at, 4).try_into().expect("four bytes"))
    }
    fn half(&self, extent: ExtentIndex, part: usize) -> u16 {
        let at = self.at(extent) + part;
        u16::from_le_bytes(self.region.bytes(at, 2).try_into().expect("two bytes"))
    }
    fn set_half(&mut self, extent: ExtentIndex, part: usize, value: u16) {
        let at = self.at(extent) + part;
        self.region.bytes_mut(at, 2).copy_from_slice(&value.to_le_bytes());
    }

    /// How many extents there are, the pool's own included.
    pub fn extents(&self) -> u32 {
        self.extents
    }
    /// How many extents belong to nobody.
    pub fn free_extents(&self) -> u32 {
        self.free_total
    }
    /// How many extents data may be in.
    pub fn data_extents(&self) -> u32 {
        self.extents - self.first
    }
    /// The first of them.
    pub fn first(&self) -> ExtentIndex {
        ExtentIndex(self.first)
    }
    /// Who owns it. 0 is nobody.
    #[inline]
    pub fn origin(&self, extent: ExtentIndex) -> Origin {
        Origin(self.word(extent, part::ORIGIN))
    }
    /// Since when it is owned.
    #[inline]
    pub fn birth(&self, extent: ExtentIndex) -> Epoch {
        Epoch(self.word(extent, part::BIRTH))
    }
    /// Whether it holds pages of the map.
    pub fn holds_pages(&self, extent: ExtentIndex) -> bool {
        self.half(extent, part::FLAGS) & PAGES != 0
    }
    /// The blocks that hold something, one bit each.
    #[inline]
    pub fn valid(&self, extent: ExtentIndex) -> u16 {
        self.half(extent, part::VALID)
    }
    /// The blocks that are given out or not yet usable again.
    #[inline]
    pub fn busy(&self, extent: ExtentIndex) -> u16 {
        self.half(extent, part::BUSY)
    }
    /// The blocks that can be given out.
    #[inline]
    pub fn usable(&self, extent: ExtentIndex) -> u16 {
        !(self.valid(extent) | self.busy(extent))
    }
    /// Whether a block holds something.
    #[inline]
    pub fn is_valid(&self, place: Place) -> bool {
        self.valid(place.extent()) & bit(place) != 0
    }

    /// Makes an extent somebody's, with nothing in it; or nobody's, with origin 0.
    pub fn claim(
        &mut self,
        extent: ExtentIndex,
        origin: Origin,
        birth: Epoch,
        pages: bool,
        by: Sequence,
    ) {
        assert!(extent.0 >= self.first, "the pool's own extents are nobody else's");
        let (was, is) = (self.origin(extent) == Origin(0), origin == Origin(0));
        let at = self.at(extent);
        let entry = self.region.bytes_mut(at, ENTRY);
        entry.fill(0);
        entry[part::ORIGIN..part::ORIGIN + 4].copy_from_slice(&origin.0.to_le_bytes());
        entry[part::BIRTH..part::BIRTH + 4].copy_from_slice(&birth.0.to_le_bytes());
        entry[part::FLAGS..part::FLAGS + 2].copy_from_slice(&u16::from(pages).to_le_bytes());
        let page = extent.0 as usize / TABLE_ENTRIES;
        match (was, is) {
            (true, false) => {
                (self.free[page], self.free_total) = (self.free[page] - 1, self.free_total - 1)
            }
            (false, true) => {
                (self.free[page], self.free_total) = (self.free[page] + 1, self.free_total + 1)
            }
            _ => {}
        }
        self.changed(extent, by);
    }

    /// A block holds something now.
    #[inline]
    pub fn fill(&mut self, place: Place, by: Sequence) {
        let extent = place.extent();
        self.set_half(extent, part::VALID, self.valid(extent) | bit(place));
        self.set_half(extent, part::BUSY, self.busy(extent) & !bit(place));
        self.changed(extent, by);
    }
    /// A block holds nothing any more.
    #[inline]
    pub fn clear(&mut self, place: Place, by: Sequence) {
        let extent = place.extent();
        self.set_half(extent, part::VALID, self.valid(extent) & !bit(place));
        self.changed(extent, by);
    }
    /// The page with an extent is to be written anew.
    pub fn touch(&mut self, extent: ExtentIndex) {
        self.changed(extent, Sequence(0));
    }
    /// Blocks are given out, or wait until they are usable again.
    #[inline]
    pub fn hold(&mut self, extent: ExtentIndex, blocks: u16) {
        self.set_half(extent, part::BUSY, self.busy(extent) | blocks);
    }
    /// Blocks are usable again.
    #[inline]
    pub fn let_go(&mut self, extent: ExtentIndex, blocks: u16) {
        self.set_half(extent, part::BUSY, self.busy(extent) & !blocks);
    }

    /// Whether it is on its owner's list of extents with holes.
    #[inline]
    pub fn is_hole(&self, extent: ExtentIndex) -> bool {
        self.half(extent, part::NOTES) != 0
    }
    /// Notes that it is on that list, or not any more.
    pub fn mark_hole(&mut self, extent: ExtentIndex, listed: bool) {
        self.set_half(extent, part::NOTES, u16::from(listed));
    }

    #[inline]
    fn changed(&mut self, extent: ExtentIndex, by: Sequence) {
        let number = extent.0 as usize / TABLE_ENTRIES;
        self.news.note(number as u32);
        let page = &mut self.pages[number];
        page.dirty = true;
        page.changed = page.changed.max(by);
    }

    /// A free extent, going round. Costs what it takes to find a page with one.
    pub fn find_free(&mut self) -> Option<ExtentIndex> {
        if self.free_total == 0 {
            return None;
        }
        let start = if self.cursor < self.extents { self.cursor } else { self.first };
        let mut extent = start;
        loop {
            let page = extent as usize / TABLE_ENTRIES;
            let end = ((page + 1) * TABLE_ENTRIES).min(self.extents as usize) as u32;
            if self.free[page] > 0 {
                let found = (extent..end).find(|one| self.origin(ExtentIndex(*one)) == Origin(0));
                if let Some(found) = found {
                    self.cursor = found + 1;
                    return Some(ExtentIndex(found));
                }
            }
            extent = if end >= self.extents { self.first } else { end };
        }
    }

    /// How many pages differ from the medium.
    pub fn dirty(&self) -> impl Iterator<Item = u32> + '_ {
        (0_u32..).zip(&self.pages).filter(|(_, page)| page.dirty).map(|(number, _)| number)
    }
    /// A page as it goes to the medium: without what is only in memory.
    pub fn image(&self, page: u32, into: &mut [u8; BLOCK]) {
        into.copy_from_slice(self.region.block(page as usize * BLOCK));
        for entry in into[PAGE_HEADER..].chunks_exact_mut(ENTRY) {
            entry[part::BUSY..].fill(0);
        }
    }
    /// What is known of a page.
    pub fn page(&mut self, page: u32) -> &mut PageState {
        self.news.note(page);
        &mut self.pages[page as usize]
    }
    /// A page as it was read from the medium. [`Table::count`] comes when all are there.
    pub fn install(&mut self, page: u32, content: &[u8; BLOCK], second: bool) {
        self.region.block_mut(page as usize * BLOCK).copy_from_slice(content);
        self.pages[page as usize].second = Some(second);
    }

    /// The same memory again, for a successor in the same process.
    #[cfg(test)]
    pub fn same_region(&self) -> Region {
        self.region.again()
    }
    /// What a successor needs beside the region. From now on changes are for it.
    pub fn saved(&mut self) -> SavedTable {
        self.news.forget();
        SavedTable { cursor: self.cursor, pages: self.pages.clone() }
    }
    /// Goes on with the region of a predecessor.
    pub fn restored(region: Region, blocks: u32, first: ExtentIndex, saved: SavedTable) -> Self {
        let mut table = Self::new(region, blocks, first);
        assert!(saved.pages.len() == table.pages.len(), "the table of the same pool");
        (table.cursor, table.pages) = (saved.cursor, saved.pages);
        table
    }
    /// What changed since a successor was last told.
    pub fn changes(&mut self) -> TableChanges {
        let each = |page: u32| {
            let index = page as usize;
            ChangedPage { page, state: self.pages[index], free: self.free[index] }
        };
        let pages = self.news.take().into_iter().map(each).collect();
        TableChanges { cursor: self.cursor, free: self.free_total, pages }
    }
    /// Follows a predecessor. `None`: it speaks of pages that there are not.
    pub fn follow(&mut self, changes: TableChanges) -> Option<()> {
        for ChangedPage { page, state, free } in changes.pages {
            *self.pages.get_mut(page as usize)? = state;
            self.free[page as usize] = free;
        }
        (self.cursor, self.free_total) = (changes.cursor, changes.free);
        Some(())
    }
}

/// What changed of a table since a successor was last told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableChanges {
    cursor: u32,
    free: u32,
    pub(crate) pages: Vec<ChangedPage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChangedPage {
    page: u32,
    state: PageState,
    free: u16,
}

/// The small part of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedTable {
    cursor: u32,
    pages: Vec<PageState>,
}

/// The bit of a block in its extent.
#[inline]
pub fn bit(place: Place) -> u16 {
    1 << place.within()
}

/// The first run of set bits in a mask: where it begins and how long it is, at most `most`.
#[inline]
pub fn first_run(mask: u16, most: u32) -> Option<(u32, u32)> {
    if mask == 0 {
        return None;
    }
    let start = mask.trailing_zeros();
    let length = (mask >> start).trailing_ones().min(most);
    Some((start, length))
}

/// The bits of a run.
#[inline]
pub fn run_mask(start: u32, length: u32) -> u16 {
    assert!(length > 0 && start + length <= EXTENT_BLOCKS, "a run inside an extent");
    (ALL >> (EXTENT_BLOCKS - length)) << start
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::new(Region::leaked(table_bytes(16 * 600)), 16 * 600, ExtentIndex(10))
    }

    #[test]
    fn free_extents_are_found_until_there_are_none() {
        let mut table = table();
        assert_eq!(table.free_extents(), 590);
        let mut seen = std::collections::HashSet::new();
        while let Some(extent) = table.find_free() {
            assert!(seen.insert(extent), "each once");
            table.claim(extent, Origin(1), Epoch(1), false, Sequence(1));
        }
        assert_eq!((seen.len(), table.free_extents()), (590, 0));
        table.claim(ExtentIndex(77), Origin(0), Epoch(0), false, Sequence(2));
        assert_eq!(table.find_free(), Some(ExtentIndex(77)));
    }

    #[test]
    fn what_is_busy_stays_in_memory() {
        let mut table = table();
        table.claim(ExtentIndex(20), Origin(7), Epoch(3), true, Sequence(5));
        table.hold(ExtentIndex(20), 0b110);
        table.fill(Place(20 * 16 + 1), Sequence(6));
        assert_eq!((table.valid(ExtentIndex(20)), table.busy(ExtentIndex(20))), (0b10, 0b100));
        let mut image = [0; BLOCK];
        table.image(0, &mut image);
        let mut other =
            Table::new(Region::leaked(table_bytes(16 * 600)), 16 * 600, ExtentIndex(10));
        other.install(0, &image, false);
        other.count();
        let extent = ExtentIndex(20);
        assert_eq!(
            (other.origin(extent), other.birth(extent), other.holds_pages(extent)),
            (Origin(7), Epoch(3), true)
        );
        assert_eq!((other.valid(extent), other.busy(extent), other.free_extents()), (0b10, 0, 589));
        assert_eq!(table.dirty().collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn runs_are_runs() {
        assert_eq!(first_run(0b0111_0110, 9), Some((1, 2)));
        assert_eq!(first_run(u16::MAX, 4), Some((0, 4)));
        assert_eq!(run_mask(0, 16), u16::MAX);
        assert_eq!(run_mask(3, 2), 0b11000);
    }
}
