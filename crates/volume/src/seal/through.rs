//! Blocks on their way between a front end's memory and the medium.
//!
//! A block that lies in one piece in the memory of the front end goes straight, in one
//! pass. One that is scattered, or of which only a part is wanted, goes by a block of
//! the lane's own.

use super::crc;
use super::keys::Cipher;
use crate::memory::{Segment, gather, scatter, whole};
use crate::units::{BLOCK, Epoch, Lba, Origin};

/// Whose a block is: what its checksum is seeded with, and its address under its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whose {
    /// Who owns its extent.
    pub origin: Origin,
    /// Since when.
    pub birth: Epoch,
    /// Which block of the volume it is.
    pub lba: Lba,
}

impl Whose {
    #[inline]
    fn seed(&self) -> u32 {
        crc::seed(self.origin, self.lba, self.birth)
    }
}

/// A block of a front end, `skip` bytes into its segments, as it is stored, and the
/// checksum of that. Each byte of the front end is read once.
#[inline]
pub fn store(
    cipher: &Cipher,
    whose: Whose,
    segments: &[Segment],
    skip: usize,
    scratch: &mut [u8; BLOCK],
    into: &mut [u8; BLOCK],
) -> u32 {
    let from = match whole(segments, skip, BLOCK) {
        Some(from) => from.cast_const(),
        None => {
            gather(segments, skip, scratch);
            scratch.as_ptr()
        }
    };
    // SAFETY: a block at `from` is readable: a segment's by its contract, or the scratch.
    // `into` is borrowed alone, so it is neither of them.
    unsafe { cipher.seal(whose.lba, whose.seed(), from, into.as_mut_ptr()) }
}

/// As [`store`], past the caches, into a medium that is memory. Meanwhile the block at
/// `next`, which may be any address, is brought near.
#[inline]
pub fn store_past(
    cipher: &Cipher,
    whose: Whose,
    segments: &[Segment],
    skip: usize,
    scratch: &mut [u8; BLOCK],
    into: &mut [u8; BLOCK],
    next: Option<*const u8>,
) -> u32 {
    let from = match whole(segments, skip, BLOCK) {
        Some(from) => from.cast_const(),
        None => {
            gather(segments, skip, scratch);
            scratch.as_ptr()
        }
    };
    let next = next.unwrap_or(from);
    // SAFETY: as above; media begin at a page, and so do their blocks.
    unsafe { cipher.seal_past(whose.lba, whose.seed(), from, into.as_mut_ptr(), next) }
}

/// A block in clear, as it is stored, and the checksum of that.
pub fn close(cipher: &Cipher, whose: Whose, clear: &[u8; BLOCK], into: &mut [u8; BLOCK]) -> u32 {
    // SAFETY: both are blocks, and do not overlap.
    unsafe { cipher.seal(whose.lba, whose.seed(), clear.as_ptr(), into.as_mut_ptr()) }
}

/// A stored block in clear. False: it is not what was written, and nothing is given.
#[must_use]
pub fn open(
    cipher: &Cipher,
    whose: Whose,
    sum: u32,
    stored: &[u8; BLOCK],
    clear: &mut [u8; BLOCK],
) -> bool {
    let (from, to) = (stored.as_ptr(), clear.as_mut_ptr());
    // SAFETY: both are blocks, and do not overlap.
    unsafe { cipher.open(whose.lba, whose.seed(), sum, from, to, from) }.is_ok()
}

/// `bytes` of a stored block, from its byte `from` on, into segments, `skip` bytes into
/// them. False: the block is not what was written, and nothing of it is given.
#[inline]
#[must_use]
#[allow(clippy::too_many_arguments, reason = "it says from where and to where")]
pub fn load(
    cipher: &Cipher,
    whose: Whose,
    sum: u32,
    stored: &[u8; BLOCK],
    scratch: &mut [u8; BLOCK],
    segments: &[Segment],
    skip: usize,
    from: usize,
    bytes: usize,
    next: Option<*const u8>,
) -> bool {
    if bytes == BLOCK
        && let Some(into) = whole(segments, skip, BLOCK)
    {
        let from = stored.as_ptr();
        let next = next.unwrap_or(from);
        // SAFETY: a segment's block is writable by its contract; the stored one is ours.
        return unsafe { cipher.open(whose.lba, whose.seed(), sum, from, into, next) }.is_ok();
    }
    let good = open(cipher, whose, sum, stored, scratch);
    if good {
        scatter(segments, skip, &scratch[from..from + bytes]);
    }
    good
}

#[cfg(test)]
mod tests {
    use std::ptr::NonNull;

    use super::*;

    fn segments(buffers: &mut [Vec<u8>]) -> Vec<Segment> {
        let make = |buffer: &mut Vec<u8>| {
            let address = NonNull::new(buffer.as_mut_ptr()).expect("not null");
            // SAFETY: the buffers outlive the test's use of them.
            unsafe { Segment::new(address, buffer.len() as u32) }
        };
        buffers.iter_mut().map(make).collect()
    }

    #[test]
    fn blocks_come_back_whole_scattered_and_in_part() {
        let key = super::super::xts::XtsKey::new(&std::array::from_fn(|at| at as u8))
            .expect("two halves");
        let whose = Whose { origin: Origin(7), birth: Epoch(3), lba: Lba(99) };
        let content: Vec<u8> = (0..BLOCK).map(|at| (at % 251) as u8).collect();
        for cipher in [Cipher::Plain, Cipher::Xts(Box::new(key))] {
            let plain = matches!(cipher, Cipher::Plain);
            let cipher = &cipher;
            let mut straight = vec![content.clone()];
            let mut pieces = vec![content[..1000].to_vec(), content[1000..].to_vec()];
            let (mut one, mut two, mut scratch) = ([0; BLOCK], [0; BLOCK], [0; BLOCK]);
            let sum = store(cipher, whose, &segments(&mut straight), 0, &mut scratch, &mut one);
            assert_eq!(
                sum,
                store(cipher, whose, &segments(&mut pieces), 0, &mut scratch, &mut two)
            );
            assert_eq!(one, two);
            assert_eq!(one[..] == content[..], plain, "encrypted if there is a key");
            let mut back = vec![vec![1; BLOCK]];
            assert!(load(
                cipher,
                whose,
                sum,
                &one,
                &mut scratch,
                &segments(&mut back),
                0,
                0,
                BLOCK,
                None
            ));
            assert_eq!(back[0], content);
            let mut part = vec![vec![0; 300], vec![0; 212]];
            assert!(load(
                cipher,
                whose,
                sum,
                &one,
                &mut scratch,
                &segments(&mut part),
                0,
                512,
                512,
                None
            ));
            assert_eq!(part.concat(), content[512..1024]);
            one[17] ^= 1;
            assert!(!load(
                cipher,
                whose,
                sum,
                &one,
                &mut scratch,
                &segments(&mut back),
                0,
                0,
                BLOCK,
                None
            ));
            assert_eq!(back[0], vec![0; BLOCK], "nothing of a damaged block is given");
            let other = Whose { lba: Lba(98), ..whose };
            assert!(!open(cipher, other, sum, &two, &mut scratch), "the block of another address");
        }
    }
}
