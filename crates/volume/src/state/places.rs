//! Places: given out, given back, freed, and usable again.

use std::collections::VecDeque;

use super::freed::Pending;
use super::{CHANGES, Obstacle, RESERVE, STEP_ROOM, State};
use crate::format::record::Record;
use crate::log::Log;
use crate::table::{bit, first_run, run_mask};
use crate::units::{EXTENT_BLOCKS, Epoch, ExtentIndex, Origin, Place, Sequence, VolumeNumber};

/// Usable blocks that make an extent worth listing. While free extents are few, those
/// with fewer are looked for in the table.
const HOLES_LEAST: u32 = 4;
/// So many more places must have become usable before the table is looked through again.
const LOOK_AGAIN: u64 = 64;

/// Neighbouring blocks that were given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first of them.
    pub place: Place,
    /// How many; all in one extent.
    pub blocks: u32,
    /// Who owns them: what their checksum is seeded with, and whose key they are under.
    pub origin: Origin,
    /// Since when.
    pub birth: Epoch,
}

impl State {
    /// Gives neighbouring blocks out, at least one and at most `most`. Each is to be
    /// mapped or given back.
    #[inline]
    pub fn allocate(
        &mut self,
        volume: VolumeNumber,
        most: u32,
        log: &mut Log,
    ) -> Result<Run, Obstacle> {
        assert!(most > 0, "at least one block");
        let tree = self.tree(volume).ok_or(Obstacle::Gone)?;
        assert!(tree.origin != Origin(0), "only volumes are written");
        let open = tree.data.map(|extent| (extent, self.table.usable(extent)));
        let (extent, usable) = match open {
            Some((extent, usable)) if usable != 0 => (extent, usable),
            _ => self.next_extent(volume, false, log)?,
        };
        let (start, blocks) =
            first_run(usable, most.min(EXTENT_BLOCKS)).expect("something is usable");
        self.table.hold(extent, run_mask(start, blocks));
        let (origin, birth) = (self.table.origin(extent), self.table.birth(extent));
        self.tree_mut(volume).expect("it was there").unmapped += blocks;
        Ok(Run { place: extent.first().plus(start), blocks, origin, birth })
    }

    /// Whether free places are so few that those for changes are kept back from what is
    /// new.
    #[inline]
    pub fn is_low(&self) -> bool {
        self.table.free_extents() <= (RESERVE + CHANGES).min(self.table.data_extents() / 8)
    }

    /// As [`State::allocate`], for blocks that hold nothing yet: refused while the last
    /// free places are needed to change what is there. For when [`State::is_low`].
    pub fn allocate_new(
        &mut self,
        volume: VolumeNumber,
        most: u32,
        log: &mut Log,
    ) -> Result<Run, Obstacle> {
        let open = self.tree(volume).ok_or(Obstacle::Gone)?.data;
        let usable = open.is_some_and(|extent| self.table.usable(extent) != 0);
        if !usable && self.is_low() && self.extent_with_holes(volume).is_none() {
            return Err(Obstacle::Full);
        }
        self.allocate(volume, most, log)
    }

    /// Gives back what was given out and is not used.
    pub fn give_back(&mut self, volume: VolumeNumber, run: Run) {
        self.table.let_go(run.place.extent(), run_mask(run.place.within(), run.blocks));
        if let Some(tree) = self.tree_mut(volume) {
            tree.unmapped = tree.unmapped.checked_sub(run.blocks).expect("it was given out");
        }
    }

    /// Two neighbouring blocks for a page, the first at an even place.
    pub(super) fn allocate_pair(
        &mut self,
        volume: VolumeNumber,
        log: &mut Log,
    ) -> Result<Place, Obstacle> {
        let pair =
            |usable: u16| (0..EXTENT_BLOCKS).step_by(2).find(|at| usable >> at & 0b11 == 0b11);
        let open = self.tree(volume).ok_or(Obstacle::Gone)?.pages;
        let open = open.and_then(|extent| pair(self.table.usable(extent)).map(|at| (extent, at)));
        let (extent, at) = match open {
            Some(open) => open,
            None => (self.next_extent(volume, true, log)?.0, 0),
        };
        Ok(extent.first().plus(at))
    }

