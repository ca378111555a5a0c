//! Rollouts from outside: a small fleet that does what it is told, well or not, and what must
//! hold whatever happens.

use std::collections::{BTreeMap, BTreeSet};

use bedplate_fleet::budget::{Budget, Limits};
use bedplate_fleet::placement::{Domain, Level, Place};
use bedplate_fleet::rollout::{
    Blame, Component, Decision, End, Extent, Fact, Hold, Hours, Machine, Policy, Refusal, Release,
    RolloutId, Rollouts, Signal, Spec, Verdict, Wave, What,
};
use model::{Duration, Timestamp};
use proptest::prelude::*;

const RACK: u32 = 10;

/// The engine, the budget, and machines that obey.
struct Site {
    engine: Rollouts,
    budget: Budget,
    now: Timestamp,
    machines: u32,
    /// What machines were told to do and have not done.
    under_way: BTreeMap<(RolloutId, u32), (Doing, Timestamp)>,
    /// When the engine last looked at the time.
    clock: Timestamp,
    /// Which machines have which release, in truth.
    has: BTreeSet<(RolloutId, u32)>,
    persons: BTreeSet<(RolloutId, u32)>,
    ended: BTreeMap<RolloutId, End>,
    verdicts: Vec<(RolloutId, Verdict, String)>,
    paused: BTreeSet<RolloutId>,
    facts: Vec<Fact>,
    restarts: BTreeMap<RolloutId, bool>,
    /// Racks that report nothing.
    deaf: BTreeSet<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Doing {
    Stage,
    Change,
    Revert,
}

impl Site {
    fn new(racks: u32, policy: Policy) -> Self {
        let mut site = Self {
            engine: Rollouts::new(policy),
            budget: Budget::new(Limits::default()),
            now: Timestamp::from_micros(1_767_225_600_000_000),
            machines: racks * RACK,
            under_way: BTreeMap::new(),
            clock: Timestamp::default(),
            has: BTreeSet::new(),
            persons: BTreeSet::new(),
            ended: BTreeMap::new(),
            verdicts: Vec::new(),
            paused: BTreeSet::new(),
            facts: Vec::new(),
            restarts: BTreeMap::new(),
            deaf: BTreeSet::new(),
        };
        for machine in 0..racks * RACK {
            let rack = machine / RACK;
            let domains = [Domain(rack), Domain(rack), Domain(rack / 4), Domain(0)];
            let place = Place { domains };
            site.budget.join(&place);
            site.tell(What::Joined { place, kind: (rack % 2) as u16 }).expect("a machine");
        }
        site
    }

    fn tell(&mut self, what: What) -> Result<(), Refusal> {
        let fact = Fact { at: self.now, what };
        let decisions = self.engine.apply(&mut self.budget, &fact)?;
        if fact.what == What::Clock {
            self.clock = fact.at;
        }
        self.facts.push(fact);
        for decision in decisions {
            self.note(decision);
        }
        self.check();
        Ok(())
    }

    fn create(&mut self, restarts: bool, waves: Vec<Wave>, salt: u64) -> RolloutId {
        let id = RolloutId(self.restarts.len() as u32);
        self.restarts.insert(id, restarts);
        self.tell(What::Created(spec(restarts, waves, salt))).expect("a rollout");
        id
    }

    fn note(&mut self, decision: Decision) {
        match decision {
            Decision::Stage { rollout, machine } => {
                assert!(!self.paused.contains(&rollout), "a paused one begins nothing");
                self.under_way.insert((rollout, machine.0), (Doing::Stage, self.now));
            }
            Decision::Start { rollout, machine } => {
                assert!(!self.paused.contains(&rollout), "a paused one begins nothing");
                assert!(!self.ended.contains_key(&rollout), "one that is over begins nothing");
                let before = self.under_way.insert((rollout, machine.0), (Doing::Change, self.now));
                assert_eq!(before, None, "one thing at a time");
                self.has.insert((rollout, machine.0));
            }
            Decision::Revert { rollout, machine } => {
                self.under_way.insert((rollout, machine.0), (Doing::Revert, self.now));
            }
            Decision::Person { rollout, machine } => {
                self.persons.insert((rollout, machine.0));
            }
            Decision::Verdict { rollout, verdict, evidence } => {
                self.verdicts.push((rollout, verdict, evidence.to_string()));
            }
            Decision::Ended { rollout, end } => {
                assert_eq!(self.ended.insert(rollout, end), None, "a rollout ends once");
                self.under_way.retain(|(id, _), _| *id != rollout);
            }
        }
    }

