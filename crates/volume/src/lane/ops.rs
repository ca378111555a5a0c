//! The slab: everything that is in flight in a lane has a slot here.
//!
//! There is a fixed number of slots, so nothing is allocated for a request, and a guest
//! cannot make the lane hold more. Some are kept back for what the lane itself does
//! (pages, log, checkpoints), which requests wait for. The name of a slot has a
//! generation, so a completion that comes twice or too late is noticed.

use serde::{Deserialize, Serialize};

use crate::memory::Segment;
use crate::request::{Fault, Kind, Tag};
use crate::state::Need;
use crate::units::{EXTENT_BLOCKS, Epoch, Lba, Nanos, Origin, Place, Sequence, VolumeNumber};

use super::buffers::Buffer;
use super::port::{Op, PoolIndex, VolumeHandle};

/// How many slots a lane has.
pub(crate) const SLOTS: usize = 1024;
/// How many of them requests do not take.
pub(crate) const KEPT_BACK: usize = 128;
/// How many parts of one request are in flight at once.
pub(crate) const MOST_PARTS: u32 = 16;

/// The index of a slot.
pub(crate) type Slot = u16;
/// No slot.
pub(crate) const NO_SLOT: Slot = Slot::MAX;

/// What a slot is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Body {
    /// Nothing: it is free.
    Free,
    /// A request of a front end.
    Request(Asked),
    /// A piece of a request, on its way to or from the medium.
    Part(Part),
    /// A pair of pages that is being read.
    Page(PageRead),
    /// A group of the log that is being written.
    LogWrite { pool: PoolIndex, number: u64 },
    /// The sync that makes groups of the log durable.
    LogSync { pool: PoolIndex },
    /// A write or sync of a checkpoint.
    Checkpoint { pool: PoolIndex, buffer: Option<Buffer> },
    /// A read of the scrub.
    Scrub(Part),
}

/// A request and how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Asked {
    #[serde(with = "crate::saved::tag")]
    pub tag: Tag,
    pub volume: VolumeHandle,
    #[serde(with = "crate::saved::kind")]
    pub kind: Kind,
    pub offset: u64,
    pub length: u64,
    pub fua: bool,
    /// When it came.
    pub since: Nanos,
    /// How many bytes of it are done or on their way.
    pub done: u64,
    /// How many parts are on their way.
    pub parts: u32,
    /// The first thing that went wrong.
    #[serde(default, with = "crate::saved::fault")]
    pub fault: Option<Fault>,
    /// What must be durable before it is answered, once all its parts are done.
    pub durable: Option<Sequence>,
}

impl Asked {
    /// Bytes that are not on their way.
    #[inline]
    pub fn left(&self) -> u64 {
        self.length - self.done
    }
    /// The byte of the volume where the rest begins.
    #[inline]
    pub fn position(&self) -> u64 {
        self.offset + self.done
    }
    /// Nothing more is to be begun: it failed.
    #[inline]
    pub fn fail(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
        self.done = self.length;
    }
}

/// What a part is in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// Data comes from the medium.
    Reading,
    /// The old content of a block comes, to be changed in part.
    Fetching,
    /// The old content of a block is there; a place for the new one is sought.
    Merging,
    /// Data goes to the medium.
    Writing,
    /// Data is on the medium; the map is to say so.
    Mapping,
}

/// A run of blocks that are neighbours in the volume and on the medium, within one
/// extent of the medium.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// The slot of the request.
    pub parent: Slot,
    pub pool: PoolIndex,
    pub number: VolumeNumber,
    pub phase: Phase,
    pub lba: Lba,
    pub place: Place,
    pub blocks: u32,
    /// How many of the blocks are mapped already.
    pub mapped: u32,
    /// From which byte of the first block.
    pub from: u32,
    /// How many bytes.
    pub bytes: u32,
    /// How far into the request's data.
    pub skip: u64,
    pub buffer: Buffer,
    /// Whose the place is, since when: for the checksum and the key.
    pub origin: Origin,
    pub birth: Epoch,
    /// The generation of the read, see `tickets`.
    pub ticket: u8,
    /// The checksum of each block.
    pub crcs: [u32; EXTENT_BLOCKS as usize],
}

impl Part {
    /// Whether the two touch the same block of the same volume.
    #[inline]
    pub fn overlaps(&self, pool: PoolIndex, number: VolumeNumber, lba: Lba, blocks: u32) -> bool {
        self.pool == pool
            && self.number == number
            && self.lba.0 < lba.0 + blocks
            && lba.0 < self.lba.0 + self.blocks
    }
    /// Whether it changes only a part of a block, and so depends on what was there.
    #[inline]
    pub fn partial(&self) -> bool {
        self.from != 0 || !self.bytes.is_multiple_of(crate::units::BLOCK as u32)
    }
}