    /// The next extent that a volume fills: one of its own with holes, when there are
    /// many of those or free ones are few; else a free one, which keeps neighbours together.
    fn next_extent(
        &mut self,
        volume: VolumeNumber,
        pages: bool,
        log: &mut Log,
    ) -> Result<(ExtentIndex, u16), Obstacle> {
        if log.room() < STEP_ROOM {
            return Err(Obstacle::LogFull);
        }
        if !pages
            && self.prefers_holes(volume)
            && let Some(found) = self.extent_with_holes(volume)
        {
            return Ok(found);
        }
        let reserve = if pages { 0 } else { RESERVE.min(self.table.data_extents() / 16) };
        if self.table.free_extents() <= reserve {
            return Err(Obstacle::Full);
        }
        let extent = self.table.find_free().ok_or(Obstacle::Full)?;
        let (origin, birth) =
            (self.tree(volume).ok_or(Obstacle::Gone)?.origin, self.directory.epoch);
        let by = log.append(&Record::Claim { extent, origin, birth, pages });
        self.table.claim(extent, origin, birth, pages, by);
        let tree = self.tree_mut(volume).ok_or(Obstacle::Gone)?;
        *(if pages { &mut tree.pages } else { &mut tree.data }) = Some(extent);
        Ok((extent, u16::MAX))
    }

    /// A volume that is changed at random leaves holes behind. It uses them before they
    /// are more than an eighth of what it holds.
    fn prefers_holes(&self, volume: VolumeNumber) -> bool {
        let known =
            self.tree(volume).map_or(0, |tree| tree.holes.len() as u64 * u64::from(HOLES_LEAST));
        known * 8 >= u64::from(self.mapped(volume)).max(u64::from(EXTENT_BLOCKS))
            || self.few_are_free()
    }
    /// Whether less than an eighth of the pool is free.
    fn few_are_free(&self) -> bool {
        self.table.free_extents() <= self.table.data_extents() / 8
    }

    fn extent_with_holes(&mut self, volume: VolumeNumber) -> Option<(ExtentIndex, u16)> {
        let (reclaimed, few) = (self.reclaimed, self.few_are_free());
        let tree = self.tree_mut(volume)?;
        let news = tree.holes_unknown || reclaimed >= tree.looked_at + LOOK_AGAIN;
        if few && tree.holes.is_empty() && news {
            (tree.holes_unknown, tree.looked_at) = (false, reclaimed);
            self.find_holes(volume)?;
        }
        loop {
            let tree = self.tree_mut(volume)?;
            let extent = tree.holes.pop_front()?;
            let (origin, shared) = (tree.origin, tree.shared_up_to);
            self.table.mark_hole(extent, false);
            let fits = self.table.origin(extent) == origin
                && self.table.birth(extent) > shared
                && !self.table.holds_pages(extent);
            let usable = self.table.usable(extent);
            if fits && usable != 0 {
                self.tree_mut(volume)?.data = Some(extent);
                return Some((extent, usable));
            }
        }
    }

    /// Looks through the table for a volume's extents with holes: after a restart, and
    /// when a snapshot is gone.
    fn find_holes(&mut self, volume: VolumeNumber) -> Option<()> {
        let tree = self.tree(volume)?;
        let (origin, shared) = (tree.origin, tree.shared_up_to);
        let (first, last) = (self.table.first().0, self.table.extents());
        let fits = |extent: &ExtentIndex| {
            self.table.origin(*extent) == origin
                && self.table.birth(*extent) > shared
                && !self.table.holds_pages(*extent)
                && self.table.usable(*extent) != 0
                && !tree.fills(*extent)
        };
        let holes: VecDeque<_> = (first..last).map(ExtentIndex).filter(fits).collect();
        for extent in &holes {
            self.table.mark_hole(*extent, true);
        }
        self.tree_mut(volume)?.holes = holes;
        Some(())
    }

