//! A lane is saved for its successor, and goes on in it. See [`crate::saved`].

use crate::format::superblock::Copy;
use crate::log::{Log, TailError};
use crate::memory::{Region, Segment};
use crate::qos::Gate;
use crate::recover::{Recovered, Regions};
use crate::request::Tag;
use crate::saved::{
    Changes, RestoreError, Round, SAVED_VERSION, Saved, SavedBack, SavedPool, SavedVolume,
};
use crate::seal::keys::KeyRing;
use crate::state::{State, StateChanges};
use crate::units::Nanos;

use super::ops::{Body, Line, Slot};
use super::port::Port;
use super::volume::{Back, Volume};
use super::{Lane, Pool, Settings, Statistics};

impl Lane {
    /// A successor is about to take over, or is not after all. While it is, no checkpoint
    /// writes and no scrub reads are begun; requests are served as always.
    pub fn prepare_to_save(&mut self, saving: bool) {
        self.saving = saving;
    }

    /// Whether [`Lane::save`] can be called: after [`Lane::prepare_to_save`], and when
    /// what is in flight by then is done. That takes one write and sync, or a checkpoint
    /// where an order waits for one.
    pub fn can_save(&self) -> bool {
        let quiet = |pool: &Pool| {
            pool.running.as_ref().is_none_or(super::checkpoint::Running::can_be_given_up)
                && (pool.opened || pool.frozen.is_some())
                && pool.commands.is_empty()
                && pool.checkpoint_tags.is_empty()
        };
        let own = self
            .slab
            .used()
            .any(|(_, body)| matches!(body, Body::Checkpoint { .. } | Body::Scrub(_)));
        self.saving && !own && self.woken.is_empty() && self.pools.iter().all(quiet)
    }

    /// Everything that a successor needs to prepare itself beside the regions, while this
    /// lane serves on. From now on [`Lane::changes`] and [`Lane::save`] give what is
    /// different.
    pub fn prepare_heir(&mut self) -> Saved {
        let pool = |pool: &mut Pool| {
            pool.told = Some(pool.superblock);
            let (superblock, state) =
                (SavedPool::<()>::encode(&pool.superblock), pool.state.saved());
            save_pool(pool, superblock, state)
        };
        Saved {
            version: SAVED_VERSION,
            slots: Vec::new(),
            pools: self.pools.iter_mut().map(pool).collect(),
            volumes: self.volumes.iter().map(|volume| volume.as_ref().map(save_volume)).collect(),
            gate: self.gate.save(),
            poor: Line::default(),
            blocked: Line::default(),
            later: Line::default(),
        }
    }

    /// What changed of the large things since the successor was last told.
    pub fn changes(&mut self) -> Round {
        Round { pools: self.pools.iter_mut().map(|pool| pool.state.changes()).collect() }
    }

    /// All that is different, at the end of a turn, for a successor that is to take it on
    /// while this lane serves on.
    pub fn rehearse(&mut self) -> Changes {
        assert!(self.can_save(), "callers ask first");
        let pools = self.pools.iter_mut().map(Pool::told).collect();
        self.told(pools)
    }

    /// All that is different. From now on this lane is given nothing more, or goes on itself
    /// as if nothing had been asked.
    pub fn save(&mut self, now: Nanos) -> Changes {
        assert!(self.can_save(), "callers ask first");
        self.settle(now);
        let pools = (0..self.pools.len()).map(|index| self.give_pool(index)).collect();
        self.told(pools)
    }

    fn told(&self, pools: Vec<SavedPool<StateChanges>>) -> Changes {
        let (slots, generation) = self.slab.saved();
        let in_flight = |volume: &Option<Volume>| volume.as_ref().map_or(0, |one| one.in_flight);
        Changes {
            slots,
            generation,
            pools,
            in_flight: self.volumes.iter().map(in_flight).collect(),
            meters: self.gate.meters(),
            poor: self.poor,
            blocked: self.blocked,
            later: self.later,
        }
    }

    /// What was counted for each volume, for a successor that serves already.
    pub fn counted(&self) -> Vec<Option<Statistics>> {
        let each = |volume: &Option<Volume>| volume.as_ref().map(|one| one.statistics.clone());
        self.volumes.iter().map(each).collect()
    }

    /// Adds what a predecessor counted for each volume.
    pub fn add_counted(&mut self, counted: &[Option<Statistics>]) {
        for (volume, counted) in self.volumes.iter_mut().zip(counted) {
            if let (Some(volume), Some(counted)) = (volume, counted) {
                volume.statistics.merge(counted);
            }
        }
    }

    /// The memory of each request in flight, for a driver that must tell a successor where
    /// that is: addresses are of this process alone.
    pub fn memory_in_flight(&self) -> impl Iterator<Item = (Tag, &[Segment])> {
        self.slab.used().filter_map(|(slot, body)| match body {
            Body::Request(asked) => Some((asked.tag, self.slab.segments(slot))),
            _ => None,
        })
    }

