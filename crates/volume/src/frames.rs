//! The pages of the map that are in memory. A page is known by its place on the medium,
//! so that volumes and snapshots that share a page share its frame.
//!
//! A frame holds the page in its format on the medium: a checkpoint copies it out, a
//! successor of the process takes the whole region over as it is.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::format::page::{INDEX_ENTRIES, LEAF_ENTRIES, PAGE_HEADER};
use crate::memory::Region;
use crate::units::{BLOCK, Place, Sequence};

/// The number of a frame. 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Frame(pub u32);

impl Frame {
    /// No frame.
    pub const NONE: Frame = Frame(0);
}

/// What a page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Use {
    /// It maps blocks.
    Leaf,
    /// It says where leaf pages are.
    Index,
}

/// What is known of a page beside its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Where it is on the medium: the first of two blocks.
    pub place: Place,
    /// What it is for.
    pub what: Use,
    /// Its number among the pages of its volume.
    pub index: u32,
    /// The last record that changed it: durable before it is written.
    pub changed: Sequence,
    /// Whether it differs from the medium.
    pub dirty: bool,
    /// The side that holds its committed version, when there is one.
    pub second: Option<bool>,
    /// A checkpoint that is not committed has its image: it must not be read back.
    imaged: bool,
    #[serde(skip)]
    recent: bool,
}

impl Known {
    /// Whether a checkpoint that is not committed has its image.
    pub fn imaged(&self) -> bool {
        self.imaged
    }
}

/// The frames of one pool.
#[derive(Debug)]
pub struct Frames {
    region: Region,
    known: Vec<Option<Known>>,
    by_place: HashMap<Place, Frame>,
    free: Vec<Frame>,
    /// Frames from here on were never used.
    untouched: u32,
    dirty: u32,
    hand: u32,
    /// What changed since a successor was last told.
    news: News,
}

/// A block of a volume on the medium.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// Where. Nowhere when it reads as zeros.
    pub place: Place,
    /// The checksum of what is stored there.
    pub crc: u32,
}

