//! Every short sequence of acts, and a crash after each thing that happens in it: every
//! combination of what the disk may have kept, lost or torn, as far as they are few.

use world::disk::each_fate;
use world::entropy::{Entropy, Seeded};

use super::engine::Crash;
use super::findings::Findings;
use super::history::After;
use super::memory::Shelf;
use super::rig::Rig;
use super::start::Start;
use super::workload::Act;

/// The ways in which a block is torn where all are tried: its first half, and all but
/// one sector.
const TORN: [u8; 2] = [0x0f, 0xfb];

/// How thoroughly.
#[derive(Clone, Copy, Debug)]
pub struct Depth {
    /// So many fates of each moment at most: beyond, they are drawn.
    pub fates: u64,
}

/// Runs one sequence on a pool that begins as `start` has it, and judges every crash.
pub fn explore(
    start: &Start,
    acts: &[Act],
    depth: Depth,
    entropy: Seeded,
    shelf: Shelf,
) -> (Shelf, Findings) {
    let mut rig = start.rig(shelf, entropy);
    rig.findings.runs += 1;
    // Some sequences come one by one, in others everything is in flight at once.
    let hurry = rig.entropy.below(3);
    for act in acts {
        rig.begin(*act);
        crashes(&mut rig, depth);
        let steps = match hurry {
            0 => 0,
            1 => rig.entropy.below(6),
            _ => 100,
        };
        for _ in 0..steps {
            if rig.quiet() {
                break;
            }
            rig.step();
            crashes(&mut rig, depth);
        }
    }
    let mut left = 60;
    while !rig.quiet() && left > 0 {
        rig.step();
        crashes(&mut rig, depth);
        left -= 1;
    }
    rig.settle();
    rig.look(After::Life(0));
    crashes(&mut rig, depth);
    let (shelf, findings, ..) = rig.end();
    (shelf, findings)
}

/// Every crash that could be now, unless the same was judged with the same promises.
fn crashes(rig: &mut Rig, depth: Depth) {
    let pieces = rig.engine.driver.disk.pieces();
    let mut entropy = rig.entropy.fork(3);
    let promises = rig.client.promises;
    let mut disks = Vec::new();
    each_fate(pieces.len(), &TORN, depth.fates, &mut entropy.fork(1), |fates| {
        disks.push((
            Crash::Cut,
            rig.engine.driver.disk.after_power_cut(&pieces, fates, entropy.fork(2)),
        ));
        true
    });
    let waiting = pieces.iter().filter(|piece| !piece.answered).count();
    each_fate(waiting, &TORN[..1], depth.fates / 4 + 1, &mut entropy.fork(3), |fates| {
        disks.push((
            Crash::Kill,
            rig.engine.driver.disk.after_kill(&pieces, fates, entropy.fork(4)),
        ));
        true
    });
    let tail = rig.engine.tail_digest();
    for (crash, disk) in disks {
        let state = match crash {
            Crash::Cut => disk.seen().digest(),
            Crash::Kill => disk.seen().digest() ^ tail,
        };
        if rig.judged.insert((crash, state, promises)) {
            rig.findings.states.insert(state);
            rig.judge(disk, crash);
        }
    }
}
