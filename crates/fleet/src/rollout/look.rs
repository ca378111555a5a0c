//! A look at what came in: who was watched for how long, which faults speak for themselves,
//! and what each of them says about each release.

use std::collections::BTreeMap;

use model::Timestamp;

use super::evidence::{SPANS, Trial};
use super::fact::Decision;
use super::state::{Pattern, Rollouts, Run, Seen, Window};
use crate::placement::Domain;

/// What machines must have in common to be compared: hardware type, load, and the other
/// releases that are under suspicion.
type Stratum = (u16, u8, Pattern);

/// Seconds in which machines of each stratum were seen.
type Watch = BTreeMap<Stratum, u64>;

/// Seconds of machines with a release by [`SPANS`], and without it.
#[derive(Clone, Copy, Debug, Default)]
struct Arms {
    with: [u64; SPANS.len()],
    without: u64,
}

/// Where a power feed stands in a place.
const POWER: usize = 2;
/// So many racks of one power feed that fault together are the feed.
const FEED_RACKS: usize = 2;

impl Rollouts {
    /// Counts what the window since the last look holds, and judges.
    pub(super) fn look(&mut self, decisions: &mut Vec<Decision>) {
        let next = Window { opened: self.now, ..Window::default() };
        let window = std::mem::replace(&mut self.window, next);
        self.note_quiet(&window);
        let watch = self.watch(&window);
        let faults = self.distinct(window.faults.clone());
        for at in 0..self.runs.len() {
            if !self.runs[at].judged() {
                continue;
            }
            self.note_seen(at, &watch);
            let arms = self.arms(at, &watch, &window);
            for fault in &faults {
                self.weigh(at, fault, &arms, &window);
            }
        }
        self.judge(decisions);
    }

    /// Which machines were not heard of.
    fn note_quiet(&mut self, window: &Window) {
        let unwatched = (0..).zip(&self.racks).filter(|(rack, _)| !window.loads.contains_key(rack));
        let unwatched = unwatched.flat_map(|(_, rack)| rack.machines.iter().copied());
        self.quiet = window.silent.iter().copied().chain(unwatched).collect();
    }

    /// Seconds by stratum, with all other releases still apart.
    fn watch(&self, window: &Window) -> Watch {
        let length = seconds(window.opened, self.now);
        let mut watch = Watch::new();
        for (rack, load) in &window.loads {
            // Most machines of a rack are alike: they are counted together.
            let (mut last, mut sum) = (None, 0);
            for machine in &self.racks[*rack as usize].machines {
                let row = &self.rows[*machine as usize];
                let key = (row.kind, *load, row.pattern);
                if last != Some(key) {
                    add(&mut watch, last, sum);
                    (last, sum) = (Some(key), 0);
                }
                sum += if self.quiet.contains(machine) { 0 } else { length };
            }
            add(&mut watch, last, sum);
        }
        // What changed on the way counts for both, each for its part.
        let mut since: BTreeMap<u32, Timestamp> = BTreeMap::new();
        for (at, machine, before) in &window.moves {
            let from = since.insert(*machine, *at).unwrap_or(window.opened);
            let row = &self.rows[*machine as usize];
            let Some(load) = window.loads.get(&row.rack) else { continue };
            if self.quiet.contains(machine) {
                continue;
            }
            let part = seconds(from, *at);
            let now = watch.get_mut(&(row.kind, *load, row.pattern)).expect("counted above");
            *now -= part;
            *watch.entry((row.kind, *load, *before)).or_default() += part;
        }
        watch
    }

    /// Notes how much was seen of the machines of a rollout.
    fn note_seen(&mut self, at: usize, watch: &Watch) {
        let quiet = &self.quiet;
        let run = &mut self.runs[at];
        let bit = run.bit();
        let with = watch.iter().filter(|(key, _)| key.2 & bit != 0);
        run.seen += with.map(|(_, seconds)| seconds).sum::<u64>();
        let known = run.stages.len();
        let unheard = quiet
            .iter()
            .filter(|machine| (**machine as usize) < known)
            .filter(|machine| run.stages[**machine as usize].has_it())
            .count();
        run.heard = match run.with {
            0 => 1.0,
            with => 1.0 - unheard as f64 / f64::from(with),
        };
    }

