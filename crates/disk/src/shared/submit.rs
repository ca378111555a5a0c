//! From the segments of an engine's operation to entries of io_uring. Here, since it
//! hands the kernel addresses and must answer for them.

use std::ptr::NonNull;

use volume::Segment;
use world::disk::{FileSlot, Ring};

/// Reads from a file into segments.
pub fn read(ring: &mut Ring, operation: u64, file: FileSlot, at: u64, into: &[Segment]) {
    // SAFETY: a segment's bytes stay in place until the request it belongs to has been
    // answered, by its contract; the engine answers after the completion, and a reactor
    // waits for its ring before it lets go of memory.
    unsafe { ring.read_list(operation, file, at, into.iter().map(piece)) }
}

/// Writes segments to a file.
pub fn write(ring: &mut Ring, operation: u64, file: FileSlot, at: u64, from: &[Segment]) {
    // SAFETY: as above.
    unsafe { ring.write_list(operation, file, at, from.iter().map(piece)) }
}

/// Registers the memory of a segment with a ring, which makes operations in it cheaper.
/// `false`: the kernel refuses, and they work all the same.
///
/// # Safety
/// The memory stays mapped until it is removed from the ring, or the ring is gone.
pub unsafe fn register(ring: &mut Ring, memory: Segment) -> bool {
    // SAFETY: as the caller says.
    unsafe { ring.add_memory(memory.address(), memory.len()) }.is_ok()
}

/// A piece of memory of a guest that is mapped here for as long as its requests are in
/// flight: queues hold the mappings.
pub fn lent(address: NonNull<u8>, length: u32) -> Segment {
    // SAFETY: the caller found it in a guest's memory, which a queue with requests in
    // flight never lets go of, or made it and never frees it.
    unsafe { Segment::new(address, length) }
}

fn piece(segment: &Segment) -> (*mut u8, u32) {
    (segment.address(), segment.len() as u32)
}
