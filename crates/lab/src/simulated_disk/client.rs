//! The clients of a simulated pool: what they asked, what they heard, and so what they
//! may see. All of it is outside the engine.

use std::collections::{BTreeMap, BTreeSet};

use volume::{Fault, Kind, Outcome, VolumeNumber};

use super::engine::Crash;
use super::findings::Findings;
use super::history::{After, History, Moment, Verdict};
use super::stamp::{self, Number, SECTOR};

/// Sectors in a block.
const BLOCK: u64 = 8;

/// A volume or snapshot that clients know of.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its number in the pool.
    pub number: VolumeNumber,
    /// Its name.
    pub name: String,
    /// The volume that it is a snapshot of.
    pub of: Option<VolumeNumber>,
    /// The snapshot that it is a clone of.
    pub base: Option<VolumeNumber>,
    /// What is in it.
    pub history: History,
    /// It is being deleted: it may be there or not.
    pub leaving: bool,
    /// Nobody was told that it is there: it was found after the death of a process, and
    /// a loss of power may still take it away.
    pub unsure: bool,
    /// As `unsure`, of its size: it was promised to have so many bytes at least.
    pub least: Option<u64>,
}

/// A part of a write: whether it is there for certain once it was answered.
#[derive(Clone, Copy, Debug)]
struct Part {
    first: u64,
    count: u64,
    certain: bool,
}

/// A request in flight.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Of which volume.
    pub volume: VolumeNumber,
    /// What.
    pub kind: Kind,
    /// From which sector.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// Whether it is durable when it is answered.
    pub durable: bool,
    /// When it was asked.
    pub began: Moment,
    /// Which write it is.
    pub number: Number,
    /// Where its memory is.
    pub slot: usize,
    parts: Vec<Part>,
}

/// A command in flight.
#[derive(Clone, Debug)]
pub enum Order {
    /// A new volume.
    Create { name: String, bytes: u64 },
    /// A snapshot.
    Snapshot { of: VolumeNumber, name: String, began: Moment },
    /// A clone of a snapshot.
    Clone { of: VolumeNumber, name: String },
    /// A volume becomes larger.
    Grow { volume: VolumeNumber, bytes: u64 },
    /// A volume or snapshot goes away.
    Remove { number: VolumeNumber },
}

/// What clients know.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Volumes and snapshots that were answered for.
    pub known: Vec<Known>,
    /// Requests that were not answered.
    pub requests: BTreeMap<u64, Asked>,
    /// Commands that were not answered.
    pub orders: BTreeMap<u64, Order>,
    /// Commands that failed, and may have happened.
    unsure: Vec<Order>,
    /// What was gone after the death of a process, though nobody was told that it is: a
    /// loss of power may bring it back.
    gone: Vec<Known>,
    now: Moment,
    tags: u64,
    numbers: Number,
    /// How often something was promised.
    pub promises: u64,
}

impl Client {
    /// The next moment.
    pub fn tick(&mut self) -> Moment {
        self.now += 1;
        self.now
    }
    /// A name for what comes next.
    pub fn tag(&mut self) -> u64 {
        self.tags += 1;
        self.tags
    }
    /// A volume or snapshot by its number.
    pub fn get(&self, number: VolumeNumber) -> Option<&Known> {
        self.known.iter().find(|known| known.number == number)
    }
    fn get_mut(&mut self, number: VolumeNumber) -> Option<&mut Known> {
        self.known.iter_mut().find(|known| known.number == number)
    }
    /// Whether requests of a volume are in flight.
    pub fn busy(&self, number: VolumeNumber) -> bool {
        self.requests.values().any(|asked| asked.volume == number)
    }

    /// A request is made. What it writes is in its `number`.
    pub fn ask(
        &mut self,
        volume: VolumeNumber,
        kind: Kind,
        range: (u64, u64),
        durable: bool,
        slot: usize,
    ) -> (u64, Asked) {
        let (tag, began, (first, count)) = (self.tag(), self.tick(), range);
        let number = if kind == Kind::Write {
            self.numbers += 1;
            self.numbers
        } else {
            0
        };
        let parts = parts(kind, first, count);
        if let Some(known) = self.get_mut(volume) {
            for part in &parts {
                known.history.begin(began, part.first, part.count, number);
            }
        }
        let asked = Asked { volume, kind, first, count, durable, began, number, slot, parts };
        self.requests.insert(tag, asked.clone());
        (tag, asked)
    }

