//! What each message does. Refuses what was not negotiated or makes no sense, and
//! changes nothing then.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, PoisonError};

use vhost::vhost_user::message::FrontendReq as Request;

use crate::guest::{GuestMemory, Mapping, REGIONS_MAX, RegionSpec};
use crate::in_flight::{InFlight, QUEUE_MAX, RECORD};
use crate::ring::{Addresses, Position};
use crate::virtio_blk::feature;

use super::body::Body;
use super::features::OFFERED;
use super::session::{Refusal, Session};
use super::sink::Sink;

/// An answer that is more than an acknowledgement.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) body: Vec<u8>,
    pub(super) file: Option<OwnedFd>,
}

impl Reply {
    fn number(number: u64) -> Option<Reply> {
        Some(Reply { body: number.to_le_bytes().into(), file: None })
    }
}

type Answer = Result<Option<Reply>, Refusal>;

impl<S: Sink> Session<S> {
    /// Carries a message out.
    ///
    /// Files of a request that takes none are let go: messages are peeked at, and Linux
    /// shows a reader that peeks the files of the message behind one that has none.
    pub(super) fn handle(&mut self, request: u32, body: &[u8], files: Vec<OwnedFd>) -> Answer {
        let kind = Request::try_from(request).map_err(|()| Refusal::Request(request))?;
        let body = Body(body);
        let with_files = [
            Request::SET_MEM_TABLE,
            Request::ADD_MEM_REG,
            Request::REM_MEM_REG,
            Request::SET_VRING_KICK,
            Request::SET_VRING_CALL,
            Request::SET_VRING_ERR,
            Request::SET_BACKEND_REQ_FD,
            Request::SET_INFLIGHT_FD,
        ];
        let files = if with_files.contains(&kind) { files } else { Vec::new() };
        match kind {
            Request::GET_FEATURES => Ok(Reply::number(self.device.features())),
            Request::GET_PROTOCOL_FEATURES => Ok(Reply::number(OFFERED)),
            Request::GET_QUEUE_NUM => Ok(Reply::number(u64::from(self.device.queues()))),
            Request::GET_MAX_MEM_SLOTS => Ok(Reply::number(REGIONS_MAX as u64)),
            Request::SET_OWNER => Ok(None),
            Request::RESET_OWNER | Request::RESET_DEVICE => self.reset(),
            Request::SET_FEATURES => self.set_features(kind, body),
            Request::SET_PROTOCOL_FEATURES => self.set_protocol(kind, body),
            Request::SET_MEM_TABLE => self.set_table(kind, body, files),
            Request::ADD_MEM_REG => self.add_region(kind, body, files),
            Request::REM_MEM_REG => self.remove_region(kind, body),
            Request::GET_CONFIG => self.get_config(kind, body),
            Request::SET_BACKEND_REQ_FD => self.set_channel(kind, files),
            Request::GET_INFLIGHT_FD => self.get_in_flight(kind, body),
            Request::SET_INFLIGHT_FD => self.set_in_flight(kind, body, files),
            _ => self.handle_queue(kind, body, files),
        }
    }

    /// Messages about one queue.
    fn handle_queue(&mut self, kind: Request, body: Body<'_>, files: Vec<OwnedFd>) -> Answer {
        let wrong = || Refusal::Body(kind as u32);
        match kind {
            Request::SET_VRING_NUM => {
                let (queue, size) = self.state_of(kind, body)?;
                let idle = self.idle(queue)?;
                let size = u16::try_from(size).ok().filter(|size| (1..=QUEUE_MAX).contains(size));
                idle.size = size.ok_or_else(wrong)?;
            }
            Request::SET_VRING_BASE => {
                let (queue, base) = self.state_of(kind, body)?;
                self.idle(queue)?.base = Position(base);
            }
            Request::SET_VRING_ADDR => {
                let (queue, _flags, users) = body.addresses().ok_or_else(wrong)?;
                let guest = |user| self.memory.guest_address(user).ok_or_else(wrong);
                let [descriptors, device, driver] = users;
                let (descriptors, device) = (guest(descriptors)?, guest(device)?);
                let addresses = Addresses { descriptors, driver: guest(driver)?, device };
                let queue = self.known(kind, queue)?;
                self.idle(queue)?.addresses = Some(addresses);
            }
            Request::SET_VRING_KICK | Request::SET_VRING_CALL | Request::SET_VRING_ERR => {
                self.set_file(kind, body, files)?;
            }
            Request::SET_VRING_ENABLE => {
                let (queue, on) = self.state_of(kind, body)?;
                if on > 1 || self.state.features & feature::PROTOCOL == 0 {
                    return Err(wrong());
                }
                self.enable(queue, on == 1)?;
            }
            Request::GET_VRING_BASE => {
                let (queue, _) = self.state_of(kind, body)?;
                let base = self.end_queue(queue);
                let body = [u32::from(queue), base.0].map(u32::to_le_bytes).as_flattened().to_vec();
                return Ok(Some(Reply { body, file: None }));
            }
            _ => return Err(Refusal::Request(kind as u32)),
        }
        self.changed = true;
        Ok(None)
    }

