//! The metadata against a small model: a map from blocks to stamps for each volume, and
//! one from places to the stamp that was put there. Whatever is read must have the right
//! stamp, whatever was snapshot, cloned, trimmed, deleted, checkpointed or reloaded before.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use world::{Entropy as _, Seeded};

use super::*;
use crate::directory::Change;
use crate::format::superblock::{self, Superblock};
use crate::log::{Log, replay};
use crate::state::Obstacle;

const BLOCKS: u32 = 8192;

struct Pool {
    state: State,
    log: Log,
    medium: Vec<u8>,
    superblock: Superblock,
    /// The stamp that was put at a place.
    data: HashMap<Place, u64>,
    /// What each volume and snapshot must read.
    model: BTreeMap<VolumeNumber, BTreeMap<u32, u64>>,
    stamp: u64,
    entropy: Seeded,
}

fn regions() -> (Region, Region) {
    (Region::leaked(frames_bytes(BLOCKS).max(4 << 20)), Region::leaked(extents_bytes(BLOCKS)))
}

impl Pool {
    fn new(seed: u64) -> Self {
        let layout = Layout::for_blocks(BLOCKS).expect("large enough");
        let start =
            superblock::LogPosition { offset: 0, incarnation: 1, sequence: Sequence(1), group: 1 };
        let superblock = Superblock {
            version: superblock::VERSION,
            pool: [7; 16],
            blocks: BLOCKS,
            layout,
            incarnation: 1,
            generation: 0,
            log_start: start,
            directory: superblock::Directory { place: layout.directory[0].first, bytes: 0, crc: 0 },
        };
        let (frames, extents) = regions();
        let log = Log::new(Region::leaked(1 << 20), &superblock);
        Self {
            state: State::fresh(layout, frames, extents),
            log,
            medium: vec![0; BLOCKS as usize * BLOCK],
            superblock,
            data: HashMap::new(),
            model: BTreeMap::new(),
            stamp: 0,
            entropy: Seeded::new(seed),
        }
    }

    fn sync(&mut self) {
        self.sync_log();
        let (durable, replayed) = (self.log.durable(), self.superblock.log_start.sequence);
        self.state.reclaim(durable, replayed, u64::MAX, &mut self.log);
    }
    fn sync_log(&mut self) {
        while let Some(cut) = self.log.cut() {
            let at = cut.at as usize;
            let length = cut.bytes.len();
            self.medium[at..at + length]
                .copy_from_slice(self.log.tail().bytes(cut.bytes.start, length));
            self.log.written(cut.number);
        }
        let through = self.log.written_through();
        self.log.synced(through);
        assert_eq!(self.log.durable(), self.log.appended());
    }

    fn checkpoint(&mut self) {
        let checkpoint = self.state.begin_checkpoint(&mut self.log);
        self.sync_log();
        let mut image = [0; BLOCK];
        for page in checkpoint.pages {
            let goes = self.state.image(page, &mut image);
            assert!(goes.after <= self.log.durable(), "the log goes first");
            let at = goes.at as usize;
            self.medium[at..at + BLOCK].copy_from_slice(&image);
            if goes.twice {
                self.medium[at + BLOCK..at + 2 * BLOCK].copy_from_slice(&image);
            }
        }
        self.superblock.generation = checkpoint.generation;
        self.superblock.log_start = checkpoint.start;
        let area = self.superblock.layout.directory[(checkpoint.generation % 2) as usize];
        let at = area.first.bytes() as usize;
        self.medium[at..at + checkpoint.directory.len()].copy_from_slice(&checkpoint.directory);
        self.superblock.directory.place = area.first;
        self.superblock.directory.bytes = checkpoint.directory.len() as u32;
        self.state.finish_checkpoint();
        self.log.release(checkpoint.start);
    }

