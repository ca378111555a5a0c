//! A checkpoint: the map, the extent table and the directory go to the medium, so that
//! the log before it is not needed any more.
//!
//! It goes in steps, some pages a turn. Pages are written as they are when their turn
//! comes, but never before the log is durable up to their last change. When all are
//! written they are made durable, then a superblock is written that names them, and made
//! durable: only then are they what counts, and the log is released. Until then nothing
//! that the last checkpoint needs was touched, so one that fails is given up, and tried
//! again later.
//!
//! Opening a pool is the last half of it: a superblock with a new incarnation.

use crate::format::superblock::{Directory, Superblock};
use crate::request::MediumFault;
use crate::seal::crc::crc32c;
use crate::state::Page;
use crate::units::{BLOCK, Nanos, Sequence};

use super::buffers::Buffer;
use super::ops::{Body, Slot};
use super::pool::Frozen;
use super::port::{PoolIndex, Port};
use super::{Event, Lane};

/// Writes of a checkpoint that are in flight at once.
const MOST_WRITES: u32 = 16;
/// After a checkpoint failed: not again for so long, in nanoseconds.
const PAUSE: u64 = 5_000_000_000;

/// How far a checkpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The directory and the pages are being written.
    Pages,
    /// They are being made durable.
    Sync,
    /// The superblock is being written.
    Superblock,
    /// It is being made durable.
    Commit,
}

/// A checkpoint that is being written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Running {
    pub stage: Stage,
    /// The superblock that will name it.
    pub next: Superblock,
    /// The pool is being opened.
    pub opening: bool,
    /// What is left to write of the directory, from this byte on.
    pub directory: Vec<u8>,
    pub directory_done: usize,
    /// Pages that are left to write, in reverse order.
    pub pages: Vec<Page>,
    /// An image that waits for the log.
    pub image: Option<Waiting>,
    /// Writes in flight.
    pub left: u32,
    /// Something went wrong: it is given up when nothing is in flight.
    pub failed: bool,
}

/// An image that may be written when the log is durable up to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub buffer: Buffer,
    pub at: u64,
    pub blocks: u32,
    pub after: Sequence,
}

impl Running {
    fn of(next: Superblock) -> Self {
        Self {
            stage: Stage::Pages,
            next,
            opening: false,
            directory: Vec::new(),
            directory_done: 0,
            pages: Vec::new(),
            image: None,
            left: 0,
            failed: false,
        }
    }
    /// Whether a successor may begin anew: nothing is in flight that it does not know of.
    pub fn can_be_given_up(&self) -> bool {
        self.stage == Stage::Pages && self.left == 0 && !self.opening
    }
}

impl Lane {
    /// A pool is opened: a superblock with a new incarnation goes to the medium before
    /// anything of the log is written under it. Where recovery dropped records, they must
    /// never be read again: what they say is made obsolete by a whole checkpoint.
    ///
    /// First comes a sync, in every case. After the death of a process the copy of the
    /// superblock that recovery found may be in the cache of the medium only; were the
    /// other one written beside it, a loss of power could tear both.
    pub(super) fn open_pool<P: Port>(&mut self, index: PoolIndex, now: Nanos, port: &mut P) {
        let pool = &mut self.pools[usize::from(index.0)];
        let next = Superblock { incarnation: pool.log.incarnation(), ..pool.superblock };
        let stage = Stage::Sync;
        pool.running = Some(Running { stage, opening: true, ..Running::of(next) });
        if !self.sync_metadata(index, port) {
            self.stage_over(index, now, port);
        }
    }

    /// Begins a checkpoint, if none is being written.
    pub(super) fn begin_checkpoint(&mut self, index: PoolIndex) {
        let pool = &mut self.pools[usize::from(index.0)];
        assert!(pool.running.is_none() && pool.frozen.is_none(), "one checkpoint at a time");
        let begun = pool.state.begin_checkpoint(&mut pool.log);
        let area = pool.superblock.layout.directory[(begun.generation & 1) as usize];
        let bytes = u32::try_from(begun.directory.len()).unwrap_or(u32::MAX);
        let fits = u64::from(bytes) <= area.bytes();
        let directory = Directory { place: area.first, bytes, crc: crc32c(&begun.directory) };
        let (generation, log_start, incarnation) =
            (begun.generation, begun.start, pool.log.incarnation());
        let next = Superblock { generation, log_start, directory, incarnation, ..pool.superblock };
        let mut pages = begun.pages;
        pages.reverse();
        (pool.covered, pool.pressed) = (begun.start.sequence, false);
        let opening = !pool.opened;
        pool.running = Some(Running {
            opening,
            directory: begun.directory,
            pages,
            failed: !fits,
            ..Running::of(next)
        });
    }

