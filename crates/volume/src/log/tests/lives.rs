//! A log that lives through deaths of its process, losses of power, replacements and
//! checkpoints, in any order.

use proptest::prelude::*;

use super::medium::{Dice, Medium};
use super::*;
use crate::format::record::tests::any_record;
use crate::format::{GROUP_BLOCKS, GROUP_HEADER};

/// What happens.
#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Record>),
    /// So many writes.
    Many(u32),
    Cut,
    /// One of the writes under way completes.
    Written(usize),
    SyncBegins,
    SyncEnds,
    Checkpoint,
    Replace,
    Kill(u64),
    PowerLoss(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => prop::collection::vec(any_record(), 1..12).prop_map(Step::Append),
        3 => (400..3000_u32).prop_map(Step::Many),
        14 => Just(Step::Cut),
        14 => (0..8_usize).prop_map(Step::Written),
        5 => Just(Step::SyncBegins),
        5 => Just(Step::SyncEnds),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Replace),
        2 => (1..u64::MAX).prop_map(Step::Kill),
        3 => (1..u64::MAX).prop_map(Step::PowerLoss),
    ]
}

/// A pool's log and what is known of it outside.
struct World {
    superblock: Superblock,
    medium: Medium,
    log: Option<Log>,
    under_way: Vec<u64>,
    syncing: Option<(Sequence, usize)>,
    /// Every record of this history, the first with number 1.
    appended: Vec<Record>,
    /// The last that was ever said to be durable.
    durable: Sequence,
}

impl World {
    fn new() -> World {
        let mut world = World {
            superblock: superblock(),
            medium: Medium::new(),
            log: None,
            under_way: Vec::new(),
            syncing: None,
            appended: Vec::new(),
            durable: Sequence(0),
        };
        world.opened(Log::new(Region::leaked(TAIL_LEAST), &world.superblock));
        world
    }

    fn log(&mut self) -> &mut Log {
        self.log.as_mut().expect("a log is open")
    }
    fn opened(&mut self, log: Log) {
        self.superblock.incarnation = log.incarnation();
        self.log = Some(log);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Append(records) => records.into_iter().for_each(|record| self.append(record)),
            Step::Many(count) => (0..count).for_each(|number| self.append(write(number))),
            Step::Cut => self.cut(),
            Step::Written(which) => self.written(which),
            Step::SyncBegins => {
                let through = self.log().written_through();
                self.syncing.get_or_insert((through, self.medium.unsynced()));
            }
            Step::SyncEnds => {
                if let Some((through, writes)) = self.syncing.take() {
                    self.medium.sync(writes);
                    self.log().synced(through);
                }
            }
            Step::Checkpoint => self.checkpoint(),
            Step::Replace => self.replace(),
            Step::Kill(seed) => self.kill(Dice(seed)),
            Step::PowerLoss(seed) => self.lose_power(Dice(seed)),
        }
        self.durable = self.durable.max(self.log().durable());
    }

    fn append(&mut self, record: Record) {
        if self.log().room() < record.length() {
            self.settle();
        }
        if self.log().room() < record.length() {
            self.checkpoint();
        }
        let sequence = self.log().append(&record);
        self.appended.push(record);
        assert_eq!(sequence.0, self.appended.len() as u64);
        assert_eq!(self.log().appended(), sequence);
    }

    fn cut(&mut self) {
        let Some(cut) = self.log().cut() else { return };
        let log = self.log.as_ref().expect("a log is open");
        self.medium.write(cut.at, log.tail().bytes(cut.bytes.start, cut.bytes.len()));
        self.under_way.push(cut.number);
    }

    fn written(&mut self, which: usize) {
        if which < self.under_way.len() {
            self.medium.complete(which);
            let number = self.under_way.remove(which);
            self.log().written(number);
        }
    }

    fn settle(&mut self) {
        while self.log().pending() > 0 {
            self.cut();
        }
        while !self.under_way.is_empty() {
            self.written(0);
        }
    }

    fn checkpoint(&mut self) {
        let start = self.log().position();
        self.settle();
        self.medium.sync(self.medium.unsynced());
        self.syncing = None;
        self.superblock.log_start = start;
        self.log().release(start);
    }

    fn replace(&mut self) {
        let log = self.log.take().expect("a log is open");
        let saved = serde_json::to_vec(&log.saved()).expect("plain data");
        let saved = serde_json::from_slice(&saved).expect("plain data");
        self.log = Some(Log::restored(log.into_tail(), saved).expect("the same tail"));
    }

    /// The process dies. What it had appended is there again, each record once.
    fn kill(&mut self, mut dice: Dice) {
        let log = self.log.take().expect("a log is open");
        let spoiled = spoil(&log, &mut dice);
        let mut tail = log.into_tail();
        for (at, length) in spoiled {
            tail.bytes_mut(at, length).fill(0xEE);
        }
        self.medium.kill(&mut dice);
        (self.syncing, self.under_way) = (None, Vec::new());
        let replay = replay(&mut self.medium.reader(), &self.superblock).expect("a good log");
        let (log, more) = Log::resume(tail, &self.superblock, &replay).expect("a good tail");
        self.compare(&replay, &more);
        assert_eq!(log.appended().0, self.appended.len() as u64);
        let killed_again = dice.roll().is_multiple_of(4);
        self.log = Some(log);
        if killed_again {
            // Before the superblock was written.
            self.kill(dice);
        }
        let log = self.log.take().expect("a log is open");
        self.opened(log);
    }

    /// Power is lost. What was durable is there again, and no more is taken for synced.
    fn lose_power(&mut self, mut dice: Dice) {
        let log = self.log.take().expect("a log is open");
        let durable = self.durable.max(log.durable());
        let mut tail = log.into_tail();
        let length = tail.len();
        tail.bytes_mut(0, length).fill(0);
        self.medium.lose_power(&mut dice);
        (self.syncing, self.under_way) = (None, Vec::new());
        let replay = replay(&mut self.medium.reader(), &self.superblock).expect("a good log");
        assert!(replay.last() >= durable, "what was durable is there");
        assert!(replay.synced_through <= durable, "and no more is taken for it");
        self.compare(&replay, &[]);
        let left = usize::try_from(replay.last().0).expect("few");
        self.appended.truncate(left);
        // What was read is kept by the medium now.
        self.opened(Log::begin(tail, &self.superblock, &replay));
    }

    /// What was read is what was appended, from the checkpoint on, and in order.
    fn compare(&self, replay: &Replay, more: &[(Sequence, Record)]) {
        let read = replay.records().map(|one| one.expect("a good record"));
        let read = read.map(|one| (one.sequence, one.record)).chain(more.iter().cloned());
        let mut next = self.superblock.log_start.sequence;
        for (sequence, record) in read {
            assert_eq!(sequence, next);
            let index = usize::try_from(sequence.0 - 1).expect("few");
            assert_eq!(Some(&record), self.appended.get(index));
            next = next.next();
        }
    }
}

