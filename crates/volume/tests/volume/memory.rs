//! The clients' memory: cut into segments, filled with stamps.

use std::ptr::NonNull;

use bedplate_volume::Segment;

use super::disk::Chance;
use super::world::Asked;

pub fn segments(asked: &mut Asked) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut rest = asked.memory.as_mut_slice();
    for cut in &asked.cuts {
        let (piece, behind) = rest.split_at_mut(*cut);
        let address = NonNull::new(piece.as_mut_ptr()).expect("memory");
        // SAFETY: the memory stays where it is until the reply.
        segments.push(unsafe { Segment::new(address, piece.len() as u32) });
        rest = behind;
    }
    segments
}

pub fn cut_up(bytes: usize, chance: &mut Chance) -> Vec<usize> {
    let mut left = bytes;
    let mut cuts = Vec::new();
    while left > 0 {
        let piece = if chance.one_in(2) { left } else { 1 + chance.below(left as u64) as usize };
        cuts.push(piece);
        left -= piece;
    }
    cuts
}

pub fn fill(sector: &mut [u8], stamp: u32) {
    for word in sector.chunks_exact_mut(4) {
        word.copy_from_slice(&stamp.to_le_bytes());
    }
}

/// The stamp of a sector. All of it must have the same.
pub fn stamp_of(sector: &[u8]) -> u32 {
    let stamp = u32::from_le_bytes(sector[..4].try_into().expect("four bytes"));
    assert!(sector.chunks_exact(4).all(|word| word == stamp.to_le_bytes()), "a sector is torn");
    stamp
}
