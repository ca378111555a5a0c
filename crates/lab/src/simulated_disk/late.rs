//! Runs in which the disk keeps something back on purpose, for as long as can be, while
//! everything that must wait for it is tempted not to.
//!
//! A read is kept back while its blocks are written or discarded, and so much else is
//! written that every place that is free is used: when it comes at last, it has what was
//! there when it was asked, or later. A sync, or a write, is kept back while clients ask
//! for what needs it, and the power goes: what was answered meanwhile must be there.
//! By chance these moments are rare: random runs of hours did not meet them.

use volume::Fault;
use world::disk::{Fate, Ills};
use world::entropy::{Entropy, Seeded};

use super::engine::Crash;
use super::findings::Findings;
use super::history::After;
use super::long::Length;
use super::memory::Shelf;
use super::port::Work;
use super::rig::Rig;
use super::start::Start;
use super::workload::Act;

/// Acts of a long run for each round of this.
const ACTS: u32 = 25;
/// Blocks that are read late lie among so many first ones of a volume.
const BLOCKS: u64 = 48;
/// So many steps in which nothing comes back: all that is left waits for what is kept back.
const STILL: u32 = 6;
/// Most steps that anything takes that waits for nothing.
const STEPS: u32 = 2_000;
/// Sectors of a block.
const BLOCK: u32 = 8;

/// One run, on a pool whose disk is slow.
pub fn run(start: &Start, seed: u64, length: Length, shelf: Shelf) -> (Shelf, Findings) {
    assert!(start.manner().slow, "only a disk that is slow keeps anything back");
    let mut entropy = Seeded::new(seed);
    let mut rig = start.rig(shelf, entropy.fork(1));
    rig.findings.runs += 1;
    rig.engine.fall_ill(Ills::default(), vec![Fault::NoSpace]);
    for round in 0..length.acts / ACTS {
        match round % 4 {
            0 | 2 => late_reads(&mut rig, &mut entropy),
            1 => late_for_power(&mut rig, Work::Sync, length.fates, &mut entropy),
            _ => late_for_power(&mut rig, Work::Write, length.fates, &mut entropy),
        }
        rig.engine.driver.let_go();
        rig.settle();
        rig.look(After::Life(0));
        if entropy.below(6) == 0 {
            rig.begin(if entropy.below(2) == 0 { Act::Kill } else { Act::Cut });
        }
        rig.client.forget();
        if !rig.findings.clean() {
            break;
        }
    }
    let (shelf, findings, ..) = rig.end();
    (shelf, findings)
}

/// Reads are kept back, and what they read is written over, and then again by others.
fn late_reads(rig: &mut Rig, entropy: &mut Seeded) {
    let (volume, count) = (entropy.below(2) as u32, BLOCK * (1 + entropy.below(8) as u32));
    let first = entropy.below(BLOCKS) as u32 * BLOCK;
    rig.engine.driver.keep_back(Some(Work::Read));
    for _ in 0..=entropy.below(3) {
        // A write of a part of a block reads it.
        match entropy.below(4) {
            0 => rig.begin(Act::Write { volume, first: first + 2, count: 3, durable: false }),
            _ => rig.begin(Act::Read { volume, first, count }),
        }
    }
    go_on(rig);
    rig.engine.driver.keep_back(None);
    let act = match entropy.below(3) {
        0 => Act::Discard { volume, first, count, durable: false },
        _ => Act::Write { volume, first, count, durable: false },
    };
    rig.begin(act);
    go_on(rig);
    rig.begin(Act::Flush { volume });
    go_on(rig);
    if entropy.below(4) == 0 {
        rig.begin(Act::Replace);
    }
    for _ in 0..12 {
        use_places(rig, entropy);
    }
}

/// Some writes and discards anywhere, made durable so that what they free can be used.
fn use_places(rig: &mut Rig, entropy: &mut Seeded) {
    let (volume, durable) = (entropy.below(2) as u32, false);
    let first = entropy.below(256) as u32 * BLOCK;
    let count = BLOCK * (1 + entropy.below(16) as u32);
    match entropy.below(8) {
        0 => rig.begin(Act::Discard { volume, first, count, durable }),
        _ => rig.begin(Act::Write { volume, first, count, durable }),
    }
    go_on(rig);
    rig.begin(Act::Flush { volume });
    go_on(rig);
}

/// Syncs or writes are kept back, and the power goes after each thing that is asked
/// meanwhile.
fn late_for_power(rig: &mut Rig, work: Work, fates: u64, entropy: &mut Seeded) {
    if entropy.below(2) == 0 {
        use_places(rig, entropy);
    }
    let (volume, count) = (entropy.below(2) as u32, BLOCK * (1 + entropy.below(4) as u32));
    let first = entropy.below(BLOCKS) as u32 * BLOCK;
    let before = Act::Write { volume, first, count, durable: false };
    let flush = Act::Flush { volume };
    // What is flushed is kept back, or what is written already.
    if work == Work::Sync || entropy.below(2) == 0 {
        rig.begin(before);
        go_on(rig);
        rig.engine.driver.keep_back(Some(work));
        rig.begin(flush);
    } else {
        rig.engine.driver.keep_back(Some(work));
        rig.begin(before);
    }
    go_on(rig);
    for _ in 0..3 {
        rig.begin(match entropy.below(6) {
            0 => Act::Write { volume, first, count, durable: true },
            1 => Act::Discard { volume, first, count, durable: true },
            2 => Act::Snapshot { volume },
            3 => before,
            _ => flush,
        });
        go_on(rig);
        power(rig, fates / 4, entropy);
    }
}

/// The power goes: with all that no sync covers lost, and with some of it kept.
fn power(rig: &mut Rig, drawn: u64, entropy: &mut Seeded) {
    let pieces = rig.engine.driver.disk.pieces();
    let mut fates = vec![vec![Fate::Lost; pieces.len()]];
    for _ in 0..drawn {
        let one = |_| if entropy.below(2) == 0 { Fate::Kept } else { Fate::Lost };
        fates.push((0..pieces.len()).map(one).collect());
    }
    for fates in fates {
        let disk = rig.engine.driver.disk.after_power_cut(&pieces, &fates, entropy.fork(2));
        rig.findings.states.insert(disk.seen().digest());
        rig.judge(disk, Crash::Cut);
    }
}

/// Goes on until all that is left waits for what is kept back.
fn go_on(rig: &mut Rig) {
    let mut still = 0;
    for _ in 0..STEPS {
        rig.step();
        let waiting = rig.engine.driver.disk.waiting();
        if waiting > rig.engine.driver.kept_back() {
            still = 0;
            continue;
        }
        rig.engine.turn(1_000_000);
        rig.hear();
        still += 1;
        if still == STILL {
            return;
        }
    }
}
