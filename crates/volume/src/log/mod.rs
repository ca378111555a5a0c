//! The log of a pool: what changed since the last checkpoint.
//!
//! A record is appended to a group in the tail, memory that outlives the process. When a
//! group is [`Log::cut`], whoever drives the lane writes it to the ring on the medium, and
//! says so with [`Log::written`]; several may be under way. A sync makes durable what had
//! been written without a gap when it began ([`Log::written_through`]), and nothing else.
//! When a checkpoint is committed, [`Log::release`] gives the ring before it free.
//!
//! After the death of the process, [`replay`] reads the ring and [`Log::resume`] takes
//! over the tail; after a loss of power there is no tail, and [`Log::begin`] goes on where
//! the ring ends. Both take a new incarnation, which **must be in a synced superblock
//! before the first group is written**: it is how groups of now are told from those that a
//! former life has left in the ring.

mod replay;
mod ring;
mod room;
mod saved;
mod tail;

use std::collections::VecDeque;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::format::{
    FormatError, GROUP_HEADER, GroupHeader, LogPosition, PoolTag, Record, Superblock,
};
use crate::memory::Region;
use crate::units::{BLOCK, Sequence};

pub use replay::{Read, Replay, ReplayError, Replayed, replay};
pub use saved::SavedLog;
pub use tail::{Faith, faith};

use ring::Ring;
use tail::{Opened, Tail};

/// The shortest tail, in bytes. A usual one has 1 MiB.
pub const TAIL_LEAST: usize = 64 * BLOCK;

/// A group to be written: these bytes of the tail, to the medium at `at`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Its number, for [`Log::written`].
    pub number: u64,
    /// Where it goes, in bytes from the start of the medium.
    pub at: u64,
    /// Where it is in the tail: whole blocks. They do not change until it is written.
    pub bytes: Range<usize>,
    /// Its last record.
    pub last: Sequence,
}

/// Why a tail is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TailError {
    /// The memory holds something else, or a tail of another version.
    #[error("the memory for the tail of the log holds something that is not known")]
    Unknown,
    /// It is the tail of another pool.
    #[error("the tail of the log belongs to another pool")]
    OtherPool,
    /// It contradicts itself.
    #[error("the tail of the log is damaged")]
    Damaged,
    /// A group or a record in it is not good.
    #[error("the tail of the log is damaged: {0}")]
    Format(#[from] FormatError),
    /// The pool has been used without it since.
    #[error("the pool has been used without this tail of its log")]
    Stale,
    /// The ring ends before the tail begins: what had been written is gone.
    #[error(
        "the log on the medium ends at group {ring}, and its tail begins at group {tail}: the \
         medium lost what it had taken; open the pool as after a loss of power: what was \
         flushed is there, what was only acknowledged may be missing"
    )]
    Gap {
        /// The first group that the ring does not have.
        ring: u64,
        /// The first group of the tail.
        tail: u64,
    },
}

/// A closed group that is not known to be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Group {
    number: u64,
    block: u32,
    blocks: u32,
    offset: u32,
    last: Sequence,
    written: bool,
}

/// The log of a pool.
#[derive(Debug)]
pub struct Log {
    tail: Tail,
    /// The ring of the tail, whose head is the open group.
    held: Ring,
    /// The ring of the medium, whose head is where the open group will go.
    ring: Ring,
    /// Where the ring is on the medium, in bytes.
    medium: u64,
    tag: PoolTag,
    incarnation: u32,
    /// The open group: its number, first record, and where it is in the tail.
    number: u64,
    first: Sequence,
    at: usize,
    /// What [`Tail::publish`] wants beside the end.
    word: u64,
    /// Where its records end, from its first byte; and how far they may go.
    end: usize,
    limit: usize,
    next: Sequence,
    room: usize,
    /// Closed groups that the tail keeps, oldest first: until they are durable, since a
    /// medium whose sync fails may lose what it had taken.
    groups: VecDeque<Group>,
    /// So many of them, from the oldest on, are written without a gap.
    whole: usize,
    /// The first group that has not been handed out to be written.
    handed: u64,
    written_through: Sequence,
    durable: Sequence,
}

impl Log {
    /// The log of a pool that was just formatted. `tail` has [`TAIL_LEAST`] bytes or more;
    /// what is in it is forgotten.
    pub fn new(tail: Region, superblock: &Superblock) -> Log {
        let synced = Sequence(superblock.log_start.sequence.0 - 1);
        Log::at(tail, superblock, superblock.log_start, synced)
    }

    /// Goes on behind what was read, with an empty tail: after a loss of power. What is in
    /// `tail` is forgotten.
    ///
    /// Records that recovery has dropped since their data was missing would come back with
    /// the next replay, and not as suspects: a checkpoint must be committed before
    /// anything that is appended now is synced.
    pub fn begin(tail: Region, superblock: &Superblock, replay: &Replay) -> Log {
        Log::at(tail, superblock, replay.end, replay.synced_through)
    }