    fn state_of(&self, kind: Request, body: Body<'_>) -> Result<(u16, u32), Refusal> {
        let (queue, number) = body.state().ok_or(Refusal::Body(kind as u32))?;
        Ok((self.known(kind, queue)?, number))
    }
    fn known(&self, kind: Request, queue: u32) -> Result<u16, Refusal> {
        let known = u16::try_from(queue).ok().filter(|queue| *queue < self.device.queues());
        known.ok_or(Refusal::Body(kind as u32))
    }

    fn set_file(
        &mut self,
        kind: Request,
        body: Body<'_>,
        mut files: Vec<OwnedFd>,
    ) -> Result<(), Refusal> {
        let (queue, has) = body.with_file().ok_or(Refusal::Body(kind as u32))?;
        let queue = self.known(kind, queue)?;
        files.truncate(if has { files.len() } else { 0 });
        if files.len() != usize::from(has) {
            return Err(Refusal::Files(kind as u32));
        }
        let file = files.pop();
        if let Some(file) = &file {
            event(file).then_some(()).ok_or(Refusal::Files(kind as u32))?;
        }
        match kind {
            Request::SET_VRING_KICK => self.set_kick(queue, file),
            Request::SET_VRING_CALL => self.set_call(queue, file),
            _ => {
                self.queues[usize::from(queue)].err = file;
                Ok(())
            }
        }
    }

    fn reset(&mut self) -> Answer {
        (0..self.device.queues()).for_each(|queue| {
            self.end_queue(queue);
            self.state.queues[usize::from(queue)].enabled = false;
        });
        self.changed = true;
        Ok(None)
    }

    fn set_features(&mut self, kind: Request, body: Body<'_>) -> Answer {
        let features = body.only().ok_or(Refusal::Body(kind as u32))?;
        let strange = features & !self.device.features();
        if strange != 0 {
            return Err(Refusal::Features(strange));
        }
        let busy = self.state.queues.iter().position(|queue| queue.started);
        match busy {
            Some(queue) if features != self.state.features => {
                return Err(Refusal::Busy(queue as u16));
            }
            _ => self.state.features = features,
        }
        self.changed = true;
        Ok(None)
    }
    fn set_protocol(&mut self, kind: Request, body: Body<'_>) -> Answer {
        let features = body.only().ok_or(Refusal::Body(kind as u32))?;
        if features & !OFFERED != 0 {
            return Err(Refusal::Features(features & !OFFERED));
        }
        (self.state.protocol, self.changed) = (features, true);
        Ok(None)
    }

    fn set_table(&mut self, kind: Request, body: Body<'_>, files: Vec<OwnedFd>) -> Answer {
        let specs = body.table().ok_or(Refusal::Body(kind as u32))?;
        if specs.len() != files.len() {
            return Err(Refusal::Files(kind as u32));
        }
        let regions: Vec<(RegionSpec, OwnedFd)> = specs.into_iter().zip(files).collect();
        let borrowed: Vec<_> = regions.iter().map(|(spec, file)| (*spec, file.as_fd())).collect();
        let memory = GuestMemory::map(&borrowed)?;
        self.take_memory(memory, regions);
        Ok(None)
    }
    fn add_region(&mut self, kind: Request, body: Body<'_>, mut files: Vec<OwnedFd>) -> Answer {
        let spec = body.single().ok_or(Refusal::Body(kind as u32))?;
        let file = files.pop().filter(|_| files.is_empty()).ok_or(Refusal::Files(kind as u32))?;
        // A predecessor may have done it already.
        let without = self.memory.without(spec).ok();
        let memory = without.as_ref().unwrap_or(&self.memory).with(spec, file.as_fd())?;
        let mut regions = std::mem::take(&mut self.regions);
        regions.retain(|(other, _)| other.guest != spec.guest);
        regions.push((spec, file));
        self.take_memory(memory, regions);
        Ok(None)
    }
    fn remove_region(&mut self, kind: Request, body: Body<'_>) -> Answer {
        let spec = body.single().ok_or(Refusal::Body(kind as u32))?;
        let memory = self.memory.without(spec)?;
        let mut regions = std::mem::take(&mut self.regions);
        regions.retain(|(other, _)| other.guest != spec.guest);
        self.take_memory(memory, regions);
        Ok(None)
    }
    fn take_memory(&mut self, memory: GuestMemory, regions: Vec<(RegionSpec, OwnedFd)>) {
        (self.memory, self.regions, self.changed) = (Arc::new(memory), regions, true);
        if self.state.queues.iter().any(|queue| queue.started) {
            self.sink.memory(Arc::clone(&self.memory));
        }
    }

