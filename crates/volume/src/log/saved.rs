//! The log goes on in another process: in a successor, which is told everything, or after
//! a death, when the tail and the ring must tell.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::ring::Ring;
use super::tail::{self, Found, Tail};
use super::{Group, Log, TailError, numbered};
use crate::format::{GROUP_BYTES, GROUP_HEADER, PoolTag, Record, Superblock};
use crate::memory::Region;
use crate::units::Sequence;

use super::replay::Replay;

/// What a successor needs beside the tail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedLog {
    held: Ring,
    ring: Ring,
    medium: u64,
    tag: PoolTag,
    incarnation: u32,
    number: u64,
    first: Sequence,
    next: Sequence,
    end: usize,
    groups: Vec<Group>,
    pub(super) handed: u64,
    written_through: Sequence,
    durable: Sequence,
}

impl Log {
    /// What a successor needs beside the tail. Nothing may be appended after this.
    pub fn saved(&self) -> SavedLog {
        SavedLog {
            held: self.held,
            ring: self.ring,
            medium: self.medium,
            tag: self.tag,
            incarnation: self.incarnation,
            number: self.number,
            first: self.first,
            next: self.next,
            end: self.end,
            groups: self.groups.iter().copied().collect(),
            handed: self.handed,
            written_through: self.written_through,
            durable: self.durable,
        }
    }

    /// Goes on with the tail of a predecessor.
    ///
    /// # Errors
    /// [`TailError`] when the tail is not the one that the saved state is about.
    #[cfg(test)]
    pub fn restored(tail: Region, saved: SavedLog) -> Result<Log, TailError> {
        let mut log = Log::heir(tail, &saved);
        log.go_on(saved)?;
        Ok(log)
    }

    /// The log of a predecessor that appends to its tail: of no use before [`Log::go_on`].
    pub fn heir(tail: Region, saved: &SavedLog) -> Log {
        let blocks = saved.held.blocks.min(tail::blocks_of(&tail));
        Log {
            at: 0,
            word: 0,
            tail: Tail::resume(tail, false),
            held: saved.held,
            ring: saved.ring,
            medium: saved.medium,
            tag: saved.tag,
            incarnation: saved.incarnation,
            number: saved.number,
            first: saved.first,
            end: 0,
            limit: 0,
            next: saved.next,
            room: 0,
            groups: VecDeque::with_capacity(usize::try_from(blocks).expect("short")),
            whole: 0,
            handed: saved.handed,
            written_through: saved.written_through,
            durable: saved.durable,
        }
    }

    /// Goes on where the predecessor stopped. Groups that it has handed out are still
    /// under way: [`Log::written`] is to be called for them here. Only where the tail is
    /// open is looked at, since nothing is served meanwhile: its groups are as they were.
    ///
    /// # Errors
    /// [`TailError`] when the tail is not as the saved state says, as while the predecessor
    /// goes on itself. Nothing has changed then.
    pub fn go_on(&mut self, saved: SavedLog) -> Result<(), TailError> {
        let tail = self.tail.region();
        let found = tail::head(tail)?.ok_or(TailError::Unknown)?;
        if found.tag != saved.tag {
            return Err(TailError::OtherPool);
        }
        let same = found.incarnation == saved.incarnation
            && found.opened.number == saved.number
            && found.opened.first == saved.first
            && found.opened.offset == saved.ring.head
            && found.block == saved.held.head
            && found.end == saved.end
            && saved.sound(tail);
        if !same {
            return Err(TailError::Stale);
        }
        self.become_as(&found, saved);
        Ok(())
    }

    fn become_as(&mut self, found: &Found, saved: SavedLog) {
        self.tail.set_slot(found.slot);
        (self.at, self.word) = (Tail::at(found.block), self.tail.word(found.block));
        (self.held, self.ring, self.medium) = (saved.held, saved.ring, saved.medium);
        (self.tag, self.incarnation) = (saved.tag, saved.incarnation);
        (self.number, self.first, self.next) = (saved.number, saved.first, saved.next);
        self.end = saved.end;
        self.groups.clear();
        self.groups.extend(saved.groups);
        self.whole = self.groups.iter().take_while(|group| group.written).count();
        (self.handed, self.durable) = (saved.handed, saved.durable);
        self.written_through = saved.written_through;
        self.measure();
    }
}

