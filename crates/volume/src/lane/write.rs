//! A write of whole blocks to a thin volume. Blocks get free places, are copied,
//! encrypted and summed in one pass, and are mapped when the medium has them: nothing
//! that was written before is ever overwritten.

use crate::memory::Segment;
use crate::request::{Fault, MediumFault};
use crate::seal::through::{self, Whose};
use crate::state::{Obstacle, Run};
use crate::units::{BLOCK, EXTENT_BLOCKS, Lba, Nanos, VolumeNumber};

use super::buffers::Buffer;
use super::ops::{Asked, Body, Part, Phase, Slot};
use super::pool::{Pool, fault_of};
use super::port::{PoolIndex, Port};
use super::{Event, Lane, Step};

/// Free places for a run of blocks of a volume, perhaps for fewer of them.
#[inline]
pub(super) fn places(
    pool: &mut Pool,
    number: VolumeNumber,
    lba: Lba,
    blocks: u32,
) -> Result<Run, Step> {
    let run = pool.state.writable(number, lba, &mut pool.log);
    let run = match run {
        Ok(()) if pool.state.is_low() => last_places(pool, number, lba),
        Ok(()) => pool.state.allocate(number, blocks, &mut pool.log),
        Err(obstacle) => Err(obstacle),
    };
    run.map_err(|obstacle| match pool.wait_for(obstacle) {
        Ok(wait) => Step::Wait(wait),
        Err(fault) => Step::Fail(fault),
    })
}

/// While places are few: one at a time, and the last of them only for blocks that have
/// a place already, which they give back.
#[cold]
fn last_places(pool: &mut Pool, number: VolumeNumber, lba: Lba) -> Result<Run, Obstacle> {
    let changes = pool.state.resolve(number, lba)?.place.is_some();
    if changes {
        pool.state.allocate(number, 1, &mut pool.log)
    } else {
        pool.state.allocate_new(number, 1, &mut pool.log)
    }
}

impl Lane {
    /// Begins the next piece of a write.
    pub(super) fn write_step<P: Port>(
        &mut self,
        slot: Slot,
        asked: &mut Asked,
        segments: &[Segment],
        port: &mut P,
    ) -> Step {
        let (index, number) = self.thin(asked.volume);
        let (at, left) = (asked.position(), asked.left());
        let lba = Lba((at / BLOCK as u64) as u32);
        if at % BLOCK as u64 != 0 || left < BLOCK as u64 {
            return self.partial_step(slot, asked, segments, port);
        }
        let most = u64::from(EXTENT_BLOCKS - lba.0 % EXTENT_BLOCKS);
        let blocks = most.min(left / BLOCK as u64) as u32;
        if let Some(step) = self.write_hindered(index, number, lba, blocks, false) {
            return step;
        }
        if self.pool(index).memory.is_some() {
            return self.write_in_memory(index, number, lba, blocks, asked, segments);
        }
        let Some(buffer) = self.slab.roomy().then(|| self.buffers.take(blocks)).flatten() else {
            return Step::Wait(super::Wait::Resources);
        };
        let run = match places(self.pool(index), number, lba, blocks.min(buffer.blocks)) {
            Ok(run) => run,
            Err(step) => {
                self.buffers.give(buffer);
                return step;
            }
        };
        let bytes = run.blocks * BLOCK as u32;
        let mut part = part_of(slot, index, number, lba, run, buffer, asked.done);
        if let Err(fault) = self.seal_part(&mut part, segments) {
            self.buffers.give(buffer);
            self.pool(index).state.give_back(number, run);
            return Step::Fail(fault);
        }
        asked.done += u64::from(bytes);
        asked.parts += 1;
        let part_slot = self.slab.insert(Body::Part(part));
        self.writers.enter(part_slot, (index, number), lba);
        let memory = self.buffers.segment(buffer, run.blocks);
        port.write(
            self.slab.name(part_slot),
            self.pools[usize::from(index.0)].medium,
            run.place.bytes(),
            &[memory],
        );
        Step::On
    }

    /// What keeps a write from beginning.
    #[inline]
    pub(super) fn write_hindered(
        &mut self,
        index: PoolIndex,
        number: VolumeNumber,
        lba: Lba,
        blocks: u32,
        partial: bool,
    ) -> Option<Step> {
        let pool = &self.pools[usize::from(index.0)];
        if pool.frozen.is_some() {
            return Some(Step::Fail(Fault::Frozen));
        }
        if !pool.opened {
            return Some(Step::Wait(super::Wait::Room));
        }
        let blocked = pool.held == Some(number)
            || self.writers.conflict(&self.slab, (index, number), lba, blocks, partial);
        blocked.then_some(Step::Wait(super::Wait::Block))
    }