    /// A part of the configuration space; what is beyond its end is zeros. An answer
    /// without bytes says that the question made no sense.
    fn get_config(&mut self, kind: Request, body: Body<'_>) -> Answer {
        let (offset, size, flags, _) = body.config().ok_or(Refusal::Body(kind as u32))?;
        let space = self.device.config();
        let end = offset.checked_add(size).filter(|end| *end <= 256 && size > 0);
        let bytes = end.map(|end| {
            (offset..end)
                .map(|at| space.get(at as usize).copied().unwrap_or(0))
                .collect::<Vec<u8>>()
        });
        let bytes = bytes.unwrap_or_default();
        let mut body =
            [offset, bytes.len() as u32, flags].map(u32::to_le_bytes).as_flattened().to_vec();
        body.extend(bytes);
        Ok(Some(Reply { body, file: None }))
    }

    fn set_channel(&mut self, kind: Request, mut files: Vec<OwnedFd>) -> Answer {
        let file = files.pop().filter(|_| files.is_empty()).ok_or(Refusal::Files(kind as u32))?;
        *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        self.changed = true;
        Ok(None)
    }

    /// Memory in which we note what is in flight, for the VMM to hold: when it connects
    /// again, even after both of our processes died, it hands it back.
    fn get_in_flight(&mut self, kind: Request, body: Body<'_>) -> Answer {
        let length = body.0.len();
        let (_, _, queues, size) = body.in_flight().ok_or(Refusal::Body(kind as u32))?;
        if queues == 0 || queues > self.device.queues() || size > QUEUE_MAX {
            return Err(Refusal::Body(kind as u32));
        }
        let file = self.records()?.0.try_clone()?;
        let whole = RECORD as u64 * u64::from(self.device.queues());
        let mut body: Vec<u8> = [whole, 0].map(u64::to_le_bytes).as_flattened().to_vec();
        body.extend([queues, size].map(u16::to_le_bytes).as_flattened());
        body.resize(length, 0);
        self.changed = true;
        Ok(Some(Reply { body, file: Some(file) }))
    }
    fn set_in_flight(&mut self, kind: Request, body: Body<'_>, mut files: Vec<OwnedFd>) -> Answer {
        let wrong = Refusal::Body(kind as u32);
        let (bytes, offset, _, _) = body.in_flight().ok_or(Refusal::Body(kind as u32))?;
        let file = files.pop().filter(|_| files.is_empty()).ok_or(Refusal::Files(kind as u32))?;
        if let Some(queue) = self.state.queues.iter().position(|queue| queue.started) {
            return Err(Refusal::Busy(queue as u16));
        }
        let whole = RECORD as u64 * u64::from(self.device.queues());
        if bytes != whole || offset != 0 {
            return Err(wrong);
        }
        let mapping =
            Mapping::new(file.as_fd(), 0, whole).map_err(crate::guest::MemoryError::Map)?;
        if !mapping.sealed() {
            return Err(wrong);
        }
        self.in_flight = Some((file, Arc::new(mapping)));
        self.state.queues.iter_mut().for_each(|queue| queue.adopted = true);
        self.changed = true;
        Ok(None)
    }
    /// The records of all queues; made when first needed.
    pub(super) fn records(&mut self) -> Result<&(OwnedFd, Arc<Mapping>), Refusal> {
        if self.in_flight.is_none() {
            let queues = self.device.queues();
            let file = InFlight::create(queues)?;
            let whole = RECORD as u64 * u64::from(queues);
            let mapping =
                Mapping::new(file.as_fd(), 0, whole).map_err(crate::guest::MemoryError::Map)?;
            self.in_flight = Some((file, Arc::new(mapping)));
        }
        Ok(self.in_flight.as_ref().expect("made just now"))
    }
}

/// Makes a file of events ready for us: it must be one that has no type in the file
/// system (an eventfd and its like; no pipe, socket or file, which could block a
/// reactor or raise signals), and writing to it must not block.
fn event(file: &OwnedFd) -> bool {
    let anonymous = rustix::fs::fstat(file).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == 0);
    let flags = || rustix::fs::fcntl_getfl(file);
    anonymous
        && flags().is_ok_and(|flags| {
            rustix::fs::fcntl_setfl(file, flags | rustix::fs::OFlags::NONBLOCK).is_ok()
        })
}