    /// What must hold after every fact.
    fn check(&self) {
        // What said nothing for two hours has failed, for the engine.
        let limit = Policy::default().change_limit;
        let busy = self
            .under_way
            .iter()
            .filter(|(_, (doing, since))| *doing != Doing::Stage && *since + limit > self.clock);
        let mut racks: BTreeMap<u32, RolloutId> = BTreeMap::new();
        let mut out: BTreeMap<u32, u32> = BTreeMap::new();
        for ((id, machine), _) in busy {
            let rack = machine / RACK;
            let first = *racks.entry(rack).or_insert(*id);
            assert_eq!(first, *id, "two rollouts change machines of rack {rack}");
            assert_eq!(self.engine.owner(Domain(rack)), Some(*id));
            if self.restarts[id] {
                *out.entry(rack).or_default() += 1;
            }
        }
        let all: u32 = out.values().sum();
        let limits = Limits::default();
        assert_eq!(self.budget.out(), all, "what is out is what the budget counts");
        assert!(all <= limits.fleet.at_once(self.machines));
        for (rack, count) in out {
            assert_eq!(self.budget.out_of(Level::Rack, Domain(rack)), count);
            assert!(count <= limits.domains[0].at_once(RACK));
        }
    }

    /// One machine does what it was told.
    fn finish(&mut self, which: usize, ok: bool) {
        let Some((key, (doing, _))) = self.under_way.iter().nth(which).map(|one| (*one.0, *one.1))
        else {
            return;
        };
        let (rollout, machine) = (key.0, Machine(key.1));
        self.under_way.remove(&key);
        let what = match doing {
            Doing::Stage => What::Staged { rollout, machine },
            Doing::Change => What::Changed { rollout, machine, ok },
            Doing::Revert => What::Reverted { rollout, machine, ok },
        };
        if !ok && doing == Doing::Change || ok && doing == Doing::Revert {
            self.has.remove(&key);
        }
        // Late answers are refused, and change nothing.
        let before = self.engine.clone();
        if self.tell(what).is_err() {
            assert_eq!(self.engine, before);
        }
    }

    fn finish_all(&mut self, ok: impl Fn(RolloutId, u32) -> bool) {
        for key in self.under_way.keys().copied().collect::<Vec<_>>() {
            let which = self.under_way.keys().position(|one| *one == key);
            if let Some(which) = which {
                self.finish(which, ok(key.0, key.1));
            }
        }
    }

    /// An hour: everybody is heard of, everything is done.
    fn hour(&mut self) {
        for _ in 0..4 {
            self.now = self.now + Duration::from_secs(900);
            self.tell(What::Clock).expect("time goes on");
            self.finish_all(|_, _| true);
        }
        self.report();
        self.tell(What::Clock).expect("time goes on");
    }

    fn report(&mut self) {
        for rack in
            (0..self.machines / RACK).filter(|rack| !self.deaf.contains(rack)).collect::<Vec<_>>()
        {
            let what = What::Watched { rack: Domain(rack), load: 1, silent: Vec::new() };
            self.tell(what).expect("a rack");
        }
    }

