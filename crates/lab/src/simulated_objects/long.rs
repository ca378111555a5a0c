//! Long random runs: media that fail, fill up or change what they hold, restarts,
//! cleaning and punching all the while, readers that take their time, and the power gone
//! now and then.

use world::entropy::{Entropy, Seeded};
use world::files::{File as _, Files, ModelFiles, Troubles};

use super::Findings;
use super::act::{Drawing, Step};
use super::explore::{crash, drawn, ill, then};
use super::judge::{self, Wrong};
use super::rig::{Pace, Rig};
use super::world::World;

/// Steps of a long run.
const STEPS: u64 = 150;
/// What a medium that is not full has room for.
const ROOM: u64 = 1 << 40;

/// Does the long run of a seed, with up to `fates` ways for each crash.
pub fn run(seed: u64, fates: u64) -> Findings {
    let mut entropy = Seeded::new(seed ^ 0x5eed);
    let mut findings = Findings::default();
    // Room is counted in some only: it takes time.
    let room = seed.is_multiple_of(3).then_some(ROOM);
    let well = Troubles { room, ..Troubles::default() };
    let mut run = Run { well, entropy: entropy.fork(0), fates, findings: &mut findings };
    if let Err(wrong) = run.go(seed) {
        findings.blame(&wrong);
        findings.told.push(format!("run {seed}: {wrong:?}"));
    }
    findings
}

struct Run<'f> {
    /// What goes wrong while nothing does.
    well: Troubles,
    entropy: Seeded,
    fates: u64,
    findings: &'f mut Findings,
}

impl Run<'_> {
    fn go(&mut self, seed: u64) -> Result<(), Wrong> {
        let files = ModelFiles::new(self.well.clone(), self.entropy.fork(1));
        let pace = if seed % 4 < 2 { Pace::Soon } else { Pace::Late };
        let mut rig = Rig::open_at(files, pace)?;
        let mut drawing = Drawing::new(self.entropy.fork(2), 6);
        let mut worlds = vec![World::default()];
        for number in 0..STEPS {
            let alone = self.troubles(&rig);
            let step = drawing.step();
            let reads = self.step(&mut rig, &step, alone, &mut worlds)?;
            rig.files.set_troubles(self.well.clone());
            if self.entropy.below(10) == 0 {
                let moment = rig.files.moment();
                crash(&moment, &worlds, self.fates, &mut self.entropy, self.findings);
                if !self.findings.clean() {
                    let worlds = worlds.len();
                    let told = format!("run {seed}, step {number}, {step:?}, {worlds} worlds");
                    self.findings.told.push(told);
                    return Ok(());
                }
            }
            if self.entropy.below(40) == 0 {
                self.damage(&rig, &worlds)?;
            }
            if !reads || rig.dead() || worlds.len() > 1 || self.entropy.below(15) == 0 {
                let files = self.restart(rig)?;
                files.set_troubles(self.well.clone());
                rig = Rig::open_at(files, pace)?;
                let found = judge::find(rig.store(), &worlds)?;
                worlds = vec![rig.probe(found).map_err(Wrong::Other)?];
            }
        }
        judge::holds(rig.store(), &worlds[0])
    }

    /// Lets something go wrong now and then. Whether it may stop some acts of a batch and
    /// not others.
    fn troubles(&mut self, rig: &Rig) -> bool {
        let chance = 150_000;
        let troubles = match self.entropy.below(24) {
            0 | 1 => Troubles { write_error: chance, sync_error: chance, ..self.well.clone() },
            2 => Troubles { read_error: chance / 4, ..self.well.clone() },
            3..=8 if self.well.room.is_some() => {
                let room = rig.files.used() + self.entropy.below(100_000);
                Troubles { room: Some(room), ..self.well.clone() }
            }
            _ => return false,
        };
        let alone = troubles.write_error == 0;
        rig.files.set_troubles(troubles);
        alone
    }

    /// Does a step, maybe while somebody still reads what was there before it. Whether the
    /// store can be read afterwards.
    fn step(
        &mut self,
        rig: &mut Rig,
        step: &Step,
        alone: bool,
        worlds: &mut Vec<World>,
    ) -> Result<bool, Wrong> {
        let (store, faults) = (rig.store().clone(), rig.files.moment().faults());
        let reader = (self.entropy.below(4) == 0).then(|| (store.snapshot(), worlds[0].clone()));
        let steps = match step {
            Step::Batch(acts) if alone => acts.iter().map(|act| Step::Batch(vec![*act])).collect(),
            whole => vec![whole.clone()],
        };
        for step in &steps {
            match rig.step(step, worlds) {
                Some(Ok(done)) => {
                    self.findings.acknowledged += done;
                    worlds.drain(..worlds.len() - 1);
                }
                Some(Err(what)) => return Err(Wrong::Other(what)),
                None => break,
            }
        }
        rig.files.set_troubles(self.well.clone());
        // A medium that failed once may have ended the index: it must be opened anew.
        let well = rig.files.moment().faults() == faults;
        let judged = |read: Result<(), Wrong>| match read {
            Err(Wrong::Other(_)) if !well => Ok(false),
            read => read.map(|()| true).map_err(|wrong| then(step, wrong)),
        };
        let mut reads = true;
        if alone && worlds.len() == 1 && !rig.dead() {
            reads = judged(judge::holds(rig.store(), &worlds[0]))?;
        }
        let Some((snapshot, world)) = reader else { return Ok(reads) };
        // Space must not come back under a reader.
        rig.step(&Step::Tick(3), worlds);
        Ok(reads & judged(judge::held(&store, &snapshot, &world))?)
    }

    /// Some bits turn over: that may cost something, and never gives wrong bytes.
    fn damage(&mut self, rig: &Rig, worlds: &[World]) -> Result<(), Wrong> {
        let files = rig.files.moment().after_kill(self.entropy.fork(3));
        let names = files.names().map_err(|error| Wrong::Other(error.to_string()))?;
        for _ in 0..=self.entropy.below(3) {
            let name = &names[self.entropy.below(names.len() as u64) as usize];
            let length = files.open(name).and_then(|file| file.length()).unwrap_or(0);
            if length > 0 {
                files.corrupt(name, self.entropy.below(length), self.entropy.below(8) as u8);
            }
        }
        // One that is too damaged to open hands out nothing.
        let Ok(rig) = Rig::open(files) else { return Ok(()) };
        let missing = worlds.iter().map(|world| judge::sound(rig.store(), world));
        // What was asked for and not answered may be there or not.
        let mut first = None;
        for missing in missing {
            match missing {
                Ok(_) => return Ok(()),
                Err(wrong) => first = first.or(Some(wrong)),
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// The process ends, or the power goes, or the index goes.
    fn restart(&mut self, rig: Rig) -> Result<ModelFiles, Wrong> {
        let moment = rig.files.moment();
        let files = rig.files.clone();
        let entropy = &mut self.entropy;
        Ok(match entropy.below(5) {
            // The process ends in order: its files are as it left them.
            0 => {
                rig.end();
                files
            }
            1 => drawn(&moment, entropy),
            // Killed: what was written is seen, whatever is durable.
            2 => moment.after_kill(entropy.fork(9)),
            3 => ill(moment.after_kill(entropy.fork(9)), entropy),
            _ => {
                let files = moment.after_kill(entropy.fork(9));
                let gone = files.remove("index").and_then(|()| files.sync_names());
                gone.map_err(|error| Wrong::Other(error.to_string()))?;
                files
            }
        })
    }
}
