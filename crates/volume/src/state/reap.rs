//! What goes away, goes in steps.
//!
//! A volume owns its extents: the table is swept for them. A snapshot shares; what is
//! its own alone was born after the snapshot before it and is not in what came after
//! it. Pages that both have at the same place need no look.

use super::freed::Pending;
use super::{Need, STEP_ROOM, State, leaves_of};
use crate::directory::{Change, Kind};
use crate::format::page::LEAF_ENTRIES;
use crate::format::record::Record;
use crate::frames::Frame;
use crate::log::Log;
use crate::units::{EXTENT_BLOCKS, Epoch, ExtentIndex, Origin, Place, Sequence, VolumeNumber};

/// Leaf pages that are looked at in one step, when none of them differs.
const LEAVES_A_STEP: u32 = 256;
/// Index pages that are looked at in one step.
const INDEXES_A_STEP: usize = 256;
/// Extents that are looked at in one step.
const EXTENTS_A_STEP: u32 = 4096;
/// Extents that are given free in one step.
const FREED_A_STEP: usize = 128;

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reap {
    /// Nothing goes away, or nothing can at the moment.
    Idle,
    /// Something was done: come again.
    Worked,
    /// This page is needed first.
    Need(Need),
    /// The map contradicts itself: what goes away has this place, and it is not in use.
    Damaged(Place),
}

/// Why a step cannot be done.
enum Halt {
    Need(Need),
    Damaged(Place),
}

impl From<Need> for Halt {
    fn from(need: Need) -> Self {
        Halt::Need(need)
    }
}

impl State {
    /// Does a step for what goes away. What was asked to go is left alone until that is
    /// durable; a volume until no replay, which would begin with the record `replayed`,
    /// needs its pages any more: its extents become others' at once.
    pub fn reap(&mut self, durable: Sequence, replayed: Sequence, log: &mut Log) -> Reap {
        let ready = |(number, since): &&(VolumeNumber, Sequence)| {
            if self.is_volume(*number) {
                // Its snapshots go first: they look at its pages.
                *since < replayed && self.directory.snapshots(*number).next().is_none()
            } else {
                *since <= durable
            }
        };
        let Some((number, since)) = self.leaving.iter().find(ready).copied() else {
            return Reap::Idle;
        };
        // What it freed before must not wait any more, for the same reason.
        let before = |freed: Option<Pending>| freed.is_some_and(|freed| freed.by <= since);
        let waits = before(self.freed.first())
            || self.is_volume(number) && before(self.freed_pages.first());
        // A checkpoint writes the pages that were there when it began.
        if waits || self.running.is_some() || log.room() < 4 * STEP_ROOM {
            return Reap::Idle;
        }
        let done = match self.directory.entries.get(&number).map(|entry| &entry.kind) {
            Some(Kind::Volume { .. }) => Ok(self.sweep(number, log)),
            Some(Kind::Snapshot { .. }) => self.compare(number, log),
            None => Ok(true),
        };
        match done {
            Err(Halt::Need(need)) => Reap::Need(need),
            Err(Halt::Damaged(place)) => Reap::Damaged(place),
            Ok(false) => Reap::Worked,
            Ok(true) => {
                self.leaving.retain(|(one, _)| *one != number);
                Reap::Worked
            }
        }
    }
    pub(super) fn is_volume(&self, number: VolumeNumber) -> bool {
        self.directory.entries.get(&number).is_some_and(crate::directory::Entry::is_volume)
    }
    /// Whether something goes away.
    pub fn is_reaping(&self) -> bool {
        !self.leaving.is_empty()
    }

    fn note(&mut self, change: &Change, log: &mut Log) {
        self.free_and_note(&[], change, log);
    }

    /// Frees places, and says what that was a step of. Both are done or neither, whatever
    /// happens: a step that is done again would free what is somebody else's by then.
    fn free_and_note(&mut self, places: &[(Place, bool)], change: &Change, log: &mut Log) {
        let bytes = serde_json::to_vec(change).expect("a change is plain data");
        let each =
            places.iter().map(|(place, pages)| Record::Free { place: *place, pages: *pages });
        let records: Vec<_> = each.chain([Record::Change(bytes)]).collect();
        let mut by = log.append_together(&records);
        for (place, pages) in places {
            self.freed(*place, *pages, by);
            by = by.next();
        }
        self.applied(change, by);
    }

