//! A lane is saved for its successor, and goes on in it. See [`crate::saved`].

use crate::log::Log;
use crate::memory::{Region, Segment};
use crate::qos::Gate;
use crate::recover::{Recovered, Regions};
use crate::request::Tag;
use crate::saved::{RestoreError, SAVED_VERSION, Saved, SavedBack, SavedPool, SavedVolume};
use crate::seal::keys::KeyRing;
use crate::state::State;
use crate::units::Nanos;

use super::ops::{Body, Slab};
use super::port::Port;
use super::volume::{Back, Volume};
use super::{Lane, MediumIndex, Pool, Settings};

impl Lane {
    /// A successor is about to take over, or is not after all. While it is, no checkpoint
    /// writes and no scrub reads are begun; requests are served as always.
    pub fn prepare_to_save(&mut self, saving: bool) {
        self.saving = saving;
    }

    /// Whether [`Lane::save`] can be called: after [`Lane::prepare_to_save`], and when
    /// what is in flight by then is done. That takes one write and sync at most.
    pub fn can_save(&self) -> bool {
        let quiet = |pool: &Pool| {
            pool.running.as_ref().is_none_or(super::checkpoint::Running::can_be_given_up)
                && pool.opened
                && pool.commands.is_empty()
                && pool.checkpoint_tags.is_empty()
        };
        let own = self
            .slab
            .used()
            .any(|(_, body)| matches!(body, Body::Checkpoint { .. } | Body::Scrub(_)));
        self.saving && !own && self.woken.is_empty() && self.pools.iter().all(quiet)
    }

    /// Everything that a successor needs beside the regions. From now on this lane is
    /// given nothing more, or goes on itself as if nothing had been asked.
    pub fn save(&mut self, now: Nanos) -> Saved {
        assert!(self.can_save(), "callers ask first");
        self.settle(now);
        let pools = (0..self.pools.len()).map(|index| self.save_pool(index)).collect();
        Saved {
            version: SAVED_VERSION,
            slots: self.slab.saved(),
            pools,
            volumes: self.volumes.iter().map(|volume| volume.as_ref().map(save_volume)).collect(),
            gate: self.gate.save(),
            poor: self.poor,
            blocked: self.blocked,
            later: self.later,
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

    fn save_pool(&mut self, index: usize) -> SavedPool {
        let pool = &mut self.pools[index];
        if let Some(running) = pool.running.take() {
            if let Some(image) = running.image {
                self.buffers.give(image.buffer);
            }
            pool.covered = pool.superblock.log_start.sequence;
        }
        SavedPool {
            medium: pool.medium,
            superblock: SavedPool::encode(&pool.superblock),
            second: pool.copy == crate::format::superblock::Copy::Second,
            state: pool.state.saved(),
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

    /// Goes on where a predecessor stopped. `pools` has the memory and the open keys of
    /// each pool in its order; `segments` is asked for the memory of each request in
    /// flight, by its tag.
    ///
    /// # Errors
    /// [`RestoreError`]. The predecessor is then to go on itself.
    pub fn restore<P: Port>(
        settings: Settings,
        saved: Saved,
        buffers: Region,
        pools: Vec<(Regions, KeyRing)>,
        segments: &mut dyn FnMut(Tag) -> Vec<Segment>,
        now: Nanos,
        port: &mut P,
    ) -> Result<Lane, RestoreError> {
        if saved.pools.len() != pools.len() {
            return Err(RestoreError::Pools { wanted: saved.pools.len(), given: pools.len() });
        }
        let mut lane = Lane::new(settings, buffers);
        lane.gate = Gate::restore(&saved.gate)?;
        lane.volumes = saved
            .volumes
            .into_iter()
            .map(|volume| volume.map(|volume| restore_volume(volume, port)))
            .collect();
        lane.slab = Slab::restored(saved.slots).ok_or(RestoreError::Unsound("a slot"))?;
        for (pool, (regions, keys)) in saved.pools.into_iter().zip(pools) {
            let medium = pool.medium;
            lane.pools.push(restore_pool(pool, regions, keys, port.memory(medium), now)?);
        }
        (lane.poor, lane.blocked, lane.later) = (saved.poor, saved.blocked, saved.later);
        lane.check_slots()?;
        lane.claim_slots(segments)?;
        Ok(lane)
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
        statistics: volume.statistics.clone(),
        in_flight: volume.in_flight,
    }
}

fn restore_volume<P: Port>(saved: SavedVolume, port: &mut P) -> Volume {
    let memory = |medium: MediumIndex, port: &mut P| port.memory(medium);
    let back = match saved.back {
        SavedBack::Null => Back::Null,
        SavedBack::Raw { medium } => Back::Raw { medium, memory: memory(medium, port) },
        SavedBack::Thin { pool, number } => Back::Thin { pool, number },
    };
    let mut volume = Volume::new(back, saved.bytes, saved.read_only, saved.node);
    (volume.statistics, volume.in_flight) = (saved.statistics, saved.in_flight);
    volume
}

fn restore_pool(
    saved: SavedPool,
    regions: Regions,
    keys: KeyRing,
    memory: Option<Region>,
    now: Nanos,
) -> Result<Pool, RestoreError> {
    let (superblock, copy) = saved.decode()?;
    let log = Log::restored(regions.tail, saved.log)?;
    let state = State::restored(superblock.layout, saved.state, regions.frames, regions.extents);
    let recovered = Recovered { state, log, keys, superblock, copy, replayed: 0, dropped: 0 };
    let mut pool = Pool::new(saved.medium, memory, recovered);
    pool.opened = true;
    pool.last_change.1 = now;
    (pool.frozen, pool.tickets, pool.commit) = (saved.frozen, saved.tickets, saved.commit);
    (pool.pending_since, pool.covered) = (saved.pending_since, saved.covered);
    (pool.pages, pool.room, pool.flushes) = (saved.pages, saved.room, saved.flushes);
    (pool.answers, pool.scrub, pool.reap_needs) = (saved.answers, saved.scrub, saved.reap_needs);
    Ok(pool)
}
