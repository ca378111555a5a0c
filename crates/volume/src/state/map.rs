//! The map: a block of a volume is at a new place, or nowhere any more.

use super::tree::Link;
use super::{Obstacle, STEP_ROOM, State, leaf_of};
use crate::format::page::{INDEX_ENTRIES, LEAF_ENTRIES};
use crate::format::record::Record;
use crate::frames::{Frame, Mapping, Use};
use crate::log::Log;
use crate::units::{Lba, Place, Sequence, VolumeNumber};

impl State {
    /// Makes sure that the page that maps a block is in memory and the volume's own.
    #[inline]
    pub fn writable(
        &mut self,
        volume: VolumeNumber,
        lba: Lba,
        log: &mut Log,
    ) -> Result<(), Obstacle> {
        self.own_leaf(volume, lba, log).map(|_| ())
    }

    /// A block's data is at a place that was given out, with this checksum: from now on
    /// it is the volume's. What was there before is freed, when no snapshot has it.
    #[inline]
    pub fn map(
        &mut self,
        volume: VolumeNumber,
        lba: Lba,
        place: Place,
        crc: u32,
        log: &mut Log,
    ) -> Result<Sequence, Obstacle> {
        assert!(place.is_some(), "data is somewhere");
        let frame = self.own_leaf(volume, lba, log)?;
        let by = self.set(volume, lba, frame, Mapping { place, crc }, log);
        let tree = self.tree_mut(volume).ok_or(Obstacle::Gone)?;
        tree.unmapped = tree.unmapped.checked_sub(1).expect("it was given out");
        Ok(by)
    }

    /// A block reads as zeros from now on. Nothing, when it does already.
    pub fn unmap(
        &mut self,
        volume: VolumeNumber,
        lba: Lba,
        log: &mut Log,
    ) -> Result<Option<Sequence>, Obstacle> {
        if !self.resolve(volume, lba)?.place.is_some() {
            return Ok(None);
        }
        let frame = self.own_leaf(volume, lba, log)?;
        Ok(Some(self.set(volume, lba, frame, Mapping::default(), log)))
    }

    #[inline]
    fn set(
        &mut self,
        volume: VolumeNumber,
        lba: Lba,
        frame: Frame,
        new: Mapping,
        log: &mut Log,
    ) -> Sequence {
        let (leaf, entry) = leaf_of(lba);
        let old = self.frames.mapping(frame, entry).place;
        let guard = self.tree(volume).expect("a volume of the pool").guard(leaf);
        let kept = old.is_some() && guard.0 > 0 && self.table.birth(old.extent()) <= guard;
        let record = Record::Write { volume, lba, place: new.place, crc: new.crc, old, kept };
        let by = log.append(&record);
        self.put(volume, frame, entry, old, new, kept, by);
        by
    }

    /// What a `Write` record does, live and in replay.
    #[inline]
    #[allow(clippy::too_many_arguments, reason = "these are the fields of the record")]
    pub(super) fn put(
        &mut self,
        volume: VolumeNumber,
        frame: Frame,
        entry: usize,
        old: Place,
        new: Mapping,
        kept: bool,
        by: Sequence,
    ) {
        self.frames.set_mapping(frame, entry, new, by);
        if new.place.is_some() {
            self.table.fill(new.place, by);
        }
        if old.is_some() && !kept {
            self.free(old, by);
        }
        let tree = self.tree_mut(volume).expect("a volume of the pool");
        match (old.is_some(), new.place.is_some()) {
            (false, true) => tree.mapped += 1,
            (true, false) => tree.mapped = tree.mapped.saturating_sub(1),
            _ => {}
        }
    }

    #[inline]
    fn own_leaf(
        &mut self,
        volume: VolumeNumber,
        lba: Lba,
        log: &mut Log,
    ) -> Result<Frame, Obstacle> {
        if log.room() < STEP_ROOM {
            return Err(Obstacle::LogFull);
        }
        let (leaf, _) = leaf_of(lba);
        let tree = self.tree(volume).ok_or(Obstacle::Gone)?;
        assert!(lba.0 < tree.blocks, "a block of the volume");
        let link = tree.link(leaf);
        if link.is_own() { Ok(link.frame()) } else { self.make_own(volume, leaf, log) }
    }