    /// A request was answered; `memory` is what a read gave. `expected` are the faults
    /// that may come.
    pub fn heard(
        &mut self,
        tag: u64,
        outcome: Outcome,
        memory: &[u8],
        expected: &[Fault],
        findings: &mut Findings,
    ) -> usize {
        let asked = self.requests.remove(&tag).expect("an answer to what was asked, once");
        let now = self.tick();
        self.promises += 1;
        if let Err(fault) = outcome
            && !expected.contains(&fault)
        {
            findings.wrong(format!("{:?} of {:?} failed: {fault}", asked.kind, asked.volume));
        }
        if let Some(known) = self.get_mut(asked.volume) {
            for part in &asked.parts {
                let certain = part.certain && outcome.is_ok();
                known.history.end(asked.began, now, part.first, part.count, certain, asked.durable);
            }
            match (asked.kind, outcome) {
                (Kind::Flush, Ok(())) => known.history.flushed(asked.began),
                (Kind::Read, Ok(())) => {
                    judge(known, asked.first, memory, After::Life(asked.began), findings);
                }
                _ => {}
            }
        }
        asked.slot
    }

    /// A command was answered well.
    pub fn done(&mut self, tag: u64, number: VolumeNumber) {
        let order = self.orders.remove(&tag).expect("an answer to what was asked, once");
        let now = self.tick();
        self.promises += 1;
        self.all_is_durable();
        match order {
            Order::Grow { volume, bytes } => {
                if let Some(known) = self.get_mut(volume) {
                    known.history.grow(bytes);
                }
            }
            Order::Remove { number } => self.known.retain(|known| known.number != number),
            order => self.known.extend(self.made(&order, number, now, true)),
        }
    }

    /// Everything before it is durable, and not to be taken away any more.
    fn all_is_durable(&mut self) {
        self.known.iter_mut().for_each(|known| (known.unsure, known.least) = (false, None));
        self.gone.clear();
    }

    /// A command failed. `certain`: nothing changed. Otherwise the next crash shows
    /// whether something did.
    pub fn refused(&mut self, tag: u64, certain: bool) {
        let order = self.orders.remove(&tag).expect("an answer to what was asked, once");
        if !certain {
            self.unsure.push(order);
        } else if let Order::Remove { number } = order
            && let Some(known) = self.get_mut(number)
        {
            known.leaving = false;
        }
    }

    /// What a command makes, if it makes something that clients know of.
    fn made(
        &self,
        order: &Order,
        number: VolumeNumber,
        now: Moment,
        answered: bool,
    ) -> Option<Known> {
        let (leaving, unsure, least) = (false, !answered, None);
        let known = |number, name: &String, of, base, history| Known {
            number,
            name: name.clone(),
            of,
            base,
            history,
            leaving,
            unsure,
            least,
        };
        Some(match order {
            Order::Create { name, bytes } => known(number, name, None, None, History::new(*bytes)),
            Order::Snapshot { of, name, began } => {
                let history = self.get(*of)?.history.snapshot(*began, now, answered);
                known(number, name, Some(*of), None, history)
            }
            Order::Clone { of, name } => {
                let history = self.get(*of)?.history.clone();
                known(number, name, None, Some(*of), history)
            }
            Order::Grow { .. } | Order::Remove { .. } => return None,
        })
    }

    /// The disk has lost these writes and did not say so.
    pub fn missing(&mut self, numbers: &BTreeSet<Number>) {
        self.known.iter_mut().for_each(|known| known.history.missing(numbers));
    }

    /// Forgets what nobody can see any more, so that long runs stay quick.
    pub fn forget(&mut self) {
        let requests = self.requests.values().map(|asked| asked.began);
        let orders = self.orders.values().filter_map(|order| match order {
            Order::Snapshot { began, .. } => Some(*began),
            _ => None,
        });
        let before = requests.chain(orders).min().unwrap_or(self.now);
        self.known.iter_mut().for_each(|known| known.history.forget(before));
    }

