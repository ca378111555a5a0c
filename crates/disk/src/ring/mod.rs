//! Virtqueues: how requests come out of a guest's memory and answers go back in.
//!
//! A [`Queue`] belongs to one reactor. It fetches requests one by one into a
//! [`Scratch`], takes answers in any order, and makes a batch of answers visible with
//! one store and one decision whether the guest wants to be told. On that way nothing
//! is allocated, locked or called dynamically. Both layouts of virtio 1.3 (sections 2.7
//! and 2.8) are walked here.
//!
//! The guest is hostile. What it writes is read once, checked, and then used. A request
//! that makes no sense is answered with an error; where not even that is possible (no
//! status byte, a loop, an index that jumps) the queue is [`Broken`] and is not
//! fetched from again.

mod ahead;
mod area;
mod chain;
mod packed;
mod queue;
mod recovery;
mod saved;
mod split;

#[cfg(test)]
pub(crate) mod tests;

use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use volume::Request;

pub use crate::in_flight::QUEUE_MAX;
pub use chain::Scratch;
pub use queue::Queue;

/// Where the three parts of a queue are, as guest addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addresses {
    /// The descriptors (packed: the ring).
    pub descriptors: u64,
    /// What the driver writes: the available ring (packed: its event suppression).
    pub driver: u64,
    /// What the device writes: the used ring (packed: its event suppression).
    pub device: u64,
}

/// Where a queue goes on, as vhost-user says it: for split rings the next available
/// index; for packed rings that in bits 0-14 and its wrap counter in 15, the next used
/// index in 16-30 and its wrap counter in 31.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u32);

/// All about a queue but its memory and record.
#[derive(Debug)]
pub struct QueueConfig {
    /// Which of the device's.
    pub index: u16,
    /// How many descriptors, at most [`QUEUE_MAX`]; for split rings a power of two.
    pub size: u16,
    /// What was negotiated (see [`crate::virtio_blk::feature`]).
    pub features: u64,
    /// Where it is.
    pub addresses: Addresses,
    /// Where it begins, unless the record says that it is to be recovered.
    pub start: Position,
    /// What `GET_ID` answers.
    pub serial: [u8; crate::virtio_blk::SERIAL],
    /// The guest writes to it after it made something available.
    pub kick: Option<OwnedFd>,
    /// The guest listens to it for answers.
    pub call: Option<OwnedFd>,
    /// The VMM listens to it for a broken queue.
    pub err: Option<OwnedFd>,
}

/// A request of a guest.
#[derive(Clone, Copy, Debug)]
pub struct Fetched<'s> {
    /// Its name, for [`Queue::finish`].
    pub head: u16,
    /// What is asked.
    pub request: Request<'s>,
}

/// Why a queue is served no more. The guest (or its VMM) must reset it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum Broken {
    /// Its size is 0, too large, or no power of two.
    #[error("the queue's size is not allowed")]
    Size,
    /// A part of the ring is not in the guest's memory, or not aligned.
    #[error("the ring is not in the guest's memory, or not aligned")]
    Ring,
    /// The available index is further ahead than the queue is long.
    #[error("the available index jumped")]
    AvailableIndex,
    /// A head or buffer id beyond the queue.
    #[error("a descriptor beyond the queue was made available")]
    Head,
    /// A head or buffer id that is in flight already, or more in flight than fits.
    #[error("a descriptor was made available twice")]
    Twice,
    /// A chain that does not end.
    #[error("a descriptor chain is longer than the queue")]
    Loop,
    /// An indirect table that is empty, too long, nested, or outside memory.
    #[error("an indirect table makes no sense")]
    Indirect,
    /// There is no byte for the status.
    #[error("a request has no place for its status")]
    Status,
    /// The record of a crash does not fit the ring.
    #[error("what was in flight is not in the ring")]
    Record,
}

/// A queue's small state, for live replacement. The record and the ring have the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedQueue {
    /// Where it fetches and answers next.
    pub position: Position,
    /// The used index (split rings only; packed ones have it in `position`).
    pub used: u16,
    /// The number of the next request.
    pub order: u64,
    /// What is in flight.
    pub pending: Vec<SavedPending>,
    /// Heads that a crash left and that were not fetched again yet, next one last.
    pub again: Vec<u16>,
    /// Why it is served no more.
    pub broken: Option<Broken>,
}

/// A request in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPending {
    /// Which.
    pub head: u16,
    /// The guest address of its status byte.
    pub status: u64,
    /// Bytes that a success writes, without the status byte.
    pub written: u32,
    /// Descriptors it takes in a packed ring.
    pub descriptors: u16,
}