impl Frames {
    /// Frames in a region, one for each block of it but the first.
    pub fn new(region: Region) -> Self {
        let count = region.len() / BLOCK;
        assert!(count >= 64, "a pool needs some frames");
        Self {
            region,
            known: vec![None],
            by_place: HashMap::new(),
            free: Vec::new(),
            untouched: 1,
            dirty: 0,
            hand: 1,
            news: News::default(),
        }
    }
    fn count(&self) -> u32 {
        u32::try_from(self.region.len() / BLOCK).unwrap_or(u32::MAX)
    }
    /// The frame of a page, when it is in memory.
    pub fn find(&self, place: Place) -> Option<Frame> {
        self.by_place.get(&place).copied()
    }
    /// What is known of a frame in use.
    #[inline]
    pub fn known(&self, frame: Frame) -> &Known {
        self.known[frame.0 as usize].as_ref().expect("a frame in use")
    }
    fn known_mut(&mut self, frame: Frame) -> &mut Known {
        self.news.note(frame.0);
        self.known[frame.0 as usize].as_mut().expect("a frame in use")
    }
    /// How many frames hold pages.
    pub fn used(&self) -> usize {
        self.by_place.len()
    }
    /// How many pages differ from the medium.
    pub fn dirty_count(&self) -> u32 {
        self.dirty
    }
    /// Whether a page can be added without giving another up.
    pub fn has_free(&self) -> bool {
        !self.free.is_empty() || self.untouched < self.count()
    }
    /// Takes a frame for a page. `None` when all are in use: give one up first.
    pub fn add(&mut self, place: Place, what: Use, index: u32) -> Option<Frame> {
        assert!(place.is_some() && !self.by_place.contains_key(&place), "a page is in memory once");
        let frame = match self.free.pop() {
            Some(frame) => frame,
            None if self.untouched < self.count() => {
                self.untouched += 1;
                self.known.push(None);
                Frame(self.untouched - 1)
            }
            None => return None,
        };
        let known = Known {
            place,
            what,
            index,
            changed: Sequence(0),
            dirty: false,
            second: None,
            imaged: false,
            recent: true,
        };
        self.news.note(frame.0);
        self.known[frame.0 as usize] = Some(known);
        self.by_place.insert(place, frame);
        self.page_mut(frame).fill(0);
        Some(frame)
    }
    /// Forgets a page.
    pub fn drop_page(&mut self, place: Place) -> Option<(Frame, Known)> {
        let frame = self.by_place.remove(&place)?;
        self.news.note(frame.0);
        let known = self.known[frame.0 as usize].take().expect("a frame in use");
        self.dirty -= u32::from(known.dirty);
        self.free.push(frame);
        Some((frame, known))
    }
    /// A clean page that was not used for a while, to be given up.
    pub fn victim(&mut self) -> Option<Place> {
        for _ in 0..2 * self.untouched {
            self.hand = if self.hand + 1 >= self.untouched { 1 } else { self.hand + 1 };
            if let Some(known) = &mut self.known[self.hand as usize]
                && !known.dirty
                && !known.imaged
                && !std::mem::take(&mut known.recent)
            {
                return Some(known.place);
            }
        }
        None
    }
    /// A page's bytes.
    #[inline]
    pub fn page(&self, frame: Frame) -> &[u8; BLOCK] {
        self.region.block(frame.0 as usize * BLOCK)
    }
    /// A page's bytes, to be filled.
    pub fn page_mut(&mut self, frame: Frame) -> &mut [u8; BLOCK] {
        self.region.block_mut(frame.0 as usize * BLOCK)
    }
    /// The content of a page becomes that of another.
    pub fn copy(&mut self, from: Frame, to: Frame) {
        let content = *self.page(from);
        *self.page_mut(to) = content;
    }
    /// A page was read from one of its sides.
    pub fn loaded(&mut self, frame: Frame, second: bool) {
        self.known_mut(frame).second = Some(second);
    }
    /// A record changed a page.
    #[inline]
    pub fn changed(&mut self, frame: Frame, by: Sequence) {
        self.news.note(frame.0);
        let known = self.known[frame.0 as usize].as_mut().expect("a frame in use");
        self.dirty += u32::from(!known.dirty);
        (known.dirty, known.recent) = (true, true);
        known.changed = known.changed.max(by);
    }
    /// A page's image was taken for a checkpoint.
    pub fn imaged(&mut self, frame: Frame) {
        let known = self.known_mut(frame);
        let was = std::mem::take(&mut known.dirty);
        known.imaged = true;
        self.dirty -= u32::from(was);
    }
    /// The checkpoint with a page's image is committed.
    pub fn committed(&mut self, place: Place, second: bool) {
        // A page that came to the place in the meantime has no image yet.
        if let Some(frame) = self.find(place).filter(|frame| self.known(*frame).imaged) {
            let known = self.known_mut(frame);
            (known.imaged, known.second) = (false, Some(second));
        }
    }
    /// The checkpoint with a page's image was given up.
    pub fn uncommitted(&mut self, place: Place) {
        if let Some(frame) = self.find(place).filter(|frame| self.known(*frame).imaged) {
            self.known_mut(frame).imaged = false;
            let by = self.known(frame).changed;
            self.changed(frame, by);
        }
    }
    /// A page was used.
    #[inline]
    pub fn touched(&mut self, frame: Frame) {
        self.known[frame.0 as usize].as_mut().expect("a frame in use").recent = true;
    }
    /// The places of the pages that differ from the medium.
    pub fn dirty_places(&self) -> Vec<Place> {
        let mut places: Vec<_> = self
            .known
            .iter()
            .flatten()
            .filter(|known| known.dirty)
            .map(|known| known.place)
            .collect();
        places.sort_unstable();
        places
    }
    /// Brings the entry of a leaf page near.
    #[inline]
    pub fn bring(&self, frame: Frame, entry: usize) {
        self.region.bring(frame.0 as usize * BLOCK + PAGE_HEADER + entry * 8);
    }

    /// An entry of a leaf page.
    #[inline]
    pub fn mapping(&self, frame: Frame, entry: usize) -> Mapping {
        assert!(entry < LEAF_ENTRIES, "an entry of a leaf page");
        let at = frame.0 as usize * BLOCK + PAGE_HEADER + entry * 8;
        let bytes: [u8; 8] = self.region.bytes(at, 8).try_into().expect("eight bytes");
        let both = u64::from_le_bytes(bytes);
        Mapping { place: Place(both as u32), crc: (both >> 32) as u32 }
    }
    /// Sets an entry of a leaf page.
    #[inline]
    pub fn set_mapping(&mut self, frame: Frame, entry: usize, mapping: Mapping, by: Sequence) {
        assert!(entry < LEAF_ENTRIES, "an entry of a leaf page");
        let at = frame.0 as usize * BLOCK + PAGE_HEADER + entry * 8;
        let both = u64::from(mapping.place.0) | u64::from(mapping.crc) << 32;
        self.region.bytes_mut(at, 8).copy_from_slice(&both.to_le_bytes());
        self.changed(frame, by);
    }
    /// Where a leaf page is, by an entry of an index page.
    pub fn leaf_place(&self, frame: Frame, entry: usize) -> Place {
        assert!(entry < INDEX_ENTRIES, "an entry of an index page");
        let at = frame.0 as usize * BLOCK + PAGE_HEADER + entry * 4;
        Place(u32::from_le_bytes(self.region.bytes(at, 4).try_into().expect("four bytes")))
    }
    /// Sets where a leaf page is.
    pub fn set_leaf_place(&mut self, frame: Frame, entry: usize, place: Place, by: Sequence) {
        assert!(entry < INDEX_ENTRIES, "an entry of an index page");
        let at = frame.0 as usize * BLOCK + PAGE_HEADER + entry * 4;
        self.region.bytes_mut(at, 4).copy_from_slice(&place.0.to_le_bytes());
        self.changed(frame, by);
    }

