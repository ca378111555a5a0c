//! The tail of the log in memory that outlives the process: what is appended but not
//! written yet. A record is safe from the death of the process when [`Tail::publish`]
//! has stored one word, behind the record's bytes.
//!
//! The first block says what is where; behind it is a ring of groups in the format of
//! the medium, so that a group is written straight from here. All words of the first
//! block are little-endian as the processor of the host is; it never leaves the host.
//!
//! | byte | word |
//! |---|---|
//! | 0 | what this is, and its version; stored last when a tail is begun |
//! | 8 | the pool's tag |
//! | 16 | the incarnation that uses it |
//! | 24 | blocks of the ring |
//! | 32 | the open group: block of the ring in the upper half; in the lower half the slot (highest bit) and where its records end, from its first byte |
//! | 40 | the oldest group that is kept: the lower half of its number above, its block of the ring below |
//! | 48 | what it can be trusted with, see [`Faith`] |
//! | 64, 96 | two slots: number, first record and offset on the medium of the open group |
//!
//! A group that is closed describes itself by its header. The open one is described by
//! one of the slots, and the word that says which is stored when all else is in place:
//! killed at any instruction, there is one consistent state.

use std::sync::atomic::Ordering;

use crate::format::{GROUP_BYTES, GROUP_HEADER, GroupHeader, PoolTag, Record};
use crate::memory::Region;
use crate::units::{BLOCK, Sequence};

use super::TailError;
use super::ring::Ring;

const MAGIC: u64 = u64::from_le_bytes(*b"BPTAIL\n\x01");
const TAG: usize = 8;
const INCARNATION: usize = 16;
const BLOCKS: usize = 24;
const OPEN: usize = 32;
const START: usize = 40;
const FAITH: usize = 48;
const SLOTS: [usize; 2] = [64, 96];
const SLOT_BIT: u32 = 1 << 31;

/// What a tail says of the life that left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faith {
    /// Nothing can be built on it. It was begun, and the pool was not opened yet: what the
    /// recovery that began it could not trust, the next one cannot trust either. Or a
    /// sync failed: what the medium had taken may be lost.
    Doubt,
    /// Whatever was handed to the system is on the medium, as long as the host lives.
    Whole,
}

/// The open group, as the slots have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub number: u64,
    pub first: Sequence,
    pub offset: u32,
}

/// The memory of a tail.
#[derive(Debug)]
pub(super) struct Tail {
    region: Region,
    slot: bool,
}

impl Tail {
    /// A tail in memory whose content does not matter. Nothing is in it until the first
    /// [`Tail::open`].
    pub fn begin(region: Region, tag: PoolTag, incarnation: u32) -> Tail {
        let tail = Tail { region, slot: false };
        let blocks = u64::from(tail.blocks());
        tail.store(0, 0);
        tail.store(TAG, tag.0);
        tail.store(INCARNATION, u64::from(incarnation));
        tail.store(BLOCKS, blocks);
        tail.believe(Faith::Doubt);
        tail
    }
    /// The tail that a predecessor has left, with the slot that is in use.
    pub fn resume(region: Region, slot: bool) -> Tail {
        Tail { region, slot }
    }
    /// Which slot is in use.
    pub fn set_slot(&mut self, slot: bool) {
        self.slot = slot;
    }
    /// From now on, this is a tail.
    pub fn valid(&self) {
        self.store(0, MAGIC);
    }
    /// What it can be trusted with from now on.
    pub fn believe(&self, faith: Faith) {
        self.store(FAITH, faith as u64);
    }
    /// Who uses it.
    pub fn set_incarnation(&self, incarnation: u32) {
        self.store(INCARNATION, u64::from(incarnation));
    }

    /// How many blocks the ring has.
    pub fn blocks(&self) -> u32 {
        blocks_of(&self.region)
    }
    #[cfg(test)]
    pub fn into_region(self) -> Region {
        self.region
    }
    pub fn region(&self) -> &Region {
        &self.region
    }
    /// Where a block of the ring is in the region, in bytes.
    pub fn at(block: u32) -> usize {
        BLOCK + usize::try_from(block).expect("a block of the tail") * BLOCK
    }
    #[inline]
    pub fn bytes_mut(&mut self, at: usize, length: usize) -> &mut [u8] {
        self.region.bytes_mut(at, length)
    }

    /// A new group is open, empty; the one before is closed, with its header in place.
    pub fn open(&mut self, block: u32, opened: Opened) {
        self.slot = !self.slot;
        let at = SLOTS[usize::from(self.slot)];
        self.store(at, opened.number);
        self.store(at + 8, opened.first.0);
        self.store(at + 16, u64::from(opened.offset));
        self.publish(self.word(block), GROUP_HEADER);
    }
    /// The word for [`Tail::publish`] without the end of the records.
    pub fn word(&self, block: u32) -> u64 {
        let slot = if self.slot { SLOT_BIT } else { 0 };
        u64::from(block) << 32 | u64::from(slot)
    }
    /// The records of the open group go up to `end` now, and are there.
    #[inline]
    pub fn publish(&self, word: u64, end: usize) {
        debug_assert!(end <= GROUP_BYTES);
        self.store(OPEN, word | end as u64);
    }
    /// The oldest group that is kept.
    pub fn keep_from(&self, number: u64, block: u32) {
        self.store(START, (number & 0xFFFF_FFFF) << 32 | u64::from(block));
    }

    /// Every store keeps its place behind the stores before it.
    #[inline]
    fn store(&self, at: usize, value: u64) {
        self.region.shared(at).store(value, Ordering::Release);
    }
}