    /// Gives extents of a volume free. Whether all are.
    fn sweep(&mut self, number: VolumeNumber, log: &mut Log) -> bool {
        let origins: Vec<_> = self.directory.origins_of(number).collect();
        let mut freed = 0;
        let start = self.sweep.max(self.table.first().0);
        let end = start.saturating_add(EXTENTS_A_STEP).min(self.table.extents());
        for extent in (start..end).map(ExtentIndex) {
            self.sweep = extent.0;
            if freed == FREED_A_STEP || log.room() < 4 * STEP_ROOM {
                return false;
            }
            if origins.contains(&self.table.origin(extent)) {
                let by = log.append(&Record::Claim {
                    extent,
                    origin: Origin(0),
                    birth: Epoch(0),
                    pages: false,
                });
                self.claimed(extent, Origin(0), Epoch(0), false, by);
                freed += 1;
            }
        }
        self.sweep = end;
        if end < self.table.extents() {
            return false;
        }
        self.sweep = 0;
        for origin in origins {
            self.note(&Change::Forget { origin }, log);
        }
        self.note(&Change::Gone { number }, log);
        true
    }

    /// What a `Claim` record does, live and in replay.
    pub(super) fn claimed(
        &mut self,
        extent: ExtentIndex,
        origin: Origin,
        birth: Epoch,
        pages: bool,
        by: Sequence,
    ) {
        // In a replay the table may be from later: it does not know what was there.
        if self.table.holds_pages(extent) || self.replaying.is_some() {
            for at in (0..EXTENT_BLOCKS).step_by(2) {
                self.forget_page(extent.first().plus(at));
            }
        }
        // What is still waiting to become usable again is nobody's now.
        self.table.claim(extent, origin, birth, pages, by);
    }

    /// Compares leaf pages of a snapshot with those of what came after it. Whether all
    /// are compared.
    fn compare(&mut self, number: VolumeNumber, log: &mut Log) -> Result<bool, Halt> {
        let entry = self.directory.entries.get(&number).expect("it goes away");
        let leaves = leaves_of(entry.blocks);
        let Some(start) = entry.leaving.unwrap_or(0).checked_sub(1) else {
            // Before anything of it is freed the log says that it has begun.
            self.note(&Change::Leaving { number, leaf: 0 }, log);
            return Ok(false);
        };
        let (before, after) = self.directory.neighbours(number).expect("it is a snapshot");
        let end = start.saturating_add(LEAVES_A_STEP).min(leaves);
        for leaf in start..end {
            let (own, other) = (self.leaf_place(number, leaf)?, self.leaf_place(after, leaf)?);
            if own != other && own.is_some() {
                let places = self.compare_leaf(number, after, leaf, before)?;
                let done = Change::Leaving { number, leaf: leaf + 1 };
                self.free_and_note(&places, &done, log);
                return Ok(false);
            }
        }
        if end < leaves {
            self.note(&Change::Leaving { number, leaf: end }, log);
            return Ok(false);
        }
        // What is counted on after the leaf pages are the index pages.
        self.free_indexes(number, after, before, start.max(leaves) - leaves, log)
    }

    /// What of a leaf page of a snapshot is its own alone, the page itself included: places,
    /// and whether they are of pages.
    fn compare_leaf(
        &mut self,
        number: VolumeNumber,
        after: VolumeNumber,
        leaf: u32,
        before: Epoch,
    ) -> Result<Vec<(Place, bool)>, Halt> {
        let mut places = Vec::new();
        let Some(own) = self.find_leaf(number, leaf)? else { return Ok(places) };
        let other = self.find_leaf(after, leaf)?;
        let page = self.frames.known(own).place;
        for entry in 0..LEAF_ENTRIES {
            let place = self.frames.mapping(own, entry).place;
            let still = other.map_or(Place::NONE, |other| self.frames.mapping(other, entry).place);
            if place.is_some() && place != still && self.is_own(place, before)? {
                places.push((place, false));
            }
        }
        if self.is_own(page, before)? {
            places.push((page, true));
        }
        Ok(places)
    }

