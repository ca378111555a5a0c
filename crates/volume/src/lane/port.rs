//! What a lane asks of the one who drives it, and the names they use for things.
//!
//! A driver is an io_uring, a model disk or plain memory. It never calls the lane back
//! from inside these: what it finishes it hands in by [`super::Lane::completed`].

use serde::{Deserialize, Serialize};

use crate::memory::{Region, Segment};
use crate::request::{Outcome, Tag};

use super::command::{Answered, CommandError};

/// An operation that a driver was asked for. Comes back with its completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Op(pub u64);

/// A file, device or piece of memory of a lane, counted by its driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediumIndex(pub u16);

/// An open volume of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VolumeHandle(pub u16);

/// A pool of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PoolIndex(pub u16);

/// What a lane asks of its driver.
///
/// The segments of an operation are only lent for the call; the memory they name stays
/// as it is until the operation is completed. Offsets and lengths are multiples of 512.
pub trait Port {
    /// Asked once when a medium is added. `Some`: the medium is memory, and from now on
    /// the lane's alone, which then asks for no operation on it.
    fn memory(&mut self, medium: MediumIndex) -> Option<Region>;
    /// Bytes of the medium into memory.
    fn read(&mut self, op: Op, medium: MediumIndex, at: u64, into: &[Segment]);
    /// Memory to the medium.
    fn write(&mut self, op: Op, medium: MediumIndex, at: u64, from: &[Segment]);
    /// Every write that was completed before becomes durable.
    fn sync(&mut self, op: Op, medium: MediumIndex);
    /// A request of a front end is done.
    fn reply(&mut self, tag: Tag, outcome: Outcome);
    /// A command is done, and what it changed is durable.
    fn answer(&mut self, tag: Tag, answer: Result<Answered, CommandError>);
}
