//! The metadata of one pool, in memory: where each block of each volume is, and which
//! places are free.
//!
//! It changes only by records of the log, live and after a crash alike, and what is
//! freed stays out of use until the record that freed it is durable and no read that
//! began before it is in flight. Each way in has its file:
//!
//! - [`resolve`](State::resolve): where a block is (`resolve.rs`);
//! - [`allocate`](State::allocate), [`reclaim`](State::reclaim): places (`places.rs`);
//! - [`writable`](State::writable), [`map`](State::map), [`unmap`](State::unmap): the map (`map.rs`);
//! - [`change`](State::change): volumes, snapshots, clones (`change.rs`);
//! - [`reap`](State::reap): what goes away, in steps (`reap.rs`);
//! - [`begin_checkpoint`](State::begin_checkpoint): what goes to the medium (`checkpoint.rs`);
//! - [`load`](State::load), [`replay`](State::replay): after a restart (`load.rs`);
//! - [`saved`](State::saved): for a successor (`saved.rs`).

mod change;
mod checkpoint;
mod freed;
mod load;
mod map;
mod places;
mod reap;
mod resolve;
mod saved;
#[cfg(test)]
mod tests;
mod tree;

pub use change::Answer;
pub use checkpoint::{Checkpoint, Image, Page};
pub use load::LoadError;
pub use places::Run;
pub use reap::Reap;
pub use resolve::{InstallError, Need};
pub use saved::{SavedState, StateChanges};

use crate::directory::{ChangeError, Directory};
use crate::format::layout::Layout;
use crate::format::page::LEAF_ENTRIES;
use crate::frames::Frames;
use crate::memory::Region;
use crate::table::{Table, table_bytes};
use crate::units::{BLOCK, Epoch, Lba, Origin, Place, Sequence, VolumeNumber};
use freed::Freed;
use tree::Tree;

/// Room in the log for whatever one step of this module appends.
const STEP_ROOM: usize = 4096;

/// Extents that only pages of the map may use, so that a full pool can still be
/// changed: trimmed, and its snapshots deleted.
const RESERVE: u32 = 4;

/// Extents beside those that only changes of what is there may use: a block that is
/// changed needs a new place before its old one is free.
const CHANGES: u32 = 8;

/// The metadata of one pool.
#[derive(Debug)]
pub struct State {
    layout: Layout,
    directory: Directory,
    table: Table,
    frames: Frames,
    /// By number.
    trees: Vec<Option<Box<Tree>>>,
    /// Freed, and not yet usable.
    freed: Freed,
    /// The same of pages. A replay may still need what is in them (see [`freed`]).
    freed_pages: Freed,
    /// Freed places that became usable so far.
    reclaimed: u64,
    /// Reads that began so far.
    ticket: u64,
    /// The committed checkpoint.
    generation: u64,
    running: Option<checkpoint::Running>,
    /// While the log is replayed: what was freed, and by which record, in order.
    replaying: Option<Vec<(Place, Sequence)>>,
    /// Entries that go away wait until this is durable.
    leaving: Vec<(VolumeNumber, Sequence)>,
    /// Where the sweep of the table is, for a volume that goes away.
    sweep: u32,
    /// The directory differs from what a successor was told.
    directory_is_news: bool,
}

/// Why a step of the metadata cannot be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A page must be read first.
    Need(Need),
    /// The pool has no free place. Freed ones may come back when the log is durable.
    Full,
    /// The log has no room until a checkpoint is done.
    LogFull,
    /// No page can be given up before a checkpoint is done.
    FramesFull,
    /// There is no such volume.
    Gone,
}

impl From<Need> for Obstacle {
    fn from(need: Need) -> Self {
        Obstacle::Need(need)
    }
}

/// How full a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    /// Bytes that data and pages may use.
    pub capacity: u64,
    /// Bytes of extents that belong to somebody.
    pub used: u64,
}

/// How many bytes of memory a pool of so many blocks needs for its frames, when all of
/// its map is in memory: 1/250 of it, and as much again for snapshots. Only what is
/// touched is really used.
pub fn frames_bytes(blocks: u32) -> usize {
    (blocks as usize / LEAF_ENTRIES * 2 + 1024) * BLOCK
}

/// How many bytes of memory a pool of so many blocks needs for its extent table.
pub fn extents_bytes(blocks: u32) -> usize {
    table_bytes(blocks)
}

