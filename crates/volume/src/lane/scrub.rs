//! A scrub reads everything that a volume or snapshot holds and verifies it, one run of
//! blocks at a time, so that whoever uses the pool hardly notices.

use serde::{Deserialize, Serialize};

use crate::format::page::LEAF_ENTRIES;
use crate::request::{MediumFault, Tag};
use crate::seal::crc;
use crate::units::{EXTENT_BLOCKS, Epoch, Lba, Nanos, Origin, Place, VolumeNumber};

use super::Lane;
use super::command::{Answered, Command, CommandError};
use super::ops::{Body, NO_SLOT, Part, Phase, Slot};
use super::port::{PoolIndex, Port};
use super::read::find;

/// Runs of blocks in one turn, for a medium that is memory.
const RUNS: u32 = 16;

/// What a scrub found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubReport {
    /// Blocks that were verified.
    pub blocks: u64,
    /// Blocks that are not what was written. Each is an event too.
    pub corrupt: u64,
    /// Pages of the map, and runs of blocks, that could not be read.
    pub unread: u64,
}

/// A scrub that is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scrub {
    #[serde(with = "crate::saved::tag")]
    tag: Tag,
    number: VolumeNumber,
    lba: Lba,
    /// A read is in flight.
    reading: bool,
    /// A page is needed.
    needs: Option<Place>,
    report: ScrubReport,
}

impl Lane {
    /// Begins one.
    pub(super) fn begin_scrub<P: Port>(
        &mut self,
        index: PoolIndex,
        tag: Tag,
        number: VolumeNumber,
        port: &mut P,
    ) -> Result<(), Command> {
        let pool = self.pool(index);
        let refused = match (&pool.scrub, pool.state.check(number)) {
            (Some(_), _) => Some(CommandError::Scrubbing),
            (None, Err(error)) => Some(error.into()),
            (None, Ok(())) => None,
        };
        match refused {
            Some(error) => port.answer(tag, Err(error)),
            None => {
                let report = ScrubReport::default();
                pool.scrub =
                    Some(Scrub { tag, number, lba: Lba(0), reading: false, needs: None, report });
            }
        }
        Ok(())
    }

    /// Goes on with it. True: there is more to do at once.
    pub(super) fn scrub_step<P: Port>(
        &mut self,
        index: PoolIndex,
        now: Nanos,
        port: &mut P,
    ) -> bool {
        for _ in 0..RUNS {
            let pool = &mut self.pools[usize::from(index.0)];
            let Some(scrub) = &mut pool.scrub else { return false };
            if scrub.reading || scrub.needs.is_some() || self.saving {
                return false;
            }
            // What was deleted meanwhile has no blocks.
            let end = pool.state.blocks(scrub.number).unwrap_or(0);
            let next = if scrub.lba.0 < end {
                pool.state.next_mapped(scrub.number, scrub.lba, Lba(end))
            } else {
                Ok(None)
            };
            let lba = match next {
                Ok(Some(lba)) => lba,
                Ok(None) => {
                    let answer = Ok(Answered::Scrubbed(scrub.report));
                    let tag = scrub.tag;
                    pool.scrub = None;
                    port.answer(tag, answer);
                    return false;
                }
                Err(need) => {
                    scrub.needs = Some(need.place);
                    self.want_page(index, None, need, now, port);
                    continue;
                }
            };
            scrub.lba = lba;
            let number = scrub.number;
            let most = (EXTENT_BLOCKS - lba.0 % EXTENT_BLOCKS).min(end - lba.0);
            let Ok(found) = find(pool, number, lba, most) else { continue };
            let (origin, birth) = pool.state.seal_of(found.place);
            let mut part = Part {
                place: found.place,
                blocks: found.blocks,
                origin,
                birth,
                crcs: found.crcs,
                ..part_of(index, number, lba)
            };
            if pool.memory.is_some() {
                self.verify(&part);
                continue;
            }
            let Some(buffer) = self.slab.roomy().then(|| self.buffers.take(part.blocks)).flatten()
            else {
                return false;
            };
            (part.buffer, part.blocks) = (buffer, part.blocks.min(buffer.blocks));
            let pool = self.pool(index);
            part.ticket = pool.begin_read();
            if let Some(scrub) = &mut pool.scrub {
                scrub.reading = true;
            }
            self.read_part(Body::Scrub(part), port);
        }
        true
    }

    /// What a scrub read is there.
    pub(super) fn scrubbed<P: Port>(
        &mut self,
        slot: Slot,
        part: Part,
        result: Result<u32, MediumFault>,
        _now: Nanos,
        _port: &mut P,
    ) {
        let whole = self.whole(&part, result).is_ok();
        let pool = self.pool(part.pool);
        pool.tickets.end(part.ticket);
        if let Some(scrub) = &mut pool.scrub {
            scrub.reading = false;
            if !whole {
                scrub.report.unread += 1;
                scrub.lba = part.lba.plus(part.blocks);
            }
        }
        if whole {
            self.verify(&part);
        }
        self.buffers.give(part.buffer);
        self.slab.remove(slot);
    }

    fn verify(&mut self, part: &Part) {
        let mut corrupt = 0;
        for index in 0..part.blocks {
            let pool = &self.pools[usize::from(part.pool.0)];
            let stored = match &pool.memory {
                Some(memory) => memory.block(part.place.plus(index).bytes() as usize),
                None => self.buffers.block(part.buffer, index),
            };
            let seed = crc::seed(part.origin, part.lba.plus(index), part.birth);
            if crc::checksum(seed, stored) != part.crcs[index as usize] {
                corrupt += 1;
                self.corrupt(part.pool, part, index);
            }
        }
        if let Some(scrub) = &mut self.pool(part.pool).scrub {
            scrub.report.blocks += u64::from(part.blocks);
            scrub.report.corrupt += corrupt;
            scrub.lba = part.lba.plus(part.blocks);
        }
    }

    /// A page was read, or cannot be had.
    pub(super) fn scrub_page(&mut self, index: PoolIndex, place: Place, there: bool) {
        let Some(scrub) =
            self.pool(index).scrub.as_mut().filter(|scrub| scrub.needs == Some(place))
        else {
            return;
        };
        scrub.needs = None;
        if !there {
            // All that the page maps is skipped.
            let leaf = scrub.lba.0 / LEAF_ENTRIES as u32 + 1;
            scrub.lba = Lba(leaf.saturating_mul(LEAF_ENTRIES as u32));
            scrub.report.unread += 1;
        }
    }
}

/// A part that reads for a scrub, with nothing found yet.
fn part_of(pool: PoolIndex, number: VolumeNumber, lba: Lba) -> Part {
    Part {
        parent: NO_SLOT,
        pool,
        number,
        phase: Phase::Reading,
        lba,
        place: Place::NONE,
        blocks: 0,
        mapped: 0,
        from: 0,
        bytes: 0,
        skip: 0,
        buffer: super::buffers::Buffer::default(),
        origin: Origin(0),
        birth: Epoch(0),
        ticket: 0,
        crcs: Default::default(),
    }
}
