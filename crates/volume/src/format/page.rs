//! Pages of the map and of the table: a header of 128 bytes, then entries.
//!
//! Each page has a pair of neighbouring blocks, its two sides. A checkpoint writes to the
//! side that does not hold the committed version, so a write that is torn harms nothing.
//! The header has a checksum of its own: it lies in one sector, so a torn write leaves
//! the old header or the new one, and its generation says which version was being
//! written. That is how [`choose`] tells a torn write, which is to be expected, from
//! damage, which must not be covered up by going back to an older version.
//!
//! For that, **the first write of a page writes both sides** with the same image: what
//! was in those blocks before is then never taken for a damaged header.

use super::field::{put, put_u32, put_u64, u16_at, u32_at, u64_at};
use super::{FormatError, What};
use crate::seal::crc::crc32c;
use crate::units::{BLOCK, Epoch, Origin, Place};

/// The length of the header, in bytes.
pub const PAGE_HEADER: usize = 128;
/// Entries of a leaf page: 31 extents.
pub const LEAF_ENTRIES: usize = 496;
/// Entries of an index page.
pub const INDEX_ENTRIES: usize = 992;
/// Entries of a page of the table.
pub const TABLE_ENTRIES: usize = 248;
const MAGIC: u32 = u32::from_le_bytes(*b"BPPG");

/// What a page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageKind {
    /// Where blocks of a volume are, and their checksums.
    Leaf,
    /// Where leaf pages of a volume are.
    Index,
    /// Whose extents of the pool are.
    Table,
}

impl PageKind {
    fn number(self) -> u32 {
        match self {
            PageKind::Leaf => 1,
            PageKind::Index => 2,
            PageKind::Table => 3,
        }
    }
    fn of(number: u32) -> Option<PageKind> {
        let all = [PageKind::Leaf, PageKind::Index, PageKind::Table];
        all.into_iter().find(|kind| kind.number() == number)
    }
}

/// What stands before the entries of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageHeader {
    /// What the page is for.
    pub kind: PageKind,
    /// The checkpoint that it was written by, from 1.
    pub generation: u64,
    /// The first block of its pair, the same on both sides.
    pub place: Place,
    /// The volume that it was made for; 0 for a page of the table.
    pub owner: u32,
    /// Which page of its kind.
    pub index: u32,
}

impl PageHeader {
    /// Puts the header, with the checksums, into a page whose entries are there.
    pub fn seal(&self, page: &mut [u8; BLOCK]) {
        assert!(self.generation > 0, "checkpoints are counted from 1");
        page[..PAGE_HEADER].fill(0);
        let content = crc32c(&page[PAGE_HEADER..]);
        put_u32(page, 4, MAGIC);
        put_u32(page, 8, self.kind.number());
        put_u32(page, 12, content);
        put_u64(page, 16, self.generation);
        put_u32(page, 24, self.place.0);
        put_u32(page, 28, self.owner);
        put_u32(page, 32, self.index);
        let crc = crc32c(&page[4..PAGE_HEADER]);
        put_u32(page, 0, crc);
    }

    /// Reads the header alone; the entries may still be torn.
    ///
    /// # Errors
    /// [`FormatError::NotOurs`] when all its bytes are zero, else what is wrong.
    pub fn decode(page: &[u8; BLOCK]) -> Result<PageHeader, FormatError> {
        if page[..PAGE_HEADER].iter().all(|byte| *byte == 0) {
            return Err(FormatError::NotOurs);
        }
        if u32_at(page, 4) != MAGIC || crc32c(&page[4..PAGE_HEADER]) != u32_at(page, 0) {
            return Err(FormatError::Checksum(What::PageHeader));
        }
        let kind = PageKind::of(u32_at(page, 8));
        let header = PageHeader {
            kind: kind.ok_or(FormatError::Value(What::PageHeader))?,
            generation: u64_at(page, 16),
            place: Place(u32_at(page, 24)),
            owner: u32_at(page, 28),
            index: u32_at(page, 32),
        };
        let sane = header.generation > 0;
        if sane { Ok(header) } else { Err(FormatError::Value(What::PageHeader)) }
    }

    /// Whether the entries are those that the header was sealed with.
    fn whole(page: &[u8; BLOCK]) -> bool {
        crc32c(&page[PAGE_HEADER..]) == u32_at(page, 12)
    }
}

/// Which block of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first.
    First,
    /// The second.
    Second,
}

impl Side {
    /// The other one, which the next checkpoint writes.
    pub fn other(self) -> Side {
        match self {
            Side::First => Side::Second,
            Side::Second => Side::First,
        }
    }
    /// Its block, when the pair begins at `pair`.
    pub fn place(self, pair: Place) -> Place {
        match self {
            Side::First => pair,
            Side::Second => pair.plus(1),
        }
    }
    /// Its bytes in a pair.
    pub fn of(self, pair: &[u8; 2 * BLOCK]) -> &[u8; BLOCK] {
        let half = match self {
            Side::First => &pair[..BLOCK],
            Side::Second => &pair[BLOCK..],
        };
        half.try_into().expect("half of a pair is a block")
    }
}

/// What is expected to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    /// The kind of page.
    pub kind: PageKind,
    /// The first block of its pair.
    pub place: Place,
}

