//! Short sequences, and the power gone at every moment of them: in every way that there
//! is when these are few, in some ways otherwise.

use world::disk::each_fate;
use world::entropy::{Entropy, Seeded};
use world::files::{Files as _, ModelFiles, Moment, Troubles};

use super::Findings;
use super::act::{Act, Drawing, Stamp, Step};
use super::judge::{self, Wrong};
use super::rig::Rig;
use super::world::World;

/// Steps of a short sequence.
const STEPS: u64 = 7;
/// Ways to tear a block: its first sector, its last, every other.
const TORN: [u8; 3] = [0b1, 0b1000_0000, 0b0101_0101];

/// What was done: moments, and what the store had to hold in each.
struct History {
    moments: Vec<Moment>,
    worlds: Vec<World>,
    /// After so many operations so many worlds had begun…
    begun: Vec<(u64, usize)>,
    /// …and so many were acknowledged.
    acknowledged: Vec<(u64, usize)>,
}

impl History {
    /// The worlds that may be there after a crash in this moment.
    fn range(&self, moment: &Moment) -> std::ops::RangeInclusive<usize> {
        let operations = moment.operations();
        let last = |list: &[(u64, usize)], strictly: bool| {
            let counts =
                |at: &&(u64, usize)| at.0 < operations || (!strictly && at.0 == operations);
            list.iter().rev().find(counts).map_or(0, |(_, worlds)| *worlds)
        };
        last(&self.acknowledged, false)
            ..=last(&self.begun, true).max(last(&self.acknowledged, false))
    }
}

/// Does the short sequence of a seed, with up to `fates` ways for each crash.
pub fn explore(seed: u64, fates: u64) -> Findings {
    let mut entropy = Seeded::new(seed);
    let mut findings = Findings::default();
    let history = match record(&mut entropy, &mut findings) {
        Ok(history) => history,
        Err(what) => {
            findings.lost += 1;
            findings.told.push(format!("sequence {seed}: {what}"));
            return findings;
        }
    };
    for moment in &history.moments {
        let range = history.range(moment);
        let worlds = &history.worlds[range];
        crash(moment, worlds, fates, &mut entropy, &mut findings);
        if !findings.clean() {
            findings.told.push(format!("sequence {seed}, operation {}", moment.operations()));
            break;
        }
    }
    findings
}

fn record(entropy: &mut Seeded, findings: &mut Findings) -> Result<History, String> {
    let files = ModelFiles::new(Troubles::default(), entropy.fork(1));
    files.keep_history();
    let mut history = History {
        moments: Vec::new(),
        worlds: vec![World::default()],
        begun: Vec::new(),
        acknowledged: Vec::new(),
    };
    let mut rig = Rig::open(files).map_err(|error| error.to_string())?;
    let mut drawing = Drawing::new(entropy.fork(2), 3);
    let versioning = object::bucket::Versioning::On;
    let body = Stamp { number: u32::MAX, length: 2000 };
    let first = vec![
        Act::Create { bucket: 0, versioning },
        Act::Create { bucket: 1, versioning: object::bucket::Versioning::Off },
        Act::Put { bucket: 1, key: 0, body, anew: false },
    ];
    let steps = std::iter::once(Step::Batch(first)).chain((0..STEPS).map(|_| drawing.step()));
    for step in steps {
        let before = rig.files.moment().operations();
        let done = rig.step(&step, &mut history.worlds);
        let after = rig.files.moment().operations();
        let last = history.worlds.len() - 1;
        history.begun.push((before, last));
        history.acknowledged.push((after, last));
        findings.acknowledged += done.ok_or("the medium failed")??;
    }
    judge::holds(rig.store(), history.worlds.last().expect("there is one"))
        .map_err(|wrong| format!("{wrong:?}"))?;
    history.moments = rig.files.take_history();
    Ok(history)
}

/// Crashes in a moment, in up to so many ways, and looks at what comes up again.
pub fn crash(
    moment: &Moment,
    worlds: &[World],
    fates: u64,
    entropy: &mut Seeded,
    findings: &mut Findings,
) {
    let pieces = moment.pieces();
    let torn: &[u8] = if pieces.tears().any(|tears| tears) { &TORN } else { &[] };
    let mut draws = entropy.fork(3);
    each_fate(pieces.count(), torn, fates, entropy, |each| {
        let files = moment.after_power_cut(&pieces, each, draws.fork(4));
        let after = After::draw(&mut draws);
        if after == After::NoIndex && files.remove("index").is_err() {
            // There is none yet.
            return true;
        }
        if !findings.states.insert(files.digest()) {
            return true;
        }
        if let Err(wrong) = recover(files, worlds, after, &mut draws, findings) {
            findings.blame(&wrong);
            findings.told.push(format!("{each:?}, {after:?}: {wrong:?}"));
            return false;
        }
        true
    });
}

