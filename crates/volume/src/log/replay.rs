//! Reading the log after the process that wrote it is gone.
//!
//! Groups are followed from the start that the superblock names, to the first that is not
//! the expected one. That is the end of the log when the medium has kept its promises. If
//! a later group says that what is missing here had been synced, the log is damaged, and
//! that is an error: the end of the log is not guessed.

use thiserror::Error;

use super::ring::Ring;
use crate::format::{
    FormatError, GROUP_BLOCKS, GroupHeader, LogPosition, PoolTag, Record, Superblock,
};
use crate::request::MediumFault;
use crate::units::{BLOCK, Sequence};

/// Reads bytes of the medium, from an offset.
pub type Read<'a> = dyn FnMut(u64, &mut [u8]) -> Result<(), MediumFault> + 'a;

/// Blocks that are read at once.
const WINDOW: u32 = 64;
/// So far behind the end a later group is looked for.
const PROBE: u32 = 2 * GROUP_BLOCKS;

/// Why the log cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReplayError {
    /// The medium failed.
    #[error(transparent)]
    Medium(#[from] MediumFault),
    /// A record is not known to us, though its group is whole.
    #[error("record {sequence} of the log: {source}")]
    Record {
        /// Its number.
        sequence: u64,
        /// What is wrong with it.
        source: FormatError,
    },
    /// The start of the log was written over: the superblock is older than it may be.
    #[error("the log was written over at block {offset}: the newest superblock is lost")]
    Overwritten {
        /// The block of the ring.
        offset: u32,
    },
    /// A group that was synced is damaged.
    #[error("the log is damaged at block {offset}: record {sequence} had been synced")]
    Damaged {
        /// The block of the ring.
        offset: u32,
        /// The number of the first record that is lost.
        sequence: u64,
    },
}

/// One record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Its number.
    pub sequence: Sequence,
    /// It.
    pub record: Record,
    /// Whether it is not known that it was synced. After a loss of power the data of such
    /// a write may be missing and must be checked.
    pub suspect: bool,
}

/// What was read of a log.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Where the log goes on.
    pub end: LogPosition,
    /// The last record that is known to have been synced.
    pub synced_through: Sequence,
    first: Sequence,
    records: Vec<u8>,
}

impl Replay {
    /// The records in order.
    pub fn records(&self) -> impl Iterator<Item = Result<Replayed, ReplayError>> + '_ {
        let mut rest = self.records.as_slice();
        let mut next = self.first;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (sequence, suspect) = (next, next > self.synced_through);
            next = next.next();
            match Record::decode(rest) {
                Ok((record, length)) => {
                    rest = &rest[length..];
                    Some(Ok(Replayed { sequence, record, suspect }))
                }
                Err(source) => {
                    rest = &[];
                    Some(Err(ReplayError::Record { sequence: sequence.0, source }))
                }
            }
        })
    }
    /// The number of the last record; before the first when there is none.
    pub fn last(&self) -> Sequence {
        Sequence(self.end.sequence.0 - 1)
    }
}

/// Reads the log of a pool. What is kept in memory is as long as its records.
///
/// # Errors
/// [`ReplayError`]. A torn or missing group at the end is none.
pub fn replay(read: &mut Read<'_>, superblock: &Superblock) -> Result<Replay, ReplayError> {
    let blocks = superblock.layout.log.blocks;
    let start = superblock.log_start;
    let mut scan = Scan {
        read,
        at: superblock.layout.log.at(),
        ring: Ring::new(blocks, start.offset),
        tag: superblock.tag(),
        window: Vec::new(),
        first: 0,
    };
    let mut records = Vec::new();
    let before = Sequence(start.sequence.0 - 1);
    let (end, synced_through) = scan.follow(start, before, |bytes| records.extend(bytes))?;
    if end == start && scan.overwritten(start)? {
        return Err(ReplayError::Overwritten { offset: start.offset });
    }
    if scan.synced_behind(end)? >= end.sequence {
        return Err(ReplayError::Damaged { offset: end.offset, sequence: end.sequence.0 });
    }
    Ok(Replay { end, synced_through, first: start.sequence, records })
}

