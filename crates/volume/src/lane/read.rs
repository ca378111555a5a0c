//! A read of a thin volume. Where the blocks are is looked up; neighbours on the medium
//! are read together; what comes is verified, decrypted and copied out.
//!
//! A place that is being read is not given to a writer meanwhile: the pool counts the
//! reads in flight, see [`super::tickets`].

use crate::memory::{Segment, zero};
use crate::request::{Fault, MediumFault};
use crate::seal::through::{self, Whose};
use crate::units::{BLOCK, EXTENT_BLOCKS, Lba, Nanos, Place, VolumeNumber};

use super::ops::{Asked, Body, Part, Phase, Slot};
use super::pool::{Pool, fault_of};
use super::port::{PoolIndex, Port};
use super::{Event, Lane, Step, Wait};

/// Neighbouring blocks of a volume that are neighbours on the medium too, or all holes.
pub(super) struct Found {
    pub place: Place,
    pub blocks: u32,
    pub crcs: [u32; EXTENT_BLOCKS as usize],
}

/// Where blocks are: as many from the first on as belong together.
#[inline]
pub(super) fn find(
    pool: &mut Pool,
    number: VolumeNumber,
    lba: Lba,
    most: u32,
) -> Result<Found, Wait> {
    let first = pool.state.resolve(number, lba).map_err(Wait::Page)?;
    let mut found = Found { place: first.place, blocks: 1, crcs: [0; EXTENT_BLOCKS as usize] };
    found.crcs[0] = first.crc;
    while found.blocks < most {
        // What is beyond a page that is not there is the next piece.
        let Ok(next) = pool.state.resolve(number, lba.plus(found.blocks)) else { break };
        let wanted =
            if first.place.is_some() { Place(first.place.0 + found.blocks) } else { Place::NONE };
        let together =
            next.place == wanted && (!wanted.is_some() || wanted.extent() == first.place.extent());
        if !together {
            break;
        }
        found.crcs[found.blocks as usize] = next.crc;
        found.blocks += 1;
    }
    Ok(found)
}

impl Lane {
    /// Begins the next piece of a read.
    pub(super) fn read_step<P: Port>(
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
        let covered = (u64::from(from) + left).div_ceil(BLOCK as u64);
        let most = covered.min(u64::from(EXTENT_BLOCKS - lba.0 % EXTENT_BLOCKS)) as u32;
        let pool = &mut self.pools[usize::from(index.0)];
        let found = match find(pool, number, lba, most) {
            Ok(found) => found,
            Err(wait) => return Step::Wait(wait),
        };
        let bytes =
            |blocks: u32| (blocks * BLOCK as u32 - from).min(left.min(u64::from(u32::MAX)) as u32);
        if !found.place.is_some() {
            zero(segments, asked.done as usize, bytes(found.blocks) as usize);
            asked.done += u64::from(bytes(found.blocks));
            return Step::On;
        }
        let (origin, birth) = pool.state.seal_of(found.place);
        let in_memory = pool.memory.is_some();
        let nowhere = super::buffers::Buffer::default();
        let mut part = Part {
            parent: slot,
            pool: index,
            number,
            phase: Phase::Reading,
            lba,
            place: found.place,
            blocks: found.blocks,
            mapped: 0,
            from,
            bytes: bytes(found.blocks),
            skip: asked.done,
            buffer: nowhere,
            origin,
            birth,
            ticket: 0,
            crcs: found.crcs,
        };
        if in_memory {
            if let Err(fault) = self.give_out(&part, segments) {
                return Step::Fail(fault);
            }
            asked.done += u64::from(part.bytes);
            return Step::On;
        }
        let Some(buffer) = self.slab.roomy().then(|| self.buffers.take(part.blocks)).flatten()
        else {
            return Step::Wait(Wait::Resources);
        };
        part.buffer = buffer;
        part.blocks = part.blocks.min(buffer.blocks);
        part.bytes = bytes(part.blocks);
        part.ticket = self.pool(index).begin_read();
        asked.done += u64::from(part.bytes);
        asked.parts += 1;
        self.read_part(Body::Part(part), port);
        Step::On
    }

