//! Looking for what should be gone. The places are chosen before: both ends of
//! the disk (partition tables, superblocks) and random pieces over the rest. A
//! disk that was overwritten must read as zeros. What a disk reads as after it
//! destroyed its key nobody knows, only that it must not be what was there
//! before; so digests of what was there are kept.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use model::machine::SanitiseMethod;
use sha2::{Digest as _, Sha256};

use crate::backoff::random;
use crate::image::aligned::{block_floor, is_zero};

/// Bytes at each end that are always looked at.
const END: u64 = 1 << 20;
/// Bytes of a random piece.
const PIECE: usize = 64 << 10;
/// Residue after a purge is judged by blocks of this size.
const BLOCK: usize = 4096;
/// A disk of many terabytes is not read for ever: at most 4 GiB of random pieces.
const PIECES_MOST: u64 = 65_536;

/// What was at the places before.
#[derive(Debug)]
pub struct Fingerprint {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
struct Piece {
    at: u64,
    length: usize,
    /// SHA-256 of each block that was not empty.
    blocks: Vec<Option<[u8; 32]>>,
}

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Bytes read back.
    pub sampled: u64,
    /// Bytes of them that should not be there.
    pub residue: u64,
}

/// Chooses the places and remembers what is there. `ppm` is the part of the disk to look at.
pub fn fingerprint(disk: &File, size: u64, ppm: u32) -> io::Result<Fingerprint> {
    let mut pieces = Vec::new();
    for (at, length) in places(size, ppm) {
        let mut bytes = vec![0; length];
        disk.read_exact_at(&mut bytes, at)?;
        let digest = |block: &[u8]| (!is_blank(block)).then(|| Sha256::digest(block).into());
        let blocks = bytes.chunks(BLOCK).map(digest).collect();
        pieces.push(Piece { at, length, blocks });
    }
    Ok(Fingerprint { pieces })
}

/// Reads the places again and counts what remained.
pub fn after(disk: &File, method: SanitiseMethod, before: &Fingerprint) -> io::Result<Sample> {
    let mut sample = Sample::default();
    for piece in &before.pieces {
        let mut bytes = vec![0; piece.length];
        disk.read_exact_at(&mut bytes, piece.at)?;
        sample.sampled += piece.length as u64;
        sample.residue += match method {
            SanitiseMethod::Overwrite => bytes.iter().filter(|byte| **byte != 0).count() as u64,
            SanitiseMethod::CryptoErase | SanitiseMethod::BlockErase => bytes
                .chunks(BLOCK)
                .zip(&piece.blocks)
                .filter(|(now, then)| then.is_some_and(|then| Sha256::digest(now)[..] == then))
                .map(|(now, _)| now.len() as u64)
                .sum(),
        };
    }
    Ok(sample)
}

/// All zeros or all ones: what erased flash reads as, and no evidence of anything.
fn is_blank(block: &[u8]) -> bool {
    is_zero(block) || block.iter().all(|byte| *byte == 0xff)
}

fn places(size: u64, ppm: u32) -> Vec<(u64, usize)> {
    if size <= 2 * END {
        return vec![(0, size as usize)];
    }
    let mut places = vec![(0, END as usize), (size - END, END as usize)];
    let share = (u128::from(size) * u128::from(ppm.min(1_000_000)) / 1_000_000) as u64;
    let between = size - 2 * END - size % PIECE as u64;
    if ppm >= 1_000_000 && share / (PIECE as u64) <= PIECES_MOST {
        let pieces = (size - 2 * END).div_ceil(PIECE as u64);
        let length = |at: u64| (size - END - at).min(PIECE as u64) as usize;
        places.extend((0..pieces).map(|n| END + n * PIECE as u64).map(|at| (at, length(at))));
    } else if between > PIECE as u64 {
        let count = share.div_ceil(PIECE as u64).min(PIECES_MOST);
        let anywhere = || block_floor(END + random() % (between - PIECE as u64));
        places.extend((0..count).map(|_| (anywhere(), PIECE)));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_on_the_disk_and_cover_what_is_asked() {
        for size in [4096, 2 * END, 2 * END + 1, 3 * END, 64 * END + 512] {
            for ppm in [0, 1, 10_000, 1_000_000] {
                let places = places(size, ppm);
                assert!(places.iter().all(|(at, length)| at + *length as u64 <= size));
                assert_eq!(places[0].0, 0);
                assert!(places.iter().any(|(at, length)| at + *length as u64 == size));
                let sum: u64 = places.iter().map(|(_, length)| *length as u64).sum();
                assert!(ppm < 1_000_000 || sum == size, "{size} {sum}");
            }
        }
    }
}
