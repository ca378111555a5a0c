//! One simulated pool in use: an engine, its disk, its clients, and the order in which
//! things happen, which a seed decides.

use std::collections::{BTreeMap, HashSet};

use volume::lane::command::CommandError;
use volume::{Fault, Kind, Region, Request, Segment, Tag, VolumeNumber};
use world::disk::ModelDisk;
use world::entropy::{Entropy, Seeded};

use super::client::{Client, Order};
use super::engine::{Crash, Engine};
use super::findings::Findings;
use super::history::After;
use super::memory::{Loan, Shelf};
use super::stamp::{self, SECTOR};
use super::workload::Act;

/// Bytes of memory that one request has.
const SLOT: usize = 128 << 10;
/// Requests in flight at most.
const SLOTS: usize = 16;
/// Sectors of one read when everything is looked at.
const LOOK: u64 = 128;
/// So many steps without anything coming back are no progress.
const PATIENCE: u32 = 20_000;
/// Most volumes and snapshots of a run.
const MOST: usize = 12;

/// A pool in use.
pub struct Rig {
    /// What was found.
    pub findings: Findings,
    /// Memory to lend.
    pub shelf: Shelf,
    /// The engine; always there between steps.
    pub engine: Engine,
    /// Those who use it.
    pub client: Client,
    /// Decides what happens next.
    pub entropy: Seeded,
    /// Memory of requests.
    guest: Region,
    loan: Loan,
    free: Vec<usize>,
    /// The memory of requests in flight, by their tags.
    memory: BTreeMap<u64, Vec<Segment>>,
    names: u64,
    /// Crashes that were judged: how, what it left, and what had been promised.
    pub judged: HashSet<(Crash, u64, u64)>,
}

impl Rig {
    /// A rig around an engine. `Err` gives the shelf back with what is wrong.
    pub fn new(mut shelf: Shelf, engine: Engine, client: Client, entropy: Seeded) -> Self {
        let mut loan = Loan::default();
        let guest = shelf.lend(SLOT * (SLOTS + 1), false, &mut loan);
        let free = (0..SLOTS).rev().collect();
        let findings = Findings::default();
        Self {
            findings,
            shelf,
            engine,
            client,
            entropy,
            guest,
            loan,
            free,
            memory: BTreeMap::new(),
            names: 0,
            judged: HashSet::new(),
        }
    }

    /// The end: gives the memory back, and what was found.
    pub fn end(self) -> (Shelf, Findings, ModelDisk, Client) {
        let Self { mut shelf, engine, findings, loan, client, .. } = self;
        let (disk, engine_loan) = engine.stop();
        shelf.take_back(engine_loan);
        shelf.take_back(loan);
        (shelf, findings, disk, client)
    }

    /// Begins an act. What cannot be done now is left out.
    pub fn begin(&mut self, act: Act) {
        match act {
            Act::Write { volume, first, count, durable } => {
                self.request(volume, Kind::Write, first, count, durable)
            }
            Act::Read { volume, first, count } => {
                self.request(volume, Kind::Read, first, count, false)
            }
            Act::Discard { volume, first, count, durable } => {
                self.request(volume, Kind::Discard, first, count, durable)
            }
            Act::Zeroes { volume, first, count, durable } => {
                self.request(volume, Kind::WriteZeroes, first, count, durable)
            }
            Act::Flush { volume } => self.request(volume, Kind::Flush, 0, 0, false),
            Act::Wait => self.pass(),
            Act::Replace => self.replace(),
            Act::Kill => self.crash(Crash::Kill),
            // Memory does not outlive the power.
            Act::Cut if self.engine.manner().memory => self.crash(Crash::Kill),
            Act::Cut => self.crash(Crash::Cut),
            Act::Snapshot { .. } | Act::Clone { .. } | Act::Grow { .. } | Act::Remove { .. } => {
                self.order(act)
            }
        }
    }

    /// The volume that an act means: writable ones for all but reads.
    fn pick(&self, volume: u32, any: bool) -> Option<(VolumeNumber, u64)> {
        let usable = |known: &&super::client::Known| !known.leaving && (any || known.of.is_none());
        let usable: Vec<_> = self.client.known.iter().filter(usable).collect();
        let known = usable.get(volume as usize % usable.len().max(1))?;
        Some((known.number, known.history.sectors()))
    }