/// What a process may have been about to write when it died: the rest of the open group
/// behind its records, its header, and the slot of the next one.
fn spoil(log: &Log, dice: &mut Dice) -> Vec<(usize, usize)> {
    let mut spoiled = Vec::new();
    if log.limit > log.end && dice.roll().is_multiple_of(2) {
        spoiled.push((log.at + log.end, log.limit - log.end));
        spoiled.push((log.at, GROUP_HEADER));
        let other_slot = if log.word & 1 << 31 == 0 { 96 } else { 64 };
        spoiled.push((other_slot, 24));
    }
    spoiled
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_was_promised_is_kept(steps in prop::collection::vec(step(), 1..160)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.step(Step::Kill(7));
        world.settle();
        world.checkpoint();
        world.step(Step::PowerLoss(9));
    }
}

/// The case that numbers and checksums alone do not tell: two groups were under way, the
/// first was lost; later the first is written again with the same length, and the second
/// one of the former life lies where it would be.
#[test]
fn a_group_of_a_former_life_does_not_come_back() {
    let (mut superblock, mut medium) = (superblock(), Medium::new());
    let mut log = Log::new(Region::leaked(TAIL_LEAST), &superblock);
    superblock.incarnation = log.incarnation();
    log.append(&write(1));
    let lost = log.cut().expect("a record is pending");
    log.append(&write(2));
    let kept = log.cut().expect("a record is pending");
    medium.write(kept.at, log.tail().bytes(kept.bytes.start, kept.bytes.len()));
    medium.settle();
    let replay = replay(&mut medium.reader(), &superblock).expect("a good log");
    assert_eq!((replay.last(), lost.at < kept.at), (Sequence(0), true));

    let mut log = Log::begin(Region::leaked(TAIL_LEAST), &superblock, &replay);
    superblock.incarnation = log.incarnation();
    log.append(&write(1));
    write_all(&mut log, &mut medium);
    assert_eq!(read_all(&medium, &superblock), [(Sequence(1), write(1))]);
    // Nor when a checkpoint begins just before it.
    superblock.log_start = log.position();
    assert_eq!(read_all(&medium, &superblock), []);
    assert!(superblock.log_start.offset < GROUP_BLOCKS);
}
