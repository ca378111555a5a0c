//! Blocks on their way between a front end's memory and the medium.
//!
//! A block that lies in one piece in the memory of the front end goes straight, in one
//! pass. One that is scattered, or of which only a part is wanted, goes by a block of
//! the lane's own.

use super::crc;
use super::xts::XtsKey;
use crate::memory::{Segment, gather, scatter, whole, zero};
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
pub fn store(key: Option<&XtsKey>, whose: Whose, segments: &[Segment], skip: usize, scratch: &mut [u8; BLOCK], into: &mut [u8; BLOCK]) -> u32 {
    let from = match whole(segments, skip, BLOCK) {
        Some(from) => from.cast_const(),
        None => {
            gather(segments, skip, scratch);
            scratch.as_ptr()
        }
    };
    // SAFETY: a block at `from` is readable: a segment's by its contract, or the scratch.
    // `into` is borrowed alone, so it is neither of them.
    unsafe { seal(key, whose, from, into.as_mut_ptr()) }
}

/// A block in clear, as it is stored, and the checksum of that.
pub fn close(key: Option<&XtsKey>, whose: Whose, clear: &[u8; BLOCK], into: &mut [u8; BLOCK]) -> u32 {
    // SAFETY: both are blocks, and do not overlap.
    unsafe { seal(key, whose, clear.as_ptr(), into.as_mut_ptr()) }
}

/// A stored block in clear. False: it is not what was written, and nothing is given.
#[must_use]
pub fn open(key: Option<&XtsKey>, whose: Whose, sum: u32, stored: &[u8; BLOCK], clear: &mut [u8; BLOCK]) -> bool {
    // SAFETY: both are blocks, and do not overlap.
    let good = unsafe { unseal(key, whose, stored.as_ptr(), clear.as_mut_ptr()) } == sum;
    if !good {
        clear.fill(0);
    }
    good
}

/// `bytes` of a stored block, from its byte `from` on, into segments, `skip` bytes into
/// them. False: the block is not what was written, and nothing of it is given.
#[inline]
#[must_use]
#[allow(clippy::too_many_arguments, reason = "it says from where and to where")]
pub fn load(
    key: Option<&XtsKey>,
    whose: Whose,
    sum: u32,
    stored: &[u8; BLOCK],
    scratch: &mut [u8; BLOCK],
    segments: &[Segment],
    skip: usize,
    from: usize,
    bytes: usize,
) -> bool {
    if bytes == BLOCK
        && let Some(into) = whole(segments, skip, BLOCK)
    {
        // SAFETY: a segment's block is writable by its contract; the stored one is ours.
        let good = unsafe { unseal(key, whose, stored.as_ptr(), into) } == sum;
        if !good {
            zero(segments, skip, BLOCK);
        }
        return good;
    }
    let good = open(key, whose, sum, stored, scratch);
    if good {
        scatter(segments, skip, &scratch[from..from + bytes]);
    }
    good
}

/// # Safety
/// A block at `from` can be read and one at `to` be written; they do not overlap.
#[inline]
unsafe fn seal(key: Option<&XtsKey>, whose: Whose, from: *const u8, to: *mut u8) -> u32 {
    match key {
        // SAFETY: by the caller's contract.
        Some(key) => unsafe { key.encrypt_and_check(u64::from(whose.lba.0), whose.seed(), from, to) },
        // SAFETY: by the caller's contract.
        None => unsafe { crc::copy_and_check(whose.seed(), from, to) },
    }
}

/// # Safety
/// As of [`seal`].
#[inline]
unsafe fn unseal(key: Option<&XtsKey>, whose: Whose, from: *const u8, to: *mut u8) -> u32 {
    match key {
        // SAFETY: by the caller's contract.
        Some(key) => unsafe { key.decrypt_and_check(u64::from(whose.lba.0), whose.seed(), from, to) },
        // SAFETY: by the caller's contract.
        None => unsafe { crc::copy_and_check(whose.seed(), from, to) },
    }
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
        let mut bytes = [0; super::super::xts::KEY];
        (0_u8..).zip(&mut bytes).for_each(|(number, byte)| *byte = number);
        let key = XtsKey::new(&bytes).expect("two halves");
        let whose = Whose { origin: Origin(7), birth: Epoch(3), lba: Lba(99) };
        let content: Vec<u8> = (0..BLOCK).map(|at| (at % 251) as u8).collect();
        for key in [None, Some(&key)] {
            let mut straight = vec![content.clone()];
            let mut pieces = vec![content[..1000].to_vec(), content[1000..].to_vec()];
            let (mut one, mut two, mut scratch) = ([0; BLOCK], [0; BLOCK], [0; BLOCK]);
            let sum = store(key, whose, &segments(&mut straight), 0, &mut scratch, &mut one);
            assert_eq!(sum, store(key, whose, &segments(&mut pieces), 0, &mut scratch, &mut two));
            assert_eq!(one, two);
            assert_eq!(one[..] == content[..], key.is_none(), "encrypted if there is a key");
            let mut back = vec![vec![1; BLOCK]];
            assert!(load(key, whose, sum, &one, &mut scratch, &segments(&mut back), 0, 0, BLOCK));
            assert_eq!(back[0], content);
            let mut part = vec![vec![0; 300], vec![0; 212]];
            assert!(load(key, whose, sum, &one, &mut scratch, &segments(&mut part), 0, 512, 512));
            assert_eq!(part.concat(), content[512..1024]);
            one[17] ^= 1;
            assert!(!load(key, whose, sum, &one, &mut scratch, &segments(&mut back), 0, 0, BLOCK));
            assert_eq!(back[0], vec![0; BLOCK], "nothing of a damaged block is given");
            let other = Whose { lba: Lba(98), ..whose };
            assert!(!open(key, other, sum, &two, &mut scratch), "the block of another address");
        }
    }
}
