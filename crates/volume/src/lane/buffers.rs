//! Memory that data passes through on its way between a guest and a medium.
//!
//! One region that is registered once and never grows. Half of it is small buffers of
//! two blocks (single blocks and pairs of pages), half is large ones of a whole extent.
//! Who asks for a large one when there is none gets a small one, and sends less at once.

use serde::{Deserialize, Serialize};

use crate::memory::{Region, Segment};
use crate::units::{BLOCK, EXTENT_BLOCKS};

const SMALL: u32 = 2;
const LARGE: u32 = EXTENT_BLOCKS;

/// A piece of the region that is in use. It is given back, never dropped silently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Buffer {
    /// Byte offset in the region.
    at: u32,
    /// How many blocks fit.
    pub(crate) blocks: u32,
}

/// Small buffers that only pages and checkpoints get.
const KEPT: usize = 32;

/// The region and which buffers of it are free.
#[derive(Debug)]
pub(crate) struct Buffers {
    region: Region,
    small: Vec<u32>,
    large: Vec<u32>,
    small_bytes: usize,
    /// A large buffer that always holds zeros.
    zeros: u32,
}

impl Buffers {
    /// Everything is free. The region holds at least 2 MiB.
    pub(crate) fn new(region: Region) -> Self {
        assert!(region.len() >= 1 << 21, "buffers need 2 MiB");
        assert!(region.len() <= 1 << 31, "offsets of buffers are 32 bits");
        let half = region.len() / 2;
        let large_bytes = LARGE as usize * BLOCK;
        let small_bytes = half / large_bytes * large_bytes;
        let small = offsets(0, small_bytes, SMALL).collect();
        let mut large: Vec<u32> = offsets(small_bytes, region.len(), LARGE).collect();
        let zeros = large.remove(0);
        Self { region, small, large, small_bytes, zeros }
    }
    /// A buffer for up to `blocks` blocks, perhaps for fewer.
    #[inline]
    pub(crate) fn take(&mut self, blocks: u32) -> Option<Buffer> {
        let large = |at| Buffer { at, blocks: LARGE };
        if blocks <= SMALL {
            self.spare().or_else(|| self.large.pop().map(large))
        } else {
            self.large.pop().map(large).or_else(|| self.spare())
        }
    }
    fn spare(&mut self) -> Option<Buffer> {
        if self.small.len() > KEPT { self.take_kept() } else { None }
    }
    /// A small buffer for what must go on, so that requests can.
    pub(crate) fn take_kept(&mut self) -> Option<Buffer> {
        self.small.pop().map(|at| Buffer { at, blocks: SMALL })
    }
    /// Whether the next [`Self::take`] gives one.
    #[inline]
    pub(crate) fn available(&self) -> bool {
        self.small.len() > KEPT || !self.large.is_empty()
    }
    /// A buffer is free again.
    #[inline]
    pub(crate) fn give(&mut self, buffer: Buffer) {
        let list = if buffer.blocks == SMALL { &mut self.small } else { &mut self.large };
        debug_assert!(!list.contains(&buffer.at), "a buffer is given back once");
        list.push(buffer.at);
    }
    /// Those of a predecessor's operations are used, and all others are free. False: one
    /// is no buffer of this region, or is there twice.
    pub(crate) fn claim(&mut self, used: impl Iterator<Item = Buffer>) -> bool {
        let small = SMALL as usize * BLOCK;
        let mut marks = vec![false; self.region.len() / small];
        for buffer in used {
            let at = buffer.at as usize;
            let known = match buffer.blocks {
                SMALL => at < self.small_bytes && at.is_multiple_of(small),
                LARGE => self.is_large(at) && buffer.at != self.zeros,
                _ => false,
            };
            if !known || std::mem::replace(&mut marks[at / small], true) {
                return false;
            }
        }
        let free = |at: &u32| !marks[*at as usize / small];
        self.small.clear();
        self.small.extend(offsets(0, self.small_bytes, SMALL).filter(free));
        self.large.clear();
        let large = offsets(self.small_bytes, self.region.len(), LARGE);
        self.large.extend(large.filter(|at| *at != self.zeros).filter(free));
        true
    }
    /// Whether a large buffer begins there.
    fn is_large(&self, at: usize) -> bool {
        let bytes = LARGE as usize * BLOCK;
        let after = at.checked_sub(self.small_bytes);
        after.is_some_and(|after| after.is_multiple_of(bytes)) && at + bytes <= self.region.len()
    }
    /// A block of a buffer.
    #[inline]
    pub(crate) fn block(&self, buffer: Buffer, index: u32) -> &[u8; BLOCK] {
        self.region.block(self.offset(buffer, index))
    }
    /// A block of a buffer, to be written.
    #[inline]
    pub(crate) fn block_mut(&mut self, buffer: Buffer, index: u32) -> &mut [u8; BLOCK] {
        let at = self.offset(buffer, index);
        self.region.block_mut(at)
    }
    /// Its first blocks as bytes.
    pub(crate) fn bytes(&self, buffer: Buffer, blocks: u32) -> &[u8] {
        assert!(blocks <= buffer.blocks, "inside the buffer");
        self.region.bytes(buffer.at as usize, blocks as usize * BLOCK)
    }
    /// Its first blocks as bytes, to be written.
    pub(crate) fn bytes_mut(&mut self, buffer: Buffer, blocks: u32) -> &mut [u8] {
        assert!(blocks <= buffer.blocks, "inside the buffer");
        self.region.bytes_mut(buffer.at as usize, blocks as usize * BLOCK)
    }
    /// Its first blocks, for the driver.
    #[inline]
    pub(crate) fn segment(&self, buffer: Buffer, blocks: u32) -> Segment {
        assert!(blocks <= buffer.blocks, "inside the buffer");
        self.region.segment(buffer.at as usize, blocks * BLOCK as u32)
    }
    /// A large piece of zeros.
    pub(crate) fn zeros(&self) -> Segment {
        self.zeros_of(LARGE * BLOCK as u32)
    }
    /// Some of them. At most a large buffer of them.
    pub(crate) fn zeros_of(&self, bytes: u32) -> Segment {
        assert!(bytes <= LARGE * BLOCK as u32, "so many zeros");
        self.region.segment(self.zeros as usize, bytes)
    }
    /// One of its blocks, for the driver.
    #[inline]
    pub(crate) fn segment_of_block(&self, buffer: Buffer, index: u32) -> Segment {
        self.region.segment(self.offset(buffer, index), BLOCK as u32)
    }
    #[inline]
    fn offset(&self, buffer: Buffer, index: u32) -> usize {
        assert!(index < buffer.blocks, "inside the buffer");
        buffer.at as usize + index as usize * BLOCK
    }
}

