//! Raw volumes: a medium as it is. A request becomes one operation of the driver on the
//! guest's own memory; there is no checksum and no encryption that would need a copy.

use crate::memory::{Segment, gather, scatter};
use crate::request::{Fault, Kind, MediumFault};
use crate::units::{BLOCK, EXTENT_BLOCKS, Nanos};

use super::Lane;
use super::ops::{Asked, Body, Slot};
use super::pool::fault_of;
use super::port::{Port, VolumeHandle};
use super::volume::Back;

/// Bytes of zeros that one operation writes.
const ZEROS: u64 = 1 << 20;
/// Segments that it takes: all of them are the same zeros.
const ZERO_SEGMENTS: usize = (ZEROS as usize).div_ceil(EXTENT_BLOCKS as usize * BLOCK);

impl Lane {
    /// Begins a request of a raw volume.
    #[inline]
    pub(super) fn submit_raw<P: Port>(
        &mut self,
        handle: VolumeHandle,
        asked: Asked,
        segments: &[Segment],
        port: &mut P,
    ) {
        let volume = self.volumes[usize::from(handle.0)].as_mut().expect("it is open");
        let Back::Raw { medium, memory } = &mut volume.back else { unreachable!("it is raw") };
        let medium = *medium;
        let at_once = match (&mut *memory, asked.kind) {
            (_, Kind::Discard) => Some(Err(Fault::Unsupported)),
            (Some(memory), _) => {
                on_memory(memory, &asked, segments);
                Some(Ok(()))
            }
            (None, Kind::Flush) => None,
            (None, _) if asked.length == 0 => Some(Ok(())),
            (None, _) => None,
        };
        match at_once {
            Some(Ok(())) => {
                return self.answer_now(
                    handle,
                    asked.tag,
                    asked.kind,
                    asked.length,
                    asked.since,
                    port,
                );
            }
            Some(Err(fault)) => {
                volume.statistics.fault(fault);
                return port.reply(asked.tag, Err(fault));
            }
            None => volume.in_flight += 1,
        }
        let slot = self.slab.insert(Body::Request(asked));
        let name = self.slab.name(slot);
        match asked.kind {
            Kind::Read => port.read(name, medium, asked.offset, segments),
            Kind::Write => port.write(name, medium, asked.offset, segments),
            Kind::WriteZeroes => self.write_zeros(slot, port),
            Kind::Flush | Kind::Discard => port.sync(name, medium),
        }
    }

    /// Writes the next zeros of a request.
    fn write_zeros<P: Port>(&mut self, slot: Slot, port: &mut P) {
        let asked = *self.slab.asked(slot);
        let Some(Back::Raw { medium, .. }) =
            self.volumes[usize::from(asked.volume.0)].as_ref().map(|volume| &volume.back)
        else {
            unreachable!("it is raw")
        };
        let zeros = self.buffers.zeros();
        let mut left = asked.left().min(ZEROS) as usize;
        let mut pieces = [zeros; ZERO_SEGMENTS];
        let mut count = 0;
        while left != 0 {
            let here = left.min(zeros.len());
            pieces[count] = self.buffers.zeros_of(here as u32);
            (left, count) = (left - here, count + 1);
        }
        port.write(self.slab.name(slot), *medium, asked.position(), &pieces[..count]);
    }

    /// An operation of a raw volume is done.
    pub(super) fn raw_done<P: Port>(
        &mut self,
        slot: Slot,
        result: Result<u32, MediumFault>,
        now: Nanos,
        port: &mut P,
    ) {
        let asked = *self.slab.asked(slot);
        let wanted = match asked.kind {
            Kind::Read | Kind::Write => asked.length,
            Kind::WriteZeroes => asked.left().min(ZEROS),
            Kind::Flush | Kind::Discard => 0,
        };
        let synced = asked.durable.is_some() || asked.kind == Kind::Flush;
        let result = result.and_then(|done| {
            if synced || u64::from(done) == wanted { Ok(()) } else { Err(MediumFault::Short) }
        });
        let entry = self.slab.asked(slot);
        if let Err(fault) = result {
            entry.fail(fault_of(fault));
            return self.reply(slot, now, port);
        }
        if !synced {
            entry.done += wanted;
            if entry.left() != 0 {
                return self.write_zeros(slot, port);
            }
            if entry.fua {
                // Durable before it is acknowledged: a sync follows.
                entry.durable = Some(crate::units::Sequence(0));
                let Back::Raw { medium, .. } = self.volume(asked.volume).back else {
                    unreachable!("it is raw")
                };
                return port.sync(self.slab.name(slot), medium);
            }
        }
        self.reply(slot, now, port);
    }
}

fn on_memory(memory: &mut crate::memory::Region, asked: &Asked, segments: &[Segment]) {
    let (at, length) = (asked.offset as usize, asked.length as usize);
    match asked.kind {
        Kind::Read => scatter(segments, 0, memory.bytes(at, length)),
        Kind::Write => gather(segments, 0, memory.bytes_mut(at, length)),
        Kind::WriteZeroes => memory.bytes_mut(at, length).fill(0),
        Kind::Flush | Kind::Discard => {}
    }
}