/// The side of a pair that holds the version of checkpoint `committed`; nothing when no
/// checkpoint up to that one has written the page.
///
/// # Errors
/// When a header is damaged or astray, or the entries of the committed version are, or
/// both sides are later than `committed`. An older version is never given instead: it
/// would be data from the past.
pub fn choose(
    pair: &[u8; 2 * BLOCK],
    committed: u64,
    expect: Expect,
) -> Result<Option<Side>, FormatError> {
    let first = generation(Side::First.of(pair), expect)?;
    let second = generation(Side::Second.of(pair), expect)?;
    let order = |side: Side, generation: u64| {
        let whole = generation > 0 && PageHeader::whole(side.of(pair));
        let known = generation > 0 && generation <= committed;
        known.then_some((generation, whole, side))
    };
    let best = match (order(Side::First, first), order(Side::Second, second)) {
        (Some(a), Some(b)) if (b.0, b.1) > (a.0, a.1) => Some(b),
        (a, b) => a.or(b),
    };
    match best {
        // One checkpoint after the committed one may have begun, but not two.
        None if first.min(second) > 0 && first != second => {
            Err(FormatError::Later { committed, found: first.max(second) })
        }
        None => Ok(None),
        // A page that has been written has been written to both sides.
        Some(_) if first == 0 || second == 0 => Err(FormatError::Checksum(What::PageHeader)),
        Some((_, false, _)) => Err(FormatError::Checksum(What::Page)),
        Some((_, true, side)) => Ok(Some(side)),
    }
}

/// The generation of a side; 0 when nothing was ever written there.
fn generation(page: &[u8; BLOCK], expect: Expect) -> Result<u64, FormatError> {
    let header = match PageHeader::decode(page) {
        Err(FormatError::NotOurs) => return Ok(0),
        other => other?,
    };
    if (header.kind, header.place) == (expect.kind, expect.place) {
        Ok(header.generation)
    } else {
        Err(FormatError::Astray { expected: expect.place.0, found: header.place.0 })
    }
}

/// The entries of a leaf page: place and checksum, 4 bytes each.
#[derive(Clone, Copy, Debug)]
pub struct Leaf<'a>(pub &'a [u8; BLOCK]);

impl Leaf<'_> {
    /// Where a block is; [`Place::NONE`] when it is nowhere.
    #[inline]
    pub fn place(&self, entry: usize) -> Place {
        Place(u32_at(self.0, at(entry, LEAF_ENTRIES, 8)))
    }
    /// The checksum of what is there.
    #[inline]
    pub fn crc(&self, entry: usize) -> u32 {
        u32_at(self.0, at(entry, LEAF_ENTRIES, 8) + 4)
    }
}

/// The entries of a leaf page, to be changed.
#[derive(Debug)]
pub struct LeafMut<'a>(pub &'a mut [u8; BLOCK]);

impl LeafMut<'_> {
    /// Sets an entry.
    #[inline]
    pub fn set(&mut self, entry: usize, place: Place, crc: u32) {
        let at = at(entry, LEAF_ENTRIES, 8);
        put_u32(self.0, at, place.0);
        put_u32(self.0, at + 4, crc);
    }
}

/// The entries of an index page: places of pairs, 4 bytes each.
#[derive(Clone, Copy, Debug)]
pub struct Index<'a>(pub &'a [u8; BLOCK]);

impl Index<'_> {
    /// Where a leaf page is; [`Place::NONE`] when there is none.
    #[inline]
    pub fn place(&self, entry: usize) -> Place {
        Place(u32_at(self.0, at(entry, INDEX_ENTRIES, 4)))
    }
}

/// The entries of an index page, to be changed.
#[derive(Debug)]
pub struct IndexMut<'a>(pub &'a mut [u8; BLOCK]);

impl IndexMut<'_> {
    /// Sets an entry.
    #[inline]
    pub fn set(&mut self, entry: usize, place: Place) {
        put_u32(self.0, at(entry, INDEX_ENTRIES, 4), place.0);
    }
}

/// What the table says of an extent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Who owns it; 0 when it is free.
    pub origin: Origin,
    /// The epoch that it was claimed in.
    pub birth: Epoch,
    /// A bit for each of its blocks that is in use, the lowest for the first.
    pub valid: u16,
    /// Whether it holds pages instead of data.
    pub pages: bool,
}

/// The entries of a page of the table, 16 bytes each.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a>(pub &'a [u8; BLOCK]);

impl Table<'_> {
    /// An entry.
    #[inline]
    pub fn entry(&self, entry: usize) -> Entry {
        let at = at(entry, TABLE_ENTRIES, 16);
        Entry {
            origin: Origin(u32_at(self.0, at)),
            birth: Epoch(u32_at(self.0, at + 4)),
            valid: u16_at(self.0, at + 8),
            pages: u16_at(self.0, at + 10) & 1 == 1,
        }
    }
}

/// The entries of a page of the table, to be changed.
#[derive(Debug)]
pub struct TableMut<'a>(pub &'a mut [u8; BLOCK]);

impl TableMut<'_> {
    /// Sets an entry.
    #[inline]
    pub fn set(&mut self, entry: usize, value: Entry) {
        let at = at(entry, TABLE_ENTRIES, 16);
        put_u32(self.0, at, value.origin.0);
        put_u32(self.0, at + 4, value.birth.0);
        put(self.0, at + 8, &value.valid.to_le_bytes());
        put(self.0, at + 10, &u16::from(value.pages).to_le_bytes());
        put(self.0, at + 12, &[0; 4]);
    }
}

/// Where an entry is in its page.
#[inline]
fn at(entry: usize, entries: usize, length: usize) -> usize {
    assert!(entry < entries, "an entry of the page");
    PAGE_HEADER + entry * length
}

const _: () = assert!(PAGE_HEADER + LEAF_ENTRIES * 8 == BLOCK);
const _: () = assert!(PAGE_HEADER + INDEX_ENTRIES * 4 == BLOCK);
const _: () = assert!(PAGE_HEADER + TABLE_ENTRIES * 16 == BLOCK);

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