fn offsets(from: usize, to: usize, blocks: u32) -> impl Iterator<Item = u32> {
    let bytes = blocks as usize * BLOCK;
    (0..(to - from) / bytes).rev().map(move |index| (from + index * bytes) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_given_and_comes_back() {
        let mut buffers = Buffers::new(Region::leaked(1 << 21));
        let mut taken = Vec::new();
        while let Some(buffer) = buffers.take(16) {
            taken.push(buffer);
        }
        assert_eq!(taken.len(), 15 + 128 - KEPT);
        assert!(!buffers.available());
        while let Some(buffer) = buffers.take_kept() {
            taken.push(buffer);
        }
        let mut covered: Vec<u32> =
            taken.iter().flat_map(|b| (0..b.blocks).map(|i| b.at + i * 4096)).collect();
        covered.sort_unstable();
        covered.dedup();
        assert_eq!(covered.len(), 512 - 16, "no two buffers share a block");
        for buffer in taken {
            buffers.give(buffer);
        }
        assert_eq!(buffers.take(1).map(|b| b.blocks), Some(2));
    }

    #[test]
    fn a_successor_claims_what_is_in_use() {
        let mut old = Buffers::new(Region::leaked(1 << 21));
        let (one, two) = (old.take(1).expect("one"), old.take(16).expect("two"));
        let mut new = Buffers::new(Region::leaked(1 << 21));
        let pristine = (new.small.clone(), new.large.clone());
        for _ in 0..2 {
            assert!(new.claim([one, two].into_iter()));
            assert_eq!(new.small.len() + new.large.len(), pristine.0.len() + pristine.1.len() - 2);
            assert!(!new.small.contains(&one.at) && !new.large.contains(&two.at));
        }
        assert!(!new.claim([one, one].into_iter()), "only once");
        let zeros = Buffer { at: new.zeros, blocks: LARGE };
        let none = [
            Buffer { at: 4096, blocks: 2 },
            Buffer { at: 0, blocks: 7 },
            Buffer { at: 8192, blocks: LARGE },
            Buffer { at: two.at, blocks: 2 },
            Buffer { at: two.at + 8192, blocks: LARGE },
            Buffer { at: u32::MAX - 4095, blocks: LARGE },
            zeros,
        ];
        none.into_iter().for_each(|none| assert!(!new.claim([none].into_iter()), "{none:?}"));
        assert!(new.claim([].into_iter()));
        assert_eq!((new.small, new.large), pristine, "nothing is used any more");
    }
}