    fn request(&mut self, volume: u32, kind: Kind, first: u32, count: u32, durable: bool) {
        let Some((number, sectors)) = self.pick(volume, kind == Kind::Read) else { return };
        let Some(slot) = self.free.pop() else { return };
        let first = u64::from(first) % sectors;
        let count = u64::from(count).min(sectors - first).min((SLOT / SECTOR) as u64);
        let range = if kind == Kind::Flush { (0, 0) } else { (first, count) };
        let (tag, asked) = self.client.ask(number, kind, range, durable, slot);
        if kind == Kind::Write {
            for (index, bytes) in self
                .guest
                .bytes_mut(slot * SLOT, count as usize * SECTOR)
                .chunks_exact_mut(SECTOR)
                .enumerate()
            {
                stamp::fill(asked.number, first + index as u64, bytes);
            }
        }
        let length = count * SECTOR as u64;
        let moves = matches!(kind, Kind::Read | Kind::Write);
        let segments = if moves { self.segments(slot, length as usize) } else { Vec::new() };
        let length = if kind == Kind::Flush { 0 } else { length };
        let request = Request {
            kind,
            offset: range.0 * SECTOR as u64,
            length,
            fua: durable,
            segments: &segments,
        };
        self.memory.insert(tag, segments.clone());
        self.engine.submit(number, Tag(tag), &request);
        self.hear();
    }

    /// The memory of a request in one to three pieces, cut anywhere.
    fn segments(&mut self, slot: usize, length: usize) -> Vec<Segment> {
        let mut cuts = vec![0, length];
        for _ in 0..self.entropy.below(3) {
            cuts.push(self.entropy.below(length as u64 + 1) as usize);
        }
        cuts.sort_unstable();
        let pieces = cuts.windows(2).filter(|pair| pair[0] < pair[1]);
        pieces
            .map(|pair| self.guest.segment(slot * SLOT + pair[0], (pair[1] - pair[0]) as u32))
            .collect()
    }

    fn order(&mut self, act: Act) {
        let full = self.client.known.len() + self.client.orders.len() >= MOST;
        self.names += 1;
        let name = format!("v{}-{}", self.names, self.client.tick());
        let tag = self.client.tag();
        let order = match act {
            Act::Snapshot { volume } if !full => self
                .pick(volume, false)
                .map(|(of, _)| Order::Snapshot { of, name, began: self.client.tick() }),
            Act::Clone { volume } if !full => {
                self.pick_snapshot(volume).map(|of| Order::Clone { of, name })
            }
            Act::Grow { volume } => self.pick(volume, false).and_then(|(volume, sectors)| {
                let bytes = sectors * SECTOR as u64 + (64 << 10);
                let busy =
                    self.client.orders.values().any(|order| matches!(order, Order::Grow { .. }));
                (!busy && bytes <= 4 << 20).then_some(Order::Grow { volume, bytes })
            }),
            Act::Remove { volume } => {
                self.pick_removable(volume).map(|number| Order::Remove { number })
            }
            _ => None,
        };
        let Some(order) = order else { return };
        if let Order::Remove { number } = order {
            for known in self.client.known.iter_mut().filter(|known| known.number == number) {
                known.leaving = true;
            }
        }
        let seed = self.entropy.next();
        self.engine.order(Tag(tag), &order, seed);
        self.client.orders.insert(tag, order);
        self.hear();
    }

    /// Orders something and waits for it.
    pub fn make(&mut self, order: Order) {
        let tag = self.client.tag();
        let seed = self.entropy.next();
        self.engine.order(Tag(tag), &order, seed);
        self.client.orders.insert(tag, order);
        self.hear();
        self.settle();
    }

    fn pick_snapshot(&self, which: u32) -> Option<VolumeNumber> {
        let snapshots: Vec<_> =
            self.client.known.iter().filter(|known| known.of.is_some() && !known.leaving).collect();
        Some(snapshots.get(which as usize % snapshots.len().max(1))?.number)
    }