/// A pair of pages that is being read, and who waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PageRead {
    pub pool: PoolIndex,
    #[serde(with = "crate::saved::need")]
    pub need: Need,
    pub buffer: Buffer,
    pub ticket: u8,
    pub waiting: Line,
}

/// Slots that wait for something, in order. The links are in the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    first: Slot,
    last: Slot,
}

impl Default for Line {
    fn default() -> Self {
        Self { first: NO_SLOT, last: NO_SLOT }
    }
}

impl Line {
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first == NO_SLOT
    }
    #[inline]
    pub fn last(&self) -> Option<Slot> {
        (self.last != NO_SLOT).then_some(self.last)
    }
    #[inline]
    pub fn first(&self) -> Option<Slot> {
        (self.first != NO_SLOT).then_some(self.first)
    }
}

#[derive(Debug)]
struct Held {
    generation: u32,
    /// The next in the line that this waits in, or in the chain of free ones.
    next: Slot,
    /// It waits in a line.
    waits: bool,
    body: Body,
    /// The memory of a request. Kept when the slot is free, so that it is not
    /// allocated again.
    segments: Vec<Segment>,
}

/// The slots.
#[derive(Debug)]
pub(crate) struct Slab {
    slots: Vec<Held>,
    free: Slot,
    free_count: usize,
}

