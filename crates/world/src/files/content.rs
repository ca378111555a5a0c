//! What is in a simulated file: blocks that copies share, holes between them.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

/// Bytes of a block.
pub(super) const BLOCK: u64 = 4096;

/// A block: its bytes, and the digest of them once it was asked for.
#[derive(Debug)]
struct Block {
    bytes: [u8; BLOCK as usize],
    digest: OnceLock<u64>,
}

impl Clone for Block {
    /// Whoever copies a block wants to change it.
    fn clone(&self) -> Self {
        Self { bytes: self.bytes, digest: OnceLock::new() }
    }
}

impl Block {
    fn new() -> Self {
        Self { bytes: [0; BLOCK as usize], digest: OnceLock::new() }
    }

    fn digest(&self) -> u64 {
        let words = self.bytes.as_chunks::<8>().0.iter();
        *self.digest.get_or_init(|| words.fold(0, |sum, word| mix(sum, u64::from_le_bytes(*word))))
    }

    fn change(self: &mut Arc<Self>, range: std::ops::Range<usize>) -> &mut [u8] {
        let block = Arc::make_mut(self);
        block.digest = OnceLock::new();
        &mut block.bytes[range]
    }
}

/// The bytes of a file. Copies are cheap.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    length: u64,
    blocks: Arc<Vec<Option<Arc<Block>>>>,
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
        let blocks = self.blocks.iter().zip(0..);
        let there = blocks.filter_map(|(block, place)| Some((block.as_ref()?, place)));
        there.fold(self.length, |sum, (block, place)| mix(mix(sum, place), block.digest()))
    }

    fn has(&self, block: u64) -> bool {
        self.blocks.get(block as usize).is_some_and(Option::is_some)
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes that it takes.
    pub(super) fn used(&self) -> u64 {
        let blocks = self.blocks.iter().flatten().count();
        (blocks + self.reserved.len()) as u64 * BLOCK
    }

    /// Bytes that writing there would take.
    pub(super) fn grows(&self, offset: u64, length: u64) -> u64 {
        let has = |block: &u64| self.has(*block) || self.reserved.contains(block);
        spans(offset, length).filter(|(block, _)| !has(block)).count() as u64 * BLOCK
    }

    pub(super) fn reserve(&mut self, offset: u64, length: u64) {
        for (block, _) in spans(offset, length) {
            if !self.has(block) {
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
            match self.blocks.get(block as usize) {
                Some(Some(block)) => part.copy_from_slice(&block.bytes[range]),
                _ => part.fill(0),
            }
        }
        true
    }

    pub(super) fn write(&mut self, offset: u64, from: &[u8]) {
        let blocks = Arc::make_mut(&mut self.blocks);
        let mut done = 0;
        for (block, range) in spans(offset, from.len() as u64) {
            self.reserved.remove(&block);
            if blocks.len() <= block as usize {
                blocks.resize(block as usize + 1, None);
            }
            let there = blocks[block as usize].get_or_insert_with(|| Arc::new(Block::new()));
            let count = range.len();
            there.change(range).copy_from_slice(&from[done..done + count]);
            done += count;
        }
        self.length = self.length.max(offset + from.len() as u64);
    }

    pub(super) fn set_length(&mut self, length: u64) {
        if length < self.length {
            let end = length.next_multiple_of(BLOCK);
            self.punch(length, end - length);
            Arc::make_mut(&mut self.blocks).truncate((end / BLOCK) as usize);
            self.reserved.split_off(&(end / BLOCK));
        }
        self.length = length;
    }

    pub(super) fn punch(&mut self, offset: u64, length: u64) {
        let blocks = Arc::make_mut(&mut self.blocks);
        for (block, range) in spans(offset, length) {
            let whole = range.len() as u64 == BLOCK;
            if whole {
                self.reserved.remove(&block);
            }
            let Some(there) = blocks.get_mut(block as usize) else { continue };
            match there {
                Some(_) if whole => *there = None,
                Some(bytes) => bytes.change(range).fill(0),
                None => {}
            }
        }
    }
}