    /// Sends the read of a part.
    pub(super) fn read_part<P: Port>(&mut self, body: Body, port: &mut P) -> Slot {
        let (Body::Part(part) | Body::Scrub(part)) = &body else {
            unreachable!("only parts are read")
        };
        let (at, medium) = (part.place.bytes(), self.pools[usize::from(part.pool.0)].medium);
        let memory = self.buffers.segment(part.buffer, part.blocks);
        let slot = self.slab.insert(body);
        port.read(self.slab.name(slot), medium, at, &[memory]);
        slot
    }

    /// What a part read is there: it is verified and given to who asked.
    pub(super) fn read_done<P: Port>(
        &mut self,
        slot: Slot,
        result: Result<u32, MediumFault>,
        now: Nanos,
        port: &mut P,
    ) {
        let part = *self.slab.part(slot);
        self.pool(part.pool).tickets.end(part.ticket);
        let outcome = match self.whole(&part, result) {
            Ok(()) => {
                let segments = self.slab.lend_segments(part.parent);
                let given = self.give_out(&part, &segments);
                self.slab.return_segments(part.parent, segments);
                given
            }
            Err(fault) => Err(fault),
        };
        self.part_over(slot, outcome.err(), now, port);
    }

    /// Whether all of a part was read.
    pub(super) fn whole(
        &mut self,
        part: &Part,
        result: Result<u32, MediumFault>,
    ) -> Result<(), Fault> {
        let wanted = part.blocks * BLOCK as u32;
        let result =
            result.and_then(|got| if got == wanted { Ok(()) } else { Err(MediumFault::Short) });
        result.map_err(|fault| {
            self.tell(Event::ReadFailed { pool: part.pool, place: part.place });
            fault_of(fault)
        })
    }

    /// Verifies the blocks of a part and copies what was asked of them to the segments.
    fn give_out(&mut self, part: &Part, segments: &[Segment]) -> Result<(), Fault> {
        let (mut skip, mut left) = (part.skip as usize, part.bytes as usize);
        let ahead = self.take_ahead(part.pool);
        let pool = &self.pools[usize::from(part.pool.0)];
        let cipher = pool.keys.get(part.origin).ok_or(Fault::Closed)?;
        for index in 0..part.blocks {
            let from = if index == 0 { part.from as usize } else { 0 };
            let bytes = left.min(BLOCK - from);
            let whose = Whose { origin: part.origin, birth: part.birth, lba: part.lba.plus(index) };
            let more = index + 1 < part.blocks;
            let next = if more { Some(part.place.plus(index + 1)) } else { ahead };
            let (stored, next) = match &pool.memory {
                Some(memory) => {
                    let hint = |place: Place| memory.hint(place.bytes() as usize);
                    (memory.block(part.place.plus(index).bytes() as usize), next.map(hint))
                }
                None => (self.buffers.block(part.buffer, index), None),
            };
            let crc = part.crcs[index as usize];
            let good = through::load(
                cipher,
                whose,
                crc,
                stored,
                &mut self.scratch,
                segments,
                skip,
                from,
                bytes,
                next,
            );
            if !good {
                self.corrupt(part.pool, part, index);
                return Err(Fault::Corrupt);
            }
            (skip, left) = (skip + bytes, left - bytes);
        }
        assert!(left == 0, "the blocks of a part hold all that was asked of it");
        Ok(())
    }

    /// Tells that a block is not what was written.
    #[cold]
    pub(super) fn corrupt(&mut self, pool: PoolIndex, part: &Part, index: u32) {
        let (volume, lba, place) = (part.number, part.lba.plus(index), part.place.plus(index));
        self.tell(Event::Corrupt { pool, volume, lba, place });
    }
}
