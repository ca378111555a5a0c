//! The content of a model disk. A copy costs almost nothing, because copies share
//! what neither has changed: a simulation makes millions of them.
//!
//! Each image knows a digest of itself, kept up to date with every write, so that two
//! states can be told apart without reading them.

use std::sync::Arc;

/// What a disk writes as one: a power cut leaves a sector old or new.
pub const SECTOR: usize = 512;

const BLOCK: usize = 4096;
/// Blocks that are copied together when one of them changes.
const BRANCH: usize = 32;

type Block = Arc<[u8; BLOCK]>;
type Branch = Arc<[Option<Block>; BRANCH]>;

/// Bytes of a disk; zeros where nothing was written.
#[derive(Clone, Debug)]
pub struct Image {
    branches: Vec<Option<Branch>>,
    size: u64,
    digest: u64,
}

impl Image {
    /// Zeros. The size is in bytes, a multiple of 4,096.
    pub fn new(size: u64) -> Self {
        assert!(size.is_multiple_of(BLOCK as u64), "a model disk has whole blocks");
        let blocks = usize::try_from(size).expect("a model disk is small") / BLOCK;
        Self { branches: vec![None; blocks.div_ceil(BRANCH)], size, digest: 0 }
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }
    /// A digest of its content. Two images with the same content have the same.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Whether so many bytes are there.
    pub fn holds(&self, at: u64, length: usize) -> bool {
        at.checked_add(length as u64).is_some_and(|end| end <= self.size)
    }

    /// Reads bytes. Panics beyond the end.
    pub fn read(&self, at: u64, into: &mut [u8]) {
        assert!(self.holds(at, into.len()), "inside the disk");
        let mut done = 0;
        while done < into.len() {
            let (block, skip) = split(at + done as u64);
            let here = (BLOCK - skip).min(into.len() - done);
            let to = &mut into[done..done + here];
            match self.block(block) {
                Some(bytes) => to.copy_from_slice(&bytes[skip..skip + here]),
                None => to.fill(0),
            }
            done += here;
        }
    }

    /// Writes bytes; whole sectors. Panics beyond the end.
    pub fn write(&mut self, at: u64, from: &[u8]) {
        assert!(self.holds(at, from.len()), "inside the disk");
        let whole = at.is_multiple_of(SECTOR as u64) && from.len().is_multiple_of(SECTOR);
        assert!(whole, "a disk is written in sectors");
        let mut done = 0;
        while done < from.len() {
            let (block, skip) = split(at + done as u64);
            let here = (BLOCK - skip).min(from.len() - done);
            self.change(block, skip, &from[done..done + here]);
            done += here;
        }
    }

    fn block(&self, block: usize) -> Option<&[u8; BLOCK]> {
        self.branches[block / BRANCH].as_ref()?[block % BRANCH].as_deref()
    }

    fn change(&mut self, block: usize, skip: usize, from: &[u8]) {
        let first = block as u64 * (BLOCK / SECTOR) as u64 + (skip / SECTOR) as u64;
        let old = self.block(block).map_or(0, |old| sum(first, &old[skip..skip + from.len()]));
        self.digest ^= old ^ sum(first, from);
        let branch = self.branches[block / BRANCH].get_or_insert_default();
        let leaf = &mut Arc::make_mut(branch)[block % BRANCH];
        if from.len() == BLOCK {
            *leaf = Some(Arc::new(from.try_into().expect("a whole block")));
            return;
        }
        let leaf = leaf.get_or_insert_with(|| Arc::new([0; BLOCK]));
        Arc::make_mut(leaf)[skip..skip + from.len()].copy_from_slice(from);
    }
}

fn split(at: u64) -> (usize, usize) {
    ((at / BLOCK as u64) as usize, (at % BLOCK as u64) as usize)
}

/// The digest of some sectors. Zeros count nothing, so that what was never written is
/// as what was written with zeros.
fn sum(first: u64, bytes: &[u8]) -> u64 {
    let sectors = bytes.chunks_exact(SECTOR).enumerate();
    sectors.fold(0, |sum, (index, sector)| sum ^ digest(first + index as u64, sector))
}

/// FNV-1a's way over words, stirred at the end. It tells states apart; it need not
/// withstand anybody.
fn digest(place: u64, sector: &[u8]) -> u64 {
    let mut any = 0;
    let mut mixed: u64 = 0xcbf2_9ce4_8422_2325 ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for word in sector.chunks_exact(8) {
        let word = u64::from_le_bytes(word.try_into().expect("8 bytes"));
        any |= word;
        mixed = (mixed ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }
    if any == 0 {
        return 0;
    }
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 27)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_does_not_see_later_writes() {
        let mut image = Image::new(1 << 20);
        image.write(4096, &[7; 8192]);
        let copy = image.clone();
        image.write(4608, &[9; 512]);
        let (mut new, mut old) = ([0; 1024], [0; 1024]);
        image.read(4096, &mut new);
        copy.read(4096, &mut old);
        assert_eq!((new[0], new[512]), (7, 9));
        assert_eq!((old[0], old[512]), (7, 7));
    }

    #[test]
    fn the_digest_is_of_the_content_and_not_of_the_way_to_it() {
        let mut one = Image::new(1 << 20);
        let mut other = one.clone();
        one.write(0, &[1; 4096]);
        one.write(512, &[2; 512]);
        assert_ne!(one.digest(), other.digest());
        other.write(512, &[2; 512]);
        other.write(0, &[1; 512]);
        other.write(1024, &[1; 3072]);
        assert_eq!(one.digest(), other.digest());
        one.write(0, &[0; 4096]);
        assert_eq!(one.digest(), 0);
    }
}
