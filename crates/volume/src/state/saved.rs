//! The metadata of a pool as a successor of the process takes it over. Frames and
//! extent table stay where they are, in regions that both processes can see; this is the
//! rest. A version number stands around it, in [`crate::saved`].

use serde::{Deserialize, Serialize};

use super::{Pending, State};
use crate::directory::Directory;
use crate::format::layout::Layout;
use crate::frames::{Frames, SavedFrames};
use crate::memory::Region;
use crate::table::{SavedTable, Table};
use crate::units::{EXTENT_BLOCKS, ExtentIndex, Place, Sequence, VolumeNumber};

/// The small part of a pool's metadata.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SavedState {
    directory: Directory,
    table: SavedTable,
    frames: SavedFrames,
    trees: Vec<SavedTree>,
    pending: Vec<(Sequence, u64, Place)>,
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
    /// What a successor needs. A checkpoint that is being written is given up; no image
    /// of it may be in flight when the successor begins its own.
    pub fn saved(&mut self) -> SavedState {
        self.abort_checkpoint();
        let tree = |tree: &super::tree::Tree| SavedTree {
            number: tree.number,
            data: tree.data,
            pages: tree.pages,
            unmapped: tree.unmapped,
            passed: tree.passed,
        };
        SavedState {
            directory: self.settled_directory().clone(),
            table: self.table.saved(),
            frames: self.frames.saved(),
            trees: self.trees.iter().flatten().map(|each| tree(each)).collect(),
            pending: self.pending.iter().map(|each| (each.by, each.ticket, each.place)).collect(),
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
        let pending = |(by, ticket, place)| Pending { by, ticket, place };
        state.pending = saved.pending.into_iter().map(pending).collect();
        (state.ticket, state.leaving) = (saved.ticket, saved.leaving);
        for from in saved.trees {
            if let Some(tree) = state.tree_mut(from.number) {
                (tree.data, tree.pages) = (from.data, from.pages);
                (tree.unmapped, tree.passed) = (from.unmapped, from.passed);
            }
        }
        state
    }
}
