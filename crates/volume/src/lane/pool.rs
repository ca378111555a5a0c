//! A pool of a lane: the metadata, the log, and what is going on with them.

use std::collections::VecDeque;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::format::superblock::{Copy, Superblock};
use crate::log::Log;
use crate::memory::Region;
use crate::recover::Recovered;
use crate::request::{MediumFault, Tag};
use crate::seal::keys::KeyRing;
use crate::state::State;
use crate::units::{Nanos, Place, Sequence, VolumeNumber};

use super::checkpoint::Running;
use super::command::{Command, Pending};
use super::flush::Commit;
use super::ops::{Line, Slot};
use super::port::{MediumIndex, PoolIndex, Port};
use super::scrub::Scrub;
use super::tickets::Tickets;
use super::{Lane, Wait};

pub use crate::state::Usage;

/// Why a pool takes no writes any more. What is not written again is never
/// acknowledged: after a failed sync nobody knows what of it is on the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frozen {
    /// The medium failed to sync.
    Sync,
    /// A group of the log could not be written.
    Log,
    /// The superblock could not be written.
    Superblock,
    /// The map contradicts itself: what a snapshot has is not in use. Was it freed by a
    /// fault, more would be lost with every write.
    Map,
}

impl fmt::Display for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sync => "the medium failed to sync what was written",
            Self::Log => "the log could not be written",
            Self::Superblock => "the superblock could not be written",
            Self::Map => "the map contradicts itself: what a snapshot has is not in use",
        })
    }
}

/// A pool and what is going on with it.
#[derive(Debug)]
pub(crate) struct Pool {
    pub medium: MediumIndex,
    /// The medium, when it is memory.
    pub memory: Option<Region>,
    pub state: State,
    pub log: Log,
    pub keys: KeyRing,
    /// As it was written last.
    pub superblock: Superblock,
    /// Which of its copies is the last good one.
    pub copy: Copy,
    pub frozen: Option<Frozen>,
    pub tickets: Tickets,
    pub commit: Commit,
    pub running: Option<Running>,
    /// A checkpoint is wanted whatever the numbers say.
    pub pressed: bool,
    /// The superblock says that it is open: the log may be written.
    pub opened: bool,
    /// Recovery dropped records that must never be replayed again.
    pub dropped: bool,
    /// When a checkpoint failed: not again before.
    pub not_before: Nanos,
    /// Since when there are records that are not durable.
    pub pending_since: Option<Nanos>,
    /// The last record that was seen by a turn, and when it was new.
    pub last_change: (Sequence, Nanos),
    /// The last record that a checkpoint covers.
    pub covered: Sequence,
    /// Pages that are being read.
    pub pages: Vec<(Place, Slot)>,
    /// Who waits for room in the log, or for places.
    pub room: Line,
    /// Who waits for the log to be durable.
    pub flushes: Line,
    /// Commands that wait for the log to be durable.
    pub answers: Vec<Pending>,
    /// Commands that wait until writes are done.
    pub commands: VecDeque<(Tag, Command)>,
    /// Who wants to hear of a checkpoint that holds everything up to a record.
    pub checkpoint_tags: Vec<(Tag, Sequence)>,
    /// The last checkpoint failed.
    pub failing: bool,
    /// The last record when the pages that differ were counted.
    pub counted: Sequence,
    /// A volume whose writes are held back, for a snapshot.
    pub held: Option<VolumeNumber>,
    pub scrub: Option<Scrub>,
    /// Something may be left to reap.
    pub reaping: bool,
    /// Reaping waits for this page.
    pub reap_needs: Option<Place>,
    /// The superblock that a successor was told.
    pub told: Option<Superblock>,
}

