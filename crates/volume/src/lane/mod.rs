//! The machine of one core: requests and completions in, disk operations and replies out.
//!
//! A lane has pools, the volumes that are open in them, raw and null volumes, and a slab
//! of everything in flight. It never waits: what cannot go on stands in a line until
//! what it needs has come, and is taken up again. Each file here is one operation.
//!
//! How a thin write goes ([`write`]): the blocks get free places; they are copied,
//! encrypted and summed in one pass into a buffer; the buffer goes to the medium; then
//! the map says so by a record of the log, and the request is answered. It is durable
//! after the next [`flush`], which makes groups of the log and everything before them
//! durable by one sync. [`checkpoint`] writes the map itself, now and then.

mod ahead;
mod buffers;
mod checkpoint;
pub mod command;
mod discard;
mod extents;
mod flush;
mod handover;
mod null;
mod ops;
mod page;
mod partial;
mod pool;
mod port;
mod raw;
mod read;
mod reap;
mod resume;
mod scrub;
mod statistics;
mod submit;
mod tickets;
mod turn;
mod volume;
mod write;
mod writers;

use std::collections::VecDeque;

use crate::memory::Region;
use crate::qos::Gate;
use crate::state::Need;
use crate::units::{BLOCK, Lba, Nanos, Place, VolumeNumber};

pub(crate) use buffers::Buffers;
pub(crate) use command::Pending;
pub use extents::{Extent, NotYet};
pub(crate) use flush::Commit;
pub use handover::Heir;
pub(crate) use ops::{Line, MOST_PARTS, SavedSlot, Slab};
pub(crate) use pool::Pool;
pub use pool::{Frozen, Usage};
pub use port::{MediumIndex, Op, PoolIndex, Port, VolumeHandle};
pub(crate) use scrub::Scrub;
pub use scrub::ScrubReport;
pub use statistics::Statistics;
pub(crate) use submit::STEPS;
pub(crate) use tickets::Tickets;
pub(crate) use volume::Volume;
pub use volume::{Capabilities, OpenError};
pub(crate) use writers::Writers;

/// Most things that a lane remembers to tell; more are only counted.
const MOST_EVENTS: usize = 256;

/// How a lane behaves. The defaults are what is served with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A record of the log is made durable after so many nanoseconds, asked for or not.
    pub log_age: u64,
    /// And so is the log when so many bytes of it are pending.
    pub log_bytes: usize,
    /// A checkpoint begins when so many pages differ from the medium.
    pub dirty_pages: u32,
    /// Or when the log's ring is full to so many percent.
    pub log_percent: u32,
    /// Or when a replay would take so many records: guests wait for that after a crash.
    pub log_records: u64,
    /// Or when nothing changed for so many nanoseconds, and something had before.
    pub idle: u64,
    /// How many pages one turn handles at most, of a checkpoint or a deletion.
    pub pages_a_turn: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            log_age: 1_000_000_000,
            log_bytes: 64 << 10,
            dirty_pages: 4096,
            log_percent: 50,
            log_records: 1 << 16,
            idle: 30_000_000_000,
            pages_a_turn: 64,
        }
    }
}

/// Something that people should know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A block of the medium is not what was written there.
    Corrupt {
        /// In which pool.
        pool: PoolIndex,
        /// Of which volume.
        volume: VolumeNumber,
        /// Which block of it.
        lba: Lba,
        /// Where it is on the medium.
        place: Place,
    },
    /// A page of the map is not what was written there, or the map names what is not in use.
    CorruptPage {
        /// In which pool.
        pool: PoolIndex,
        /// Where it is on the medium.
        place: Place,
    },
    /// The medium failed to read.
    ReadFailed {
        /// In which pool.
        pool: PoolIndex,
        /// Where on the medium.
        place: Place,
    },
    /// The medium failed to write. The place is not used for this; the request failed.
    WriteFailed {
        /// In which pool.
        pool: PoolIndex,
        /// Where on the medium.
        place: Place,
    },
    /// The pool takes no writes any more.
    Frozen {
        /// Which.
        pool: PoolIndex,
        /// Why.
        why: Frozen,
    },
    /// A checkpoint was given up and is tried again later.
    CheckpointFailed {
        /// Of which pool.
        pool: PoolIndex,
    },
}