    /// The process ends; the log's tail had been written.
    fn reload(&mut self) {
        self.sync_log();
        if self.superblock.generation == 0 {
            self.checkpoint();
        }
        let medium = self.medium.clone();
        let mut read = |at: u64, into: &mut [u8]| {
            into.copy_from_slice(&medium[at as usize..at as usize + into.len()]);
            Ok(())
        };
        let directory = self.superblock.directory;
        let at = directory.place.bytes() as usize;
        let directory = &medium[at..at + directory.bytes as usize];
        let (frames, extents) = regions();
        let (layout, generation) = (self.superblock.layout, self.superblock.generation);
        let mut state = State::load(layout, generation, directory, frames, extents, &mut read)
            .expect("it loads");
        let log = replay(&mut read, &self.superblock).expect("the log reads");
        assert_eq!(log.last(), self.log.appended(), "all of the log is there");
        for record in log.records() {
            let record = record.expect("a record");
            state.replay(record.sequence, &record.record, &mut read).expect("it fits");
        }
        state.replayed();
        self.superblock.incarnation += 1;
        self.log = Log::begin(Region::leaked(1 << 20), &self.superblock, &log);
        self.state = state;
    }

    /// A successor takes over.
    fn hand_over(&mut self) {
        let saved = serde_json::to_vec(&self.state.saved()).expect("plain data");
        let saved: SavedState = serde_json::from_slice(&saved).expect("the same");
        let layout = *self.state.layout();
        let (frames, extents) = self.state.regions();
        self.state.abort_checkpoint();
        let changes = serde_json::to_vec(&self.state.changes()).expect("plain data");
        let mut heir = State::restored(layout, saved, frames, extents);
        heir.follow(serde_json::from_slice(&changes).expect("the same")).expect("it fits");
        self.state = heir;
    }

    fn again<T>(
        &mut self,
        mut what: impl FnMut(&mut State, &mut Log) -> Result<T, Obstacle>,
    ) -> Option<T> {
        for _ in 0..20 {
            match what(&mut self.state, &mut self.log) {
                Ok(done) => return Some(done),
                Err(Obstacle::Need(need)) => self.install(need),
                Err(Obstacle::LogFull | Obstacle::FramesFull) => self.checkpoint(),
                Err(Obstacle::Full) if self.state.has_pending() => {
                    self.checkpoint();
                    self.sync();
                }
                Err(Obstacle::Full) => return None,
                Err(Obstacle::Gone) => panic!("the volume is there"),
            }
        }
        panic!("it never comes to an end");
    }
    fn install(&mut self, need: Need) {
        let at = need.place.bytes() as usize;
        let pair = self.medium[at..at + 2 * BLOCK].try_into().expect("a pair");
        match self.state.install(need, pair) {
            Ok(()) => {}
            Err(InstallError::FramesFull) => self.checkpoint(),
            Err(error) => panic!("{error}"),
        }
    }

    fn write(&mut self, volume: VolumeNumber, lba: Lba, most: u32) {
        let Some(run) = self.again(|state, log| state.allocate(volume, most, log)) else { return };
        for at in 0..run.blocks {
            self.stamp += 1;
            let (place, lba) = (run.place.plus(at), lba.plus(at));
            assert!(!self.is_used(place), "{place:?} is somebody's");
            self.data.insert(place, self.stamp);
            // Whatever was there is gone, on the medium too.
            let bytes = place.bytes() as usize;
            self.medium[bytes..bytes + BLOCK].fill(0xd5);
            let stamp = self.stamp;
            let mapped = self.again(|state, log| state.map(volume, lba, place, stamp as u32, log));
            if mapped.is_none() {
                let rest = Run { place, blocks: run.blocks - at, ..run };
                self.state.give_back(volume, rest);
                return;
            }
            self.model.get_mut(&volume).expect("there").insert(lba.0, stamp);
        }
    }
    /// Whether any volume or snapshot has something there, by the model.
    fn is_used(&self, place: Place) -> bool {
        let Some(stamp) = self.data.get(&place) else { return false };
        self.model.values().any(|blocks| blocks.values().any(|one| one == stamp))
    }

    fn change(&mut self, change: &Change) -> Option<VolumeNumber> {
        let number = self.state.change(change, &mut self.log).ok()?.number;
        Some(number)
    }