    /// Frees index pages of a snapshot that what came after it does not have, from one on.
    /// Whether all are done: then it is gone.
    fn free_indexes(
        &mut self,
        number: VolumeNumber,
        after: VolumeNumber,
        before: Epoch,
        from: u32,
        log: &mut Log,
    ) -> Result<bool, Halt> {
        let other = self
            .directory
            .entries
            .get(&after)
            .map(|entry| entry.indexes.clone())
            .unwrap_or_default();
        let own = self
            .directory
            .entries
            .get(&number)
            .map(|entry| entry.indexes.clone())
            .unwrap_or_default();
        let own = own.into_iter().enumerate();
        let left: Vec<_> = own.skip(from as usize).take(INDEXES_A_STEP + 1).collect();
        let mut places = Vec::new();
        for (at, place) in left.iter().take(INDEXES_A_STEP) {
            let shared = other.get(*at) == Some(place);
            if place.is_some() && !shared && self.is_own(*place, before)? {
                places.push((*place, true));
            }
        }
        let all = left.len() <= INDEXES_A_STEP;
        let leaves = self.directory.entries.get(&number).map_or(0, |entry| leaves_of(entry.blocks));
        let leaf = leaves + from + INDEXES_A_STEP as u32;
        let done = if all { Change::Gone { number } } else { Change::Leaving { number, leaf } };
        self.free_and_note(&places, &done, log);
        Ok(all)
    }

    /// Whether a place that a snapshot has, and what came after it has not, is in no
    /// snapshot before it either. Then it is in use: if not, the map is damaged.
    fn is_own(&self, place: Place, before: Epoch) -> Result<bool, Halt> {
        if !self.layout.extents().contains(&place.extent().0) {
            return Err(Halt::Damaged(place));
        }
        let own = self.table.birth(place.extent()) > before;
        if own && !self.table.is_valid(place) { Err(Halt::Damaged(place)) } else { Ok(own) }
    }

    /// What a `Free` record does, live and in replay.
    pub(super) fn freed(&mut self, place: Place, pages: bool, by: Sequence) {
        self.free(place, by);
        if pages {
            self.forget_page(place);
            self.free(place.plus(1), by);
        }
    }

    /// What the removal of an entry does at once: it cannot be used any more, and the
    /// keys of a volume are gone.
    pub(super) fn begin_to_leave(&mut self, number: VolumeNumber, by: Sequence) -> VolumeNumber {
        let entry = self.directory.entries.get_mut(&number).expect("it was checked");
        entry.leaving = Some(0);
        let is_volume = entry.is_volume();
        for origin in self
            .directory
            .origins
            .values_mut()
            .filter(|origin| is_volume && origin.volume == number)
        {
            origin.key = None;
        }
        if let Some(tree) = self.tree_mut(number) {
            tree.leaving = true;
            (tree.data, tree.pages) = (None, None);
            tree.links = Vec::new();
        }
        self.leaving.push((number, by));
        number
    }

    /// What it does that leaf pages of a leaving snapshot are done.
    pub(super) fn leave_up_to(&mut self, number: VolumeNumber, leaf: u32) -> VolumeNumber {
        if let Some(entry) = self.directory.entries.get_mut(&number) {
            entry.leaving = Some(leaf + 1);
        }
        if let Some((before, after)) = self.directory.neighbours(number) {
            let is_volume =
                self.directory.entries.get(&after).is_some_and(crate::directory::Entry::is_volume);
            if let Some(tree) = self.tree_mut(after).filter(|_| is_volume) {
                tree.passed = Some((leaf, before));
            }
        }
        number
    }

    /// What it does that an entry is gone.
    pub(super) fn gone(&mut self, number: VolumeNumber, by: Sequence) -> VolumeNumber {
        let entry = self.directory.entries.remove(&number).expect("it was there");
        self.trees[number.0 as usize] = None;
        if let Kind::Snapshot { of, .. } = entry.kind {
            // What it freed lies in extents of the volume. If that goes away too, it waits
            // for those places: its extents become others' at once.
            for (_, since) in self.leaving.iter_mut().filter(|(one, _)| *one == of) {
                *since = by.max(*since);
            }
            let shared = self.directory.shared_up_to(of);
            if let Some(tree) = self.tree_mut(of) {
                tree.shared_up_to = shared;
                tree.passed = None;
                tree.holes_unknown = true;
            }
        }
        number
    }

    /// Whether a page is in memory, for tests and statistics.
    pub fn has_page(&self, place: Place) -> bool {
        self.frames.find(place).unwrap_or(Frame::NONE) != Frame::NONE
    }
}
