//! From the segments of an engine's operation to entries of io_uring. Here, since it
//! hands the kernel addresses and must answer for them.

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

fn piece(segment: &Segment) -> (*mut u8, u32) {
    (segment.address(), segment.len() as u32)
}