    /// A leaf page of the volume's own: the one that is there, a copy of a snapshot's, or
    /// a new one.
    #[cold]
    fn make_own(
        &mut self,
        volume: VolumeNumber,
        leaf: u32,
        log: &mut Log,
    ) -> Result<Frame, Obstacle> {
        let now = self.find_leaf(volume, leaf)?;
        let place = now.map_or(Place::NONE, |frame| self.frames.known(frame).place);
        let guard = self.tree(volume).ok_or(Obstacle::Gone)?.guard(leaf);
        if let Some(frame) = now
            && self.table.birth(place.extent()) > guard
        {
            self.tree_mut(volume).ok_or(Obstacle::Gone)?.set_link(leaf, Link::own(frame));
            return Ok(frame);
        }
        let index = self.own_index(volume, leaf / INDEX_ENTRIES as u32, log)?;
        if !self.make_room() {
            return Err(Obstacle::FramesFull);
        }
        // Neither page may have been given up to make room for the new one.
        let still = self.frames.find(place);
        if place.is_some() && still.is_none() {
            return Err(Obstacle::Need(super::Need { place, what: Use::Leaf, index: leaf }));
        }
        if self.frames.find(index.1) != Some(index.0) {
            return Err(Obstacle::Need(super::Need {
                place: index.1,
                what: Use::Index,
                index: leaf / INDEX_ENTRIES as u32,
            }));
        }
        let pair = self.allocate_pair(volume, log)?;
        let by = log.append(&Record::Leaf {
            volume,
            index: leaf,
            place: pair,
            copy_of: place,
            kept: true,
        });
        Ok(self.put_leaf(volume, index.0, leaf, pair, still, by))
    }

    /// What a `Leaf` record does, live and in replay.
    pub(super) fn put_leaf(
        &mut self,
        volume: VolumeNumber,
        index: Frame,
        leaf: u32,
        place: Place,
        copy_of: Option<Frame>,
        by: Sequence,
    ) -> Frame {
        let frame = self.new_page(place, Use::Leaf, leaf, copy_of, by);
        self.frames.set_leaf_place(index, leaf as usize % INDEX_ENTRIES, place, by);
        self.tree_mut(volume).expect("a volume of the pool").set_link(leaf, Link::own(frame));
        frame
    }

    /// A page in two places that were just given out, with the content of another.
    fn new_page(
        &mut self,
        place: Place,
        what: Use,
        number: u32,
        copy_of: Option<Frame>,
        by: Sequence,
    ) -> Frame {
        self.forget_page(place);
        self.table.fill(place, by);
        self.table.fill(place.plus(1), by);
        let frame = self.frames.add(place, what, number).expect("room was made");
        if let Some(from) = copy_of {
            self.frames.copy(from, frame);
        }
        self.frames.changed(frame, by);
        frame
    }

    /// An index page of the volume's own.
    fn own_index(
        &mut self,
        volume: VolumeNumber,
        index: u32,
        log: &mut Log,
    ) -> Result<(Frame, Place), Obstacle> {
        let now = self.find_index(volume, index)?;
        let place = now.map_or(Place::NONE, |frame| self.frames.known(frame).place);
        let shared = self.tree(volume).ok_or(Obstacle::Gone)?.shared_up_to;
        if let Some(frame) = now
            && self.table.birth(place.extent()) > shared
        {
            return Ok((frame, place));
        }
        if !self.make_room() {
            return Err(Obstacle::FramesFull);
        }
        let still = self.frames.find(place);
        if place.is_some() && still.is_none() {
            return Err(Obstacle::Need(super::Need { place, what: Use::Index, index }));
        }
        let pair = self.allocate_pair(volume, log)?;
        let by =
            log.append(&Record::Index { volume, index, place: pair, copy_of: place, kept: true });
        Ok((self.put_index(volume, index, pair, still, by), pair))
    }

    /// What an `Index` record does, live and in replay.
    pub(super) fn put_index(
        &mut self,
        volume: VolumeNumber,
        index: u32,
        place: Place,
        copy_of: Option<Frame>,
        by: Sequence,
    ) -> Frame {
        let frame = self.new_page(place, Use::Index, index, copy_of, by);
        self.directory_is_news = true;
        let entry = self.directory.entries.get_mut(&volume).expect("a volume of the pool");
        let at = index as usize;
        if entry.indexes.len() <= at {
            entry.indexes.resize(at + 1, Place::NONE);
        }
        entry.indexes[at] = place;
        frame
    }

    /// The last block that a leaf page maps, for the sizes of volumes.
    pub fn most_blocks() -> u32 {
        u32::MAX - LEAF_ENTRIES as u32
    }
}
