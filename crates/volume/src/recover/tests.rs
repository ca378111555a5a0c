//! What a recovery makes of records that speak of data which a loss of power took.

use std::collections::BTreeMap;

use model::volume::Limits;
use uuid::Uuid;

use super::*;
use crate::directory::Change;
use crate::state::{Obstacle, Reap};

/// Blocks of the pool: the fewest there are.
const BLOCKS: u32 = 4096;
/// Reads that are in flight: none.
const NO_READS: u64 = u64::MAX;
const LBA: Lba = Lba(3);

/// A pool in use, and its medium.
struct Pool {
    state: State,
    log: Log,
    medium: Vec<u8>,
    superblock: Superblock,
}

fn regions() -> (Region, Region) {
    (Region::leaked(frames_bytes(BLOCKS)), Region::leaked(extents_bytes(BLOCKS)))
}

fn read_of(medium: &[u8]) -> impl FnMut(u64, &mut [u8]) -> Result<(), MediumFault> + '_ {
    |at, into| {
        into.copy_from_slice(&medium[at as usize..at as usize + into.len()]);
        Ok(())
    }
}

impl Pool {
    /// A new one. Only its directory and superblock are on the medium.
    fn new() -> Self {
        let mut medium = vec![0; BLOCKS as usize * BLOCK];
        for piece in format(medium.len() as u64, [7; 16]).expect("large enough") {
            if let Piece::Bytes { at, bytes } = piece {
                medium[at as usize..][..bytes.len()].copy_from_slice(&bytes);
            }
        }
        let (superblock, _) = superblock(medium.len() as u64, &mut read_of(&medium)).expect("one");
        let (frames, extents) = regions();
        let state = State::fresh(superblock.layout, frames, extents);
        let log = Log::new(Region::leaked(1 << 20), &superblock);
        Self { state, log, medium, superblock }
    }

    fn change(&mut self, change: Change) -> VolumeNumber {
        self.state.change(&change, &mut self.log).expect("it can be").number
    }
    fn volume(&mut self) -> VolumeNumber {
        let (id, name, limits, key) = (Uuid::from_u128(1), "one".into(), Limits::default(), None);
        let labels = BTreeMap::new();
        self.change(Change::Create { id, name, blocks: 64, limits, key, now: 0, labels })
    }
    fn snapshot(&mut self, of: VolumeNumber) -> VolumeNumber {
        self.change(Change::Snapshot { of, id: Uuid::from_u128(2), name: "then".into(), now: 0 })
    }

    /// Writes the block. Where it is.
    fn write(&mut self, volume: VolumeNumber, byte: u8) -> Place {
        let run = self.state.allocate(volume, 1, &mut self.log).expect("room");
        let block = [byte; BLOCK];
        let crc = crc::checksum(crc::seed(run.origin, LBA, run.birth), &block);
        self.medium[run.place.bytes() as usize..][..BLOCK].copy_from_slice(&block);
        self.state.map(volume, LBA, run.place, crc, &mut self.log).expect("a page");
        run.place
    }

    /// The log is written, and all before it is durable.
    fn sync(&mut self) -> Sequence {
        while let Some(cut) = self.log.cut() {
            let group = self.log.tail().bytes(cut.bytes.start, cut.bytes.len());
            self.medium[cut.at as usize..][..group.len()].copy_from_slice(group);
            self.log.written(cut.number);
        }
        self.log.synced(self.log.written_through());
        self.log.durable()
    }

    /// Deletes a snapshot, and all that is to be done for it.
    fn delete(&mut self, number: VolumeNumber) {
        while self.state.is_reaping() {
            let (durable, replayed) = (self.log.durable(), Sequence(1));
            match self.state.reap(durable, replayed, &mut self.log) {
                Reap::Worked => {}
                other => panic!("{number:?} does not go: {other:?}"),
            }
        }
    }

    /// The power goes: what is behind `durable` was written and not synced, and of data
    /// these places are as before. How many writes were dropped, too.
    fn recovered(&mut self, durable: Sequence, lost: &[Place]) -> (State, u64) {
        self.sync();
        for place in lost {
            self.medium[place.bytes() as usize..][..BLOCK].fill(0);
        }
        let mut read = read_of(&self.medium);
        let replayed = replay(&mut read, &self.superblock).expect("a good log");
        let directory = directory(&self.superblock, &mut read).expect("a good one");
        let (frames, extents) = regions();
        let (layout, generation) = (self.superblock.layout, self.superblock.generation);
        let state = State::load(layout, generation, &directory, frames, extents, &mut read);
        let mut state = state.expect("it loads");
        let mut suspects = Vec::new();
        for record in replayed.records().map(|record| record.expect("a good record")) {
            if record.sequence > durable {
                suspects.push((record.sequence, record.record));
            } else {
                state.replay(record.sequence, &record.record, &mut read).expect("it fits");
            }
        }
        let dropped = replay_suspects(&mut state, suspects, &mut read).expect("it fits");
        state.replayed();
        (state, dropped)
    }

    /// Whether a place is ever given out, when everything that was freed is usable.
    fn gives_out(&mut self, mut state: State, volume: VolumeNumber, wanted: Place) -> bool {
        let (durable, replayed) = (self.log.durable(), Sequence(u64::MAX));
        state.reclaim(durable, replayed, NO_READS, &mut self.log);
        loop {
            match state.allocate(volume, 16, &mut self.log) {
                Ok(run) if (run.place.0..run.place.0 + run.blocks).contains(&wanted.0) => {
                    return true;
                }
                Ok(_) => {}
                Err(Obstacle::Full) => return false,
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

/// A block was written, a snapshot taken and deleted, and the block written again before
/// the deletion got to it: so that freed the first place.
fn written_again() -> (Pool, VolumeNumber, Place, Sequence, Place) {
    let mut pool = Pool::new();
    let volume = pool.volume();
    let first = pool.write(volume, 1);
    let snapshot = pool.snapshot(volume);
    pool.change(Change::Remove { number: snapshot });
    let durable = pool.sync();
    let second = pool.write(volume, 2);
    pool.delete(snapshot);
    (pool, volume, first, durable, second)
}

#[test]
fn what_a_dropped_write_had_replaced_is_there_and_is_not_freed() {
    let (mut pool, volume, first, durable, second) = written_again();
    let (mut state, dropped) = pool.recovered(durable, &[second]);
    assert_eq!(dropped, 1);
    let found = state.resolve(volume, LBA).expect("its page is there").place;
    assert_eq!(found, first, "it is as it was");
    assert!(!pool.gives_out(state, volume, first), "it is in use");
}

#[test]
fn without_a_dropped_write_the_deletion_frees_it() {
    let (mut pool, volume, first, durable, second) = written_again();
    let (mut state, dropped) = pool.recovered(durable, &[]);
    assert_eq!(dropped, 0);
    assert_eq!(state.resolve(volume, LBA).expect("its page is there").place, second);
    assert!(pool.gives_out(state, volume, first), "nobody has it");
}

#[test]
fn a_write_stays_when_what_it_had_replaced_is_not_there_either() {
    let (mut pool, volume, first, durable, second) = written_again();
    let (mut state, dropped) = pool.recovered(durable, &[first, second]);
    assert_eq!(dropped, 0, "nothing old is given in its place");
    let found = state.resolve(volume, LBA).expect("its page is there").place;
    assert_eq!(found, second, "who reads it hears that it is damaged");
}