impl State {
    fn with(
        layout: Layout,
        directory: Directory,
        table: Table,
        frames: Frames,
        generation: u64,
    ) -> Self {
        let mut state = Self {
            layout,
            directory,
            table,
            frames,
            trees: Vec::new(),
            freed: Freed::default(),
            freed_pages: Freed::default(),
            reclaimed: 0,
            ticket: 0,
            generation,
            running: None,
            replaying: None,
            leaving: Vec::new(),
            sweep: 0,
            directory_is_news: false,
        };
        let numbers: Vec<_> = state.directory.entries.keys().copied().collect();
        for number in numbers {
            state.plant(number);
        }
        state
    }

    /// A pool that was just formatted. The regions are as large as [`frames_bytes`] and
    /// [`extents_bytes`] say, and the latter is full of zeros.
    pub fn fresh(layout: Layout, frames: Region, extents: Region) -> Self {
        let blocks = layout.end.0 * crate::units::EXTENT_BLOCKS;
        let table = Table::new(extents, blocks, layout.data);
        Self::with(layout, Directory::default(), table, Frames::new(frames), 0)
    }

    /// The directory as it is now.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }
    /// The places of the parts of the pool.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }
    /// The generation of the committed checkpoint.
    pub fn generation(&self) -> u64 {
        self.generation
    }
    /// How full the pool is.
    pub fn usage(&self) -> Usage {
        let extent = u64::from(crate::units::EXTENT_BLOCKS) * BLOCK as u64;
        let capacity = u64::from(self.table.data_extents()) * extent;
        Usage { capacity, used: capacity - u64::from(self.table.free_extents()) * extent }
    }
    /// Blocks of a volume that hold something.
    pub fn mapped(&self, volume: VolumeNumber) -> u32 {
        self.tree(volume).map_or(0, |tree| tree.mapped)
    }
    /// The size of a volume in blocks, when it is there and does not go away.
    #[inline]
    pub fn blocks(&self, volume: VolumeNumber) -> Option<u32> {
        self.tree(volume).filter(|tree| !tree.leaving).map(|tree| tree.blocks)
    }
    /// Pages of the map in memory.
    pub fn pages_in_memory(&self) -> usize {
        self.frames.used()
    }
    /// Who owns a place, and since when: what its checksum is seeded with, and whose key
    /// it is under.
    #[inline]
    pub fn seal_of(&self, place: Place) -> (Origin, Epoch) {
        (self.table.origin(place.extent()), self.table.birth(place.extent()))
    }
    /// A read begins. What is freed from now on waits until it has ended; see
    /// [`State::reclaim`].
    #[inline]
    pub fn begin_read(&mut self) -> u64 {
        self.ticket += 1;
        self.ticket
    }

    /// The regions, for a successor in the same process.
    #[cfg(test)]
    fn regions(&self) -> (Region, Region) {
        (self.frames.same_region(), self.table.same_region())
    }

    #[inline]
    fn tree(&self, volume: VolumeNumber) -> Option<&Tree> {
        self.trees.get(volume.0 as usize)?.as_deref()
    }
    #[inline]
    fn tree_mut(&mut self, volume: VolumeNumber) -> Option<&mut Tree> {
        self.trees.get_mut(volume.0 as usize)?.as_deref_mut()
    }
    /// Makes the part of an entry that is only in memory.
    fn plant(&mut self, number: VolumeNumber) {
        let Some(entry) = self.directory.entries.get(&number) else { return };
        let mut tree = Tree::of(entry);
        tree.shared_up_to = self.directory.shared_up_to(number);
        let at = number.0 as usize;
        if self.trees.len() <= at {
            self.trees.resize_with(at + 1, || None);
        }
        self.trees[at] = Some(Box::new(tree));
    }
    /// The directory with what is counted in memory written back.
    fn settled_directory(&mut self) -> &Directory {
        for (number, entry) in &mut self.directory.entries {
            if let Some(Some(tree)) = self.trees.get(number.0 as usize) {
                entry.mapped = tree.mapped;
            }
        }
        &self.directory
    }
    fn known(&self, volume: VolumeNumber) -> Result<(), ChangeError> {
        self.directory.entry(volume).map(|_| ())
    }
}

/// The leaf page that maps a block, and the entry in it.
#[inline]
fn leaf_of(lba: Lba) -> (u32, usize) {
    (lba.0 / LEAF_ENTRIES as u32, lba.0 as usize % LEAF_ENTRIES)
}

/// How many leaf pages a volume of so many blocks has at most.
fn leaves_of(blocks: u32) -> u32 {
    blocks.div_ceil(LEAF_ENTRIES as u32)
}
