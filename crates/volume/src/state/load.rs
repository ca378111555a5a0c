//! After a restart: the committed checkpoint, and the log from its position on.

use thiserror::Error;

use super::freed::Pending;
use super::resolve::{InstallError, page_kind};
use super::{Need, State};
use crate::directory::{Change, DIRECTORY_VERSION, Directory};
use crate::format::FormatError;
use crate::format::layout::Layout;
use crate::format::page::{self, INDEX_ENTRIES};
use crate::format::record::Record;
use crate::frames::{Frame, Frames, Mapping, Use};
use crate::memory::Region;
use crate::request::MediumFault;
use crate::table::Table;
use crate::units::{BLOCK, EXTENT_BLOCKS, ExtentIndex, Lba, Origin, Place, Sequence, VolumeNumber};

use super::leaf_of;

/// Reads bytes of the medium: from where, into what.
pub type Read<'a> = dyn FnMut(u64, &mut [u8]) -> Result<(), MediumFault> + 'a;

/// Why a pool cannot be opened.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The medium failed.
    #[error("the medium could not be read: {0}")]
    Medium(#[from] MediumFault),
    /// The directory is not one.
    #[error("the directory of the pool cannot be read: {0}")]
    Directory(serde_json::Error),
    /// It was written by a later program.
    #[error(
        "the directory has version {0}; this program reads up to {DIRECTORY_VERSION}: use the newer one"
    )]
    Version(u32),
    /// A page of the extent table is damaged.
    #[error("page {0} of the extent table is damaged: {1}")]
    Table(u32, FormatError),
    /// A page of the map is damaged or missing.
    #[error(transparent)]
    Page(#[from] InstallError),
    /// The log says what cannot be.
    #[error("record {0:?} of the log does not fit the pool: {1}")]
    Record(Sequence, &'static str),
}

impl State {
    /// Loads the committed checkpoint. The regions are as for [`State::fresh`].
    pub fn load(
        layout: Layout,
        generation: u64,
        directory: &[u8],
        frames: Region,
        mut extents: Region,
        read: &mut Read<'_>,
    ) -> Result<Self, LoadError> {
        let directory: Directory =
            serde_json::from_slice(directory).map_err(LoadError::Directory)?;
        if directory.version > DIRECTORY_VERSION {
            return Err(LoadError::Version(directory.version));
        }
        let length = extents.len();
        extents.bytes_mut(0, length).fill(0);
        let mut table = Table::new(extents, layout.end.0 * EXTENT_BLOCKS, layout.data);
        let mut pair = [0; 2 * BLOCK];
        for number in 0..layout.table_pages() {
            let place = layout.table_place(number);
            read(place.bytes(), &mut pair)?;
            let expect = page::Expect { kind: page::PageKind::Table, place };
            let side = page::choose(&pair, generation, expect)
                .map_err(|error| LoadError::Table(number, error))?;
            if let Some(side) = side {
                let second = side == page::Side::Second;
                let half = if second { &pair[BLOCK..] } else { &pair[..BLOCK] };
                table.install(number, half.try_into().expect("half of a pair"), second);
            }
        }
        table.count();
        let mut state = Self::with(layout, directory, table, Frames::new(frames), generation);
        state.replaying = Some(Vec::new());
        let leaving = |(number, entry): (&VolumeNumber, &crate::directory::Entry)| {
            entry.leaving.map(|_| (*number, Sequence(0)))
        };
        state.leaving = state.directory.entries.iter().filter_map(leaving).collect();
        Ok(state)
    }

    /// Applies a record of the log, in its order, after [`State::load`].
    pub fn replay(
        &mut self,
        by: Sequence,
        record: &Record,
        read: &mut Read<'_>,
    ) -> Result<(), LoadError> {
        assert!(self.replaying.is_some(), "records are replayed after loading and before serving");
        let wrong = |why| LoadError::Record(by, why);
        match *record {
            Record::Write { volume, lba, place, crc, old, kept } => {
                self.fits(by, volume, Some(place))?;
                if self.tree(volume).is_none_or(|tree| lba.0 >= tree.blocks) {
                    return Err(wrong("a block that the volume does not have"));
                }
                let (leaf, entry) = leaf_of(lba);
                let frame = self
                    .replayed_leaf(volume, leaf, read)?
                    .ok_or(wrong("a block without a page"))?;
                self.put(volume, frame, entry, old, Mapping { place, crc }, kept, by);
            }
            Record::Claim { extent, origin, birth, pages } => {
                self.fits(by, VolumeNumber(0), Some(extent.first()))?;
                self.claimed(extent, origin, birth, pages, by);
            }
            Record::Leaf { volume, index, place, copy_of, .. } => {
                self.fits(by, volume, Some(place))?;
                let from = self.replayed_page(copy_of, Use::Leaf, index, read)?;
                let number = index / INDEX_ENTRIES as u32;
                let at = loop {
                    match self.find_index(volume, number) {
                        Ok(at) => break at.ok_or(wrong("a leaf page without an index page"))?,
                        Err(need) => self.fetch(need, read)?,
                    }
                };
                self.room_for_replay()?;
                let from =
                    if copy_of.is_some() { self.frames.find(copy_of).or(from) } else { None };
                self.put_leaf(volume, at, index, place, from, by);
            }
            Record::Index { volume, index, place, copy_of, .. } => {
                self.fits(by, volume, Some(place))?;
                let from = self.replayed_page(copy_of, Use::Index, index, read)?;
                self.room_for_replay()?;
                self.put_index(volume, index, place, from, by);
            }
            Record::Free { place, pages } => {
                self.fits(by, VolumeNumber(0), Some(place))?;
                self.freed(place, pages, by);
            }
            Record::Change(ref bytes) => {
                let change: Change = serde_json::from_slice(bytes).map_err(LoadError::Directory)?;
                self.change_fits(&change).map_err(wrong)?;
                self.applied(&change, by);
            }
        }
        Ok(())
    }

    /// A write is not replayed, since its data is not there: what its block holds instead.
    /// The pages that it would have changed are written anew at the next checkpoint: an
    /// image of them may be on the medium that has it.
    pub fn drop_write(
        &mut self,
        volume: VolumeNumber,
        lba: Lba,
        place: Place,
        read: &mut Read<'_>,
    ) -> Result<Mapping, LoadError> {
        let by = Sequence(0);
        self.fits(by, volume, Some(place))?;
        if self.tree(volume).is_none_or(|tree| lba.0 >= tree.blocks) {
            return Err(LoadError::Record(by, "a block that the volume does not have"));
        }
        let (leaf, entry) = leaf_of(lba);
        let frame = self.replayed_leaf(volume, leaf, read)?;
        let frame = frame.ok_or(LoadError::Record(by, "a block without a page"))?;
        self.frames.changed(frame, by);
        self.table.touch(place.extent());
        Ok(self.frames.mapping(frame, entry))
    }

    /// All records were replayed: from now on the pool can be used. What they freed is
    /// usable when they are durable, as always.
    pub fn replayed(&mut self) {
        let freed = self.replaying.take().expect("the log was replayed");
        // Of a place that was freed more than once the last time counts, which comes first
        // from behind: then it is held already.
        let mut last = Vec::new();
        for (place, by) in freed.into_iter().rev() {
            let (extent, bit) = (place.extent(), crate::table::bit(place));
            let usable = self.table.usable(extent) & bit != 0;
            if usable && self.table.origin(extent) != Origin(0) {
                self.table.hold(extent, bit);
                last.push(Pending { by, ticket: 0, place });
            }
        }
        last.into_iter().rev().for_each(|freed| self.waits(freed));
        self.release_empty();
        // What has begun to go away goes first: others must not look at its pages.
        let begun = |number: VolumeNumber| {
            self.directory.entries.get(&number).is_some_and(|entry| entry.leaving > Some(0))
        };
        self.leaving.sort_by_key(|(number, _)| !begun(*number));
        let numbers: Vec<_> = self.directory.entries.keys().copied().collect();
        for number in numbers {
            let shared = self.directory.shared_up_to(number);
            if let Some(tree) = self.tree_mut(number) {
                tree.shared_up_to = shared;
                tree.share();
                tree.holes_unknown = true;
            }
        }
    }

    /// Extents that were being filled when the process ended, with nothing in them, are
    /// nobody's. No record is needed: whoever gets one claims it.
    fn release_empty(&mut self) {
        for extent in self.layout.extents().map(ExtentIndex) {
            let owned = self.table.origin(extent) != Origin(0);
            if owned && self.table.usable(extent) == u16::MAX {
                self.claimed(extent, Origin(0), crate::units::Epoch(0), false, Sequence(0));
            }
        }
    }

    fn replayed_leaf(
        &mut self,
        volume: VolumeNumber,
        leaf: u32,
        read: &mut Read<'_>,
    ) -> Result<Option<Frame>, LoadError> {
        loop {
            match self.find_leaf(volume, leaf) {
                Ok(frame) => return Ok(frame),
                Err(need) => self.fetch(need, read)?,
            }
        }
    }
    fn replayed_page(
        &mut self,
        place: Place,
        what: Use,
        index: u32,
        read: &mut Read<'_>,
    ) -> Result<Option<Frame>, LoadError> {
        if !place.is_some() {
            return Ok(None);
        }
        self.fits(Sequence(0), VolumeNumber(0), Some(place))?;
        if self.frames.find(place).is_none() {
            self.fetch(Need { place, what, index }, read)?;
        }
        Ok(self.frames.find(place))
    }
    fn fetch(&mut self, need: Need, read: &mut Read<'_>) -> Result<(), LoadError> {
        let _ = page_kind(need.what);
        let mut pair = [0; 2 * BLOCK];
        read(need.place.bytes(), &mut pair)?;
        Ok(self.install(need, &pair)?)
    }
    fn room_for_replay(&mut self) -> Result<(), LoadError> {
        if self.make_room() { Ok(()) } else { Err(InstallError::FramesFull.into()) }
    }

    /// Whether a record speaks of what is there. The log has checksums: this guards
    /// against a fault of ours, not against the medium.
    fn fits(
        &self,
        by: Sequence,
        volume: VolumeNumber,
        place: Option<Place>,
    ) -> Result<(), LoadError> {
        let extents = self.layout.extents();
        if place.is_some_and(|place| place.is_some() && !extents.contains(&place.extent().0)) {
            return Err(LoadError::Record(by, "a place that is not in the pool"));
        }
        if volume != VolumeNumber(0) && self.tree(volume).is_none() {
            return Err(LoadError::Record(by, "a volume that is not in the pool"));
        }
        Ok(())
    }
    fn change_fits(&self, change: &Change) -> Result<(), &'static str> {
        let number = match change {
            Change::Create { .. } | Change::Forget { .. } => return Ok(()),
            Change::Snapshot { of, .. } | Change::Clone { of, .. } => of,
            Change::Grow { volume, .. }
            | Change::Limit { volume, .. }
            | Change::Rekey { volume, .. } => volume,
            Change::Remove { number }
            | Change::Leaving { number, .. }
            | Change::Gone { number } => number,
        };
        if self.tree(*number).is_some() { Ok(()) } else { Err("a volume that is not in the pool") }
    }
}
