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
        let small = offsets(0, small_bytes, SMALL);
        let mut large = offsets(small_bytes, region.len(), LARGE);
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
    /// Marks a buffer as used, when a predecessor's operations are taken over.
    /// False: it is no buffer of this region, or used already.
    pub(crate) fn claim(&mut self, buffer: Buffer) -> bool {
        let list = match buffer.blocks {
            SMALL if (buffer.at as usize) < self.small_bytes => &mut self.small,
            LARGE => &mut self.large,
            _ => return false,
        };
        let found = list.iter().position(|at| *at == buffer.at);
        found.map(|index| list.swap_remove(index)).is_some()
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

fn offsets(from: usize, to: usize, blocks: u32) -> Vec<u32> {
    let bytes = blocks as usize * BLOCK;
    (0..(to - from) / bytes).rev().map(|index| (from + index * bytes) as u32).collect()
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
        assert!(new.claim(one) && new.claim(two));
        assert!(!new.claim(one), "only once");
        assert!(!new.claim(Buffer { at: 4096, blocks: 2 }), "no buffer begins there");
        assert!(!new.claim(Buffer { at: 0, blocks: 7 }), "no buffer is so long");
    }
}