struct Scan<'a, 'b> {
    read: &'a mut Read<'b>,
    /// Where the ring is on the medium, in bytes.
    at: u64,
    ring: Ring,
    tag: PoolTag,
    /// Blocks that were read, from `first`.
    window: Vec<u8>,
    first: u32,
}

impl Scan<'_, '_> {
    /// The bytes from a block on, enough for the longest group or up to the ring's end.
    fn bytes(&mut self, block: u32) -> Result<&[u8], MediumFault> {
        let wanted = GROUP_BLOCKS.min(self.ring.blocks - block);
        let held = self.window.len() / BLOCK;
        let skip = block.checked_sub(self.first).map(length);
        let skip = match skip.filter(|skip| skip + length(wanted) <= held) {
            Some(skip) => skip,
            None => {
                let blocks = WINDOW.min(self.ring.blocks - block);
                self.window.resize(length(blocks) * BLOCK, 0);
                self.first = block;
                let at = self.at + u64::from(block) * BLOCK as u64;
                if let Err(fault) = (self.read)(at, &mut self.window) {
                    self.window.clear();
                    return Err(fault);
                }
                0
            }
        };
        Ok(&self.window[skip * BLOCK..][..length(wanted) * BLOCK])
    }

    /// The group at a block and its records, if it is one of this pool at its own place.
    fn group(&mut self, block: u32) -> Result<Option<(GroupHeader, &[u8])>, MediumFault> {
        let tag = self.tag;
        let found = GroupHeader::decode(self.bytes(block)?).ok();
        Ok(found.filter(|(header, _)| {
            let own = header.tag == tag && header.offset == block;
            own && header.count > 0 && header.synced_through < header.first
        }))
    }

    /// Follows the groups from a position on. Gives the first position that has none, and
    /// the last record that is known to be synced.
    fn follow(
        &mut self,
        start: LogPosition,
        synced: Sequence,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(LogPosition, Sequence), MediumFault> {
        let (mut at, mut synced) = (start, synced);
        let ring = self.ring;
        while let Some((header, records)) = self.group(at.offset)? {
            let expected = header.number == at.group && header.first == at.sequence;
            if !expected || header.incarnation < at.incarnation {
                break;
            }
            each(records);
            synced = synced.max(header.synced_through);
            at = LogPosition {
                offset: ring.after(at.offset, header.blocks()),
                incarnation: header.incarnation,
                sequence: header.next(),
                group: header.number + 1,
            };
        }
        Ok((at, synced))
    }

    /// Whether a later group than the expected one is at the start.
    fn overwritten(&mut self, start: LogPosition) -> Result<bool, MediumFault> {
        let found = self.group(start.offset)?;
        Ok(found.is_some_and(|(header, _)| {
            header.number > start.group && header.incarnation >= start.incarnation
        }))
    }

    /// The last record that groups behind the end say was synced. Groups may well lie
    /// there: those written at the same time as one that was lost.
    fn synced_behind(&mut self, end: LogPosition) -> Result<Sequence, MediumFault> {
        let near = end.offset + 1..(end.offset + PROBE).min(self.ring.blocks);
        let wraps = end.offset + 2 * GROUP_BLOCKS > self.ring.blocks;
        let wrapped = if wraps { 0..1 } else { 0..0 };
        for block in near.chain(wrapped) {
            let Some((header, _)) = self.group(block)? else { continue };
            let later = header.number > end.group && header.first > end.sequence;
            let near = header.number - end.group.min(header.number) <= u64::from(PROBE);
            if later && near && header.incarnation >= end.incarnation {
                let (number, first) = (header.number, header.first);
                let incarnation = header.incarnation;
                let from =
                    LogPosition { offset: block, incarnation, sequence: first, group: number };
                return Ok(self.follow(from, Sequence(0), |_| ())?.1);
            }
        }
        Ok(Sequence(0))
    }
}

fn length(blocks: u32) -> usize {
    usize::try_from(blocks).expect("a number of blocks fits into memory's numbers")
}
