//! Queues against a driver that was written from the specification alone.

mod crash;
pub(crate) mod driver;
mod exchange;
mod hostile;
mod threads;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

use super::{Addresses, Position, Queue, QueueConfig};
use crate::guest::{GuestMemory, RegionSpec};
use crate::in_flight::InFlight;
use crate::virtio_blk::feature;
use driver::{BASE, MEMORY};

/// What both sides agreed on, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) size: u16,
    pub(crate) packed: bool,
    pub(crate) indirect: bool,
    pub(crate) event_index: bool,
}

impl Shape {
    pub(crate) fn features(self) -> u64 {
        let of = |on: bool, bit: u64| if on { bit } else { 0 };
        feature::VERSION_1
            | feature::FLUSH
            | feature::DISCARD
            | feature::WRITE_ZEROES
            | of(self.packed, feature::RING_PACKED)
            | of(self.indirect, feature::RING_INDIRECT_DESC)
            | of(self.event_index, feature::RING_EVENT_IDX)
    }
    pub(crate) fn addresses(self) -> Addresses {
        Addresses { descriptors: BASE, driver: BASE + 0x8000, device: BASE + 0xc000 }
    }
    pub(crate) fn start(self) -> Position {
        Position(if self.packed { 0x8000_8000 } else { 0 })
    }
    fn config(self, kick: Option<OwnedFd>, call: Option<OwnedFd>) -> QueueConfig {
        QueueConfig {
            index: 0,
            size: self.size,
            features: self.features(),
            addresses: self.addresses(),
            start: self.start(),
            serial: *b"the serial of it all",
            kick,
            call,
            err: None,
        }
    }
    fn queue(self, memory: &Arc<GuestMemory>, record: InFlight) -> Queue {
        Queue::new(self.config(None, None), Arc::clone(memory), record).unwrap()
    }
    /// All that there are, with a size that is no power of two where that is allowed.
    fn all() -> Vec<Shape> {
        let mut all = Vec::new();
        for bits in 0..8 {
            let packed = bits & 1 != 0;
            let size = if packed { 12 } else { 8 };
            all.push(Shape { size, packed, indirect: bits & 2 != 0, event_index: bits & 4 != 0 });
        }
        all
    }
}

/// A guest's memory of two regions that follow each other.
fn memory() -> Arc<GuestMemory> {
    memory_and_file().0
}
/// The same, with its file and its regions.
pub(crate) fn memory_and_file() -> (Arc<GuestMemory>, OwnedFd, [RegionSpec; 2]) {
    let file = memfd_create("guest", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    ftruncate(&file, MEMORY).unwrap();
    let half = MEMORY / 2;
    let spec =
        |at: u64| RegionSpec { guest: BASE + at, length: half, user: 0x7000_0000 + at, offset: at };
    let regions = [spec(0), spec(half)];
    let memory = GuestMemory::map(&regions.map(|spec| (spec, file.as_fd()))).unwrap();
    (Arc::new(memory), file, regions)
}

/// A record that another queue can find again.
fn record() -> (OwnedFd, Arc<crate::guest::Mapping>) {
    let file = InFlight::create(1).unwrap();
    let bytes = crate::in_flight::RECORD as u64;
    let mapping = crate::guest::Mapping::new(file.as_fd(), 0, bytes).unwrap();
    (file, Arc::new(mapping))
}
