//! The part of a medium that holds the ring, with a cache that a loss of power tears.

use super::superblock;
use crate::request::MediumFault;

const SECTOR: usize = 512;

/// The ring's part of a medium.
#[derive(Clone, Debug)]
pub(super) struct Medium {
    at: u64,
    /// What a reader sees.
    seen: Vec<u8>,
    /// What a loss of power leaves for sure.
    synced: Vec<u8>,
    /// Writes since then. The first `settled` of them are done.
    writes: Vec<(usize, Vec<u8>)>,
    /// Writes that have not completed.
    under_way: Vec<(usize, Vec<u8>)>,
}

/// Numbers that look random, from a seed.
pub(super) struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

impl Medium {
    pub fn new() -> Medium {
        let log = superblock().layout.log;
        let bytes = vec![0; usize::try_from(log.bytes()).expect("small")];
        let (seen, synced) = (bytes.clone(), bytes);
        Medium { at: log.at(), seen, synced, writes: Vec::new(), under_way: Vec::new() }
    }

    /// Bytes of the ring, to be damaged.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.seen
    }

    /// A write begins.
    pub fn write(&mut self, at: u64, bytes: &[u8]) {
        let at = usize::try_from(at - self.at).expect("inside the ring");
        assert!(at + bytes.len() <= self.seen.len(), "inside the ring");
        self.under_way.push((at, bytes.to_vec()));
    }

    /// The write that began last completes.
    pub fn settle(&mut self) {
        let last = self.under_way.len() - 1;
        self.complete(last);
    }
    /// One of the writes under way completes.
    pub fn complete(&mut self, index: usize) {
        let (at, bytes) = self.under_way.remove(index);
        self.seen[at..at + bytes.len()].copy_from_slice(&bytes);
        self.writes.push((at, bytes));
    }

    /// A sync of what had completed when it began, so many writes.
    pub fn sync(&mut self, writes: usize) {
        for (at, bytes) in self.writes.drain(..writes) {
            self.synced[at..at + bytes.len()].copy_from_slice(&bytes);
        }
    }
    /// How many writes have completed and are not synced.
    pub fn unsynced(&self) -> usize {
        self.writes.len()
    }

    /// The process dies: what is under way is done in part.
    pub fn kill(&mut self, dice: &mut Dice) {
        for (at, bytes) in std::mem::take(&mut self.under_way) {
            let before = self.seen[at..at + bytes.len()].to_vec();
            let torn = tear(before, &bytes, dice);
            self.seen[at..at + torn.len()].copy_from_slice(&torn);
            self.writes.push((at, torn));
        }
    }

    /// Power is lost: of what was not synced, any sectors are there.
    pub fn lose_power(&mut self, dice: &mut Dice) {
        let writes = self.writes.drain(..).chain(self.under_way.drain(..));
        for (at, bytes) in writes {
            let before = self.synced[at..at + bytes.len()].to_vec();
            let torn = tear(before, &bytes, dice);
            self.synced[at..at + torn.len()].copy_from_slice(&torn);
        }
        self.seen.clone_from(&self.synced);
    }

    /// For `replay`.
    pub fn reader(&self) -> impl FnMut(u64, &mut [u8]) -> Result<(), MediumFault> + '_ {
        |at, into| {
            let at = usize::try_from(at - self.at).expect("inside the ring");
            into.copy_from_slice(&self.seen[at..at + into.len()]);
            Ok(())
        }
    }
}

/// All, nothing, or some sectors of a write.
fn tear(mut before: Vec<u8>, after: &[u8], dice: &mut Dice) -> Vec<u8> {
    let how = dice.roll() % 4;
    for at in (0..after.len()).step_by(SECTOR) {
        let arrives = match how {
            0 => true,
            1 => false,
            2 => !dice.roll().is_multiple_of(8),
            _ => dice.roll().is_multiple_of(2),
        };
        if arrives {
            before[at..at + SECTOR].copy_from_slice(&after[at..at + SECTOR]);
        }
    }
    before
}
