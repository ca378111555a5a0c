//! What is in a simulated file: blocks that copies share, holes between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Bytes of a block.
pub(super) const BLOCK: u64 = 4096;

type Block = [u8; BLOCK as usize];

/// The bytes of a file. Copies are cheap.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    length: u64,
    blocks: Arc<BTreeMap<u64, Arc<Block>>>,
    /// Blocks that have room and no bytes.
    reserved: BTreeSet<u64>,
}

/// The blocks that a range touches, and the part of each.
fn spans(offset: u64, length: u64) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> {
    let end = offset + length;
    (offset / BLOCK..end.div_ceil(BLOCK)).map(move |block| {
        let start = offset.max(block * BLOCK) - block * BLOCK;
        let stop = end.min((block + 1) * BLOCK) - block * BLOCK;
        (block, start as usize..stop as usize)
    })
}

/// Stirs a word into a digest.
pub(super) fn mix(sum: u64, word: u64) -> u64 {
    (sum.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Content {
    /// A number for what is in it.
    pub(super) fn digest(&self) -> u64 {
        let mut sum = self.length;
        for (place, block) in self.blocks.iter() {
            sum = mix(sum, *place);
            for word in block.as_chunks::<8>().0 {
                sum = mix(sum, u64::from_le_bytes(*word));
            }
        }
        sum
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes that it takes.
    pub(super) fn used(&self) -> u64 {
        (self.blocks.len() + self.reserved.len()) as u64 * BLOCK
    }

    /// Bytes that writing there would take.
    pub(super) fn grows(&self, offset: u64, length: u64) -> u64 {
        let has = |block: &u64| self.blocks.contains_key(block) || self.reserved.contains(block);
        spans(offset, length).filter(|(block, _)| !has(block)).count() as u64 * BLOCK
    }

    pub(super) fn reserve(&mut self, offset: u64, length: u64) {
        for (block, _) in spans(offset, length) {
            if !self.blocks.contains_key(&block) {
                self.reserved.insert(block);
            }
        }
    }

    /// Whether all of it is there.
    pub(super) fn read(&self, offset: u64, into: &mut [u8]) -> bool {
        if offset + into.len() as u64 > self.length {
            return false;
        }
        let mut done = 0;
        for (block, range) in spans(offset, into.len() as u64) {
            let part = &mut into[done..done + range.len()];
            done += range.len();
            match self.blocks.get(&block) {
                Some(bytes) => part.copy_from_slice(&bytes[range]),
                None => part.fill(0),
            }
        }
        true
    }

    pub(super) fn write(&mut self, offset: u64, from: &[u8]) {
        let blocks = Arc::make_mut(&mut self.blocks);
        let mut done = 0;
        for (block, range) in spans(offset, from.len() as u64) {
            self.reserved.remove(&block);
            let bytes = blocks.entry(block).or_insert_with(|| Arc::new([0; BLOCK as usize]));
            let count = range.len();
            Arc::make_mut(bytes)[range].copy_from_slice(&from[done..done + count]);
            done += count;
        }
        self.length = self.length.max(offset + from.len() as u64);
    }

    pub(super) fn set_length(&mut self, length: u64) {
        if length < self.length {
            let end = length.next_multiple_of(BLOCK);
            self.punch(length, end - length);
            let blocks = Arc::make_mut(&mut self.blocks);
            blocks.split_off(&(end / BLOCK));
            self.reserved.split_off(&(end / BLOCK));
        }
        self.length = length;
    }

    pub(super) fn punch(&mut self, offset: u64, length: u64) {
        let blocks = Arc::make_mut(&mut self.blocks);
        for (block, range) in spans(offset, length) {
            if range.len() as u64 == BLOCK {
                blocks.remove(&block);
                self.reserved.remove(&block);
            } else if let Some(bytes) = blocks.get_mut(&block) {
                Arc::make_mut(bytes)[range].fill(0);
            }
        }
    }
}