    fn give_pool(&mut self, index: usize) -> SavedPool<StateChanges> {
        let pool = &mut self.pools[index];
        if let Some(running) = pool.running.take() {
            if let Some(image) = running.image {
                self.buffers.give(image.buffer);
            }
            pool.covered = pool.superblock.log_start.sequence;
        }
        // No image of it may be in flight when the successor begins its own.
        pool.state.abort_checkpoint();
        pool.told()
    }

    /// Whether slots speak of what is there.
    fn check_slots(&self, used: &[Slot]) -> Result<(), RestoreError> {
        let pools = self.pools.len();
        let known = |index: super::PoolIndex| usize::from(index.0) < pools;
        for slot in used {
            let sound = match self.slab.body(*slot) {
                Body::Request(asked) => {
                    matches!(self.volumes.get(usize::from(asked.volume.0)), Some(Some(_)))
                }
                Body::Part(part) => {
                    known(part.pool)
                        && part.blocks <= crate::units::EXTENT_BLOCKS
                        && self.slab.is_request(part.parent)
                }
                Body::Page(page) => known(page.pool),
                Body::LogWrite { pool, .. } | Body::LogSync { pool } => known(*pool),
                Body::Checkpoint { .. } | Body::Scrub(_) | Body::Free => false,
            };
            if !sound {
                return Err(RestoreError::Unsound("an operation in flight"));
            }
        }
        Ok(())
    }