    /// What may be deleted: nothing that others hang on, that is in use, or that is the
    /// last one.
    fn pick_removable(&self, which: u32) -> Option<VolumeNumber> {
        let needed = |number: VolumeNumber| {
            let ordered = self.client.orders.values().any(|order| match order {
                Order::Snapshot { of, .. } | Order::Clone { of, .. } => *of == number,
                Order::Grow { volume, .. } => *volume == number,
                Order::Create { .. } | Order::Remove { .. } => false,
            });
            let hangs = self
                .client
                .known
                .iter()
                .any(|known| known.of == Some(number) || known.base == Some(number));
            ordered || hangs || self.client.busy(number)
        };
        let may = |known: &&super::client::Known| !known.leaving && !needed(known.number);
        let may: Vec<_> = self.client.known.iter().filter(may).collect();
        let volumes =
            self.client.known.iter().filter(|known| known.of.is_none() && !known.leaving).count();
        let one = may.get(which as usize % may.len().max(1))?;
        (volumes > 1 || one.of.is_some()).then_some(one.number)
    }

    /// Hears what was answered.
    pub fn hear(&mut self) {
        if std::mem::take(&mut self.engine.driver.changed) > 0 {
            self.findings.wrong("memory was changed while it was being written".to_owned());
        }
        let missing = std::mem::take(&mut self.engine.driver.missing);
        if !missing.is_empty() {
            self.client.missing(&missing);
        }
        let replies = std::mem::take(&mut self.engine.driver.replies);
        for (tag, outcome) in replies {
            let Some(asked) = self.client.requests.get(&tag.0) else {
                self.findings.wrong(format!("{tag:?} was answered and not asked, or twice"));
                continue;
            };
            let read = if asked.kind == Kind::Read { asked.count as usize * SECTOR } else { 0 };
            let memory = self.guest.bytes(asked.slot * SLOT, read);
            let expected = self.engine.expected();
            if outcome == Err(Fault::Corrupt) {
                self.findings.detected += 1;
            }
            let slot = self.client.heard(tag.0, outcome, memory, expected, &mut self.findings);
            self.free.push(slot);
            self.memory.remove(&tag.0);
        }
        for (tag, answer) in std::mem::take(&mut self.engine.driver.answers) {
            match answer {
                Ok(answer) => {
                    let number = self.engine.number_of(&answer);
                    self.client.done(tag.0, number);
                }
                Err(error) => {
                    if !self.engine.refusal_expected(&error) {
                        self.findings.wrong(format!(
                            "{:?} was refused: {error}",
                            self.client.orders.get(&tag.0)
                        ));
                    }
                    let certain = error != CommandError::Frozen;
                    self.client.refused(tag.0, certain);
                    if certain {
                        self.engine.reopen();
                    }
                }
            }
        }
    }

    /// One thing happens: the disk answers, or time passes.
    pub fn step(&mut self) {
        if self.entropy.below(4) == 0 || !self.engine.finish_one() {
            self.engine.turn(1_000);
        }
        self.hear();
    }

    /// Whether anything is to be expected still.
    pub fn quiet(&self) -> bool {
        self.client.requests.is_empty()
            && self.client.orders.is_empty()
            && self.engine.driver.disk.waiting() == 0
    }

    /// Goes on until nothing is in flight.
    pub fn settle(&mut self) {
        let mut idle = 0;
        while !self.quiet() {
            self.step();
            if self.engine.driver.disk.waiting() == 0 {
                // Whatever waits now waits for the time.
                self.engine.turn(1_000_000);
                self.hear();
            }
            idle += 1;
            if idle > PATIENCE {
                let (requests, orders) = (self.client.requests.len(), self.client.orders.len());
                self.findings
                    .wrong(format!("{requests} requests and {orders} commands are never answered"));
                self.client.requests.clear();
                self.client.orders.clear();
                return;
            }
        }
    }

    /// Enough time passes for all that the lane does by itself.
    fn pass(&mut self) {
        for _ in 0..64 {
            self.engine.turn(1_000_000_000);
            self.hear();
            while self.entropy.below(8) > 0 && self.engine.finish_one() {
                self.hear();
            }
        }
    }

