//! Long random runs: many volumes, everything in flight at once, crashes and takeovers
//! in between, and disks that fail.

use volume::Fault;
use world::disk::{Fate, Ills, each_fate};
use world::entropy::{Entropy, Seeded};

use super::engine::{Crash, Manner};
use super::findings::Findings;
use super::history::After;
use super::memory::Shelf;
use super::rig::Rig;
use super::start::Start;
use super::workload::{self, Act};

/// What is wrong with the disk of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Illness {
    /// Nothing.
    None,
    /// Reads and writes fail.
    Errors,
    /// Syncs fail.
    Syncs,
    /// It lies about data. Not about pages of the map: that one of them was not written
    /// cannot be seen, since the one before it is whole.
    Lies,
    /// It is full now and then, and the pool is small for what is written.
    Full,
}

impl Illness {
    /// The illness of a seed: every second disk is well.
    pub fn of(seed: u64) -> Self {
        match seed % 8 {
            1 => Illness::Errors,
            3 => Illness::Syncs,
            5 => Illness::Lies,
            7 => Illness::Full,
            _ => Illness::None,
        }
    }

    /// What a disk has of it. One that is memory has nothing; and one that lies about what
    /// is encrypted cannot say which writes it lost.
    fn of_manner(self, manner: Manner) -> Self {
        let spared = manner.memory || manner.sealed && self == Illness::Lies;
        if spared { Illness::None } else { self }
    }

    fn ills(self, data: std::ops::Range<u64>) -> Ills {
        match self {
            Illness::None => Ills::default(),
            Illness::Errors => Ills { read_error: 2_000, write_error: 5_000, ..Ills::default() },
            Illness::Syncs => Ills { sync_error: 50_000, ..Ills::default() },
            Illness::Lies => Ills {
                corrupt: 10_000,
                lost: 10_000,
                misdirected: 10_000,
                within: data,
                ..Ills::default()
            },
            Illness::Full => Ills { full: 5_000, ..Ills::default() },
        }
    }

    /// What requests may fail with.
    fn expected(self) -> Vec<Fault> {
        match self {
            Illness::None => vec![Fault::NoSpace],
            Illness::Errors => vec![Fault::NoSpace, Fault::Medium, Fault::Frozen],
            Illness::Syncs => vec![Fault::NoSpace, Fault::Frozen, Fault::Medium, Fault::Corrupt],
            Illness::Lies => vec![Fault::NoSpace, Fault::Corrupt],
            Illness::Full => vec![Fault::NoSpace, Fault::Frozen, Fault::Medium],
        }
    }
}

/// How long a run is.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// So many acts.
    pub acts: u32,
    /// So many crashes are judged in each moment that is looked at.
    pub fates: u64,
}

/// One run.
pub fn run(start: &Start, seed: u64, length: Length, shelf: Shelf) -> (Shelf, Findings) {
    let mut entropy = Seeded::new(seed);
    let manner = start.manner();
    let illness = Illness::of(seed).of_manner(manner);
    // Runs on pools of a special kind are restless by half; crowded those of slow disks.
    let act: fn(&mut Seeded, u32) -> Act = match manner == Manner::default() {
        true => workload::random,
        false if entropy.below(2) == 0 => workload::restless,
        false if manner.slow => workload::crowded,
        false => workload::random,
    };
    let mut rig = start.rig(shelf, entropy.fork(1));
    rig.findings.runs += 1;
    rig.engine.fall_ill(illness.ills(start.data()), illness.expected());
    for turn in 0..length.acts {
        let act = act(&mut entropy, start.sectors());
        rig.begin(act);
        for _ in 0..entropy.below(12) {
            rig.step();
        }
        if entropy.below(20) == 0 {
            crashes(&mut rig, length.fates, &mut entropy);
        }
        if turn % 32 == 0 {
            rig.client.forget();
        }
        if !rig.findings.clean() {
            break;
        }
    }
    rig.settle();
    rig.look(After::Life(0));
    if illness == Illness::None && rig.findings.clean() {
        space_returns(&mut rig);
    }
    let (shelf, findings, ..) = rig.end();
    (shelf, findings)
}

/// When nearly all is deleted and the rest discarded, what is written finds room again.
fn space_returns(rig: &mut Rig) {
    for which in 0..32 {
        rig.begin(Act::Remove { volume: which });
        rig.settle();
    }
    for _ in 0..2 {
        rig.begin(Act::Flush { volume: 0 });
        rig.begin(Act::Wait);
        rig.settle();
    }
    let stretches = (0..8).map(|stretch| stretch * 128);
    for first in stretches.clone() {
        rig.begin(Act::Discard { volume: 0, first, count: 128, durable: true });
        rig.settle();
    }
    rig.begin(Act::Wait);
    rig.settle();
    rig.engine.fall_ill(Ills::default(), Vec::new());
    for first in stretches {
        rig.begin(Act::Write { volume: 0, first, count: 128, durable: true });
        rig.settle();
    }
    rig.look(After::Life(0));
}

/// Some of the crashes that could be now.
fn crashes(rig: &mut Rig, fates: u64, entropy: &mut Seeded) {
    if rig.engine.manner().memory {
        let disk = rig.engine.after(Crash::Kill, entropy);
        rig.findings.states.insert(disk.seen().digest() ^ rig.engine.tail_digest());
        return rig.judge(disk, Crash::Kill);
    }
    let pieces = rig.engine.driver.disk.pieces();
    let mut drawn: Vec<Vec<Fate>> = Vec::new();
    each_fate(pieces.len(), &[0x0f], fates, &mut entropy.fork(1), |fates| {
        drawn.push(fates.to_vec());
        true
    });
    for fates in drawn {
        let disk = rig.engine.driver.disk.after_power_cut(&pieces, &fates, entropy.fork(2));
        let state = disk.seen().digest();
        if rig.findings.states.insert(state) {
            rig.judge(disk, Crash::Cut);
        }
    }
    let waiting = pieces.iter().filter(|piece| !piece.answered).count();
    let fates: Vec<Fate> =
        (0..waiting).map(|_| if entropy.below(2) == 0 { Fate::Kept } else { Fate::Lost }).collect();
    let disk = rig.engine.driver.disk.after_kill(&pieces, &fates, entropy.fork(3));
    if rig.findings.states.insert(disk.seen().digest() ^ rig.engine.tail_digest()) {
        rig.judge(disk, Crash::Kill);
    }
}
