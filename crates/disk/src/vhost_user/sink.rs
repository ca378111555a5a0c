//! Who serves the queues of a session: the seam between sessions and reactors.

use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::guest::GuestMemory;
use crate::in_flight::InFlight;
use crate::ring::{Position, QueueConfig};

use super::description::Description;

/// A queue that is to be served from now on: `Queue::new(start.config, start.memory,
/// start.record)`, or `Queue::heir` when its small state came from a predecessor.
#[derive(Debug)]
pub struct QueueStart {
    /// What was negotiated for it.
    pub config: QueueConfig,
    /// The guest's memory.
    pub memory: Arc<GuestMemory>,
    /// Which of its requests are in flight.
    pub record: InFlight,
}

/// What a session tells. Called on the session's thread, in the order of the VMM's
/// messages; a message is acknowledged when the call has returned.
pub trait Sink: Send {
    /// A queue is to be served. It was not before.
    fn attach(&mut self, start: QueueStart);
    /// A queue is to be served no more. Returns when no request of it is in flight, with
    /// the result of `Queue::close`; `None` when it could not be served at all.
    fn stop(&mut self, queue: u16) -> Option<Position>;
    /// The memory has changed: `Queue::set_memory` for all queues that are served.
    fn memory(&mut self, memory: Arc<GuestMemory>);
    /// Answers of a queue are told to somebody else: `Queue::set_call`.
    fn call(&mut self, queue: u16, call: Option<OwnedFd>);
    /// Keeps what a successor needs to go on, before the VMM hears that it was done.
    /// The files are those that the description counts, in its order.
    fn deposit(
        &mut self,
        description: &Description,
        files: &[BorrowedFd<'_>],
    ) -> std::io::Result<()>;
}
