//! A disk in memory that completes what it is asked for later, in an order of chance,
//! and has a cache that a loss of power empties.

use std::collections::{HashMap, VecDeque};

use bedplate_volume::lane::command::{Answered, CommandError};
use bedplate_volume::lane::{Lane, MediumIndex, Op, Port};
use bedplate_volume::memory::{gather, scatter};
use bedplate_volume::{MediumFault, Nanos, Outcome, Region, Segment, Tag};

/// Chance that can be repeated.
#[derive(Clone, Debug)]
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    pub fn below(&mut self, most: u64) -> u64 {
        (self.next() >> 11) % most
    }
    pub fn one_in(&mut self, most: u64) -> bool {
        self.below(most) == 0
    }
}

#[derive(Debug)]
enum Work {
    Read(u64, Vec<Segment>),
    Write(u64, Vec<Segment>),
    Sync,
}

/// What goes wrong: asked of each operation when it completes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// One in so many fails; 0 is never.
    pub reads: u64,
    pub writes: u64,
    pub syncs: u64,
}

/// The disk, and what the lane replied.
#[derive(Debug)]
pub struct Disk {
    /// What reads give.
    pub content: Vec<u8>,
    /// What a loss of power leaves, as far as it is known: bytes before each write that
    /// is not synced.
    unsynced: Vec<(u64, Vec<u8>)>,
    flying: Vec<(Op, Work)>,
    pub replies: VecDeque<(Tag, Outcome)>,
    pub answers: HashMap<Tag, Result<Answered, CommandError>>,
    pub chance: Chance,
    pub faults: Faults,
    /// The disk is memory of the lane.
    memory: Option<Region>,
    pub syncs: u64,
}

// SAFETY: segments are addresses of memory that the tests own.
unsafe impl Send for Disk {}

impl Disk {
    pub fn new(bytes: usize, seed: u64) -> Self {
        Self {
            content: vec![0; bytes],
            unsynced: Vec::new(),
            flying: Vec::new(),
            replies: VecDeque::new(),
            answers: HashMap::new(),
            chance: Chance(seed | 1),
            faults: Faults::default(),
            memory: None,
            syncs: 0,
        }
    }
    /// A disk whose memory is the lane's: begins with what this one has.
    pub fn into_memory(mut self) -> Self {
        self.memory = Some(self.as_region());
        self
    }
    fn as_region(&self) -> Region {
        let mut region = Region::leaked(self.content.len());
        region.bytes_mut(0, self.content.len()).copy_from_slice(&self.content);
        region
    }
    pub fn flying(&self) -> usize {
        self.flying.len()
    }
    /// Does one thing that is in flight. False: nothing is.
    pub fn complete_one(&mut self, lane: &mut Lane, now: Nanos) -> bool {
        if self.flying.is_empty() {
            return false;
        }
        let index = self.chance.below(self.flying.len() as u64) as usize;
        let (op, work) = self.flying.swap_remove(index);
        let result = self.carry_out(&work);
        lane.completed(op, result, now, self);
        true
    }
    fn carry_out(&mut self, work: &Work) -> Result<u32, MediumFault> {
        let fails = |chance: &mut Chance, odds: u64| odds != 0 && chance.one_in(odds);
        let eio = Err(MediumFault::Io(5));
        match work {
            Work::Read(at, into) => {
                if fails(&mut self.chance, self.faults.reads) {
                    return eio;
                }
                let bytes = length(into);
                scatter(into, 0, &self.content[*at as usize..*at as usize + bytes]);
                Ok(bytes as u32)
            }
            Work::Write(at, from) => {
                if fails(&mut self.chance, self.faults.writes) {
                    return eio;
                }
                let bytes = length(from);
                let range = *at as usize..*at as usize + bytes;
                self.unsynced.push((*at, self.content[range.clone()].to_vec()));
                gather(from, 0, &mut self.content[range]);
                Ok(bytes as u32)
            }
            Work::Sync => {
                if fails(&mut self.chance, self.faults.syncs) {
                    return eio;
                }
                self.syncs += 1;
                self.unsynced.clear();
                Ok(0)
            }
        }
    }
    /// The process dies: some of what is in flight is still done, the rest never.
    pub fn kill(&mut self) {
        while let Some((_, work)) = self.flying.pop() {
            if self.chance.one_in(2) {
                let _ = self.carry_out(&work);
            }
        }
        self.forget_asked();
    }
    /// Power is lost: of what was written and not synced, some sectors are as before.
    pub fn lose_power(&mut self) {
        self.kill();
        // Backwards, so that what is undone is undone to what was before.
        while let Some((at, before)) = self.unsynced.pop() {
            let whole = self.chance.below(3);
            for sector in 0..before.len() / 512 {
                let lost = whole == 0 || (whole == 1 && self.chance.one_in(2));
                if lost {
                    let range = sector * 512..(sector + 1) * 512;
                    let on_disk = at as usize + range.start;
                    self.content[on_disk..on_disk + 512].copy_from_slice(&before[range]);
                }
            }
        }
    }
    fn forget_asked(&mut self) {
        self.replies.clear();
        self.answers.clear();
    }
    pub fn read_at(&self) -> impl FnMut(u64, &mut [u8]) -> Result<(), MediumFault> + '_ {
        |at, into| {
            let at = usize::try_from(at).map_err(|_| MediumFault::Short)?;
            let from = self.content.get(at..at + into.len()).ok_or(MediumFault::Short)?;
            into.copy_from_slice(from);
            Ok(())
        }
    }
}

fn length(segments: &[Segment]) -> usize {
    segments.iter().map(Segment::len).sum()
}

impl Port for Disk {
    fn memory(&mut self, _: MediumIndex) -> Option<Region> {
        self.memory.take()
    }
    fn read(&mut self, op: Op, _: MediumIndex, at: u64, into: &[Segment]) {
        assert!(at as usize + length(into) <= self.content.len(), "inside the disk");
        self.flying.push((op, Work::Read(at, into.to_vec())));
    }
    fn write(&mut self, op: Op, _: MediumIndex, at: u64, from: &[Segment]) {
        assert!(at as usize + length(from) <= self.content.len(), "inside the disk");
        assert!(at.is_multiple_of(512) && length(from).is_multiple_of(512), "whole sectors");
        self.flying.push((op, Work::Write(at, from.to_vec())));
    }
    fn sync(&mut self, op: Op, _: MediumIndex) {
        self.flying.push((op, Work::Sync));
    }
    fn reply(&mut self, tag: Tag, outcome: Outcome) {
        self.replies.push_back((tag, outcome));
    }
    fn answer(&mut self, tag: Tag, answer: Result<Answered, CommandError>) {
        assert!(self.answers.insert(tag, answer).is_none(), "a command is answered once");
    }
}