    fn last(&self, id: RolloutId) -> Verdict {
        self.engine.progress(id).expect("it exists").verdict
    }
}

fn spec(restarts: bool, waves: Vec<Wave>, salt: u64) -> Spec {
    let (version, former) = ("2".to_owned(), "1".to_owned());
    let release = Release { component: Component::Agent, version, former, restarts };
    Spec { release, waves, hours: Vec::new(), salt }
}

/// Waves that ask for time alone.
fn quick() -> Vec<Wave> {
    let wave = |extent| Wave {
        extent,
        per_hour: 1_000,
        bake_hours: 4,
        least: Duration::from_secs(2 * 3_600),
        exclude: None,
        exclude_kind: None,
    };
    vec![
        wave(Extent::Machines(1)),
        wave(Extent::Racks(1)),
        wave(Extent::Permille(300)),
        wave(Extent::Rest),
    ]
}

#[test]
fn a_good_release_goes_everywhere_in_waves() {
    let mut site = Site::new(12, Policy::default());
    let id = site.create(false, quick(), 7);
    let mut by_wave = BTreeMap::new();
    while !site.ended.contains_key(&id) {
        let wave = site.engine.progress(id).expect("it exists").wave;
        by_wave.insert(wave, site.has.len());
        site.hour();
        assert!(site.facts.len() < 5_000, "{:?}", site.last(id));
    }
    assert_eq!(site.ended[&id], End::Complete);
    assert_eq!(site.has.len() as u32, site.machines);
    // A machine of each type, a rack of each, 30 % of each.
    assert_eq!((by_wave[&1], by_wave[&2], by_wave[&3]), (2, 20, 36));
    assert_eq!(site.engine.active().count(), 0);
}

#[test]
fn no_data_is_hold() {
    let mut site = Site::new(8, Policy::default());
    let id = site.create(false, quick(), 1);
    (0..3).for_each(|_| site.hour());
    site.deaf = (0..8).collect();
    let before = site.has.len();
    for _ in 0..200 {
        site.hour();
    }
    let held = site.last(id);
    assert!(matches!(&held, Verdict::Hold(why) if why.contains(&Hold::Unheard)), "{held:?}");
    assert_eq!(site.has.len(), before, "nothing goes on in the dark");
    site.deaf.clear();
    while !site.ended.contains_key(&id) {
        site.hour();
    }
    assert_eq!(site.ended[&id], End::Complete);
}

#[test]
fn what_must_be_excluded_holds_until_it_is() {
    let mut site = Site::new(8, Policy::default());
    let mut waves = quick();
    waves[1].exclude = Some(4.0);
    let id = site.create(false, waves, 1);
    (0..60).for_each(|_| site.hour());
    assert_eq!(site.last(id), Verdict::Hold(vec![Hold::Unsure]), "no faults, no knowledge");
}

#[test]
fn a_release_that_crashes_is_taken_back_on_evidence() {
    let mut site = Site::new(20, Policy::default());
    let id = site.create(true, quick(), 5);
    let bystander = site.create(true, quick(), 6);
    for hour in 0..400_u32 {
        // Others fault now and then; those with the release do at once, each once.
        let other = hour * 7 % site.machines;
        let _ = site.tell(What::Fault { machine: Machine(other), signal: Signal::Device });
        let mine: Vec<u32> = site.has.iter().filter(|one| one.0 == id).map(|one| one.1).collect();
        for machine in mine {
            if hour % 3 == machine % 3
                && site
                    .verdicts
                    .iter()
                    .all(|one| one.0 != id || !matches!(one.1, Verdict::RollBack(_)))
            {
                let _ = site.tell(What::Fault { machine: Machine(machine), signal: Signal::Down });
            }
        }
        site.hour();
    }
    assert_eq!(site.ended.get(&id), Some(&End::RolledBack), "{:?}", site.last(id));
    assert_eq!(site.has.iter().filter(|one| one.0 == id).count(), 0);
    let verdict = site.verdicts.iter().find(|one| matches!(one.1, Verdict::RollBack(_)));
    let (condemned, blame, words) = verdict.expect("it was condemned");
    assert_eq!((*condemned, blame), (id, &Verdict::RollBack(Blame::Release)));
    assert!(words.contains("to 1 roll it back") && words.contains("down"), "{words}");
    assert_ne!(site.ended.get(&bystander), Some(&End::RolledBack));
}

#[test]
fn a_canary_that_cannot_be_changed_is_replaced() {
    let mut site = Site::new(6, Policy::default());
    let id = site.create(false, quick(), 3);
    site.tell(What::Clock).expect("time goes on");
    site.finish_all(|_, _| true);
    site.tell(What::Clock).expect("time goes on");
    let canaries: Vec<u32> = site.has.iter().map(|one| one.1).collect();
    assert_eq!(canaries.len(), 2, "one of each type");
    site.finish_all(|_, machine| machine != canaries[0]);
    site.hour();
    site.hour();
    let now: Vec<u32> = site.has.iter().map(|one| one.1).collect();
    assert!(now.len() == 2 && !now.contains(&canaries[0]), "{canaries:?} became {now:?}");
    while !site.ended.contains_key(&id) {
        site.hour();
    }
    assert_eq!(site.ended[&id], End::Complete);
}

#[test]
fn maintenance_hours_are_kept() {
    let mut site = Site::new(4, Policy::default());
    // 2026-01-01, when the site begins, is a Thursday; open on Saturdays from six to seven.
    let mut wanted = spec(false, quick(), 1);
    wanted.hours = vec![Hours { days: 1 << 5, from: 360, to: 420 }];
    site.restarts.insert(RolloutId(0), false);
    site.tell(What::Created(wanted)).expect("a rollout");
    for _ in 0..2 * 24 + 5 {
        site.hour();
    }
    assert_eq!((site.has.len(), site.under_way.len()), (0, 0));
    (0..2).for_each(|_| site.hour());
    assert!(!site.has.is_empty());
}

#[test]
fn orders_of_people_are_followed() {
    let mut site = Site::new(8, Policy::default());
    let id = site.create(false, quick(), 1);
    (0..2).for_each(|_| site.hour());
    let before = site.has.len();
    assert!(before > 0);
    site.tell(What::Paused(id)).expect("it runs");
    site.paused.insert(id);
    (0..50).for_each(|_| site.hour());
    assert_eq!((site.has.len(), site.last(id)), (before, Verdict::Hold(vec![Hold::Paused])));
    site.tell(What::Resumed(id)).expect("it is paused");
    site.paused.clear();
    (0..6).for_each(|_| site.hour());
    assert!(site.has.len() > before);
    site.tell(What::Recalled(id)).expect("it runs");
    assert_eq!(site.tell(What::Resumed(id)), Err(Refusal::Over));
    (0..10).for_each(|_| site.hour());
    assert_eq!((site.ended.get(&id), site.has.len()), (Some(&End::RolledBack), 0));
    let other = site.create(false, quick(), 2);
    (0..2).for_each(|_| site.hour());
    let before = site.has.len();
    site.tell(What::Aborted(other)).expect("it runs");
    (0..10).for_each(|_| site.hour());
    assert_eq!((site.ended.get(&other), site.has.len()), (Some(&End::Aborted), before));
    assert_eq!(site.tell(What::Paused(RolloutId(9))), Err(Refusal::Unknown));
}

#[test]
fn bad_requests_are_refused() {
    let mut site = Site::new(2, Policy::default());
    let mut waves = quick();
    waves.pop();
    assert_eq!(site.tell(What::Created(spec(false, waves, 1))), Err(Refusal::Waves));
    assert_eq!(site.tell(What::Created(spec(false, Vec::new(), 1))), Err(Refusal::Waves));
    for salt in 0..64 {
        site.create(false, quick(), salt);
    }
    assert_eq!(site.tell(What::Created(spec(false, quick(), 1))), Err(Refusal::Many));
    site.now = Timestamp::from_micros(0);
    assert_eq!(site.tell(What::Clock), Err(Refusal::Older));
}

#[derive(Clone, Debug)]
enum Act {
    Create { restarts: bool, salt: u64 },
    Order { which: usize, order: u8 },
    Finish { which: usize, ok: bool },
    Fault { machine: u32, signal: usize },
    Step { finish: bool, report: bool },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        1 => (any::<bool>(), any::<u64>()).prop_map(|(restarts, salt)| Act::Create { restarts, salt }),
        1 => (0..4_usize, 0..4_u8).prop_map(|(which, order)| Act::Order { which, order }),
        6 => (any::<usize>(), prop::bool::weighted(0.9))
            .prop_map(|(which, ok)| Act::Finish { which, ok }),
        2 => (0..60_u32, 0..4_usize).prop_map(|(machine, signal)| Act::Fault { machine, signal }),
        8 => (prop::bool::weighted(0.7), any::<bool>())
            .prop_map(|(finish, report)| Act::Step { finish, report }),
    ]
}

