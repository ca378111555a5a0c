//! Where a block is. What is not in memory must be read first: the caller reads the
//! page and asks again.

use thiserror::Error;

use super::tree::Link;
use super::{State, leaf_of};
use crate::directory::ChangeError;
use crate::format::FormatError;
use crate::format::page::{self, INDEX_ENTRIES, LEAF_ENTRIES};
use crate::frames::{Frame, Mapping, Use};
use crate::units::{BLOCK, Lba, Place, VolumeNumber};

/// A page of the map that is not in memory. Both of its sides, 8 KiB at `place`, are
/// read and handed to [`State::install`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Need {
    /// Where it is.
    pub place: Place,
    /// What it is for.
    pub what: Use,
    /// Its number among the pages of its volume.
    pub index: u32,
}

/// Why a page that was read is not taken.
#[derive(Debug, Error)]
pub enum InstallError {
    /// It is damaged.
    #[error("the page of the map at block {place} is damaged: {source}")]
    Damaged {
        /// Where.
        place: u32,
        /// How.
        source: FormatError,
    },
    /// There is nothing, where a page must be.
    #[error("the page of the map at block {0} was never written")]
    Missing(u32),
    /// No other page can be given up before a checkpoint is done.
    #[error("all pages in memory differ from the medium")]
    FramesFull,
}

impl State {
    /// Where a block of a volume or snapshot is. The volume must be there, and the block in it.
    #[inline]
    pub fn resolve(&mut self, volume: VolumeNumber, lba: Lba) -> Result<Mapping, Need> {
        let (leaf, entry) = leaf_of(lba);
        let tree = self.tree(volume).expect("a volume of the pool");
        assert!(lba.0 < tree.blocks, "a block of the volume");
        let frame = tree.link(leaf).frame();
        if frame != Frame::NONE {
            return Ok(self.frames.mapping(frame, entry));
        }
        Ok(self
            .find_leaf(volume, leaf)?
            .map_or_else(Mapping::default, |frame| self.frames.mapping(frame, entry)))
    }

    /// Brings the entry of the map near that says where a block is.
    #[inline]
    pub fn bring_entry(&self, volume: VolumeNumber, lba: Lba) {
        let (leaf, entry) = leaf_of(lba);
        let frame = self.tree(volume).map_or(Frame::NONE, |tree| tree.link(leaf).frame());
        if frame != Frame::NONE {
            self.frames.bring(frame, entry);
        }
    }
    /// Where a block is, as far as that is quickly known.
    #[inline]
    pub fn probably(&self, volume: VolumeNumber, lba: Lba) -> Option<Place> {
        let (leaf, entry) = leaf_of(lba);
        let frame = self.tree(volume)?.link(leaf).frame();
        let place = (frame != Frame::NONE).then(|| self.frames.mapping(frame, entry).place)?;
        place.is_some().then_some(place)
    }
    /// Brings what is known of the extent of a place near.
    #[inline]
    pub fn bring_extent(&self, place: Place) {
        self.table.bring(place.extent());
    }

    /// The first block at or after `lba`, and before `end`, that may hold something.
    /// Skips what has no page.
    pub fn next_mapped(
        &mut self,
        volume: VolumeNumber,
        lba: Lba,
        end: Lba,
    ) -> Result<Option<Lba>, Need> {
        let mut lba = lba;
        while lba < end {
            let (leaf, entry) = leaf_of(lba);
            let Some(frame) = self.find_leaf(volume, leaf)? else {
                lba = Lba((leaf + 1).saturating_mul(LEAF_ENTRIES as u32));
                continue;
            };
            let most = LEAF_ENTRIES.min(entry + (end.0 - lba.0) as usize);
            let found =
                (entry..most).find(|entry| self.frames.mapping(frame, *entry).place.is_some());
            if let Some(found) = found {
                return Ok(Some(lba.plus((found - entry) as u32)));
            }
            lba = lba.plus((most - entry) as u32);
        }
        Ok(None)
    }

