//! All that a session is, as data and files, so that a keeper can hold it and a
//! successor can go on with it.

use serde::{Deserialize, Serialize};

use crate::guest::RegionSpec;
use crate::ring::{Addresses, Position};

/// The version of this description. A reader takes those that it knows.
pub const VERSION: u32 = 1;

/// A session at a boundary between two messages. Its files go along in this order: one
/// for each region; the in-flight memory, if there is one; the back-end channel, if
/// there is one; then for each queue, in order, its kick, call and err, as far as it
/// has them. The socket itself is apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// [`VERSION`].
    pub version: u32,
    /// Goes up with each change.
    pub revision: u64,
    /// The features that the driver took.
    pub features: u64,
    /// The protocol features that the VMM took.
    pub protocol: u64,
    /// The guest's memory.
    pub regions: Vec<RegionSpec>,
    /// Whether there is memory for records of what is in flight.
    pub in_flight: bool,
    /// Whether there is a channel for messages from here to the VMM.
    pub channel: bool,
    /// Its queues, by index.
    pub queues: Vec<QueueDescription>,
}

/// A queue of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueDescription {
    /// How many descriptors; 0 until told.
    pub size: u16,
    /// Where it is, as guest addresses.
    pub addresses: Option<Addresses>,
    /// Where it begins when it is started the next time.
    pub base: Position,
    /// Whether it was enabled.
    pub enabled: bool,
    /// Whether it is served.
    pub started: bool,
    /// Whether its record came from the VMM: then it begins with what that says.
    pub adopted: bool,
    /// Whether a kick was set, with a file or without.
    pub kicked: bool,
    /// Which files it has.
    pub kick: bool,
    /// See `kick`.
    pub call: bool,
    /// See `kick`.
    pub err: bool,
}

impl Description {
    /// How many files go along.
    pub fn files(&self) -> usize {
        let of = |queue: &QueueDescription| {
            usize::from(queue.kick) + usize::from(queue.call) + usize::from(queue.err)
        };
        let queues: usize = self.queues.iter().map(of).sum();
        self.regions.len() + usize::from(self.in_flight) + usize::from(self.channel) + queues
    }
}