    /// Writes as many pages as one turn may. True: there is more to do at once.
    pub(super) fn checkpoint_step<P: Port>(
        &mut self,
        index: PoolIndex,
        now: Nanos,
        port: &mut P,
    ) -> bool {
        let mut budget = self.settings.pages_a_turn;
        loop {
            let pool = &mut self.pools[usize::from(index.0)];
            let saving = self.saving && !pool.has_orders();
            let Some(running) = &mut pool.running else { return false };
            if running.stage != Stage::Pages || running.left >= MOST_WRITES || saving {
                return false;
            }
            let all = running.directory_done == running.directory.len()
                && running.pages.is_empty()
                && running.image.is_none();
            let given_up = running.failed || pool.frozen.is_some();
            if all || given_up {
                let quiet = running.left == 0;
                if quiet && (given_up || self.replaced_is_written(index, now, port)) {
                    self.stage_over(index, now, port);
                }
                return false;
            }
            if budget == 0 {
                return true;
            }
            budget -= 1;
            if !self.write_something(index, now, port) {
                return false;
            }
        }
    }

    /// Whether the log is written up to where the checkpoint begins; if not, that begins.
    /// Pages see to it themselves, but there may be none: some records change the directory
    /// alone. The sync that comes next makes it durable.
    fn replaced_is_written<P: Port>(&mut self, index: PoolIndex, now: Nanos, port: &mut P) -> bool {
        let pool = &self.pools[usize::from(index.0)];
        let running = pool.running.as_ref().expect("a checkpoint is being written");
        let before = Sequence(running.next.log_start.sequence.0 - 1);
        if pool.log.written_through() < before {
            self.commit(index, now, port);
        }
        self.pool(index).log.written_through() >= before
    }

    /// Writes a piece of the directory or a page. False: not now.
    fn write_something<P: Port>(&mut self, index: PoolIndex, now: Nanos, port: &mut P) -> bool {
        let pool = &mut self.pools[usize::from(index.0)];
        let running = pool.running.as_mut().expect("a checkpoint is being written");
        if let Some(image) = running.image {
            if pool.log.durable() < image.after {
                self.commit(index, now, port);
            }
            let pool = &mut self.pools[usize::from(index.0)];
            if pool.log.durable() < image.after {
                return false;
            }
            if let Some(running) = &mut pool.running {
                running.image = None;
            }
            self.write_metadata(index, image.buffer, image.at, image.blocks, port);
            return true;
        }
        let Some(buffer) = self.buffers.take_kept() else { return false };
        if running.directory_done < running.directory.len() {
            let here = (running.directory.len() - running.directory_done)
                .min(buffer.blocks as usize * BLOCK);
            let blocks = here.div_ceil(BLOCK) as u32;
            let into = self.buffers.bytes_mut(buffer, blocks);
            into.fill(0);
            into[..here].copy_from_slice(
                &running.directory[running.directory_done..running.directory_done + here],
            );
            let at = running.next.directory.place.bytes() + running.directory_done as u64;
            running.directory_done += here;
            self.write_metadata(index, buffer, at, blocks, port);
            return true;
        }
        let page = running.pages.pop().expect("something is left to write");
        let image = pool.state.image(page, self.buffers.block_mut(buffer, 0));
        assert!(image.after <= pool.log.appended(), "a page holds what the log says");
        let blocks = if image.twice { 2 } else { 1 };
        if image.twice {
            *self.buffers.block_mut(buffer, 1) = *self.buffers.block(buffer, 0);
        }
        running.image = Some(Waiting { buffer, at: image.at, blocks, after: image.after });
        true
    }

    /// Writes metadata from a buffer.
    fn write_metadata<P: Port>(
        &mut self,
        index: PoolIndex,
        buffer: Buffer,
        at: u64,
        blocks: u32,
        port: &mut P,
    ) {
        let pool = &mut self.pools[usize::from(index.0)];
        if let Some(memory) = &mut pool.memory {
            let from = self.buffers.bytes(buffer, blocks);
            memory.bytes_mut(at as usize, from.len()).copy_from_slice(from);
            self.buffers.give(buffer);
            return;
        }
        pool.running.as_mut().expect("a checkpoint is being written").left += 1;
        let medium = pool.medium;
        let memory = self.buffers.segment(buffer, blocks);
        let slot = self.slab.insert(Body::Checkpoint { pool: index, buffer: Some(buffer) });
        port.write(self.slab.name(slot), medium, at, &[memory]);
    }

    fn sync_metadata<P: Port>(&mut self, index: PoolIndex, port: &mut P) -> bool {
        let pool = self.pool(index);
        if pool.memory.is_some() {
            return false;
        }
        pool.running.as_mut().expect("a checkpoint is being written").left += 1;
        let medium = pool.medium;
        let slot = self.slab.insert(Body::Checkpoint { pool: index, buffer: None });
        port.sync(self.slab.name(slot), medium);
        true
    }