impl SavedLog {
    /// Whether its parts agree with each other.
    fn sound(&self, region: &Region) -> bool {
        let oldest = self.number.checked_sub(self.held.groups);
        let mut numbers = (oldest.unwrap_or(u64::MAX)..).zip(&self.groups);
        let rings = self.held.sound() && self.ring.sound();
        let blocks = self.held.blocks == tail::blocks_of(region);
        rings
            && blocks
            && oldest.is_some()
            && self.held.groups == self.groups.len() as u64
            && (GROUP_HEADER..=GROUP_BYTES).contains(&self.end)
            && self.first <= self.next
            && (self.number - self.held.groups..=self.number).contains(&self.handed)
            && self.durable <= self.written_through
            && self.written_through < self.next
            && numbers.all(|(number, group)| {
                let end = group.block.checked_add(group.blocks);
                group.number == number && end.is_some_and(|end| end <= self.held.blocks)
            })
    }
}

/// The log of a dead process, from its tail and what was read of the ring.
pub(super) fn take_over(
    tail: Region,
    superblock: &Superblock,
    replay: &Replay,
    found: Found,
) -> Result<(Log, Vec<(Sequence, Record)>), TailError> {
    let end = replay.end;
    check(superblock, replay, &found)?;
    let incarnation = superblock.incarnation.max(found.incarnation);
    let incarnation = incarnation.checked_add(1).expect("a pool is opened seldom");
    let start = superblock.log_start;
    let mut ring = Ring::new(superblock.layout.log.blocks, end.offset);
    (ring.start, ring.groups) = (start.offset, end.group - start.group);
    let synced = found.closed.iter().map(|group| group.header.synced_through).max();
    let durable = synced.unwrap_or_default().max(replay.synced_through).min(replay.last());
    let mut groups = Vec::new();
    for group in &found.closed {
        let blocks = group.header.blocks();
        let (number, offset) = (group.header.number, group.header.offset);
        let last = Sequence(group.header.next().0 - 1);
        let written = number < end.group;
        if written && (last <= durable || number < start.group) {
            continue;
        }
        let group = Group { number, block: group.block, blocks, offset, last, written };
        groups.push(group);
        if written {
            continue;
        }
        let fits = offset == ring.head && blocks <= ring.free_at_head();
        if !fits {
            return Err(TailError::Damaged);
        }
        ring.push(blocks);
    }
    if ring.head != found.opened.offset {
        return Err(TailError::Damaged);
    }
    let mut held = Ring::new(tail::blocks_of(&tail), found.block);
    held.start = groups.first().map_or(found.block, |group| group.block);
    held.groups = groups.len() as u64;
    let saved = SavedLog {
        held,
        ring,
        medium: superblock.layout.log.at(),
        tag: found.tag,
        incarnation,
        number: found.opened.number,
        first: found.opened.first,
        next: Sequence(found.opened.first.0 + found.records.len() as u64),
        end: found.end,
        groups,
        handed: end.group,
        written_through: replay.last(),
        durable,
    };
    let mut log = Log::heir(tail, &saved);
    log.become_as(&found, saved);
    log.tail.set_incarnation(incarnation);
    log.tail.keep_from(log.number - log.held.groups, log.held.start);
    let kept = found.closed.into_iter().filter(|group| group.header.number >= end.group);
    let records = kept.flat_map(|group| group.records).chain(found.records);
    Ok((log, numbered(end.sequence, records)))
}

/// Whether a tail goes on where the ring ends.
fn check(superblock: &Superblock, replay: &Replay, found: &Found) -> Result<(), TailError> {
    let end = replay.end;
    if found.tag != superblock.tag() {
        return Err(TailError::OtherPool);
    }
    let used_since = found.incarnation < superblock.incarnation.max(end.incarnation);
    if used_since || found.opened.number < end.group {
        return Err(TailError::Stale);
    }
    let oldest = found.closed.first().map_or(found.opened.number, |group| group.header.number);
    if oldest > end.group {
        return Err(TailError::Gap { ring: end.group, tail: oldest });
    }
    let next = found.closed.iter().find(|group| group.header.number == end.group);
    let first = next.map_or(found.opened.first, |group| group.header.first);
    if first == end.sequence { Ok(()) } else { Err(TailError::Stale) }
}