    /// The same memory again, for a successor in the same process.
    #[cfg(test)]
    pub fn same_region(&self) -> Region {
        self.region.again()
    }
    /// What a successor needs beside the region. From now on changes are for it.
    pub fn saved(&mut self) -> SavedFrames {
        self.news.forget();
        let each = |known: &Option<Known>| known.clone();
        SavedFrames { known: self.known.iter().map(each).collect(), hand: self.hand }
    }
    /// Goes on with the region of a predecessor.
    pub fn restored(region: Region, saved: SavedFrames) -> Self {
        let mut frames = Self::new(region);
        frames.untouched =
            u32::try_from(saved.known.len()).expect("frames are counted in 32 bits").max(1);
        for (number, known) in (0_u32..).zip(&saved.known).skip(1) {
            match known {
                Some(known) => {
                    frames.by_place.insert(known.place, Frame(number));
                    frames.dirty += u32::from(known.dirty);
                }
                None => frames.free.push(Frame(number)),
            }
        }
        (frames.known, frames.hand) = (saved.known, saved.hand);
        frames
    }
    /// What changed since a successor was last told.
    pub fn changes(&mut self) -> FrameChanges {
        let numbers = self.news.take();
        let each = |number: u32| (number, self.known[number as usize].clone());
        FrameChanges {
            known: numbers.into_iter().map(each).collect(),
            untouched: self.untouched,
            hand: self.hand,
        }
    }
    /// Follows a predecessor. `None`: it speaks of frames that there are not.
    pub fn follow(&mut self, changes: FrameChanges) -> Option<()> {
        if !(self.untouched..=self.count()).contains(&changes.untouched) {
            return None;
        }
        let before = self.untouched;
        self.known.resize(changes.untouched as usize, None);
        (self.untouched, self.hand) = (changes.untouched, changes.hand);
        // A place may have gone from one frame to another: all are taken away first.
        let mut vacant = Vec::new();
        for (number, known) in &changes.known {
            let was = self.known.get_mut(*number as usize).filter(|_| *number != 0)?.take();
            if let Some(was) = &was {
                self.by_place.remove(&was.place);
                self.dirty -= u32::from(was.dirty);
            }
            if known.is_none() && (was.is_some() || *number >= before) {
                vacant.push(Frame(*number));
            }
        }
        for (number, known) in changes.known {
            let Some(known) = known else { continue };
            self.dirty += u32::from(known.dirty);
            if self.by_place.insert(known.place, Frame(number)).is_some() {
                return None;
            }
            self.known[number as usize] = Some(known);
        }
        self.free.retain(|frame| self.known[frame.0 as usize].is_none());
        self.free.extend(vacant);
        Some(())
    }
}

/// What changed of the frames since a successor was last told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameChanges {
    pub(crate) known: Vec<(u32, Option<Known>)>,
    untouched: u32,
    hand: u32,
}

/// Numbers of what changed, each once.
#[derive(Debug, Default)]
pub(crate) struct News {
    marked: Vec<bool>,
    list: Vec<u32>,
}

impl News {
    /// This changed.
    #[inline]
    pub fn note(&mut self, number: u32) {
        match self.marked.get_mut(number as usize) {
            Some(true) => {}
            Some(mark) => {
                *mark = true;
                self.list.push(number);
            }
            None => self.grow(number),
        }
    }
    #[cold]
    fn grow(&mut self, number: u32) {
        self.marked.resize((number as usize + 1).next_multiple_of(1024), false);
        self.note(number);
    }
    /// Who asks knows everything up to now.
    pub fn forget(&mut self) {
        self.take();
    }
    /// What changed since the last time.
    pub fn take(&mut self) -> Vec<u32> {
        let list = std::mem::take(&mut self.list);
        for number in &list {
            self.marked[*number as usize] = false;
        }
        list
    }
}

/// The small part of the frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedFrames {
    known: Vec<Option<Known>>,
    hand: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_and_go() {
        let mut frames = Frames::new(Region::leaked(64 * BLOCK));
        let mut added = 0;
        while frames.has_free() {
            added += 1;
            frames.add(Place(added * 2), Use::Leaf, added).expect("a free frame");
        }
        assert_eq!(added, 63);
        assert!(frames.add(Place(1000), Use::Leaf, 0).is_none());
        let dirty = frames.find(Place(2)).expect("there");
        frames.set_mapping(dirty, 495, Mapping { place: Place(77), crc: 5 }, Sequence(3));
        for _ in 0..62 {
            let victim = frames.victim().expect("a clean page");
            assert_ne!(victim, Place(2), "what differs stays");
            frames.drop_page(victim);
        }
        assert!(frames.victim().is_none());
        let again = Frames::restored(Region::leaked(64 * BLOCK), frames.saved());
        assert_eq!((again.used(), again.dirty_count()), (1, 1));
        assert_eq!(frames.mapping(dirty, 495), Mapping { place: Place(77), crc: 5 });
        assert_eq!(again.known(dirty).changed, Sequence(3));
    }
}
