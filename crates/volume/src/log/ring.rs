//! A ring of blocks that holds groups one behind the other, each in one piece.
//!
//! A group begins only where the longest group would fit before the end of the ring;
//! else it begins at block 0. So whoever follows the groups knows where the next one is
//! without being told. The medium's ring and the tail in memory are both of this kind.

use serde::{Deserialize, Serialize};

use crate::format::GROUP_BLOCKS;

/// Where groups lie in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ring {
    /// How many blocks there are.
    pub blocks: u32,
    /// Where the oldest group that is needed begins. Without groups it means nothing.
    pub start: u32,
    /// Where the next group begins.
    pub head: u32,
    /// How many groups are needed.
    pub groups: u64,
}

impl Ring {
    /// A ring without groups, whose first begins at `head`.
    pub fn new(blocks: u32, head: u32) -> Ring {
        let ring = Ring { blocks, start: head, head, groups: 0 };
        assert!(ring.sound(), "a ring holds some groups, and the first fits");
        ring
    }

    /// Whether the numbers can be.
    pub fn sound(&self) -> bool {
        let begins = |at: u32| at <= self.blocks - GROUP_BLOCKS;
        self.blocks >= 2 * GROUP_BLOCKS && begins(self.start) && begins(self.head)
    }

    /// Where a group begins that follows one of so many blocks.
    pub fn after(&self, at: u32, blocks: u32) -> u32 {
        let next = at + blocks;
        if next + GROUP_BLOCKS > self.blocks { 0 } else { next }
    }

    /// How many blocks the next group may have.
    pub fn free_at_head(&self) -> u32 {
        if self.groups == 0 || self.start < self.head {
            GROUP_BLOCKS
        } else {
            (self.start - self.head).min(GROUP_BLOCKS)
        }
    }

    /// How many groups of the full length fit at least, whatever length they really get.
    pub fn free_groups(&self) -> u32 {
        let (ahead, behind) = match self.groups {
            0 => (self.blocks - self.head, self.head),
            _ if self.start < self.head => (self.blocks - self.head, self.start),
            _ => (self.start - self.head, 0),
        };
        ahead / GROUP_BLOCKS + behind / GROUP_BLOCKS
    }

    /// How many blocks are taken, those that were skipped at the end included.
    pub fn taken(&self) -> u32 {
        match self.groups {
            0 => 0,
            _ if self.start < self.head => self.head - self.start,
            _ => self.blocks - (self.start - self.head),
        }
    }

    /// The next group has so many blocks.
    pub fn push(&mut self, blocks: u32) {
        assert!(blocks > 0 && blocks <= self.free_at_head(), "the group fits into the ring");
        if self.groups == 0 {
            self.start = self.head;
        }
        self.head = self.after(self.head, blocks);
        self.groups += 1;
    }

    /// The oldest group, of so many blocks, is not needed any more.
    pub fn pop(&mut self, blocks: u32) {
        self.start = self.after(self.start, blocks);
        self.groups = self.groups.checked_sub(1).expect("a group to be given up");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Groups never overlap, and what is promised to fit does fit.
        #[test]
        fn groups_lie_apart(
            blocks in 2 * GROUP_BLOCKS..200,
            steps in prop::collection::vec((1..=GROUP_BLOCKS, 0..3_u8), 1..200),
        ) {
            let mut ring = Ring::new(blocks, 0);
            let mut held: VecDeque<(u32, u32)> = VecDeque::new();
            for (length, give_up) in steps {
                let fits = length.min(ring.free_at_head());
                if fits > 0 {
                    let new = ring.head..ring.head + fits;
                    prop_assert!(new.end <= blocks);
                    for (at, length) in &held {
                        prop_assert!(*at >= new.end || at + length <= new.start);
                    }
                    held.push_back((ring.head, fits));
                    ring.push(fits);
                }
                if give_up == 0 && let Some((_, length)) = held.pop_front() {
                    ring.pop(length);
                    prop_assert!(held.front().is_none_or(|(at, _)| *at == ring.start));
                }
                prop_assert!(ring.sound());
                prop_assert_eq!(ring.groups, held.len() as u64);
                prop_assert!(ring.taken() >= held.iter().map(|(_, length)| length).sum::<u32>());
                let mut full = ring;
                for _ in 0..ring.free_groups() {
                    prop_assert_eq!(full.free_at_head(), GROUP_BLOCKS);
                    full.push(length);
                }
            }
        }
    }
}