/// The machine of one core.
#[derive(Debug)]
pub struct Lane {
    settings: Settings,
    slab: Slab,
    buffers: Buffers,
    /// A block that passes through on its way, when it goes neither straight nor by a buffer.
    scratch: Box<[u8; BLOCK]>,
    pools: Vec<Pool>,
    volumes: Vec<Option<Volume>>,
    gate: Gate,
    writers: Writers,
    /// Who waits for slots or buffers.
    poor: Line,
    /// Who waits for a block that somebody changes in part.
    blocked: Line,
    /// Who goes on in the next turn.
    later: Line,
    /// Who can go on.
    woken: Line,
    /// Volumes with requests that were answered at once and are not in histograms yet.
    unsettled: Vec<VolumeHandle>,
    events: VecDeque<Event>,
    events_lost: u64,
    /// A successor is about to take over: nothing is begun that it could not.
    saving: bool,
    /// A block that is wanted next, of a pool in memory.
    ahead: Option<(PoolIndex, Place)>,
    /// A medium was written past the caches in this turn.
    past: bool,
}

/// Why something cannot go on now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// A page of the map must be read.
    Page(Need),
    /// The log has no room, or freed places wait for it to be durable.
    Room,
    /// All slots or buffers are in use.
    Resources,
    /// Somebody changes one of the blocks in part, or everybody must be done first.
    Block,
    /// Parts of itself must be done first.
    Itself,
    /// It did much already: others go first.
    Turn,
}

/// How a piece of work went.
pub(crate) enum Step {
    /// Done, or on its way: go on with the next.
    On,
    /// Not now.
    Wait(Wait),
    /// Never.
    Fail(crate::request::Fault),
}

impl Lane {
    /// A lane with nothing in it. The region is for data on its way: at least 2 MiB.
    pub fn new(settings: Settings, buffers: Region) -> Self {
        Self {
            settings,
            slab: Slab::new(),
            buffers: Buffers::new(buffers),
            scratch: Box::new([0; BLOCK]),
            pools: Vec::new(),
            volumes: Vec::new(),
            gate: Gate::new(),
            writers: Writers::new(),
            poor: Line::default(),
            blocked: Line::default(),
            later: Line::default(),
            woken: Line::default(),
            unsettled: Vec::new(),
            events: VecDeque::with_capacity(MOST_EVENTS),
            events_lost: 0,
            saving: false,
            ahead: None,
            past: false,
        }
    }
    /// How many operations are in flight or wait.
    pub fn in_flight(&self) -> usize {
        self.slab.in_use()
    }
    /// What happened since this was last called, and how much more was not kept.
    pub fn take_events(&mut self) -> (Vec<Event>, u64) {
        (self.events.drain(..).collect(), std::mem::take(&mut self.events_lost))
    }
    /// The limits of this lane's volumes.
    pub fn gate(&mut self) -> &mut Gate {
        &mut self.gate
    }
    pub(crate) fn pool(&mut self, pool: PoolIndex) -> &mut Pool {
        &mut self.pools[usize::from(pool.0)]
    }
    pub(crate) fn volume(&mut self, volume: VolumeHandle) -> &mut Volume {
        self.volumes[usize::from(volume.0)].as_mut().expect("requests in flight keep a volume open")
    }
    #[cold]
    pub(crate) fn tell(&mut self, event: Event) {
        if self.events.len() < MOST_EVENTS {
            self.events.push_back(event);
        } else {
            self.events_lost += 1;
        }
    }
    /// Whether requests were answered at once and are in no histogram yet.
    #[inline]
    pub fn owes_times(&self) -> bool {
        !self.unsettled.is_empty()
    }
    /// Puts what a volume answered at once in its histograms, when its answers are visible
    /// before those of others: `now` is that moment.
    #[inline]
    pub fn settle_volume(&mut self, handle: VolumeHandle, now: Nanos) {
        if let Some(Some(volume)) = self.volumes.get_mut(usize::from(handle.0)) {
            volume.statistics.settle(now);
        }
    }
    /// Puts what was answered at once in the histograms. Called once for each batch, when
    /// its answers are visible; `now` is that moment.
    pub fn settle(&mut self, now: Nanos) {
        while let Some(handle) = self.unsettled.pop() {
            if let Some(volume) = &mut self.volumes[usize::from(handle.0)] {
                volume.statistics.settle(now);
            }
        }
    }
}