    fn at(tail: Region, superblock: &Superblock, end: LogPosition, synced: Sequence) -> Log {
        assert!(tail.len() >= TAIL_LEAST, "a tail holds some groups");
        let (start, layout) = (superblock.log_start, &superblock.layout);
        let incarnation = superblock.incarnation.checked_add(1).expect("a pool is opened seldom");
        let tail = Tail::begin(tail, superblock.tag(), incarnation);
        let held = Ring::new(tail.blocks(), 0);
        let groups = end.group - start.group;
        let ring = Ring::new(layout.log.blocks, end.offset);
        let ring = Ring { start: start.offset, groups, ..ring };
        let mut log = Log {
            held,
            ring,
            medium: layout.log.at(),
            tag: superblock.tag(),
            incarnation,
            number: end.group,
            first: end.sequence,
            at: 0,
            word: 0,
            end: 0,
            limit: 0,
            next: end.sequence,
            room: 0,
            groups: VecDeque::with_capacity(usize::try_from(held.blocks).expect("short")),
            whole: 0,
            handed: end.group,
            written_through: Sequence(end.sequence.0 - 1),
            durable: synced,
            tail,
        };
        log.tail.keep_from(end.group, 0);
        log.open();
        log.tail.valid();
        log
    }

    /// Takes over the tail of a process that died, and gives the records in it that the
    /// ring does not have. Nothing in the tail is moved: killed here at any instruction,
    /// the next process finds the same. The groups that the ring does not have are handed
    /// out by [`Log::cut`] again. Memory that was never a tail becomes one.
    ///
    /// # Errors
    /// [`TailError`]: acknowledged writes may be lost if the pool is opened without it.
    pub fn resume(
        tail: Region,
        superblock: &Superblock,
        replay: &Replay,
    ) -> Result<(Log, Vec<(Sequence, Record)>), TailError> {
        assert!(tail.len() >= TAIL_LEAST, "a tail holds some groups");
        let Some(found) = tail::read(&tail)? else {
            return Ok((Log::begin(tail, superblock, replay), Vec::new()));
        };
        saved::take_over(tail, superblock, replay, found)
    }

    /// The incarnation of this log. It belongs into a synced superblock before the first
    /// [`Cut`] is written.
    pub fn incarnation(&self) -> u32 {
        self.incarnation
    }

    /// Appends a record: from now on the death of the process does not lose it. Panics
    /// when there is no room: whoever appends asks [`Log::room`] before.
    #[inline]
    pub fn append(&mut self, record: &Record) -> Sequence {
        let length = record.length();
        if self.end + length > self.limit {
            self.roll(length);
        }
        let sequence = self.put(record, length);
        self.tail.publish(self.word, self.end);
        sequence
    }

    /// Appends records that count together or not at all, whatever ends the process or the
    /// power: they are in one group, and become good by one word. Gives the number of the
    /// first. They must fit into a group, and there must be room.
    pub fn append_together(&mut self, records: &[Record]) -> Sequence {
        let length: usize = records.iter().map(Record::length).sum();
        if self.end + length > self.limit {
            self.roll(length);
        }
        let first = self.next;
        for record in records {
            self.put(record, record.length());
        }
        self.tail.publish(self.word, self.end);
        first
    }

    #[inline]
    fn put(&mut self, record: &Record, length: usize) -> Sequence {
        record.encode(self.tail.bytes_mut(self.at + self.end, length));
        self.end += length;
        self.room = self.room.saturating_sub(length);
        let sequence = self.next;
        self.next = sequence.next();
        sequence
    }

    /// The open group is full; goes on in a new one.
    #[cold]
    fn roll(&mut self, length: usize) {
        if self.next > self.first {
            self.close();
        }
        assert!(self.end + length <= self.limit, "whoever appends has asked for room");
    }

    /// Closes the open group, which has records, and opens the next.
    fn close(&mut self) {
        let bytes = u32::try_from(self.end - GROUP_HEADER).expect("a group is short");
        let header = GroupHeader {
            tag: self.tag,
            number: self.number,
            first: self.first,
            synced_through: self.durable,
            incarnation: self.incarnation,
            offset: self.ring.head,
            count: u32::try_from(self.next.0 - self.first.0).expect("a group is short"),
            bytes,
        };
        assert!(header.count > 0, "a group has records");
        let blocks = header.blocks();
        let padding = self.end.next_multiple_of(BLOCK) - self.end;
        self.tail.bytes_mut(self.at + self.end, padding).fill(0);
        header.seal(self.tail.bytes_mut(self.at, self.end));
        let last = Sequence(self.next.0 - 1);
        let (block, offset) = (self.held.head, self.ring.head);
        let group = Group { number: self.number, block, blocks, offset, last, written: false };
        self.groups.push_back(group);
        self.held.push(blocks);
        self.ring.push(blocks);
        self.number += 1;
        self.first = self.next;
        self.open();
    }

    /// Opens the group at the heads of the rings. Nothing of it is stored among the
    /// groups, where there may be no place yet.
    fn open(&mut self) {
        let block = self.held.head;
        let offset = self.ring.head;
        self.tail.open(block, Opened { number: self.number, first: self.first, offset });
        self.at = Tail::at(block);
        self.word = self.tail.word(block);
        self.end = GROUP_HEADER;
        self.measure();
    }

