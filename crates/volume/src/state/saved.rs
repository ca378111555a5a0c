//! The metadata of a pool as a successor of the process takes it over. Frames and
//! extent table stay where they are, in regions that both processes can see; this is the
//! rest: once whole, while the predecessor serves, and then what changed. A version
//! number stands around it, in [`crate::saved`].

use serde::{Deserialize, Serialize};

use super::State;
use super::freed::{Freed, FreedChanges, Saved};
use crate::directory::Directory;
use crate::format::layout::Layout;
use crate::frames::{FrameChanges, Frames, SavedFrames};
use crate::memory::Region;
use crate::table::{SavedTable, Table, TableChanges};
use crate::units::{EXTENT_BLOCKS, ExtentIndex, Sequence, VolumeNumber};

/// The small part of a pool's metadata.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SavedState {
    directory: Directory,
    table: SavedTable,
    frames: SavedFrames,
    trees: Vec<SavedTree>,
    pending: Vec<Saved>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pages: Vec<Saved>,
    ticket: u64,
    generation: u64,
    leaving: Vec<(VolumeNumber, Sequence)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct SavedTree {
    number: VolumeNumber,
    data: Option<ExtentIndex>,
    pages: Option<ExtentIndex>,
    unmapped: u32,
    #[serde(default)]
    passed: Option<(u32, crate::units::Epoch)>,
}

impl State {
    /// What a successor needs to prepare itself. From now on [`State::changes`] gives
    /// what changed since.
    pub fn saved(&mut self) -> SavedState {
        self.directory_is_news = false;
        SavedState {
            directory: self.settled_directory().clone(),
            table: self.table.saved(),
            frames: self.frames.saved(),
            trees: self.saved_trees().map(|(tree, _)| tree).collect(),
            pending: self.freed.saved(),
            pages: self.freed_pages.saved(),
            ticket: self.ticket,
            generation: self.generation,
            leaving: self.leaving.clone(),
        }
    }

    /// Goes on where a predecessor stopped, with its regions.
    pub fn restored(layout: Layout, saved: SavedState, frames: Region, extents: Region) -> Self {
        let blocks = layout.end.0 * EXTENT_BLOCKS;
        let table = Table::restored(extents, blocks, layout.data, saved.table);
        let frames = Frames::restored(frames, saved.frames);
        let mut state = Self::with(layout, saved.directory, table, frames, saved.generation);
        state.freed = Freed::restored(saved.pending);
        state.freed_pages = Freed::restored(saved.pages);
        (state.ticket, state.leaving) = (saved.ticket, saved.leaving);
        for from in saved.trees {
            if let Some(tree) = state.tree_mut(from.number) {
                (tree.data, tree.pages) = (from.data, from.pages);
                (tree.unmapped, tree.passed) = (from.unmapped, from.passed);
            }
        }
        state
    }

    /// What changed since a successor was last told.
    pub fn changes(&mut self) -> StateChanges {
        let freed = self.freed.changes();
        let directory = std::mem::take(&mut self.directory_is_news).then(|| {
            serde_json::to_string(self.settled_directory()).expect("a directory is plain data")
        });
        StateChanges {
            directory,
            table: self.table.changes(),
            frames: self.frames.changes(),
            trees: self.saved_trees().collect(),
            kept: freed.kept,
            pending: freed.fresh,
            pages: self.freed_pages.changes(),
            ticket: self.ticket,
            generation: self.generation,
            leaving: self.leaving.clone(),
        }
    }

    /// Follows a predecessor, which still serves or has just stopped. `None`: it says
    /// what cannot be.
    pub fn follow(&mut self, changes: StateChanges) -> Option<()> {
        if let Some(directory) = changes.directory {
            self.directory = serde_json::from_str(&directory).ok()?;
            self.trees.clear();
            let numbers: Vec<_> = self.directory.entries.keys().copied().collect();
            numbers.into_iter().for_each(|number| self.plant(number));
        }
        self.table.follow(changes.table)?;
        self.frames.follow(changes.frames)?;
        self.freed.follow(FreedChanges { kept: changes.kept, fresh: changes.pending })?;
        self.freed_pages.follow(changes.pages)?;
        (self.ticket, self.generation) = (changes.ticket, changes.generation);
        self.leaving = changes.leaving;
        for (from, mapped) in changes.trees {
            let tree = self.tree_mut(from.number)?;
            (tree.data, tree.pages) = (from.data, from.pages);
            (tree.unmapped, tree.passed, tree.mapped) = (from.unmapped, from.passed, mapped);
        }
        Some(())
    }

    /// Each tree, and how many blocks of it hold something.
    fn saved_trees(&self) -> impl Iterator<Item = (SavedTree, u32)> {
        let each = |tree: &super::tree::Tree| {
            let saved = SavedTree {
                number: tree.number,
                data: tree.data,
                pages: tree.pages,
                unmapped: tree.unmapped,
                passed: tree.passed,
            };
            (saved, tree.mapped)
        };
        self.trees.iter().flatten().map(move |tree| each(tree))
    }
}

/// What changed of a pool's metadata since a successor was last told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StateChanges {
    /// The whole directory as JSON, when it changed: that is seldom.
    #[serde(default)]
    directory: Option<String>,
    table: TableChanges,
    frames: FrameChanges,
    /// All of them, each with its count of blocks.
    trees: Vec<(SavedTree, u32)>,
    /// So many of the freed places that the successor knows of are still not usable.
    kept: u64,
    /// Those that were freed since.
    pending: Vec<Saved>,
    /// The same of pages.
    #[serde(default)]
    pages: FreedChanges,
    ticket: u64,
    generation: u64,
    leaving: Vec<(VolumeNumber, Sequence)>,
}

impl StateChanges {
    /// How many things are in it.
    pub fn weight(&self) -> usize {
        let freed = self.pending.len() + self.pages.fresh.len();
        self.table.pages.len() + self.frames.known.len() + freed
    }
}
