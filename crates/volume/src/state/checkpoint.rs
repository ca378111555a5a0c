//! What goes to the medium at a checkpoint.
//!
//! Leaf pages and the table go as they are when their turn comes, with whatever changed
//! since the checkpoint began: the log says everything again from its position, and saying
//! a thing twice does no harm. Two rules make that right: an image is written only when
//! the log is durable up to the last record in it, and it goes to the side of the page
//! that does not hold the committed version.
//!
//! The directory and the index pages go exactly as they were at the position. By them a
//! replay finds the leaf page that a record speaks of: an index page from later would lead
//! it to a page that was made later, and perhaps never written.

use std::collections::{HashMap, HashSet};

use super::State;
use super::resolve::page_kind;
use crate::format::page::{PageHeader, PageKind};
use crate::format::superblock::LogPosition;
use crate::frames::Use;
use crate::log::Log;
use crate::units::{BLOCK, Place, Sequence};

/// A page that a checkpoint writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Page {
    /// A page of the map.
    Map(Place),
    /// A page of the extent table.
    Table(u32),
}

/// Where the image of a page goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// From this byte of the medium on.
    pub at: u64,
    /// A page's first image is written twice, one behind the other, so that whoever
    /// reads the pair finds nothing of what was there before.
    pub twice: bool,
    /// The record that must be durable before.
    pub after: Sequence,
}

/// What a checkpoint writes.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Its generation.
    pub generation: u64,
    /// Where replay begins once it is committed.
    pub start: LogPosition,
    /// The directory.
    pub directory: Vec<u8>,
    /// The pages. Ask for the image of each with [`State::image`].
    pub pages: Vec<Page>,
}

/// The checkpoint that is being written.
#[derive(Debug)]
pub struct Running {
    generation: u64,
    /// Which side of each page counts once this is committed, true for the second.
    sides: HashMap<Page, bool>,
    /// Pages that are still to be written.
    left: HashSet<Page>,
    /// Index pages as they were when it began.
    indexes: HashMap<Place, Box<[u8; BLOCK]>>,
}

impl State {
    /// How many pages a checkpoint would write.
    pub fn dirty_pages(&self) -> u32 {
        self.frames.dirty_count() + u32::try_from(self.table.dirty().count()).unwrap_or(u32::MAX)
    }

    /// Begins a checkpoint. There must be none.
    pub fn begin_checkpoint(&mut self, log: &mut Log) -> Checkpoint {
        assert!(self.running.is_none(), "one checkpoint at a time");
        let start = log.position();
        let directory =
            serde_json::to_vec(self.settled_directory()).expect("a directory is plain data");
        let generation = self.generation + 1;
        let maps = self.frames.dirty_places().into_iter().map(Page::Map);
        let pages: Vec<_> = maps.chain(self.table.dirty().map(Page::Table)).collect();
        let left = pages.iter().copied().collect();
        let indexes = self.copy_indexes(&pages);
        self.running = Some(Running { generation, sides: HashMap::new(), left, indexes });
        Checkpoint { generation, start, directory, pages }
    }

    /// Copies the index pages among some. From now on they are clean until they change.
    fn copy_indexes(&mut self, pages: &[Page]) -> HashMap<Place, Box<[u8; BLOCK]>> {
        let mut copies = HashMap::new();
        for page in pages {
            let Page::Map(place) = *page else { continue };
            let Some(frame) = self.frames.find(place) else { continue };
            if self.frames.known(frame).what == Use::Index {
                copies.insert(place, Box::new(*self.frames.page(frame)));
                self.frames.imaged(frame);
            }
        }
        copies
    }

    /// Copies a page as it goes to the medium now, and says where it goes. The page is
    /// there: nothing that a checkpoint writes is freed meanwhile, since a replay from it
    /// looks at what was there when it began.
    pub fn image(&mut self, page: Page, into: &mut [u8; BLOCK]) -> Image {
        let running = self.running.as_mut().expect("a checkpoint is being written");
        assert!(running.left.remove(&page), "each page of a checkpoint once");
        let generation = running.generation;
        let (place, committed, after, header) = match page {
            Page::Map(place) => {
                let copy = running.indexes.remove(&place);
                let frame = self.frames.find(place).expect("a page that differs stays");
                let known = self.frames.known(frame).clone();
                match copy {
                    Some(copy) => {
                        assert!(known.imaged(), "the page that was copied is still there");
                        *into = *copy;
                    }
                    None => {
                        *into = *self.frames.page(frame);
                        self.frames.imaged(frame);
                    }
                }
                let header = PageHeader {
                    kind: page_kind(known.what),
                    generation,
                    place,
                    owner: 0,
                    index: known.index,
                };
                (place, known.second, known.changed, header)
            }
            Page::Table(number) => {
                self.table.image(number, into);
                let state = self.table.page(number);
                let (second, changed) = (state.second, state.changed);
                state.dirty = false;
                let place = self.layout.table_place(number);
                (
                    place,
                    second,
                    changed,
                    PageHeader {
                        kind: PageKind::Table,
                        generation,
                        place,
                        owner: 0,
                        index: number,
                    },
                )
            }
        };
        header.seal(into);
        let second = committed == Some(false);
        self.running.as_mut().expect("as above").sides.insert(page, second);
        Image { at: place.plus(u32::from(second)).bytes(), twice: committed.is_none(), after }
    }

    /// The checkpoint is committed: its superblock is durable.
    pub fn finish_checkpoint(&mut self) {
        let running = self.running.take().expect("a checkpoint was written");
        assert!(running.left.is_empty(), "all pages were written");
        self.generation = running.generation;
        for (page, second) in running.sides {
            match page {
                Page::Map(place) => self.frames.committed(place, second),
                Page::Table(number) => self.table.page(number).second = Some(second),
            }
        }
    }

    /// The checkpoint is given up: its pages are to be written again.
    pub fn abort_checkpoint(&mut self) {
        let Some(running) = self.running.take() else { return };
        let unwritten = running.indexes.into_keys().map(Page::Map);
        for page in running.sides.into_keys().chain(unwritten) {
            match page {
                Page::Map(place) => self.frames.uncommitted(place),
                Page::Table(number) => self.table.page(number).dirty = true,
            }
        }
    }

    /// Whether a checkpoint is being written.
    pub fn is_checkpointing(&self) -> bool {
        self.running.is_some()
    }
}