    /// A place holds nothing any more. It is usable again when this is durable.
    #[inline]
    pub(super) fn free(&mut self, place: Place, by: Sequence) {
        self.table.clear(place, by);
        if let Some(freed) = &mut self.replaying {
            freed.push((place, by));
            return;
        }
        self.table.hold(place.extent(), bit(place));
        self.waits(Pending { by, ticket: self.ticket, place });
    }

    /// A place that is held is not usable for a while.
    #[inline]
    pub(super) fn waits(&mut self, freed: Pending) {
        let pages = self.table.holds_pages(freed.place.extent());
        if pages { self.freed_pages.push(freed) } else { self.freed.push(freed) }
    }

    /// Freed places become usable, as far as the log is durable and reads have ended; of
    /// pages, as far as no replay needs them: one would begin with the record `replayed`.
    /// `oldest_read` is the ticket of the oldest read in flight ([`State::begin_read`]);
    /// the highest number when there is none.
    pub fn reclaim(
        &mut self,
        durable: Sequence,
        replayed: Sequence,
        oldest_read: u64,
        log: &mut Log,
    ) {
        while let Some(first) = self.freed.first()
            && first.by <= durable
            && first.ticket < oldest_read
            && log.room() >= STEP_ROOM
        {
            self.freed.pop();
            self.usable_again(first.place, log);
        }
        while let Some(first) = self.freed_pages.first()
            && first.by < replayed
            && first.ticket < oldest_read
            && log.room() >= STEP_ROOM
        {
            self.freed_pages.pop();
            self.usable_again(first.place, log);
        }
    }
    fn usable_again(&mut self, place: Place, log: &mut Log) {
        assert!(!self.table.is_valid(place), "what is written again holds nothing");
        self.reclaimed += 1;
        self.table.let_go(place.extent(), bit(place));
        self.settle_extent(place.extent(), log);
    }
    /// Whether something was freed and is not usable yet.
    pub fn has_pending(&self) -> bool {
        self.pending() != 0
    }
    /// How many places were freed and are not usable yet.
    pub fn pending(&self) -> usize {
        self.freed.len() + self.freed_pages.len()
    }
    /// Whether nothing becomes usable before a checkpoint is committed.
    pub fn waits_for_checkpoint(&self, replayed: Sequence) -> bool {
        self.freed.len() == 0 && self.needs_checkpoint(replayed)
    }
    /// Whether a checkpoint would make something usable, now or in steps: places of pages,
    /// and what a deleted volume had.
    pub fn needs_checkpoint(&self, replayed: Sequence) -> bool {
        let pages = self.freed_pages.first().is_some_and(|freed| freed.by >= replayed);
        pages
            || self
                .leaving
                .iter()
                .any(|(number, since)| *since >= replayed && self.is_volume(*number))
    }

    /// Something in an extent became usable: it is free now, or has a hole.
    fn settle_extent(&mut self, extent: ExtentIndex, log: &mut Log) {
        let origin = self.table.origin(extent);
        let usable = self.table.usable(extent);
        let empty = usable == u16::MAX;
        let listed = self.table.is_hole(extent) || usable.count_ones() < HOLES_LEAST;
        if origin == Origin(0) || (!empty && listed) {
            return;
        }
        let owner = self.directory.origins.get(&origin).map(|origin| origin.volume);
        let tree = owner.and_then(|owner| self.tree_mut(owner));
        if tree.as_ref().is_some_and(|tree| tree.fills(extent)) {
            return;
        }
        if empty {
            let nobody = Record::Claim { extent, origin: Origin(0), birth: Epoch(0), pages: false };
            let by = log.append(&nobody);
            self.table.claim(extent, Origin(0), Epoch(0), false, by);
        } else if let Some(tree) = tree {
            tree.holes.push_back(extent);
            self.table.mark_hole(extent, true);
        }
    }
}
