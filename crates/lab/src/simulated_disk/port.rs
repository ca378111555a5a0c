//! The model disk as a lane's driver. It looks over the lane's shoulder: memory that is
//! being written must stay as it was, and one operation must not be asked for twice.

use std::collections::{BTreeMap, BTreeSet};

use volume::lane::command::{Answered, CommandError};
use volume::lane::{MediumIndex, Op, Port};
use volume::memory::{gather, scatter};
use volume::{MediumFault, Outcome, Region, Segment, Tag};
use world::disk::{Did, Finished, ModelDisk};
use world::entropy::{Entropy, Seeded};

use super::stamp::{self, Number, SECTOR};

/// What a page of the map says of itself, behind its checksum.
const PAGE_MAGIC: [u8; 4] = *b"BPPG";
/// `ENOSPC`.
const FULL: i32 = 28;
/// So many others may be done before a slow read.
const SLOW_READ: u64 = 400;
/// And before another slow operation.
const SLOW: u64 = 80;

/// Whether this is a page of the map.
pub fn is_page(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(&PAGE_MAGIC)
}

/// The disk, and what the lane said.
#[derive(Debug)]
pub struct Driver {
    /// The disk.
    pub disk: ModelDisk,
    /// What was asked for: where its bytes come from or go.
    asked: BTreeMap<u64, Vec<Segment>>,
    /// Requests that were answered.
    pub replies: Vec<(Tag, Outcome)>,
    /// Commands that were answered.
    pub answers: Vec<(Tag, Result<Answered, CommandError>)>,
    /// Writes whose memory was changed while they were in flight.
    pub changed: u64,
    /// Writes of clients that the disk has lost and did not say so.
    pub missing: BTreeSet<Number>,
    /// The medium, when the lane is to have it as memory: then the disk is not used.
    pub memory: Option<Region>,
    /// Some operations take long, if there is one of these.
    pub slowness: Option<Slowness>,
}

/// What can be asked of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// To read.
    Read,
    /// To write.
    Write,
    /// To sync.
    Sync,
}

/// When what is kept back is due.
const NEVER: u64 = u64::MAX;

/// A disk whose reads and syncs may take very long, while others go on: what must wait for
/// their end is seen not to wait. What is kept back is not done at all until it is let go.
#[derive(Clone, Debug)]
pub struct Slowness {
    entropy: Seeded,
    done: u64,
    /// When each operation that waits may be done, in the order of the disk's.
    due: Vec<u64>,
    kept: Option<Work>,
}

impl Slowness {
    /// One of this order of things.
    pub fn new(entropy: Seeded) -> Self {
        Self { entropy, done: 0, due: Vec::new(), kept: None }
    }
    /// An operation is asked for: one of `ways` takes long, `longest` at most.
    fn asked(&mut self, work: Work, ways: u64, longest: u64) {
        let long = self.entropy.below(ways) == 0;
        let wait = if long { self.entropy.below(longest) } else { 0 };
        let kept = self.kept == Some(work);
        self.due.push(if kept { NEVER } else { self.done + wait });
    }
    /// Which one is done next: one that is due, if there is one.
    fn next(&mut self) -> Option<usize> {
        let due = |at: &usize| self.due[*at] <= self.done;
        let ready: Vec<usize> = (0..self.due.len()).filter(due).collect();
        let goes = (0..self.due.len()).filter(|at| self.due[*at] != NEVER);
        let first = goes.min_by_key(|at| self.due[*at]);
        let which = match ready.len() {
            0 => first?,
            count => ready[self.entropy.below(count as u64) as usize],
        };
        self.due.remove(which);
        self.done += 1;
        Some(which)
    }
}

impl Driver {
    /// Drives this disk.
    pub fn new(disk: ModelDisk) -> Self {
        Self {
            disk,
            asked: BTreeMap::new(),
            replies: Vec::new(),
            answers: Vec::new(),
            changed: 0,
            missing: BTreeSet::new(),
            memory: None,
            slowness: None,
        }
    }

    fn next(&mut self) -> Option<Finished> {
        match &mut self.slowness {
            Some(slowness) => slowness.next().map(|which| self.disk.finish_one(which)),
            None => self.disk.finish(),
        }
    }
    fn takes(&mut self, work: Work, ways: u64, longest: u64) {
        if let Some(slowness) = &mut self.slowness {
            slowness.asked(work, ways, longest);
        }
    }
    /// From now on what is asked of this kind is kept back, or nothing more is. Only a disk
    /// that is slow can.
    pub fn keep_back(&mut self, work: Option<Work>) {
        let slowness = self.slowness.as_mut().expect("a disk that is slow");
        slowness.kept = work;
    }
    /// How many operations are kept back.
    pub fn kept_back(&self) -> usize {
        let due = self.slowness.iter().flat_map(|slowness| &slowness.due);
        due.filter(|due| **due == NEVER).count()
    }
    /// What was kept back may be done.
    pub fn let_go(&mut self) {
        self.keep_back(None);
        let slowness = self.slowness.as_mut().expect("a disk that is slow");
        let now = slowness.done;
        slowness.due.iter_mut().filter(|due| **due == NEVER).for_each(|due| *due = now);
    }

    /// Does one operation, whichever the disk likes. The lane must be told.
    pub fn finish(&mut self) -> Option<(Op, Result<u32, MediumFault>)> {
        let done = self.next()?;
        for bytes in self.disk.take_missing() {
            self.missing.extend(bytes.chunks_exact(SECTOR).map(stamp::number));
        }
        let segments = self.asked.remove(&done.user_data).expect("it was asked for");
        match &done.did {
            Did::Read(bytes) => scatter(&segments, 0, bytes),
            Did::Wrote(bytes) => {
                let mut now = vec![0; bytes.len()];
                gather(&segments, 0, &mut now);
                self.changed += u64::from(now[..] != bytes[..]);
            }
            Did::Synced => {}
        }
        let fault = |code| if code == FULL { MediumFault::Full } else { MediumFault::Io(code) };
        Some((Op(done.user_data), done.result.map_err(fault)))
    }

    fn ask(&mut self, op: Op, segments: &[Segment]) -> usize {
        let before = self.asked.insert(op.0, segments.to_vec());
        assert!(before.is_none(), "an operation in flight has its number alone");
        segments.iter().map(Segment::len).sum()
    }
}

impl Port for Driver {
    fn memory(&mut self, _: MediumIndex) -> Option<Region> {
        self.memory.take()
    }
    fn read(&mut self, op: Op, _: MediumIndex, at: u64, into: &[Segment]) {
        let length = self.ask(op, into);
        self.takes(Work::Read, 3, SLOW_READ);
        self.disk.read(op.0, at, length);
    }
    fn write(&mut self, op: Op, _: MediumIndex, at: u64, from: &[Segment]) {
        let mut bytes = vec![0; self.ask(op, from)];
        gather(from, 0, &mut bytes);
        if is_page(&bytes) {
            self.disk.spare(at);
        }
        self.takes(Work::Write, 16, SLOW);
        self.disk.write(op.0, at, bytes);
    }
    fn sync(&mut self, op: Op, _: MediumIndex) {
        self.ask(op, &[]);
        self.takes(Work::Sync, 4, SLOW);
        self.disk.sync(op.0);
    }
    fn reply(&mut self, tag: Tag, outcome: Outcome) {
        self.replies.push((tag, outcome));
    }
    fn answer(&mut self, tag: Tag, answer: Result<Answered, CommandError>) {
        self.answers.push((tag, answer));
    }
}