fn perform(site: &mut Site, act: Act) {
    match act {
        Act::Create { restarts, salt } if site.restarts.len() < 5 => {
            site.create(restarts, quick(), salt);
        }
        Act::Create { .. } => {}
        Act::Order { which, order } => {
            let id = RolloutId(which as u32);
            let orders = [What::Paused, What::Resumed, What::Aborted, What::Recalled];
            if site.tell(orders[usize::from(order)](id)).is_ok() {
                match order {
                    0 => drop(site.paused.insert(id)),
                    _ => drop(site.paused.remove(&id)),
                }
            }
        }
        Act::Finish { which, ok } => site.finish(which % site.under_way.len().max(1), ok),
        Act::Fault { machine, signal } => {
            let what = What::Fault { machine: Machine(machine), signal: Signal::ALL[signal] };
            site.tell(what).expect("a machine");
        }
        Act::Step { finish, report } => {
            site.now = site.now + Duration::from_secs(1_800);
            if report {
                site.report();
            }
            site.tell(What::Clock).expect("time goes on");
            if finish {
                site.finish_all(|_, machine| machine % 11 != 0);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// [`Site::check`] after every fact; at the end everything is called back, and every
    /// machine is on the former release or with a person. The same facts give the same bytes.
    #[test]
    fn what_must_hold_holds(acts in prop::collection::vec(act(), 1..150)) {
        let mut site = Site::new(6, Policy::default());
        for act in acts {
            perform(&mut site, act);
        }
        site.paused.clear();
        let mut called_back = BTreeSet::new();
        for id in site.engine.active().collect::<Vec<_>>() {
            if site.tell(What::Recalled(id)).is_ok() {
                called_back.insert(id);
            }
        }
        for _ in 0..400 {
            if site.engine.active().count() == 0 {
                break;
            }
            site.now = site.now + Duration::from_secs(1_800);
            site.tell(What::Clock).expect("time goes on");
            site.finish_all(|_, machine| machine % 13 != 0);
        }
        prop_assert_eq!(site.engine.active().count(), 0);
        for id in called_back {
            prop_assert_eq!(site.ended[&id], End::RolledBack);
            let left = site.has.iter().filter(|one| one.0 == id);
            for one in left {
                prop_assert!(site.persons.contains(one), "{:?} is nobody's", one);
            }
        }
        prop_assert_eq!(site.budget.out(), 0);
        let mut again = Rollouts::new(Policy::default());
        let mut budget = Site::new(6, Policy::default()).budget;
        for (at, fact) in site.facts.iter().enumerate() {
            again.apply(&mut budget, fact).expect("it was taken before");
            if at % 97 == 0 {
                let bytes = postcard::to_allocvec(&again).expect("encodes");
                again = postcard::from_bytes(&bytes).expect("decodes");
            }
        }
        let bytes = |engine: &Rollouts| postcard::to_allocvec(engine).expect("encodes");
        prop_assert_eq!(bytes(&again), bytes(&site.engine));
    }
}
