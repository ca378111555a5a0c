//! A request comes in. It is charged, checked, and begun; what it waits for it waits
//! for in a slot, never in the caller.

use crate::request::{Fault, Kind, Request, Tag};
use crate::units::Nanos;

use super::ops::{Asked, Body, NO_SLOT, Slot};
use super::port::{Port, VolumeHandle};
use super::volume::Back;
use super::{Lane, MOST_PARTS, Step};
use crate::memory::Segment;

/// Pieces that one request may begin before others have their turn.
pub(crate) const STEPS: u32 = 1024;

impl Lane {
    /// Takes a request. Never blocks; may reply before it returns. `now` is that of the
    /// batch: the same for all requests that were fetched together. Callers ask
    /// [`Lane::ready`] before each.
    #[inline]
    pub fn submit<P: Port>(
        &mut self,
        handle: VolumeHandle,
        tag: Tag,
        request: &Request<'_>,
        now: Nanos,
        port: &mut P,
    ) {
        let Some(Some(volume)) = self.volumes.get_mut(usize::from(handle.0)) else {
            port.reply(tag, Err(Fault::Closed));
            return;
        };
        let data = matches!(request.kind, Kind::Read | Kind::Write);
        let bytes = if data { request.length } else { 0 };
        self.gate.charge(volume.node, 1, bytes);
        if let Err(fault) = volume.check(request) {
            volume.statistics.fault(fault);
            port.reply(tag, Err(fault));
            return;
        }
        match volume.back {
            Back::Null => self.answer_now(handle, tag, request.kind, bytes, now, port),
            Back::Raw { .. } => {
                self.submit_raw(handle, asked(handle, tag, request, now), request.segments, port)
            }
            Back::Thin { .. } => {
                self.submit_thin(asked(handle, tag, request, now), request.segments, port)
            }
        }
    }

    fn submit_thin<P: Port>(&mut self, mut asked: Asked, segments: &[Segment], port: &mut P) {
        // A pool in memory may be done with it before a slot is needed.
        let (handle, now) = (asked.volume, asked.since);
        let in_memory = self.in_memory(handle);
        if in_memory && asked.kind != Kind::Flush {
            for _ in 0..STEPS {
                if asked.left() == 0 {
                    break;
                }
                match self.step(NO_SLOT, &mut asked, segments, port) {
                    Step::On => {}
                    Step::Wait(_) => break,
                    Step::Fail(fault) => asked.fail(fault),
                }
            }
            if asked.left() == 0 && !asked.fua {
                match asked.fault {
                    None => self.answer_now(handle, asked.tag, asked.kind, asked.length, now, port),
                    Some(fault) => {
                        self.volume(handle).statistics.fault(fault);
                        port.reply(asked.tag, Err(fault));
                    }
                }
                return;
            }
        }
        let slot = self.slab.insert(Body::Request(asked));
        self.slab.set_segments(slot, segments);
        self.volume(handle).in_flight += 1;
        self.go(slot, now, port);
        self.drain(now, port);
    }

    /// Begins as much of a request as can be begun; answers it when it is done.
    pub(super) fn go<P: Port>(&mut self, slot: Slot, now: Nanos, port: &mut P) {
        let mut asked = *self.slab.asked(slot);
        let segments = self.slab.lend_segments(slot);
        let mut steps = 0;
        let waits = loop {
            if asked.left() == 0 {
                break None;
            }
            if steps == STEPS {
                break Some(super::Wait::Turn);
            }
            steps += 1;
            if asked.parts >= MOST_PARTS {
                break Some(super::Wait::Itself);
            }
            match self.step(slot, &mut asked, &segments, port) {
                Step::On => {}
                Step::Wait(wait) => break Some(wait),
                Step::Fail(fault) => asked.fail(fault),
            }
        };
        self.slab.return_segments(slot, segments);
        *self.slab.asked(slot) = asked;
        match waits {
            Some(wait) => self.wait(slot, self.pool_of(asked.volume), wait, now, port),
            None if asked.parts == 0 => self.finish(slot, now, port),
            None => {}
        }
    }

    /// Begins the next piece of a request. `asked.done` says where, and is moved on.
    #[inline]
    fn step<P: Port>(
        &mut self,
        slot: Slot,
        asked: &mut Asked,
        segments: &[Segment],
        port: &mut P,
    ) -> Step {
        match asked.kind {
            Kind::Read => self.read_step(slot, asked, segments, port),
            Kind::Write => self.write_step(slot, asked, segments, port),
            Kind::Discard => self.discard_step(slot, asked, false, port),
            Kind::WriteZeroes => self.discard_step(slot, asked, true, port),
            // A flush has no pieces: its length is taken for 0.
            Kind::Flush => Step::Fail(Fault::Unsupported),
        }
    }

    /// All parts of a request are done: it is answered, or waits until it is durable.
    pub(super) fn finish<P: Port>(&mut self, slot: Slot, now: Nanos, port: &mut P) {
        let asked = *self.slab.asked(slot);
        assert!(asked.left() == 0 && asked.parts == 0, "a request is finished once");
        let outcome = asked.fault.map_or(Ok(()), Err);
        let durable = asked.fua || asked.kind == Kind::Flush;
        if durable
            && outcome.is_ok()
            && asked.durable.is_none()
            && self.wait_until_durable(slot, now, port)
        {
            return;
        }
        self.reply(slot, now, port);
    }

    /// Answers a request.
    pub(super) fn reply<P: Port>(&mut self, slot: Slot, now: Nanos, port: &mut P) {
        let asked = *self.slab.asked(slot);
        let outcome = asked.fault.map_or(Ok(()), Err);
        self.slab.remove(slot);
        let volume = self.volume(asked.volume);
        volume.in_flight -= 1;
        if asked.since == now && outcome.is_ok() {
            self.answer_now(asked.volume, asked.tag, asked.kind, asked.length, now, port);
            return;
        }
        volume.statistics.later(asked.kind, asked.length, asked.since, now, outcome);
        port.reply(asked.tag, outcome);
    }
}

fn asked(volume: VolumeHandle, tag: Tag, request: &Request<'_>, since: Nanos) -> Asked {
    let length = if request.kind == Kind::Flush { 0 } else { request.length };
    Asked {
        tag,
        volume,
        kind: request.kind,
        offset: request.offset,
        length,
        fua: request.fua && request.kind != Kind::Read,
        since,
        done: 0,
        parts: 0,
        fault: None,
        durable: None,
    }
}