    /// For one rollout: seconds with and without it, by stratum.
    fn arms(&mut self, at: usize, watch: &Watch, window: &Window) -> BTreeMap<Stratum, Arms> {
        let (now, suspects) = (self.now, self.suspects);
        let run = &mut self.runs[at];
        let bit = run.bit();
        let mut arms: BTreeMap<Stratum, Arms> = BTreeMap::new();
        for ((kind, load, pattern), seconds) in watch {
            let arms = arms.entry((*kind, *load, pattern & suspects & !bit)).or_default();
            match pattern & bit {
                0 => arms.without += seconds,
                _ => arms.with[SPANS.len() - 1] += seconds,
            }
        }
        let longest = SPANS[SPANS.len() - 2];
        while run.recent.front().is_some_and(|(since, _)| seconds(*since, window.opened) > longest)
        {
            run.recent.pop_front();
        }
        for (since, machine) in &run.recent {
            let row = &self.rows[*machine as usize];
            let Some(load) = window.loads.get(&row.rack) else { continue };
            let key = (row.kind, *load, row.pattern & suspects & !bit);
            let Some(arms) = arms.get_mut(&key) else { continue };
            if self.quiet.contains(machine) || row.pattern & bit == 0 {
                continue;
            }
            let from = seconds(*since, window.opened);
            let begin = (*since).max(window.opened);
            for (with, span) in arms.with.iter_mut().zip(SPANS).take(SPANS.len() - 1) {
                *with += span.saturating_sub(from).min(seconds(begin, now));
            }
        }
        arms
    }

    /// What one fault says about one rollout.
    fn weigh(&mut self, at: usize, fault: &Seen, all: &BTreeMap<Stratum, Arms>, window: &Window) {
        let row = &self.rows[fault.machine as usize];
        let Some(load) = window.loads.get(&row.rack) else { return };
        let run = &self.runs[at];
        let key = (row.kind, *load, fault.pattern & self.suspects & !run.bit());
        let Some(arms) = all.get(&key) else { return };
        let hours = |seconds: u64| seconds as f64 / 3_600.0;
        let on_it = fault.pattern & run.bit() != 0;
        let trial = Trial {
            kind: row.kind,
            signal: fault.signal,
            age: on_it.then(|| age(run, fault)),
            with: arms.with.map(hours),
            without: hours(arms.without),
        };
        let rivals: Vec<_> = self
            .runs
            .iter()
            .filter(|other| !other.ended() && other.id != run.id)
            .filter(|other| fault.pattern & other.bit() != 0)
            .map(|other| other.id)
            .collect();
        let run = &mut self.runs[at];
        let Some(expected) = run.evidence.count(&trial) else { return };
        for rival in rivals {
            let entry = run.shared.entry(rival).or_default();
            entry.0 += u32::from(on_it);
            entry.1 += expected;
        }
    }

    /// Faults that each speak for themselves. What hits a rack or a power feed as one is one;
    /// a machine that fails again and again, and a rack that does, are heard only so often.
    fn distinct(&mut self, mut faults: Vec<Seen>) -> Vec<Seen> {
        faults.sort_by_key(|fault| (fault.at, fault.machine));
        let mut feeds: BTreeMap<Domain, Vec<(Timestamp, u32)>> = BTreeMap::new();
        let policy = &self.policy;
        let (rows, racks) = (&mut self.rows, &mut self.racks);
        faults.retain(|fault| {
            let row = &mut rows[fault.machine as usize];
            let rack = &mut racks[row.rack as usize];
            rack.faults.retain(|at| *at + policy.rack_span > fault.at);
            let feed = feeds.entry(row.place.domains[POWER]).or_default();
            feed.retain(|(at, _)| *at + policy.burst > fault.at);
            let again = row.last_fault.is_some_and(|at| at + policy.machine_span > fault.at);
            let same = rack.faults.iter().any(|at| *at + policy.burst > fault.at);
            let others = feed.iter().filter(|(_, rack)| *rack != row.rack).count();
            let much = rack.faults.len() >= policy.rack_events as usize;
            if again || same || much || others >= FEED_RACKS {
                return false;
            }
            row.last_fault = Some(fault.at);
            rack.faults.push(fault.at);
            feed.push((fault.at, row.rack));
            true
        });
        faults
    }
}

/// Since when the machine of a fault has the release, in seconds.
fn age(run: &Run, fault: &Seen) -> u64 {
    use super::state::Stage::{Changing, Done, Failed};
    match run.stages[fault.machine as usize] {
        Changing(since) | Done(since) | Failed(since) => seconds(since, fault.at),
        // On its way back: when it came is not known any more, and does not matter.
        _ => u64::MAX,
    }
}

fn add(watch: &mut Watch, key: Option<Stratum>, sum: u64) {
    if let Some(key) = key {
        *watch.entry(key).or_default() += sum;
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> u64 {
    to.since(from).micros() / 1_000_000
}