    /// A write or sync of a checkpoint is done, or failed.
    pub(super) fn checkpoint_done<P: Port>(
        &mut self,
        slot: Slot,
        index: PoolIndex,
        buffer: Option<Buffer>,
        result: Result<u32, MediumFault>,
        now: Nanos,
        port: &mut P,
    ) {
        self.slab.remove(slot);
        if let Some(buffer) = buffer {
            self.buffers.give(buffer);
        }
        let pool = self.pool(index);
        let running =
            pool.running.as_mut().expect("a checkpoint stays while something of it is in flight");
        running.left -= 1;
        let stage = running.stage;
        if result.is_err() {
            running.failed = true;
            match (stage, buffer) {
                (Stage::Pages, _) => {}
                (_, None) => self.freeze(index, Frozen::Sync, now, port),
                (_, Some(_)) => self.freeze(index, Frozen::Superblock, now, port),
            }
        }
        let done = self.pool(index).running.as_ref().is_some_and(|running| running.left == 0);
        if done && stage != Stage::Pages {
            self.stage_over(index, now, port);
        }
    }

    /// All of a stage is done: the next begins.
    fn stage_over<P: Port>(&mut self, index: PoolIndex, now: Nanos, port: &mut P) {
        loop {
            let pool = &mut self.pools[usize::from(index.0)];
            let generation = pool.state.generation();
            let Some(running) = &mut pool.running else { return };
            assert!(running.left == 0, "a stage is over when nothing of it is in flight");
            if running.failed || pool.frozen.is_some() {
                return self.give_checkpoint_up(index, now, port);
            }
            match running.stage {
                Stage::Pages => {
                    running.stage = Stage::Sync;
                    if self.sync_metadata(index, port) {
                        return;
                    }
                }
                Stage::Sync if pool.dropped && running.next.generation == generation => {
                    // What is on the medium is durable: now it is all written anew. Until
                    // that is committed nothing is served: if it fails, it begins again.
                    let through = pool.log.written_through();
                    pool.log.synced(through);
                    pool.running = None;
                    return self.begin_checkpoint(index);
                }
                Stage::Sync => {
                    running.stage = Stage::Superblock;
                    if !self.write_superblock(index, port) {
                        return;
                    }
                }
                Stage::Superblock => {
                    running.stage = Stage::Commit;
                    if self.sync_metadata(index, port) {
                        return;
                    }
                }
                Stage::Commit => return self.checkpoint_committed(index, now, port),
            }
        }
    }

    /// True: it is written already.
    fn write_superblock<P: Port>(&mut self, index: PoolIndex, port: &mut P) -> bool {
        let buffer = self.buffers.take_kept().expect("buffers are kept back for this");
        let pool = &mut self.pools[usize::from(index.0)];
        let running = pool.running.as_ref().expect("a checkpoint is being written");
        *self.buffers.block_mut(buffer, 0) = running.next.encode();
        let at = pool.copy.other().at();
        self.write_metadata(index, buffer, at, 1, port);
        self.pool(index).memory.is_some()
    }

    fn checkpoint_committed<P: Port>(&mut self, index: PoolIndex, now: Nanos, port: &mut P) {
        let pool = &mut self.pools[usize::from(index.0)];
        let running = pool.running.take().expect("a checkpoint was written");
        (pool.superblock, pool.copy) = (running.next, pool.copy.other());
        if running.next.generation > pool.state.generation() {
            pool.state.finish_checkpoint();
            assert!(
                pool.state.generation() == running.next.generation,
                "the checkpoint that was begun is committed"
            );
            pool.log.release(running.next.log_start);
            (pool.failing, pool.dropped) = (false, false);
        }
        assert!(!pool.dropped, "what was dropped is behind a checkpoint before the pool is used");
        if !std::mem::replace(&mut pool.opened, true) {
            pool.log.opened();
        }
        pool.reclaim();
        let start = running.next.log_start.sequence;
        let tags = std::mem::take(&mut pool.checkpoint_tags);
        let (done, rest): (Vec<_>, Vec<_>) = tags.into_iter().partition(|(_, last)| *last < start);
        pool.checkpoint_tags = rest;
        pool.pressed |= !pool.checkpoint_tags.is_empty();
        for (tag, _) in done {
            port.answer(tag, Ok(super::command::Answered::Checkpointed));
        }
        self.slab.append(&mut self.woken, &mut pool.room);
        self.commit(index, now, port);
        self.drain(now, port);
    }

    fn give_checkpoint_up<P: Port>(&mut self, index: PoolIndex, now: Nanos, port: &mut P) {
        let pool = &mut self.pools[usize::from(index.0)];
        let Some(running) = pool.running.take() else { return };
        if let Some(image) = running.image {
            self.buffers.give(image.buffer);
        }
        pool.state.abort_checkpoint();
        pool.not_before = now.plus(PAUSE);
        pool.covered = pool.superblock.log_start.sequence;
        pool.failing = true;
        for (tag, _) in std::mem::take(&mut pool.checkpoint_tags) {
            port.answer(tag, Err(super::command::CommandError::Failed));
        }
        // Who waits for it must not wait for ever.
        self.slab.append(&mut self.woken, &mut pool.room);
        self.tell(Event::CheckpointFailed { pool: index });
    }
}