impl Slab {
    pub fn new() -> Self {
        let mut slab = Self { slots: Vec::with_capacity(SLOTS), free: NO_SLOT, free_count: 0 };
        for _ in 0..SLOTS {
            let (next, segments) = (NO_SLOT, Vec::new());
            slab.slots.push(Held { generation: 0, next, waits: false, body: Body::Free, segments });
        }
        slab.link_free();
        slab
    }
    fn link_free(&mut self) {
        (self.free, self.free_count) = (NO_SLOT, 0);
        for index in (0..SLOTS).rev() {
            if matches!(self.slots[index].body, Body::Free) {
                self.slots[index].next = self.free;
                (self.free, self.free_count) = (index as Slot, self.free_count + 1);
            }
        }
    }
    /// Whether a request or a part of one may have a slot.
    #[inline]
    pub fn roomy(&self) -> bool {
        self.free_count > KEPT_BACK
    }
    /// How many are in use.
    pub fn in_use(&self) -> usize {
        SLOTS - self.free_count
    }
    /// Takes a slot.
    #[inline]
    pub fn insert(&mut self, body: Body) -> Slot {
        let index = self.free;
        assert!(index != NO_SLOT, "slots are kept back for what must go on");
        let held = &mut self.slots[usize::from(index)];
        (self.free, self.free_count) = (held.next, self.free_count - 1);
        (held.next, held.waits, held.body) = (NO_SLOT, false, body);
        index
    }
    /// Gives a slot back.
    #[inline]
    pub fn remove(&mut self, index: Slot) {
        let held = &mut self.slots[usize::from(index)];
        assert!(held.body != Body::Free && !held.waits, "what goes is there and waits nowhere");
        held.generation = held.generation.wrapping_add(1);
        held.body = Body::Free;
        held.segments.clear();
        held.next = self.free;
        (self.free, self.free_count) = (index, self.free_count + 1);
    }
    #[inline]
    pub fn body(&self, index: Slot) -> &Body {
        &self.slots[usize::from(index)].body
    }
    #[inline]
    pub fn body_mut(&mut self, index: Slot) -> &mut Body {
        &mut self.slots[usize::from(index)].body
    }
    /// The request in a slot.
    #[inline]
    pub fn asked(&mut self, index: Slot) -> &mut Asked {
        match &mut self.slots[usize::from(index)].body {
            Body::Request(asked) => asked,
            other => panic!("slot {index} holds {other:?} and no request"),
        }
    }
    /// The part in a slot.
    #[inline]
    pub fn part(&mut self, index: Slot) -> &mut Part {
        match &mut self.slots[usize::from(index)].body {
            Body::Part(part) => part,
            other => panic!("slot {index} holds {other:?} and no part"),
        }
    }
    /// Lends the memory of a request out, while the lane works on it.
    #[inline]
    pub fn lend_segments(&mut self, index: Slot) -> Vec<Segment> {
        std::mem::take(&mut self.slots[usize::from(index)].segments)
    }
    /// Takes it back.
    #[inline]
    pub fn return_segments(&mut self, index: Slot, segments: Vec<Segment>) {
        self.slots[usize::from(index)].segments = segments;
    }
    /// The memory of a request.
    pub fn segments(&self, index: Slot) -> &[Segment] {
        &self.slots[usize::from(index)].segments
    }
    /// Notes the memory of a request.
    #[inline]
    pub fn set_segments(&mut self, index: Slot, segments: &[Segment]) {
        let held = &mut self.slots[usize::from(index)].segments;
        held.clear();
        held.extend_from_slice(segments);
    }
    /// What a driver calls the slot.
    #[inline]
    pub fn name(&self, index: Slot) -> Op {
        Op(u64::from(self.slots[usize::from(index)].generation) << 16 | u64::from(index))
    }
    /// The slot that a driver means, if that is still the one.
    #[inline]
    pub fn find(&self, op: Op) -> Option<Slot> {
        let index = op.0 as u16;
        let held = self.slots.get(usize::from(index))?;
        (u64::from(held.generation) == op.0 >> 16 && held.body != Body::Free).then_some(index)
    }
    /// Whether it waits in a line.
    #[inline]
    pub fn waits(&self, index: Slot) -> bool {
        self.slots[usize::from(index)].waits
    }
    /// To the end of a line.
    #[inline]
    pub fn push(&mut self, line: &mut Line, index: Slot) {
        let held = &mut self.slots[usize::from(index)];
        assert!(!held.waits, "nobody waits twice");
        (held.waits, held.next) = (true, NO_SLOT);
        match line.last {
            NO_SLOT => line.first = index,
            last => self.slots[usize::from(last)].next = index,
        }
        line.last = index;
    }
    /// The first of a line.
    #[inline]
    pub fn pop(&mut self, line: &mut Line) -> Option<Slot> {
        let index = line.first()?;
        let held = &mut self.slots[usize::from(index)];
        assert!(held.waits, "who is in a line waits");
        (line.first, held.waits) = (held.next, false);
        if line.first == NO_SLOT {
            line.last = NO_SLOT;
        }
        held.next = NO_SLOT;
        Some(index)
    }
    /// All of one line behind another.
    #[inline]
    pub fn append(&mut self, line: &mut Line, other: &mut Line) {
        let other = std::mem::take(other);
        match (line.last, other.first) {
            (_, NO_SLOT) => {}
            (NO_SLOT, _) => *line = other,
            (last, first) => {
                self.slots[usize::from(last)].next = first;
                line.last = other.last;
            }
        }
    }
    /// Whether a slot holds a request.
    pub fn is_request(&self, index: Slot) -> bool {
        self.slots.get(usize::from(index)).is_some_and(|held| matches!(held.body, Body::Request(_)))
    }
    /// Every slot in use.
    pub fn used(&self) -> impl Iterator<Item = (Slot, &Body)> {
        let each = (0_u16..).zip(&self.slots);
        each.filter(|(_, held)| !matches!(held.body, Body::Free))
            .map(|(index, held)| (index, &held.body))
    }
    /// What a successor needs: the slots in use, and a generation that none of the others
    /// has had.
    pub fn saved(&self) -> (Vec<SavedSlot>, u32) {
        let last = self.slots.iter().map(|held| held.generation).max();
        let each = (0_u16..).zip(&self.slots).filter(|(_, held)| !matches!(held.body, Body::Free));
        let saved = |(index, held): (Slot, &Held)| SavedSlot {
            index,
            generation: held.generation,
            next: held.next,
            waits: held.waits,
            body: held.body.clone(),
        };
        let slots = each.map(saved).collect();
        (slots, last.unwrap_or(0).wrapping_add(1))
    }
    /// The slots become as a predecessor had them, whatever they were. Which are in use.
    /// None: it is no possible state.
    pub fn resume(&mut self, saved: Vec<SavedSlot>, generation: u32) -> Option<Vec<Slot>> {
        for held in &mut self.slots {
            held.generation = generation;
            if !matches!(held.body, Body::Free) {
                (held.body, held.waits) = (Body::Free, false);
                held.segments.clear();
            }
        }
        let used = saved.iter().map(|slot| slot.index).collect();
        for slot in saved {
            let linked = slot.waits && slot.next != NO_SLOT;
            if linked && usize::from(slot.next) >= SLOTS {
                return None;
            }
            let held = self.slots.get_mut(usize::from(slot.index))?;
            (held.generation, held.waits, held.body) = (slot.generation, slot.waits, slot.body);
            held.next = if linked { slot.next } else { NO_SLOT };
        }
        self.link_free();
        Some(used)
    }
}

/// A slot for a successor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedSlot {
    index: Slot,
    generation: u32,
    #[serde(default = "no_slot")]
    next: Slot,
    #[serde(default)]
    waits: bool,
    body: Body,
}

fn no_slot() -> Slot {
    NO_SLOT
}
