//! A write of a part of a block: the block is read, changed, and written to a new place
//! like any other. Meanwhile nobody else writes the block, see [`super::writers`].
//!
//! The buffer has two blocks: the first is the block in clear, the second as it is stored.

use crate::memory::{Segment, gather};
use crate::request::{Fault, Kind, MediumFault};
use crate::seal::through::{self, Whose};
use crate::units::{BLOCK, EXTENT_BLOCKS, Lba, Nanos, VolumeNumber};

use super::ops::{Asked, Body, Part, Phase, Slot};
use super::port::{PoolIndex, Port};
use super::write::places;
use super::{Event, Lane, Step, Wait};

impl Lane {
    /// Begins to change the part of a block that a request begins or ends with.
    #[cold]
    pub(super) fn partial_step<P: Port>(
        &mut self,
        slot: Slot,
        asked: &mut Asked,
        segments: &[Segment],
        port: &mut P,
    ) -> Step {
        let (index, number) = self.thin(asked.volume);
        let (at, left) = (asked.position(), asked.left());
        let lba = Lba((at / BLOCK as u64) as u32);
        let from = (at % BLOCK as u64) as u32;
        let bytes = left.min(u64::from(BLOCK as u32 - from)) as u32;
        if let Some(step) = self.write_hindered(index, number, lba, 1, true) {
            return step;
        }
        let pool = self.pool(index);
        let old = match pool.state.resolve(number, lba) {
            Ok(mapping) => mapping,
            Err(need) => return Step::Wait(Wait::Page(need)),
        };
        let (origin, birth) =
            if old.place.is_some() { pool.state.seal_of(old.place) } else { Default::default() };
        let in_memory = pool.memory.is_some();
        let mut part = Part {
            parent: slot,
            pool: index,
            number,
            phase: if old.place.is_some() { Phase::Fetching } else { Phase::Merging },
            lba,
            place: old.place,
            blocks: 1,
            mapped: 0,
            from,
            bytes,
            skip: asked.done,
            buffer: super::buffers::Buffer::default(),
            origin,
            birth,
            ticket: 0,
            crcs: [0; EXTENT_BLOCKS as usize],
        };
        part.crcs[0] = old.crc;
        if in_memory {
            return self.partial_in_memory(&part, asked, segments);
        }
        let Some(buffer) = self.slab.roomy().then(|| self.buffers.take(1)).flatten() else {
            return Step::Wait(Wait::Resources);
        };
        part.buffer = buffer;
        self.begin_partial(part, port);
        asked.done += u64::from(bytes);
        asked.parts += 1;
        Step::On
    }

    fn begin_partial<P: Port>(&mut self, mut part: Part, port: &mut P) {
        let what = (part.pool, part.number);
        if part.phase == Phase::Fetching {
            part.ticket = self.pool(part.pool).begin_read();
            let slot = self.read_part(Body::Part(part), port);
            self.writers.enter(slot, what, part.lba);
        } else {
            // Nothing is there: zeros are changed. It goes on when the request is begun.
            self.buffers.block_mut(part.buffer, 0).fill(0);
            let slot = self.slab.insert(Body::Part(part));
            self.writers.enter(slot, what, part.lba);
            self.slab.push(&mut self.woken, slot);
        }
    }

    /// The old content of a block is there.
    pub(super) fn fetched<P: Port>(
        &mut self,
        slot: Slot,
        result: Result<u32, MediumFault>,
        now: Nanos,
        port: &mut P,
    ) {
        let part = *self.slab.part(slot);
        self.pool(part.pool).tickets.end(part.ticket);
        let opened = self.whole(&part, result).and_then(|()| {
            let cipher =
                self.pools[usize::from(part.pool.0)].keys.get(part.origin).ok_or(Fault::Closed)?;
            let whose = Whose { origin: part.origin, birth: part.birth, lba: part.lba };
            let stored = self.buffers.block(part.buffer, 0);
            let good = through::open(cipher, whose, part.crcs[0], stored, &mut self.scratch);
            if good { Ok(()) } else { Err(Fault::Corrupt) }
        });
        if let Err(fault) = opened {
            if fault == Fault::Corrupt {
                self.corrupt(part.pool, &part, 0);
            }
            return self.part_over(slot, Some(fault), now, port);
        }
        *self.buffers.block_mut(part.buffer, 0) = *self.scratch;
        self.slab.part(slot).phase = Phase::Merging;
        self.merge(slot, now, port);
    }

