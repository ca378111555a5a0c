//! Long random runs: media that fail, restarts, cleaning and punching all the while, and
//! the power gone now and then.

use world::disk::each_fate;
use world::entropy::{Entropy, Seeded};
use world::files::{Files, ModelFiles, Troubles};

use super::Findings;
use super::act::Drawing;
use super::explore::crash;
use super::judge::{self, Wrong};
use super::rig::Rig;
use super::world::World;

/// Steps of a long run.
const STEPS: u64 = 150;

/// Does the long run of a seed, with up to `fates` ways for each crash.
pub fn run(seed: u64, fates: u64) -> Findings {
    let mut entropy = Seeded::new(seed ^ 0x5eed);
    let mut findings = Findings::default();
    if let Err(wrong) = go(seed, &mut entropy, fates, &mut findings) {
        match wrong {
            Wrong::Bytes(_) => findings.wrong_bytes += 1,
            Wrong::Other(_) => findings.lost += 1,
        }
        findings.told.push(format!("run {seed}: {wrong:?}"));
    }
    findings
}

fn go(seed: u64, entropy: &mut Seeded, fates: u64, findings: &mut Findings) -> Result<(), Wrong> {
    let files = ModelFiles::new(Troubles::default(), entropy.fork(1));
    let mut rig = Rig::open(files)?;
    let mut drawing = Drawing::new(entropy.fork(2), 6);
    let mut worlds = vec![World::default()];
    for number in 0..STEPS {
        let ill = entropy.below(12) == 0;
        if ill {
            let chance = 150_000;
            let troubles =
                Troubles { write_error: chance, sync_error: chance, ..Troubles::default() };
            rig.files.set_troubles(troubles);
        }
        let step = drawing.step();
        match rig.step(&step, &mut worlds) {
            Some(Ok(done)) => {
                findings.acknowledged += done;
                worlds.drain(..worlds.len() - 1);
            }
            Some(Err(what)) => return Err(Wrong::Other(what)),
            None => {}
        }
        rig.files.set_troubles(Troubles::default());
        if entropy.below(10) == 0 {
            let moment = rig.files.moment();
            crash(&moment, &worlds, fates.min(16), entropy, findings);
            if !findings.clean() {
                findings
                    .told
                    .push(format!("run {seed}, step {number}, {step:?}, {} worlds", worlds.len()));
                return Ok(());
            }
        }
        if rig.dead() || worlds.len() > 1 || entropy.below(15) == 0 {
            let files = restart(rig, entropy)?;
            rig = Rig::open(files)?;
            let found = judge::find(rig.store(), &worlds)?;
            worlds = vec![rig.probe(found).map_err(Wrong::Other)?];
        }
    }
    judge::holds(rig.store(), &worlds[0])
}

/// The process ends, or the power goes, or the index goes.
fn restart(rig: Rig, entropy: &mut Seeded) -> Result<ModelFiles, Wrong> {
    let moment = rig.files.moment();
    let files = rig.files.clone();
    let way = entropy.below(4);
    drop(rig);
    match way {
        // The process ends in order: its files are as it left them.
        0 => Ok(files),
        1 => {
            let mut after = None;
            let mut fork = entropy.fork(7);
            each_fate(moment.pieces().len(), &[1], 1, entropy, |fates| {
                after = Some(moment.after_power_cut(fates, fork.fork(8)));
                false
            });
            Ok(after.unwrap_or(files))
        }
        // Killed: what was written is seen, whatever is durable.
        2 => Ok(moment.after_kill(entropy.fork(9))),
        _ => {
            let gone = files.remove("index").and_then(|()| files.sync_names());
            gone.map_err(|error| Wrong::Other(error.to_string()))?;
            Ok(files)
        }
    }
}