    fn check(&mut self) {
        let volumes: Vec<_> = self.model.keys().copied().collect();
        for volume in volumes {
            let blocks = self.model[&volume].clone();
            let size = self.state.blocks(volume).expect("there");
            for lba in (0..size).step_by(7).chain(blocks.keys().copied()) {
                let found =
                    self.again(|state, _| Ok(state.resolve(volume, Lba(lba))?)).expect("found");
                let stamp = found.place.is_some().then(|| self.data[&found.place]);
                assert_eq!(stamp, blocks.get(&lba).copied(), "{volume:?} block {lba} at {found:?}");
                if let Some(stamp) = stamp {
                    assert_eq!(found.crc, stamp as u32);
                }
            }
            assert_eq!(self.state.mapped(volume) as usize, blocks.len(), "{volume:?} counts right");
        }
    }

    fn any(&mut self, volume: bool) -> Option<VolumeNumber> {
        let fits = |state: &State, number: &VolumeNumber| {
            state.directory().entries.get(number).is_some_and(|entry| entry.is_volume() == volume)
        };
        let some: Vec<_> =
            self.model.keys().copied().filter(|number| fits(&self.state, number)).collect();
        if some.is_empty() {
            None
        } else {
            Some(some[self.entropy.below(some.len() as u64) as usize])
        }
    }

    fn create(&mut self, blocks: u32) {
        self.create_named(format!("volume-{}", self.stamp + 1), blocks);
    }
    fn create_named(&mut self, name: String, blocks: u32) -> Option<VolumeNumber> {
        self.stamp += 1;
        let (id, limits) =
            (uuid::Uuid::from_u128(u128::from(self.stamp)), model::volume::Limits::default());
        let change =
            Change::Create { id, name, blocks, limits, key: None, now: 0, labels: BTreeMap::new() };
        let number = self.change(&change)?;
        self.model.insert(number, BTreeMap::new());
        Some(number)
    }
    fn branch(&mut self, clone: bool) {
        let Some(of) = self.any(!clone) else { return };
        self.stamp += 1;
        let name = format!("branch-{}", self.stamp);
        let (id, limits) =
            (uuid::Uuid::from_u128(u128::from(self.stamp)), model::volume::Limits::default());
        let change = match clone {
            true => Change::Clone { of, id, name, limits, key: None, now: 0 },
            false => Change::Snapshot { of, id, name, now: 0 },
        };
        if let Some(number) = self.change(&change) {
            self.model.insert(number, self.model[&of].clone());
        }
    }
    fn remove(&mut self) {
        let volume = self.entropy.below(3) == 0;
        let Some(number) = self.any(volume) else { return };
        if self.change(&Change::Remove { number }).is_some() {
            self.model.remove(&number);
        }
    }
    fn reap(&mut self, steps: u32) {
        for _ in 0..steps {
            let (durable, replayed) = (self.log.durable(), self.superblock.log_start.sequence);
            match self.state.reap(durable, replayed, &mut self.log) {
                Reap::Idle => return,
                Reap::Worked => {}
                Reap::Need(need) => self.install(need),
                Reap::Damaged(place) => panic!("a snapshot has {place:?}, which is free"),
            }
            if self.log.room() < 32 * 1024 {
                self.checkpoint();
            }
        }
    }

    fn step(&mut self) {
        match self.entropy.below(100) {
            0..=2 => {
                let blocks = 600 + self.entropy.below(1500) as u32;
                self.create(blocks);
            }
            3..=5 => self.branch(false),
            6..=7 => self.branch(true),
            8..=10 => self.remove(),
            11..=13 => self.reap(3),
            14..=16 => self.sync(),
            17 => self.checkpoint(),
            18 => self.reload(),
            19 => self.hand_over(),
            20..=34 => self.trim(),
            _ => {
                let Some(volume) = self.any(true) else { return self.create(1000) };
                let size = self.state.blocks(volume).expect("there");
                for _ in 0..10 {
                    let lba = self.entropy.below(u64::from(size)) as u32;
                    let most = (1 + self.entropy.below(20) as u32).min(size - lba);
                    self.write(volume, Lba(lba), most);
                }
            }
        }
    }
    fn trim(&mut self) {
        let Some(volume) = self.any(true) else { return };
        let size = self.state.blocks(volume).expect("there");
        let start = self.entropy.below(u64::from(size)) as u32;
        for lba in start..(start + 40).min(size) {
            if self.again(|state, log| state.unmap(volume, Lba(lba), log)).is_none() {
                return;
            }
            self.model.get_mut(&volume).expect("there").remove(&lba);
        }
    }