    /// The new content goes over the old one, and to a place of its own.
    pub(super) fn merge<P: Port>(&mut self, slot: Slot, now: Nanos, port: &mut P) {
        let mut part = *self.slab.part(slot);
        let parent = *self.slab.asked(part.parent);
        if self.pool(part.pool).frozen.is_some() {
            return self.part_over(slot, Some(Fault::Frozen), now, port);
        }
        let run = match places(self.pool(part.pool), part.number, part.lba, 1) {
            Ok(run) => run,
            Err(Step::Wait(wait)) => return self.wait(slot, part.pool, wait, now, port),
            Err(Step::Fail(fault)) => return self.part_over(slot, Some(fault), now, port),
            Err(Step::On) => unreachable!("who gets no place waits or fails"),
        };
        (part.place, part.origin, part.birth, part.phase) =
            (run.place, run.origin, run.birth, Phase::Writing);
        *self.slab.part(slot) = part;
        let segments = self.slab.lend_segments(part.parent);
        self.put_over(&part, &parent, &segments);
        self.slab.return_segments(part.parent, segments);
        let Some(cipher) = self.pools[usize::from(part.pool.0)].keys.get(part.origin) else {
            return self.abandon(slot, Fault::Closed, now, port);
        };
        let whose = Whose { origin: part.origin, birth: part.birth, lba: part.lba };
        *self.scratch = *self.buffers.block(part.buffer, 0);
        let crc =
            through::close(cipher, whose, &self.scratch, self.buffers.block_mut(part.buffer, 1));
        self.slab.part(slot).crcs[0] = crc;
        let memory = self.buffers.segment_of_block(part.buffer, 1);
        port.write(
            self.slab.name(slot),
            self.pools[usize::from(part.pool.0)].medium,
            part.place.bytes(),
            &[memory],
        );
    }

    fn put_over(&mut self, part: &Part, parent: &Asked, segments: &[Segment]) {
        let range = part.from as usize..(part.from + part.bytes) as usize;
        let into = &mut self.buffers.block_mut(part.buffer, 0)[range];
        match parent.kind {
            Kind::Write => gather(segments, part.skip as usize, into),
            _ => into.fill(0),
        }
    }

    /// All of it at once, for a medium that is memory.
    fn partial_in_memory(&mut self, part: &Part, asked: &mut Asked, segments: &[Segment]) -> Step {
        let (index, number) = (part.pool, part.number);
        let pool = &mut self.pools[usize::from(index.0)];
        let run = match places(pool, number, part.lba, 1) {
            Ok(run) => run,
            Err(step) => return step,
        };
        let rewritten = rewrite(pool, part, run, asked, segments, &mut self.scratch);
        let failed = match rewritten {
            Ok(crc) => match pool.state.map(number, part.lba, run.place, crc, &mut pool.log) {
                Ok(_) => {
                    asked.done += u64::from(part.bytes);
                    return Step::On;
                }
                Err(obstacle) => pool.wait_for(obstacle).map_or_else(Step::Fail, Step::Wait),
            },
            Err(fault) => Step::Fail(fault),
        };
        pool.state.give_back(number, run);
        if matches!(failed, Step::Fail(Fault::Corrupt)) {
            let (volume, lba, place) = (number, part.lba, part.place);
            self.tell(Event::Corrupt { pool: index, volume, lba, place });
        }
        failed
    }

    /// The pool and number of a thin volume.
    #[inline]
    pub(super) fn thin(&self, handle: super::VolumeHandle) -> (PoolIndex, VolumeNumber) {
        match self.volumes[usize::from(handle.0)].as_ref().map(|volume| &volume.back) {
            Some(super::volume::Back::Thin { pool, number }) => (*pool, *number),
            _ => panic!("only thin volumes have pieces"),
        }
    }
}

fn rewrite(
    pool: &mut super::Pool,
    part: &Part,
    run: crate::state::Run,
    asked: &Asked,
    segments: &[Segment],
    scratch: &mut [u8; BLOCK],
) -> Result<u32, Fault> {
    let memory = pool.memory.as_mut().expect("the medium is memory");
    scratch.fill(0);
    if part.place.is_some() {
        let cipher = pool.keys.get(part.origin).ok_or(Fault::Closed)?;
        let whose = Whose { origin: part.origin, birth: part.birth, lba: part.lba };
        if !through::open(
            cipher,
            whose,
            part.crcs[0],
            memory.block(part.place.bytes() as usize),
            scratch,
        ) {
            return Err(Fault::Corrupt);
        }
    }
    let range = part.from as usize..(part.from + part.bytes) as usize;
    match asked.kind {
        Kind::Write => gather(segments, part.skip as usize, &mut scratch[range]),
        _ => scratch[range].fill(0),
    }
    let cipher = pool.keys.get(run.origin).ok_or(Fault::Closed)?;
    let whose = Whose { origin: run.origin, birth: run.birth, lba: part.lba };
    Ok(through::close(cipher, whose, scratch, memory.block_mut(run.place.bytes() as usize)))
}