    /// Copies, encrypts and sums the blocks of a part into its buffer.
    fn seal_part(&mut self, part: &mut Part, segments: &[Segment]) -> Result<(), Fault> {
        let cipher =
            self.pools[usize::from(part.pool.0)].keys.get(part.origin).ok_or(Fault::Closed)?;
        for index in 0..part.blocks {
            let whose = Whose { origin: part.origin, birth: part.birth, lba: part.lba.plus(index) };
            let skip = part.skip as usize + index as usize * BLOCK;
            let into = self.buffers.block_mut(part.buffer, index);
            part.crcs[index as usize] =
                through::store(cipher, whose, segments, skip, &mut self.scratch, into);
        }
        Ok(())
    }

    /// All of it at once, straight into a medium that is memory.
    fn write_in_memory(
        &mut self,
        index: PoolIndex,
        number: VolumeNumber,
        lba: Lba,
        blocks: u32,
        asked: &mut Asked,
        segments: &[Segment],
    ) -> Step {
        let ahead = self.take_ahead(index);
        self.past = true;
        let pool = &mut self.pools[usize::from(index.0)];
        let run = match places(pool, number, lba, blocks) {
            Ok(run) => run,
            Err(step) => return step,
        };
        let Some(cipher) = pool.keys.get(run.origin) else {
            pool.state.give_back(number, run);
            return Step::Fail(Fault::Closed);
        };
        let memory = pool.memory.as_mut().expect("the medium is memory");
        let next = ahead.map(|place| memory.hint(place.bytes() as usize));
        for done in 0..run.blocks {
            let (lba, place) = (lba.plus(done), run.place.plus(done));
            let whose = Whose { origin: run.origin, birth: run.birth, lba };
            let into = memory.block_mut(place.bytes() as usize);
            let crc = through::store_past(
                cipher,
                whose,
                segments,
                asked.done as usize,
                &mut self.scratch,
                into,
                next,
            );
            if let Err(obstacle) = pool.state.map(number, lba, place, crc, &mut pool.log) {
                let rest = Run { place, blocks: run.blocks - done, ..run };
                pool.state.give_back(number, rest);
                return match pool.wait_for(obstacle) {
                    Ok(wait) => Step::Wait(wait),
                    Err(fault) => Step::Fail(fault),
                };
            }
            asked.done += BLOCK as u64;
        }
        Step::On
    }

    /// The data of a part is on the medium, or not.
    pub(super) fn written<P: Port>(
        &mut self,
        slot: Slot,
        result: Result<u32, MediumFault>,
        now: Nanos,
        port: &mut P,
    ) {
        let part = self.slab.part(slot);
        let wanted = part.blocks * BLOCK as u32;
        let result =
            result.and_then(|put| if put == wanted { Ok(()) } else { Err(MediumFault::Short) });
        match result {
            Ok(()) => {
                part.phase = Phase::Mapping;
                self.map_part(slot, now, port);
            }
            Err(fault) => {
                let (pool, place) = (part.pool, part.place);
                self.tell(Event::WriteFailed { pool, place });
                self.abandon(slot, fault_of(fault), now, port);
            }
        }
    }

    /// The map says where the blocks of a part are now.
    pub(super) fn map_part<P: Port>(&mut self, slot: Slot, now: Nanos, port: &mut P) {
        let part = self.slab.part(slot);
        let pool = &mut self.pools[usize::from(part.pool.0)];
        while part.mapped < part.blocks {
            if pool.frozen.is_some() {
                return self.abandon(slot, Fault::Frozen, now, port);
            }
            let (lba, place) = (part.lba.plus(part.mapped), part.place.plus(part.mapped));
            let crc = part.crcs[part.mapped as usize];
            if let Err(obstacle) = pool.state.map(part.number, lba, place, crc, &mut pool.log) {
                let index = part.pool;
                return match pool.wait_for(obstacle) {
                    Ok(wait) => self.wait(slot, index, wait, now, port),
                    Err(fault) => self.abandon(slot, fault, now, port),
                };
            }
            part.mapped += 1;
        }
        self.part_over(slot, None, now, port);
    }

    /// A part that writes is given up: the places that are not mapped are free again.
    pub(super) fn abandon<P: Port>(&mut self, slot: Slot, fault: Fault, now: Nanos, port: &mut P) {
        let part = *self.slab.part(slot);
        if matches!(part.phase, Phase::Writing | Phase::Mapping) && part.mapped < part.blocks {
            let (place, blocks) = (part.place.plus(part.mapped), part.blocks - part.mapped);
            let rest = Run { place, blocks, origin: part.origin, birth: part.birth };
            self.pool(part.pool).state.give_back(part.number, rest);
        }
        self.part_over(slot, Some(fault), now, port);
    }
}

fn part_of(
    parent: Slot,
    pool: PoolIndex,
    number: VolumeNumber,
    lba: Lba,
    run: Run,
    buffer: Buffer,
    skip: u64,
) -> Part {
    Part {
        parent,
        pool,
        number,
        phase: Phase::Writing,
        lba,
        place: run.place,
        blocks: run.blocks,
        mapped: 0,
        from: 0,
        bytes: run.blocks * BLOCK as u32,
        skip,
        buffer,
        origin: run.origin,
        birth: run.birth,
        ticket: 0,
        crcs: [0; EXTENT_BLOCKS as usize],
    }
}