    /// The next group to be written; none when everything that was appended has been
    /// handed out. Closes the open group when it is its turn.
    pub fn cut(&mut self) -> Option<Cut> {
        if self.handed == self.number && self.next > self.first {
            self.close();
        }
        let left = usize::try_from(self.number - self.handed).expect("few groups");
        let index = self.groups.len().checked_sub(left).expect("closed groups are kept");
        let group = self.groups.get(index)?;
        self.handed += 1;
        let start = Tail::at(group.block);
        let length = usize::try_from(group.blocks).expect("few blocks") * BLOCK;
        Some(Cut {
            number: group.number,
            at: self.medium + u64::from(group.offset) * BLOCK as u64,
            bytes: start..start + length,
            last: group.last,
        })
    }

    /// The write of a group has completed. They may complete in any order.
    pub fn written(&mut self, number: u64) {
        assert!(number < self.handed, "a group that was handed out");
        let oldest = self.groups.front().expect("a group that is under way").number;
        let index = number.checked_sub(oldest).and_then(|index| usize::try_from(index).ok());
        let group = index.and_then(|index| self.groups.get_mut(index));
        let group = group.expect("a group that is under way");
        assert!(!group.written, "a group is written once");
        group.written = true;
        while let Some(group) = self.groups.get(self.whole).filter(|group| group.written) {
            self.written_through = group.last;
            self.whole += 1;
        }
        self.let_go();
    }

    /// Groups that are durable leave the tail.
    fn let_go(&mut self) {
        while let Some(group) = self.groups.front().copied()
            && self.whole > 0
            && group.last <= self.durable
        {
            self.groups.pop_front();
            self.held.pop(group.blocks);
            self.whole -= 1;
        }
        let block = if self.held.groups == 0 { self.held.head } else { self.held.start };
        self.tail.keep_from(self.number - self.held.groups, block);
        self.measure();
    }

    /// The pool is open: the tail can be trusted from now on.
    pub fn opened(&self) {
        self.tail.believe(Faith::Whole);
    }

    /// A sync failed: what the medium had taken may be lost, and whoever comes next must
    /// look.
    pub fn failed(&self) {
        self.tail.believe(Faith::Doubt);
    }

    /// The last record up to which all groups have been written. A sync that begins now
    /// makes this durable: keep it, and hand it to [`Log::synced`] when that is done.
    #[inline]
    pub fn written_through(&self) -> Sequence {
        self.written_through
    }

    /// A sync has completed that began when [`Log::written_through`] was `through`.
    pub fn synced(&mut self, through: Sequence) {
        assert!(through <= self.written_through, "only what was written is synced");
        self.durable = self.durable.max(through);
        self.let_go();
    }

    /// The last record that is durable, with all before it.
    #[inline]
    pub fn durable(&self) -> Sequence {
        self.durable
    }
    /// The last record that was appended.
    #[inline]
    pub fn appended(&self) -> Sequence {
        Sequence(self.next.0 - 1)
    }

    /// The position behind everything that was appended: what a checkpoint replays from.
    /// Closes the open group; what it leaves to be written is handed out by [`Log::cut`].
    pub fn position(&mut self) -> LogPosition {
        if self.next > self.first {
            self.close();
        }
        LogPosition {
            offset: self.ring.head,
            incarnation: self.incarnation,
            sequence: self.next,
            group: self.number,
        }
    }

    /// A checkpoint that replays from `start` is committed, by a synced superblock: the
    /// ring before it is free, and what was before it is durable. It must have been written.
    pub fn release(&mut self, start: LogPosition) {
        let before = Sequence(start.sequence.0 - 1);
        assert!(before <= self.written_through, "a checkpoint follows what it replaces");
        let groups = self.number.checked_sub(start.group).expect("a position of this log");
        assert!(groups <= self.ring.groups, "the ring is given free in order");
        self.ring.groups = groups;
        self.ring.start = start.offset;
        self.durable = self.durable.max(before);
        self.let_go();
    }

    /// The memory of the tail, as the death of the process would leave it.
    #[cfg(test)]
    fn into_tail(self) -> Region {
        self.tail.into_region()
    }
    /// Where the bytes of cuts are: for drivers that register or submit them.
    pub fn tail(&self) -> &Region {
        self.tail.region()
    }
}

/// The records that a dead process has left in a tail, whether the ring has them or not.
/// Empty when the memory was never a tail.
///
/// # Errors
/// [`TailError`]. No bytes make it panic.
pub fn tail_records(region: &Region) -> Result<Vec<(Sequence, Record)>, TailError> {
    let Some(found) = tail::read(region)? else { return Ok(Vec::new()) };
    let first = found.closed.first().map_or(found.opened.first, |group| group.header.first);
    let closed = found.closed.into_iter().flat_map(|group| group.records);
    Ok(numbered(first, closed.chain(found.records)))
}

fn numbered(first: Sequence, records: impl Iterator<Item = Record>) -> Vec<(Sequence, Record)> {
    records.zip(first.0..).map(|(record, number)| (Sequence(number), record)).collect()
}

#[cfg(test)]
mod tests;