    /// Deletes everything, and looks whether all of the pool is free again.
    fn empty(&mut self) {
        for _ in 0..1000 {
            let Some(number) = self.state.directory().entries.keys().next_back().copied() else {
                break;
            };
            self.model.remove(&number);
            let _ = self.change(&Change::Remove { number });
            for number in self.state.directory().entries.keys().copied().collect::<Vec<_>>() {
                let _ = self.change(&Change::Remove { number });
                self.model.remove(&number);
            }
            self.sync();
            self.reap(100_000);
            self.checkpoint();
        }
        self.sync();
        self.sync();
        assert!(self.state.directory().entries.is_empty(), "{:?}", self.state.directory().entries);
        assert!(self.state.directory().origins.is_empty());
        assert_eq!(self.state.usage().used, 0, "nothing leaks");
    }
}

fn run(seed: u64, steps: u32) {
    let mut pool = Pool::new(seed);
    for step in 0..steps {
        pool.step();
        if step % 25 == 0 {
            pool.check();
        }
    }
    pool.check();
    pool.reload();
    pool.check();
    pool.empty();
}

#[test]
fn a_name_is_free_as_soon_as_what_had_it_is_deleted() {
    let mut pool = Pool::new(1);
    let first = pool.create_named("a".into(), 4096).expect("made");
    assert_eq!(pool.create_named("a".into(), 4096), None, "the name is taken");
    assert!(pool.change(&Change::Remove { number: first }).is_some());
    pool.model.remove(&first);
    let second = pool.create_named("a".into(), 4096).expect("made while the first one goes");
    let found = |pool: &Pool| pool.state.directory().volume("a").map(|entry| entry.number);
    assert_eq!(found(&pool), Some(second));
    pool.reload();
    assert_eq!(found(&pool), Some(second), "and after a reload");
    pool.empty();
}

/// A page that was copied and then freed is read again by a replay, which begins before
/// both: nothing else may be in its place as long as that is so.
#[test]
fn a_freed_page_stays_until_no_replay_needs_it() {
    for volume_goes in [false, true] {
        let mut pool = Pool::new(1);
        let volume = pool.create_named("a".into(), 600).expect("made");
        pool.write(volume, Lba(0), 10);
        pool.checkpoint();
        // Changed after the checkpoint: a replay reads its page.
        pool.write(volume, Lba(10), 5);
        if volume_goes {
            pool.model.remove(&volume);
            assert!(pool.change(&Change::Remove { number: volume }).is_some());
        } else {
            pool.branch(false);
            // The page is copied.
            pool.write(volume, Lba(20), 5);
            let snapshot = pool.any(false).expect("made");
            pool.model.remove(&snapshot);
            assert!(pool.change(&Change::Remove { number: snapshot }).is_some());
        }
        pool.sync();
        pool.reap(100_000);
        pool.sync();
        // All that is free is written over, more than once.
        let other = pool.create_named("b".into(), BLOCKS).expect("made");
        for lba in (0..2 * BLOCKS).step_by(16) {
            pool.write(other, Lba(lba % (BLOCKS / 2)), 16);
            if lba % 1024 == 0 {
                pool.sync();
            }
        }
        pool.reload();
        pool.check();
        pool.empty();
    }
}

#[test]
fn what_is_read_is_what_was_written() {
    for seed in 0..12 {
        run(seed, 150);
    }
    // Two snapshots go away, and the process ends while one is half gone.
    run(8_009_587_606_971_309_739, 60);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens(seed: u64) {
        run(seed, 60);
    }
}
