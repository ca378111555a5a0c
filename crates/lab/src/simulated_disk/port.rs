//! The model disk as a lane's driver. It looks over the lane's shoulder: memory that is
//! being written must stay as it was, and one operation must not be asked for twice.

use std::collections::{BTreeMap, BTreeSet};

use volume::lane::command::{Answered, CommandError};
use volume::lane::{MediumIndex, Op, Port};
use volume::memory::{gather, scatter};
use volume::{MediumFault, Outcome, Region, Segment, Tag};
use world::disk::{Did, ModelDisk};

use super::stamp::{self, Number, SECTOR};

/// What a page of the map says of itself, behind its checksum.
const PAGE_MAGIC: [u8; 4] = *b"BPPG";
/// `ENOSPC`.
const FULL: i32 = 28;

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
        }
    }

    /// Does one operation, whichever the disk likes. The lane must be told.
    pub fn finish(&mut self) -> Option<(Op, Result<u32, MediumFault>)> {
        let done = self.disk.finish()?;
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
        None
    }
    fn read(&mut self, op: Op, _: MediumIndex, at: u64, into: &[Segment]) {
        let length = self.ask(op, into);
        self.disk.read(op.0, at, length);
    }
    fn write(&mut self, op: Op, _: MediumIndex, at: u64, from: &[Segment]) {
        let mut bytes = vec![0; self.ask(op, from)];
        gather(from, 0, &mut bytes);
        if is_page(&bytes) {
            self.disk.spare(at);
        }
        self.disk.write(op.0, at, bytes);
    }
    fn sync(&mut self, op: Op, _: MediumIndex) {
        self.ask(op, &[]);
        self.disk.sync(op.0);
    }
    fn reply(&mut self, tag: Tag, outcome: Outcome) {
        self.replies.push((tag, outcome));
    }
    fn answer(&mut self, tag: Tag, answer: Result<Answered, CommandError>) {
        self.answers.push((tag, answer));
    }
}