    /// The next engine takes over, whatever is in flight.
    fn replace(&mut self) {
        self.findings.replacements += 1;
        let give_up = self.entropy.below(4) == 0;
        let memory = &self.memory;
        let mut segments = |tag: Tag| memory.get(&tag.0).cloned().unwrap_or_default();
        if let Err(why) = self.engine.replace(&mut segments, give_up) {
            self.findings.wrong(format!("the next engine does not take over: {why}"));
        }
        self.hear();
    }

    /// It crashes, comes again, and is looked at as a whole. Goes on from there.
    pub fn crash(&mut self, crash: Crash) {
        let disk = self.engine.after(crash, &mut self.entropy);
        self.restart(disk, crash);
    }

    /// Starts on what a crash left.
    pub fn restart(&mut self, disk: ModelDisk, crash: Crash) {
        self.findings.recoveries += 1;
        let (next, crash) = match self.engine.successor(disk, crash, &mut self.shelf) {
            Ok(next) => next,
            Err(why) => {
                self.findings.wrong(format!("no recovery after {crash:?}: {why}"));
                return;
            }
        };
        let (_, loan) = std::mem::replace(&mut self.engine, next).stop();
        self.shelf.take_back(loan);
        self.arrive(crash);
    }

    /// The engine has recovered: what is there is held against what was promised.
    pub fn arrive(&mut self, crash: Crash) {
        self.free = (0..SLOTS).rev().collect();
        self.memory.clear();
        let found = self.engine.entries();
        self.client.crashed(&found, crash, &mut self.findings);
        self.look(after(crash));
    }

    /// Reads everything, while nothing is in flight.
    pub fn look(&mut self, after: After) {
        let Self { engine, client, guest, findings, .. } = self;
        look(engine, client, guest, after, findings);
    }

    /// What a crash leaves is recovered and judged, and the run goes on as if it had not
    /// been. Says whether a recovery was possible.
    pub fn judge(&mut self, disk: ModelDisk, crash: Crash) {
        self.findings.recoveries += 1;
        let Self { engine, shelf, guest, findings, .. } = self;
        match engine.successor(disk, crash, shelf) {
            Ok((mut next, crash)) => {
                let mut client = self.client.clone();
                client.crashed(&next.entries(), crash, findings);
                look(&mut next, &mut client, guest, after(crash), findings);
                shelf.take_back(next.stop().1);
            }
            Err(why) => findings.wrong(format!("no recovery after {crash:?}: {why}")),
        }
    }
}

fn after(crash: Crash) -> After {
    match crash {
        Crash::Kill => After::Kill,
        Crash::Cut => After::Cut,
    }
}

/// Reads all volumes and snapshots by an engine in which nothing else is in flight. The
/// last slot of the memory is used.
fn look(
    engine: &mut Engine,
    client: &mut Client,
    guest: &Region,
    after: After,
    findings: &mut Findings,
) {
    let there = client.known.iter().filter(|known| !known.leaving);
    let known: Vec<_> = there.map(|known| (known.number, known.history.sectors())).collect();
    for (number, sectors) in known {
        for first in (0..sectors).step_by(LOOK as usize) {
            let count = LOOK.min(sectors - first);
            let at = SLOT * SLOTS;
            let segments = [guest.segment(at, count as u32 * SECTOR as u32)];
            match engine.read_now(number, first * SECTOR as u64, &segments, Tag(client.tag())) {
                Some(Ok(())) => {
                    let memory = guest.bytes(at, count as usize * SECTOR);
                    let after =
                        if let After::Life(_) = after { After::Life(client.tick()) } else { after };
                    client.found(number, first, memory, after, findings);
                }
                Some(Err(fault)) if engine.expected().contains(&fault) => findings.detected += 1,
                Some(Err(fault)) => {
                    findings.lost(format!(
                        "{number:?} cannot be read from {first}: {fault}, {after:?}"
                    ));
                }
                None => findings.wrong(format!("a read of {number:?} is never answered")),
            }
        }
    }
}