/// What happens after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// All is looked at.
    Look,
    /// It goes on.
    GoOn,
    /// It goes on, and crashes again.
    Again,
    /// The index is gone, too.
    NoIndex,
    /// The medium fails while it comes up.
    Ill,
}

impl After {
    fn draw(entropy: &mut Seeded) -> Self {
        match entropy.below(32) {
            0 | 1 => Self::Again,
            2 | 3 => Self::NoIndex,
            4 => Self::Ill,
            5..=11 => Self::GoOn,
            _ => Self::Look,
        }
    }
}

/// Comes up on a medium that fails now and then, which loses nothing; and is killed, or
/// loses power.
pub fn ill(files: ModelFiles, entropy: &mut Seeded) -> ModelFiles {
    let chance = 60_000;
    let troubles = Troubles {
        read_error: chance,
        write_error: chance,
        sync_error: chance,
        ..Troubles::default()
    };
    files.set_troubles(troubles);
    let opened = Rig::open(files.clone());
    let moment = files.moment();
    drop(opened);
    if entropy.below(2) == 0 {
        return moment.after_kill(entropy.fork(9));
    }
    drawn(&moment, entropy)
}

/// One of the ways in which the power goes.
pub fn drawn(moment: &Moment, entropy: &mut Seeded) -> ModelFiles {
    let (mut after, mut fork) = (None, entropy.fork(8));
    let pieces = moment.pieces();
    each_fate(pieces.count(), &TORN, 1, entropy, |fates| {
        after = Some(moment.after_power_cut(&pieces, fates, fork.fork(8)));
        false
    });
    after.expect("there is one way at least")
}

/// Says when.
pub fn then(step: &Step, wrong: Wrong) -> Wrong {
    match wrong {
        Wrong::Bytes(what) => Wrong::Bytes(format!("after {step:?}: {what}")),
        Wrong::Other(what) => Wrong::Other(format!("after {step:?}: {what}")),
    }
}

fn recover(
    mut files: ModelFiles,
    worlds: &[World],
    after: After,
    entropy: &mut Seeded,
    findings: &mut Findings,
) -> Result<(), Wrong> {
    match after {
        After::Ill => files = ill(files, entropy),
        After::Again => files.keep_history(),
        After::Look | After::GoOn | After::NoIndex => {}
    }
    let mut rig = Rig::open(files)?;
    let found = judge::find(rig.store(), worlds)?;
    if !matches!(after, After::GoOn | After::Again) {
        return Ok(());
    }
    // It goes on: what comes next gets a number of its own.
    let mut drawing = Drawing::new(entropy.fork(5), 2);
    let acts = vec![drawing.act(), drawing.act()];
    let mut later: Vec<World> = Vec::new();
    let mut last = Vec::new();
    for mut world in found.iter().cloned() {
        for act in &acts {
            world.act(*act);
            later.push(world.clone());
        }
        last.push(world);
    }
    let step = Step::Batch(acts);
    match rig.step(&step, &mut found.clone()) {
        Some(Ok(_)) => {}
        other => return Err(Wrong::Other(format!("after a crash, {step:?} came to {other:?}"))),
    }
    judge::find(rig.store(), &last).map_err(|wrong| then(&step, wrong))?;
    if after == After::Again {
        let all: Vec<World> = worlds.iter().chain(&later).cloned().collect();
        return again(&rig.files.take_history(), &all, entropy, findings);
    }
    Ok(())
}

/// Crashes in some of the moments of a recovery and what came after.
fn again(
    moments: &[Moment],
    worlds: &[World],
    entropy: &mut Seeded,
    findings: &mut Findings,
) -> Result<(), Wrong> {
    for moment in moments {
        if entropy.below(4) > 0 {
            continue;
        }
        let pieces = moment.pieces();
        let mut nested = Ok(());
        each_fate(pieces.count(), &TORN, 2, &mut entropy.fork(6), |each| {
            let files = moment.after_power_cut(&pieces, each, Seeded::new(1));
            if findings.states.insert(files.digest()) {
                nested = Rig::open(files)
                    .map_err(Wrong::from)
                    .and_then(|rig| judge::find(rig.store(), worlds).map(drop));
            }
            nested.is_ok()
        });
        nested?;
    }
    Ok(())
}