    /// The process died or the power went: nothing that is in flight is answered any
    /// more. `found` are the numbers, names and sizes of what is there afterwards. What
    /// was promised must be among it, and nothing that nobody asked for.
    pub fn crashed(
        &mut self,
        found: &[(VolumeNumber, String, u64)],
        crash: Crash,
        findings: &mut Findings,
    ) {
        let now = self.tick();
        for (number, name, _) in found {
            if self.get(*number).is_some() {
                continue;
            }
            if let Some(at) = self.gone.iter().position(|known| known.number == *number) {
                self.known.push(self.gone.swap_remove(at));
                continue;
            }
            let mut orders = self.orders.values().chain(&self.unsure);
            let asked = orders.find(|order| order.name() == Some(name));
            match asked.and_then(|order| self.made(order, *number, now, false)) {
                Some(known) => self.known.push(known),
                None => findings.wrong(format!("{number:?} {name} is there and should not be")),
            }
        }
        for known in &mut self.known {
            known.history.killed(now);
            if crash == Crash::Cut {
                known.history.cut();
            }
            let there = found.iter().find(|(number, ..)| *number == known.number);
            let Some((_, name, bytes)) = there else {
                if !known.leaving && !known.unsure {
                    findings.lost(format!("{:?} {} is gone", known.number, known.name));
                }
                continue;
            };
            if *name != known.name {
                findings
                    .wrong(format!("{:?} is called {name} and was {}", known.number, known.name));
            }
            let had = known.history.sectors() * SECTOR as u64;
            let grows = |order: &Order| matches!(order, Order::Grow { volume, bytes: to } if *volume == known.number && to == bytes);
            match self.orders.values().chain(&self.unsure).any(grows) {
                true if had < *bytes => {
                    known.least.get_or_insert(had);
                    known.history.grow(*bytes);
                }
                false if known.least.is_some_and(|least| (least..had).contains(bytes)) => {
                    known.history.shrink(*bytes);
                }
                false if had != *bytes => {
                    findings.lost(format!("{:?} has {bytes} bytes and had {had}", known.number));
                }
                _ => {}
            }
            known.leaving = false;
        }
        let there = |known: &Known| found.iter().any(|(number, ..)| *number == known.number);
        let (known, gone) = std::mem::take(&mut self.known).into_iter().partition(there);
        self.known = known;
        self.gone.extend::<Vec<_>>(gone);
        if crash == Crash::Cut {
            // What is there after a loss of power is there for good.
            self.all_is_durable();
        }
        self.requests.clear();
        self.orders.clear();
        self.unsure.clear();
    }

    /// What was read of a volume after a crash, or while nothing was in flight; from now
    /// on it is so.
    pub fn found(
        &mut self,
        number: VolumeNumber,
        first: u64,
        memory: &[u8],
        after: After,
        findings: &mut Findings,
    ) {
        let now = self.tick();
        let known = self.get_mut(number).expect("only what is known is read");
        judge(known, first, memory, after, findings);
        for (index, bytes) in memory.chunks_exact(SECTOR).enumerate() {
            let sector = first + index as u64;
            let Some(seen) = stamp::read(sector, bytes) else { continue };
            match after {
                After::Cut => known.history.settle(now, sector, seen),
                After::Kill | After::Life(_) => known.history.observe(now, sector, seen),
            }
        }
    }
}

impl Order {
    fn name(&self) -> Option<&String> {
        match self {
            Order::Create { name, .. }
            | Order::Snapshot { name, .. }
            | Order::Clone { name, .. } => Some(name),
            Order::Grow { .. } | Order::Remove { .. } => None,
        }
    }
}

/// What of a request is certain once it was answered: a discard need not change blocks
/// that it covers in part.
fn parts(kind: Kind, first: u64, count: u64) -> Vec<Part> {
    let end = first + count;
    match kind {
        Kind::Read | Kind::Flush => Vec::new(),
        Kind::Write | Kind::WriteZeroes => vec![Part { first, count, certain: true }],
        Kind::Discard => {
            let from = first.next_multiple_of(BLOCK).min(end);
            let to = (end / BLOCK * BLOCK).max(from);
            let parts = [(first, from, false), (from, to, true), (to, end, false)];
            let parts = parts.into_iter().filter(|(first, end, _)| first < end);
            parts.map(|(first, end, certain)| Part { first, count: end - first, certain }).collect()
        }
    }
}

/// Judges each sector of what was read.
fn judge(known: &Known, first: u64, memory: &[u8], after: After, findings: &mut Findings) {
    for (index, bytes) in memory.chunks_exact(SECTOR).enumerate() {
        let sector = first + index as u64;
        let seen = stamp::read(sector, bytes);
        findings.sectors += 1;
        let say = || {
            format!(
                "{:?} sector {sector} holds {seen:?}, {after:?}: {}",
                known.number,
                known.history.tell(sector)
            )
        };
        match known.history.judge(sector, seen, after) {
            Verdict::Right => {}
            Verdict::Lost => findings.lost(say()),
            Verdict::Wrong => findings.wrong_read(say()),
        }
    }
}
