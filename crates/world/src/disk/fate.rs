//! What a power cut leaves of writes that were not durable: all of it, nothing, or some
//! sectors, for each block on its own.

use std::ops::Range;
use std::sync::Arc;

use super::image::{Image, SECTOR};
use crate::entropy::{Entropy, Seeded};

const BLOCK: usize = 4096;

/// What a power cut did to a block of a write that was not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It was never written.
    Lost,
    /// All of it was.
    Kept,
    /// These of its eight sectors were; bit 0 is the first.
    Torn(u8),
}

/// A block of a write that is not durable.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Where, in bytes.
    pub at: u64,
    /// Whether the disk has answered the write.
    pub answered: bool,
    data: Arc<[u8]>,
    range: Range<usize>,
}

impl Piece {
    /// What it would write.
    pub fn data(&self) -> &[u8] {
        &self.data[self.range.clone()]
    }
}

/// A write in pieces of at most a block, cut where blocks of the disk are.
pub(super) fn cut(answered: bool, at: u64, data: &Arc<[u8]>) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(data.len() / BLOCK + 1);
    let mut done = 0;
    while done < data.len() {
        let here = BLOCK - ((at + done as u64) % BLOCK as u64) as usize;
        let range = done..data.len().min(done + here);
        done = range.end;
        pieces.push(Piece { at: at + range.start as u64, answered, data: data.clone(), range });
    }
    pieces
}

pub(super) fn apply(image: &mut Image, piece: &Piece, fate: Fate) {
    for (at, bytes) in parts(piece, fate) {
        image.write(at, bytes);
    }
}

/// The stretches of a piece that were written.
pub(super) fn parts(piece: &Piece, fate: Fate) -> Vec<(u64, &[u8])> {
    let data = piece.data();
    match fate {
        Fate::Lost => Vec::new(),
        Fate::Kept => vec![(piece.at, data)],
        Fate::Torn(mask) => {
            let sectors = data.chunks(SECTOR).enumerate();
            let kept = sectors.filter(|(sector, _)| mask >> sector & 1 == 1);
            kept.map(|(sector, bytes)| (piece.at + (sector * SECTOR) as u64, bytes)).collect()
        }
    }
}

/// Calls with fates for so many pieces: with all combinations of lost, kept and the
/// given ways to be torn when they are at most `limit`, with `limit` drawn ones
/// otherwise. Says how often it called. `each` returns whether to go on.
pub fn each_fate(
    pieces: usize,
    torn: &[u8],
    limit: u64,
    entropy: &mut Seeded,
    mut each: impl FnMut(&[Fate]) -> bool,
) -> u64 {
    let ways =
        [Fate::Lost, Fate::Kept].into_iter().chain(torn.iter().map(|mask| Fate::Torn(*mask)));
    let ways: Vec<Fate> = ways.collect();
    let all = u32::try_from(pieces).ok().and_then(|count| (ways.len() as u64).checked_pow(count));
    let mut fates = vec![Fate::Lost; pieces];
    let whole = all.filter(|all| *all <= limit);
    for turn in 0..whole.unwrap_or(limit) {
        let mut rest = turn;
        // Drawn ones lean to one side each: all but few are kept, or all but few lost.
        let lean = entropy.below(5);
        for fate in &mut fates {
            *fate = match whole {
                Some(_) => ways[(rest % ways.len() as u64) as usize],
                None => draw(lean, entropy),
            };
            rest /= ways.len() as u64;
        }
        if !each(&fates) {
            return turn + 1;
        }
    }
    whole.unwrap_or(limit)
}

fn draw(lean: u64, entropy: &mut Seeded) -> Fate {
    let kept = [100, 400, 500, 600, 900][lean as usize];
    match entropy.below(1000) {
        draw if draw < kept => Fate::Kept,
        draw if draw < kept + (1000 - kept) / 4 => Fate::Torn(entropy.below(256) as u8),
        _ => Fate::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn all_fates_of_few_pieces_come_once() {
        let mut seen = HashSet::new();
        let count = each_fate(3, &[0x0f, 0xf0], 100, &mut Seeded::new(1), |fates| {
            assert!(seen.insert(fates.to_vec()), "twice: {fates:?}");
            true
        });
        assert_eq!((count, seen.len()), (64, 64));
        assert_eq!(each_fate(50, &[], 100, &mut Seeded::new(1), |_| true), 100);
    }
}