    /// Takes the buffers of what is in flight, and finds the memory of requests.
    fn claim_slots(
        &mut self,
        used: &[Slot],
        segments: &mut dyn FnMut(Tag) -> Vec<Segment>,
    ) -> Result<(), RestoreError> {
        let Self { slab, buffers, writers, .. } = self;
        let buffer = |slot: &Slot| match slab.body(*slot) {
            Body::Part(part) => Some(part.buffer),
            Body::Page(page) => Some(page.buffer),
            _ => None,
        };
        if !buffers.claim(used.iter().filter_map(buffer)) {
            return Err(RestoreError::Unsound("a buffer"));
        }
        writers.clear();
        for slot in used {
            match slab.body(*slot) {
                Body::Request(asked) => {
                    let tag = asked.tag;
                    slab.return_segments(*slot, segments(tag));
                }
                Body::Part(part) if part.phase != super::ops::Phase::Reading => {
                    writers.enter(*slot, (part.pool, part.number), part.lba);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A lane that is ready to go on where its predecessor will stop.
#[derive(Debug)]
pub struct Heir {
    lane: Lane,
}

impl Heir {
    /// Of a lane that serves on. `pools` has the memory and the open keys of each pool in
    /// its order. Nothing of the memory is changed.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn new<P: Port>(
        settings: Settings,
        saved: Saved,
        buffers: Region,
        pools: Vec<(Regions, KeyRing)>,
        port: &mut P,
    ) -> Result<Heir, RestoreError> {
        if saved.pools.len() != pools.len() {
            return Err(RestoreError::Pools { wanted: saved.pools.len(), given: pools.len() });
        }
        let mut lane = Lane::new(settings, buffers);
        lane.gate = Gate::restore(&saved.gate)?;
        let volumes = saved.volumes.into_iter();
        lane.volumes =
            volumes.map(|volume| volume.map(|volume| restore_volume(volume, port))).collect();
        for (saved, (regions, keys)) in saved.pools.into_iter().zip(pools) {
            let (superblock, copy) = saved.decode()?;
            let Regions { tail, frames, extents } = regions;
            let state = State::restored(superblock.layout, saved.state, frames, extents);
            let log = Log::heir(tail, &saved.log);
            let trust = crate::recover::Trust::Process;
            let recovered =
                Recovered { state, log, keys, superblock, copy, replayed: 0, dropped: 0, trust };
            lane.pools.push(Pool::new(saved.medium, port.memory(saved.medium), recovered));
        }
        Ok(Heir { lane })
    }

    /// Follows the predecessor, which serves on.
    ///
    /// # Errors
    /// [`RestoreError::Unsound`].
    pub fn follow(&mut self, round: Round) -> Result<(), RestoreError> {
        if round.pools.len() != self.lane.pools.len() {
            return Err(RestoreError::Unsound("the pools"));
        }
        for (pool, changes) in self.lane.pools.iter_mut().zip(round.pools) {
            pool.state.follow(changes).ok_or(RestoreError::Unsound("the metadata of a pool"))?;
        }
        Ok(())
    }

    /// As [`Heir::take`], while the predecessor serves on: it follows, and when it takes the
    /// lane, that has just been done.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn rehearse(
        &mut self,
        changes: Changes,
        segments: &mut dyn FnMut(Tag) -> Vec<Segment>,
        now: Nanos,
    ) -> Result<(), RestoreError> {
        match self.become_as(changes, segments, now)? {
            // It went on meanwhile, and what is not known yet will be said again.
            Some(TailError::Stale | TailError::Damaged) | None => Ok(()),
            Some(other) => Err(other.into()),
        }
    }

    /// Goes on where the predecessor has stopped. `segments` is asked for the memory of
    /// each request in flight, by its tag.
    ///
    /// # Errors
    /// [`RestoreError`]. The predecessor is then to go on itself.
    pub fn take(
        mut self,
        changes: Changes,
        segments: &mut dyn FnMut(Tag) -> Vec<Segment>,
        now: Nanos,
    ) -> Result<Lane, RestoreError> {
        match self.become_as(changes, segments, now)? {
            Some(error) => Err(error.into()),
            None => Ok(self.lane),
        }
    }

    /// The lane becomes as its predecessor is. If the log of a pool is not where that said,
    /// what is wrong with it.
    fn become_as(
        &mut self,
        changes: Changes,
        segments: &mut dyn FnMut(Tag) -> Vec<Segment>,
        now: Nanos,
    ) -> Result<Option<TailError>, RestoreError> {
        let lane = &mut self.lane;
        let same = changes.pools.len() == lane.pools.len()
            && changes.in_flight.len() == lane.volumes.len();
        if !same {
            return Err(RestoreError::Unsound("the pools and volumes"));
        }
        lane.gate.resume(&changes.meters)?;
        for (volume, in_flight) in lane.volumes.iter_mut().zip(&changes.in_flight) {
            if let Some(volume) = volume {
                volume.in_flight = *in_flight;
            }
        }
        let used = lane.slab.resume(changes.slots, changes.generation);
        let used = used.ok_or(RestoreError::Unsound("a slot"))?;
        let mut wrong = None;
        for (pool, saved) in lane.pools.iter_mut().zip(changes.pools) {
            wrong = pool.become_as(saved, now)?.or(wrong);
        }
        (lane.poor, lane.blocked, lane.later) = (changes.poor, changes.blocked, changes.later);
        lane.check_slots(&used)?;
        lane.claim_slots(&used, segments)?;
        Ok(wrong)
    }
}

impl Pool {
    /// All that is different from what a successor was told.
    fn told(&mut self) -> SavedPool<StateChanges> {
        let known = self.told == Some(self.superblock);
        let superblock =
            if known { String::new() } else { SavedPool::<()>::encode(&self.superblock) };
        self.told = Some(self.superblock);
        let state = self.state.changes();
        save_pool(self, superblock, state)
    }

    /// Becomes as that of the predecessor is, whatever it was before. What is wrong with
    /// its log.
    fn become_as(
        &mut self,
        saved: SavedPool<StateChanges>,
        now: Nanos,
    ) -> Result<Option<TailError>, RestoreError> {
        if saved.superblock.is_empty() {
            self.copy = if saved.second { Copy::Second } else { Copy::First };
        } else {
            (self.superblock, self.copy) = saved.decode()?;
        }
        let wrong = self.log.go_on(saved.log).err();
        self.state.follow(saved.state).ok_or(RestoreError::Unsound("the metadata of a pool"))?;
        self.opened = true;
        self.last_change = (self.log.appended(), now);
        (self.frozen, self.tickets, self.commit) = (saved.frozen, saved.tickets, saved.commit);
        (self.pending_since, self.covered) = (saved.pending_since, saved.covered);
        (self.pages, self.room, self.flushes) = (saved.pages, saved.room, saved.flushes);
        (self.answers, self.scrub) = (saved.answers, saved.scrub);
        self.reap_needs = saved.reap_needs;
        Ok(wrong)
    }
}

fn save_pool<S>(pool: &Pool, superblock: String, state: S) -> SavedPool<S> {
    SavedPool {
        medium: pool.medium,
        superblock,
        second: pool.copy == Copy::Second,
        state,
        log: pool.log.saved(),
        frozen: pool.frozen,
        tickets: pool.tickets,
        commit: pool.commit,
        pending_since: pool.pending_since,
        covered: pool.covered,
        pages: pool.pages.clone(),
        room: pool.room,
        flushes: pool.flushes,
        answers: pool.answers.clone(),
        scrub: pool.scrub,
        reap_needs: pool.reap_needs,
    }
}

/// What a volume counted goes along later.
fn save_volume(volume: &Volume) -> SavedVolume {
    let back = match volume.back {
        Back::Null => SavedBack::Null,
        Back::Raw { medium, .. } => SavedBack::Raw { medium },
        Back::Thin { pool, number } => SavedBack::Thin { pool, number },
    };
    SavedVolume {
        back,
        bytes: volume.bytes,
        read_only: volume.read_only,
        node: volume.node,
        statistics: Statistics::default(),
        in_flight: volume.in_flight,
    }
}

fn restore_volume<P: Port>(saved: SavedVolume, port: &mut P) -> Volume {
    let back = match saved.back {
        SavedBack::Null => Back::Null,
        SavedBack::Raw { medium } => Back::Raw { medium, memory: port.memory(medium) },
        SavedBack::Thin { pool, number } => Back::Thin { pool, number },
    };
    Volume::new(back, saved.bytes, saved.read_only, saved.node)
}
