//! The memory that a simulated lane works in. A real one has it from its keeper and
//! keeps it for ever; a simulation makes millions of lanes and must use it again.

#![allow(unsafe_code, reason = "regions have no owner that Rust knows; here one is given to them")]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

use volume::Region;

const PAGE: usize = 4096;

/// Memory that is lent as a region.
#[derive(Debug)]
struct Piece {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a piece owns its memory, as a box does.
unsafe impl Send for Piece {}

impl Piece {
    fn new(length: usize) -> Self {
        // SAFETY: the layout is not empty.
        let start = unsafe { alloc_zeroed(layout(length)) };
        Self { start: NonNull::new(start).expect("memory for a region"), length }
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the piece owns them, and it lies on the shelf: no region of it is in use.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // SAFETY: allocated with the same layout, and freed once.
        unsafe { dealloc(self.start.as_ptr(), layout(self.length)) };
    }
}

fn layout(length: usize) -> Layout {
    Layout::from_size_align(length, PAGE).expect("a sane length")
}

/// Memory that is not in use.
#[derive(Debug, Default)]
pub struct Shelf {
    free: Vec<Piece>,
}

/// What one lane, or whoever else needs some together, has from the shelf. It goes back
/// as a whole.
#[derive(Debug, Default)]
pub struct Loan {
    pieces: Vec<Piece>,
}

impl Shelf {
    /// Gives memory out, clean or with whatever was in it before. The loan remembers it
    /// and must outlive the region: whoever has both keeps them in one value and drops
    /// what uses the region first.
    pub fn lend(&mut self, length: usize, clean: bool, to: &mut Loan) -> Region {
        let found = self.free.iter().position(|piece| piece.length == length);
        let mut piece = match found {
            Some(at) => self.free.swap_remove(at),
            None => Piece::new(length),
        };
        if clean && found.is_some() {
            piece.bytes_mut().fill(0);
        }
        // SAFETY: the memory is the piece's, aligned, and lives as long as the loan; no
        // other region of it is in use, since pieces come here only by `take_back`.
        let region = unsafe { Region::new(piece.start, length) };
        to.pieces.push(piece);
        region
    }

    /// Takes memory back. Nothing uses its regions any more.
    pub fn take_back(&mut self, loan: Loan) {
        self.free.extend(loan.pieces);
    }
}

impl Loan {
    /// A copy of what is in the `which`-th piece, in the order in which they were lent:
    /// as another process sees memory that it shares.
    pub fn look(&self, which: usize, into: &mut [u8]) {
        let piece = &self.pieces[which];
        assert!(into.len() <= piece.length, "inside the piece");
        // SAFETY: the memory is there and this thread alone uses it; bytes are copied
        // out without a reference to them.
        unsafe {
            std::ptr::copy_nonoverlapping(piece.start.as_ptr(), into.as_mut_ptr(), into.len())
        };
    }
    /// The same memory as a region once more, for a successor.
    pub fn again(&self, which: usize) -> Region {
        let piece = &self.pieces[which];
        // SAFETY: as it was lent; one thread has both, and a successor touches nothing of
        // it before the predecessor has given it up.
        unsafe { Region::new(piece.start, piece.length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_clean_when_asked() {
        let (mut shelf, mut loan) = (Shelf::default(), Loan::default());
        let mut region = shelf.lend(8192, true, &mut loan);
        region.bytes_mut(0, 8192).fill(7);
        let mut seen = [0; 4];
        loan.look(0, &mut seen);
        assert_eq!(seen, [7; 4]);
        shelf.take_back(loan);
        let mut loan = Loan::default();
        assert!(shelf.lend(8192, true, &mut loan).bytes(0, 8192).iter().all(|byte| *byte == 0));
    }
}