impl Pool {
    pub fn new(medium: MediumIndex, memory: Option<Region>, recovered: Recovered) -> Self {
        let Recovered { state, log, keys, superblock, copy, dropped, .. } = recovered;
        let covered = superblock.log_start.sequence;
        let last_change = (log.appended(), Nanos(0));
        Self {
            medium,
            memory,
            state,
            log,
            keys,
            superblock,
            copy,
            frozen: None,
            tickets: Tickets::default(),
            commit: Commit::Idle,
            running: None,
            pressed: false,
            opened: false,
            dropped: dropped != 0,
            not_before: Nanos(0),
            pending_since: None,
            last_change,
            covered,
            pages: Vec::new(),
            room: Line::default(),
            flushes: Line::default(),
            answers: Vec::new(),
            commands: VecDeque::new(),
            checkpoint_tags: Vec::new(),
            failing: false,
            counted: Sequence(0),
            held: None,
            scrub: None,
            reaping: true,
            reap_needs: None,
            told: None,
        }
    }
    /// Whether something waits that no successor can be given, and may need a checkpoint:
    /// orders, and the pool itself until it is open.
    pub fn has_orders(&self) -> bool {
        !self.opened || !self.commands.is_empty() || !self.checkpoint_tags.is_empty()
    }
    /// A read of the medium begins.
    #[inline]
    pub fn begin_read(&mut self) -> u8 {
        let ticket = self.state.begin_read();
        self.tickets.begin(ticket)
    }
    /// The record that a replay would begin with.
    pub fn replayed(&self) -> Sequence {
        self.superblock.log_start.sequence
    }
    /// Freed places become usable as far as they can. True: some did.
    pub fn reclaim(&mut self) -> bool {
        let before = self.state.pending();
        if before != 0 {
            let (durable, replayed) = (self.log.durable(), self.replayed());
            self.state.reclaim(durable, replayed, self.tickets.oldest(), &mut self.log);
        }
        self.state.pending() != before
    }
    /// What it means for a step that the metadata has an obstacle. None: never.
    pub fn wait_for(
        &mut self,
        obstacle: crate::state::Obstacle,
    ) -> Result<Wait, crate::request::Fault> {
        use crate::request::Fault;
        use crate::state::Obstacle;
        match obstacle {
            Obstacle::Need(need) => Ok(Wait::Page(need)),
            Obstacle::LogFull | Obstacle::FramesFull if self.failing => Err(Fault::Medium),
            Obstacle::LogFull | Obstacle::FramesFull => {
                self.pressed |=
                    self.log.durable() >= self.log.appended() || obstacle == Obstacle::FramesFull;
                self.unless_frozen(Wait::Room)
            }
            Obstacle::Full if self.state.has_pending() => {
                if self.failing && self.state.waits_for_checkpoint(self.replayed()) {
                    return Err(Fault::NoSpace);
                }
                self.pressed |= self.state.needs_checkpoint(self.replayed());
                self.unless_frozen(Wait::Room)
            }
            Obstacle::Full => Err(Fault::NoSpace),
            Obstacle::Gone => Err(Fault::Closed),
        }
    }
    fn unless_frozen(&self, wait: Wait) -> Result<Wait, crate::request::Fault> {
        if self.frozen.is_some() { Err(crate::request::Fault::Frozen) } else { Ok(wait) }
    }
}

impl Lane {
    /// Adds a pool that was recovered. From now on its memory and medium are the lane's.
    pub fn add_pool<P: Port>(
        &mut self,
        medium: MediumIndex,
        recovered: Recovered,
        now: Nanos,
        port: &mut P,
    ) -> PoolIndex {
        let index = PoolIndex(u16::try_from(self.pools.len()).expect("a lane has few pools"));
        let memory = port.memory(medium);
        self.pools.push(Pool::new(medium, memory, recovered));
        self.pools[usize::from(index.0)].last_change.1 = now;
        self.open_pool(index, now, port);
        index
    }
    /// How full a pool is.
    pub fn usage(&self, pool: PoolIndex) -> Option<Usage> {
        Some(self.pools.get(usize::from(pool.0))?.state.usage())
    }
    /// Why a pool takes no writes, if so.
    pub fn frozen(&self, pool: PoolIndex) -> Option<Frozen> {
        self.pools.get(usize::from(pool.0))?.frozen
    }
    /// Blocks of a volume or snapshot that hold something, as of now: the directory knows
    /// it as of the last checkpoint.
    pub fn mapped(&self, pool: PoolIndex, number: VolumeNumber) -> u32 {
        self.pools.get(usize::from(pool.0)).map_or(0, |pool| pool.state.mapped(number))
    }
    /// The volumes and snapshots of a pool.
    pub fn directory(&self, pool: PoolIndex) -> Option<&crate::directory::Directory> {
        Some(self.pools.get(usize::from(pool.0))?.state.directory())
    }
    /// The keys that are open in a pool.
    pub fn keys(&mut self, pool: PoolIndex) -> Option<&mut KeyRing> {
        Some(&mut self.pools.get_mut(usize::from(pool.0))?.keys)
    }
    /// Freezes a pool: everybody who waits for it to be durable hears so, now and later.
    #[cold]
    pub(super) fn freeze<P: Port>(
        &mut self,
        index: PoolIndex,
        why: Frozen,
        now: Nanos,
        port: &mut P,
    ) {
        let pool = self.pool(index);
        if pool.frozen.is_some() {
            return;
        }
        pool.frozen = Some(why);
        if why == Frozen::Sync {
            pool.log.failed();
        }
        (pool.commit, pool.held) = (Commit::Idle, None);
        let answers = std::mem::take(&mut pool.answers);
        let commands = std::mem::take(&mut pool.commands);
        let checkpoints = std::mem::take(&mut pool.checkpoint_tags);
        let answers = answers.iter().map(|pending| pending.tag);
        let commands = commands.iter().map(|(tag, _)| *tag);
        for tag in answers.chain(commands).chain(checkpoints.iter().map(|(tag, _)| *tag)) {
            port.answer(tag, Err(super::command::CommandError::Frozen));
        }
        self.tell(super::Event::Frozen { pool: index, why });
        self.refuse_flushes(index, now, port);
        let room = &mut self.pools[usize::from(index.0)].room;
        self.slab.append(&mut self.woken, room);
        self.slab.append(&mut self.woken, &mut self.blocked);
    }
}

/// What went wrong with the medium, for who asked.
pub(super) fn fault_of(fault: MediumFault) -> crate::request::Fault {
    match fault {
        MediumFault::Full => crate::request::Fault::NoSpace,
        MediumFault::Io(_) | MediumFault::Short => crate::request::Fault::Medium,
    }
}