    /// Whether a block before `end` holds something, how many blocks from it on are
    /// like it for sure, and how many were looked at: not more than one page maps.
    pub fn run(
        &mut self,
        volume: VolumeNumber,
        lba: Lba,
        end: Lba,
    ) -> Result<(bool, u32, u32), Need> {
        let (leaf, entry) = leaf_of(lba);
        let most = LEAF_ENTRIES.min(entry + (end.0 - lba.0) as usize);
        let Some(frame) = self.find_leaf(volume, leaf)? else {
            return Ok((false, (most - entry) as u32, 1));
        };
        let holds = |entry| self.frames.mapping(frame, entry).place.is_some();
        let first = holds(entry);
        let same = (entry..most).take_while(|entry| holds(*entry) == first).count() as u32;
        Ok((first, same, same))
    }

    /// The frame of a leaf page; nothing when the volume has none there.
    pub(super) fn find_leaf(
        &mut self,
        volume: VolumeNumber,
        leaf: u32,
    ) -> Result<Option<Frame>, Need> {
        let linked = self.tree(volume).expect("a volume of the pool").link(leaf).frame();
        if linked != Frame::NONE {
            self.frames.touched(linked);
            return Ok(Some(linked));
        }
        let place = self.leaf_place(volume, leaf)?;
        if !place.is_some() {
            return Ok(None);
        }
        let frame = self.frames.find(place).ok_or(Need { place, what: Use::Leaf, index: leaf })?;
        self.frames.touched(frame);
        self.tree_mut(volume).expect("a volume of the pool").set_link(leaf, Link::shared(frame));
        Ok(Some(frame))
    }

    /// Where a leaf page is, by the index pages.
    pub(super) fn leaf_place(&mut self, volume: VolumeNumber, leaf: u32) -> Result<Place, Need> {
        match self.find_index(volume, leaf / INDEX_ENTRIES as u32)? {
            Some(frame) => Ok(self.frames.leaf_place(frame, leaf as usize % INDEX_ENTRIES)),
            None => Ok(Place::NONE),
        }
    }

    /// The frame of an index page; nothing when the volume has none there.
    pub(super) fn find_index(
        &mut self,
        volume: VolumeNumber,
        index: u32,
    ) -> Result<Option<Frame>, Need> {
        let entry = self.directory.entries.get(&volume).expect("a volume of the pool");
        let place = entry.indexes.get(index as usize).copied().unwrap_or_default();
        if !place.is_some() {
            return Ok(None);
        }
        let frame = self.frames.find(place).ok_or(Need { place, what: Use::Index, index })?;
        self.frames.touched(frame);
        Ok(Some(frame))
    }

    /// Takes a page that was needed. Harmless when it came in the meantime.
    pub fn install(&mut self, need: Need, pair: &[u8; 2 * BLOCK]) -> Result<(), InstallError> {
        if self.frames.find(need.place).is_some() {
            return Ok(());
        }
        let damaged = |source| InstallError::Damaged { place: need.place.0, source };
        let expect = page::Expect { kind: page_kind(need.what), place: need.place };
        let side = page::choose(pair, self.generation, expect).map_err(damaged)?;
        let side = side.ok_or(InstallError::Missing(need.place.0))?;
        if !self.make_room() {
            return Err(InstallError::FramesFull);
        }
        let frame = self.frames.add(need.place, need.what, need.index).expect("room was made");
        let second = side == page::Side::Second;
        let from = if second { &pair[BLOCK..] } else { &pair[..BLOCK] };
        self.frames.page_mut(frame).copy_from_slice(from);
        self.frames.loaded(frame, second);
        Ok(())
    }

    /// Makes sure that a frame is free, by giving a clean page up.
    pub(super) fn make_room(&mut self) -> bool {
        if self.frames.has_free() {
            return true;
        }
        match self.frames.victim() {
            Some(place) => {
                self.forget_page(place);
                true
            }
            None => false,
        }
    }

    /// Takes a page out of memory.
    pub(super) fn forget_page(&mut self, place: Place) {
        if let Some((frame, known)) = self.frames.drop_page(place)
            && known.what == Use::Leaf
        {
            for tree in self.trees.iter_mut().flatten() {
                tree.unlink(known.index, frame);
            }
        }
    }

    /// Whether a volume or snapshot is there.
    pub fn check(&self, volume: VolumeNumber) -> Result<(), ChangeError> {
        self.known(volume)
    }
}

pub(super) fn page_kind(what: Use) -> page::PageKind {
    match what {
        Use::Leaf => page::PageKind::Leaf,
        Use::Index => page::PageKind::Index,
    }
}
