//! When queues begin and end, and how a session goes on in another process.
//!
//! A queue is served while it has a size, addresses and a kick, and is enabled. That it
//! *is* served is deposited before it begins, and that it is not after it ended: so who
//! finds it deposited as served recovers it from its record, whether or not it had
//! begun, and who does not starts it where the VMM says.

use std::os::fd::OwnedFd;
use std::sync::{Arc, PoisonError};

use thiserror::Error;

use crate::guest::{GuestMemory, Mapping, MemoryError};
use crate::in_flight::{InFlight, RECORD};
use crate::ring::{Position, QueueConfig};
use crate::virtio_blk::{Device, feature};

use super::description::{Description, QueueDescription, VERSION};
use super::session::{Refusal, Session};
use super::sink::{QueueStart, Sink};

/// Why a session cannot go on here.
#[derive(Debug, Error)]
pub enum ResumeError {
    /// Written by a version that this one does not know.
    #[error("a session of version {0} cannot be taken over")]
    Version(u32),
    /// The files are not those that the description counts, or it is of another device.
    #[error("the description of a session does not fit its files or its device")]
    Files,
    /// The guest's memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The system.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

impl<S: Sink> Session<S> {
    /// A session that another process had. Maps the memory, but serves nothing: that
    /// begins with [`Self::serve_on`].
    pub fn resume(
        description: Description,
        files: Vec<OwnedFd>,
        device: Arc<Device>,
        sink: S,
    ) -> Result<Self, ResumeError> {
        let state = description;
        if state.version != VERSION {
            return Err(ResumeError::Version(state.version));
        }
        if state.files() != files.len() || state.queues.len() != usize::from(device.queues()) {
            return Err(ResumeError::Files);
        }
        let mut session = Session::new(device, sink);
        let mut files = files.into_iter();
        let mut next = || files.next().expect("counted before");
        session.regions = state.regions.iter().map(|spec| (*spec, next())).collect();
        if state.in_flight {
            let (file, whole) = (next(), RECORD as u64 * state.queues.len() as u64);
            let mapping = Mapping::new(std::os::fd::AsFd::as_fd(&file), 0, whole);
            session.in_flight = Some((file, Arc::new(mapping.map_err(MemoryError::Map)?)));
        }
        let channel = state.channel.then(&mut next);
        *session.channel.lock().unwrap_or_else(PoisonError::into_inner) = channel;
        for (files, queue) in session.queues.iter_mut().zip(&state.queues) {
            files.kick = queue.kick.then(&mut next);
            files.call = queue.call.then(&mut next);
            files.err = queue.err.then(&mut next);
        }
        let regions = session.regions.iter();
        let regions: Vec<_> =
            regions.map(|(spec, file)| (*spec, std::os::fd::AsFd::as_fd(file))).collect();
        session.memory = Arc::new(GuestMemory::map(&regions)?);
        session.state = state;
        Ok(session)
    }

    /// Attaches all queues that were served, after [`Self::resume`].
    pub fn serve_on(&mut self) -> Result<(), ResumeError> {
        for queue in 0..self.device.queues() {
            if self.state.queues[usize::from(queue)].started {
                let start = self.start_of(queue)?;
                self.sink.attach(start);
            }
        }
        Ok(())
    }

    /// A queue that may be changed: it is not served.
    pub(super) fn idle(&mut self, queue: u16) -> Result<&mut QueueDescription, Refusal> {
        match &mut self.state.queues[usize::from(queue)] {
            served if served.started => Err(Refusal::Busy(queue)),
            idle => Ok(idle),
        }
    }

    pub(super) fn set_kick(&mut self, queue: u16, kick: Option<OwnedFd>) -> Result<(), Refusal> {
        self.halt(queue);
        self.queues[usize::from(queue)].kick = kick;
        self.state.queues[usize::from(queue)].kicked = true;
        self.start_if_ready(queue)
    }
    pub(super) fn set_call(&mut self, queue: u16, call: Option<OwnedFd>) -> Result<(), Refusal> {
        let given = call.as_ref().map(OwnedFd::try_clone).transpose()?;
        self.queues[usize::from(queue)].call = call;
        if self.state.queues[usize::from(queue)].started {
            self.sink.call(queue, given);
        }
        Ok(())
    }
    pub(super) fn enable(&mut self, queue: u16, on: bool) -> Result<(), Refusal> {
        if !on {
            self.halt(queue);
        }
        self.state.queues[usize::from(queue)].enabled = on;
        self.start_if_ready(queue)
    }

    fn start_if_ready(&mut self, queue: u16) -> Result<(), Refusal> {
        let protocol = self.state.features & feature::PROTOCOL != 0;
        let state = &self.state.queues[usize::from(queue)];
        let enabled = state.enabled || !protocol;
        if state.started
            || !enabled
            || !state.kicked
            || state.size == 0
            || state.addresses.is_none()
        {
            return Ok(());
        }
        let adopted = state.adopted;
        self.records()?;
        let start = self.start_of(queue)?;
        if !adopted {
            start.record.end();
        }
        self.state.queues[usize::from(queue)].started = true;
        self.changed = true;
        if let Err(error) = self.deposit() {
            self.state.queues[usize::from(queue)].started = false;
            return Err(error.into());
        }
        self.sink.attach(start);
        Ok(())
    }

    fn start_of(&self, queue: u16) -> Result<QueueStart, std::io::Error> {
        let (state, files) =
            (&self.state.queues[usize::from(queue)], &self.queues[usize::from(queue)]);
        let copy = |file: &Option<OwnedFd>| file.as_ref().map(OwnedFd::try_clone).transpose();
        let missing = || std::io::Error::other("a queue that is served has addresses and a record");
        let (_, records) = self.in_flight.as_ref().ok_or_else(missing)?;
        let config = QueueConfig {
            index: queue,
            size: state.size,
            features: self.state.features,
            addresses: state.addresses.ok_or_else(missing)?,
            start: state.base,
            serial: self.device.serial(),
            kick: copy(&files.kick)?,
            call: copy(&files.call)?,
            err: copy(&files.err)?,
        };
        let record = InFlight::of(records, queue);
        Ok(QueueStart { config, memory: Arc::clone(&self.memory), record })
    }

    /// Serves a queue no more, for now.
    fn halt(&mut self, queue: u16) {
        if !self.state.queues[usize::from(queue)].started {
            return;
        }
        let position = self.sink.stop(queue);
        let state = &mut self.state.queues[usize::from(queue)];
        state.base = position.unwrap_or(state.base);
        (state.started, state.adopted) = (false, false);
        self.changed = true;
        self.ended.push(queue);
    }
    /// Serves a queue no more until it is set up anew; where it was.
    pub(super) fn end_queue(&mut self, queue: u16) -> Position {
        self.halt(queue);
        self.queues[usize::from(queue)].kick = None;
        let state = &mut self.state.queues[usize::from(queue)];
        state.kicked = false;
        self.changed = true;
        state.base
    }
    pub(super) fn stop_all(&mut self) {
        (0..self.device.queues()).for_each(|queue| {
            self.halt(queue);
        });
        self.forget_ended();
    }
    /// That queues ended is deposited: what their records say is old.
    pub(super) fn forget_ended(&mut self) {
        for queue in self.ended.drain(..) {
            let started = self.state.queues[usize::from(queue)].started;
            if let Some((_, records)) = self.in_flight.as_ref().filter(|_| !started) {
                InFlight::of(records, queue).end();
            }
        }
    }
}
