//! A lane is saved for its successor, and goes on in it. See [`crate::saved`].

use crate::format::superblock::{Copy, Superblock};
use crate::log::Log;
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

use super::ops::{Body, Line};
use super::port::Port;
use super::volume::{Back, Volume};
use super::{Lane, MediumIndex, Pool, Settings, Statistics};

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

    /// The rest. From now on this lane is given nothing more, or goes on itself as if
    /// nothing had been asked.
    pub fn save(&mut self, now: Nanos) -> Changes {
        assert!(self.can_save(), "callers ask first");
        self.settle(now);
        let pools = (0..self.pools.len()).map(|index| self.give_pool(index)).collect();
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
    pub fn memory_in_flight(&mut self) -> Vec<(Tag, Vec<Segment>)> {
        let each = |(slot, body): (_, &Body)| match body {
            Body::Request(asked) => Some((slot, asked.tag)),
            _ => None,
        };
        let requests: Vec<_> = self.slab.used().filter_map(each).collect();
        let lent = |(slot, tag)| {
            let segments = self.slab.lend_segments(slot);
            self.slab.return_segments(slot, segments.clone());
            (tag, segments)
        };
        requests.into_iter().map(lent).collect()
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
        let known = pool.told == Some(pool.superblock);
        let superblock =
            if known { String::new() } else { SavedPool::<()>::encode(&pool.superblock) };
        let state = pool.state.changes();
        save_pool(pool, superblock, state)
    }

    /// Whether slots speak of what is there.
    fn check_slots(&self) -> Result<(), RestoreError> {
        let pools = self.pools.len();
        let known = |index: super::PoolIndex| usize::from(index.0) < pools;
        for (_, body) in self.slab.used() {
            let sound = match body {
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
        segments: &mut dyn FnMut(Tag) -> Vec<Segment>,
    ) -> Result<(), RestoreError> {
        let used: Vec<_> = self.slab.used().map(|(slot, body)| (slot, body.clone())).collect();
        for (slot, body) in used {
            let claimed = match body {
                Body::Request(asked) => {
                    self.slab.set_segments(slot, &segments(asked.tag));
                    true
                }
                Body::Part(part) => {
                    if part.phase != super::ops::Phase::Reading {
                        self.writers.enter(slot, (part.pool, part.number), part.lba);
                    }
                    self.buffers.claim(part.buffer)
                }
                Body::Page(page) => self.buffers.claim(page.buffer),
                _ => true,
            };
            if !claimed {
                return Err(RestoreError::Unsound("a buffer"));
            }
        }
        Ok(())
    }
}

/// A lane that is ready to go on where its predecessor will stop.
#[derive(Debug)]
pub struct Heir {
    /// Volumes, limits, slots and buffers.
    lane: Lane,
    pools: Vec<HeirPool>,
}

/// A pool without its log, which is known only when the predecessor has stopped.
#[derive(Debug)]
struct HeirPool {
    medium: MediumIndex,
    memory: Option<Region>,
    superblock: Superblock,
    state: State,
    keys: KeyRing,
    tail: Region,
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
        let pool = |(saved, (regions, keys)): (SavedPool, (Regions, KeyRing))| {
            let (superblock, _) = saved.decode()?;
            let Regions { tail, frames, extents } = regions;
            let state = State::restored(superblock.layout, saved.state, frames, extents);
            let (medium, memory) = (saved.medium, port.memory(saved.medium));
            Ok(HeirPool { medium, memory, superblock, state, keys, tail })
        };
        let pools =
            saved.pools.into_iter().zip(pools).map(pool).collect::<Result<_, RestoreError>>()?;
        Ok(Heir { lane, pools })
    }

    /// Follows the predecessor, which serves on.
    ///
    /// # Errors
    /// [`RestoreError::Unsound`].
    pub fn follow(&mut self, round: Round) -> Result<(), RestoreError> {
        if round.pools.len() != self.pools.len() {
            return Err(RestoreError::Unsound("the pools"));
        }
        for (pool, changes) in self.pools.iter_mut().zip(round.pools) {
            pool.state.follow(changes).ok_or(RestoreError::Unsound("the metadata of a pool"))?;
        }
        Ok(())
    }

    /// Goes on where the predecessor has stopped. `segments` is asked for the memory of
    /// each request in flight, by its tag.
    ///
    /// # Errors
    /// [`RestoreError`]. The predecessor is then to go on itself.
    pub fn take(
        self,
        changes: Changes,
        segments: &mut dyn FnMut(Tag) -> Vec<Segment>,
        now: Nanos,
    ) -> Result<Lane, RestoreError> {
        let Heir { mut lane, pools } = self;
        let same =
            changes.pools.len() == pools.len() && changes.in_flight.len() == lane.volumes.len();
        if !same {
            return Err(RestoreError::Unsound("the pools and volumes"));
        }
        lane.gate.resume(&changes.meters)?;
        for (volume, in_flight) in lane.volumes.iter_mut().zip(&changes.in_flight) {
            if let Some(volume) = volume {
                volume.in_flight = *in_flight;
            }
        }
        lane.slab
            .resume(changes.slots, changes.generation)
            .ok_or(RestoreError::Unsound("a slot"))?;
        for (pool, saved) in pools.into_iter().zip(changes.pools) {
            lane.pools.push(pool.take(saved, now)?);
        }
        (lane.poor, lane.blocked, lane.later) = (changes.poor, changes.blocked, changes.later);
        lane.check_slots()?;
        lane.claim_slots(segments)?;
        Ok(lane)
    }
}

impl HeirPool {
    fn take(self, saved: SavedPool<StateChanges>, now: Nanos) -> Result<Pool, RestoreError> {
        let HeirPool { medium, memory, superblock, mut state, keys, tail } = self;
        let second = if saved.second { Copy::Second } else { Copy::First };
        let (superblock, copy) =
            if saved.superblock.is_empty() { (superblock, second) } else { saved.decode()? };
        let log = Log::restored(tail, saved.log)?;
        state.follow(saved.state).ok_or(RestoreError::Unsound("the metadata of a pool"))?;
        let trust = crate::recover::Trust::Process;
        let recovered =
            Recovered { state, log, keys, superblock, copy, replayed: 0, dropped: 0, trust };
        let mut pool = Pool::new(medium, memory, recovered);
        pool.opened = true;
        pool.last_change.1 = now;
        (pool.frozen, pool.tickets, pool.commit) = (saved.frozen, saved.tickets, saved.commit);
        (pool.pending_since, pool.covered) = (saved.pending_since, saved.covered);
        (pool.pages, pool.room, pool.flushes) = (saved.pages, saved.room, saved.flushes);
        (pool.answers, pool.scrub) = (saved.answers, saved.scrub);
        pool.reap_needs = saved.reap_needs;
        Ok(pool)
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