/// How many blocks the ring of a region has.
pub(super) fn blocks_of(region: &Region) -> u32 {
    u32::try_from(region.len() / BLOCK - 1).expect("a tail is short")
}

/// What a tail can be trusted with. Memory that is none is in doubt.
pub fn faith(region: &Region) -> Faith {
    let known = region.len() >= BLOCK && load(region, 0) == MAGIC;
    let whole = known && load(region, FAITH) == Faith::Whole as u64;
    if whole { Faith::Whole } else { Faith::Doubt }
}

/// A closed group that was found in a tail.
#[derive(Debug)]
pub(super) struct Closed {
    pub header: GroupHeader,
    pub block: u32,
    pub records: Vec<Record>,
}

/// What a dead process has left.
#[derive(Debug)]
pub(super) struct Found {
    pub tag: PoolTag,
    pub incarnation: u32,
    pub slot: bool,
    pub closed: Vec<Closed>,
    pub opened: Opened,
    pub block: u32,
    pub end: usize,
    pub records: Vec<Record>,
}

/// Reads a tail; nothing when the memory was never made one. Whatever the bytes are,
/// this does not panic.
pub(super) fn read(region: &Region) -> Result<Option<Found>, TailError> {
    let Some(mut found) = head(region)? else { return Ok(None) };
    let ring = Ring { blocks: blocks_of(region), start: 0, head: 0, groups: 0 };
    found.closed = closed(region, ring, found.opened, found.block)?;
    let at = Tail::at(found.block) + GROUP_HEADER;
    found.records = decode(region.bytes(at, found.end - GROUP_HEADER))?;
    Ok(Some(found))
}

/// As [`read`], without groups and records.
pub(super) fn head(region: &Region) -> Result<Option<Found>, TailError> {
    if region.len() < BLOCK || load(region, 0) == 0 {
        return Ok(None);
    }
    if load(region, 0) != MAGIC {
        return Err(TailError::Unknown);
    }
    let blocks = blocks_of(region);
    let ring = Ring { blocks, start: 0, head: 0, groups: 0 };
    if load(region, BLOCKS) != u64::from(blocks) || !ring.sound() {
        return Err(TailError::Damaged);
    }
    let open = load(region, OPEN);
    let (block, low) = halves(open);
    let slot = low & SLOT_BIT != 0;
    let opened = slot_of(region, slot)?;
    let end = usize::try_from(low & !SLOT_BIT).map_err(|_| TailError::Damaged)?;
    let begins = block <= blocks - crate::format::GROUP_BLOCKS;
    if !begins || !(GROUP_HEADER..=GROUP_BYTES).contains(&end) {
        return Err(TailError::Damaged);
    }
    Ok(Some(Found {
        tag: PoolTag(load(region, TAG)),
        incarnation: narrow(load(region, INCARNATION))?,
        slot,
        closed: Vec::new(),
        opened,
        block,
        end,
        records: Vec::new(),
    }))
}

/// The closed groups, from the oldest to the open one at `until`.
fn closed(
    region: &Region,
    ring: Ring,
    opened: Opened,
    until: u32,
) -> Result<Vec<Closed>, TailError> {
    let (number, mut block) = halves(load(region, START));
    let groups = narrow(opened.number & 0xFFFF_FFFF)?.wrapping_sub(number);
    if groups > ring.blocks || u64::from(groups) > opened.number {
        return Err(TailError::Damaged);
    }
    let mut number = opened.number - u64::from(groups);
    let mut next = None;
    let mut found = Vec::new();
    for _ in 0..groups {
        if block > ring.blocks - crate::format::GROUP_BLOCKS {
            return Err(TailError::Damaged);
        }
        let (header, records) = GroupHeader::decode(region.bytes(Tail::at(block), GROUP_BYTES))?;
        let records = decode(records)?;
        let counted = u32::try_from(records.len()).is_ok_and(|count| count == header.count);
        let follows = next.is_none_or(|next| next == header.first);
        if header.number != number || !counted || !follows {
            return Err(TailError::Damaged);
        }
        (number, next) = (number + 1, Some(header.next()));
        let after = ring.after(block, header.blocks());
        found.push(Closed { header, block, records });
        block = after;
    }
    let follows = next.is_none_or(|next| next == opened.first);
    if block == until && follows { Ok(found) } else { Err(TailError::Damaged) }
}

fn slot_of(region: &Region, slot: bool) -> Result<Opened, TailError> {
    let at = SLOTS[usize::from(slot)];
    let (number, first) = (load(region, at), load(region, at + 8));
    if number >= u64::MAX / 2 || first >= u64::MAX / 2 {
        return Err(TailError::Damaged);
    }
    Ok(Opened { number, first: Sequence(first), offset: narrow(load(region, at + 16))? })
}

/// All records of some bytes.
pub(super) fn decode(mut bytes: &[u8]) -> Result<Vec<Record>, TailError> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let (record, length) = Record::decode(bytes)?;
        records.push(record);
        bytes = &bytes[length..];
    }
    Ok(records)
}

fn load(region: &Region, at: usize) -> u64 {
    region.shared(at).load(Ordering::Acquire)
}

/// The upper and the lower half of a word.
fn halves(word: u64) -> (u32, u32) {
    let low = u32::try_from(word & 0xFFFF_FFFF).expect("a half");
    (u32::try_from(word >> 32).expect("a half"), low)
}

fn narrow(word: u64) -> Result<u32, TailError> {
    u32::try_from(word).map_err(|_| TailError::Damaged)
}
