//! The engine of health and repair, decision by decision, and what must hold whatever comes.

use std::collections::{BTreeMap, BTreeSet};

use bedplate_fleet::budget::{Budget, Limits};
use bedplate_fleet::health::rules::Source;
use bedplate_fleet::health::{
    BmcSays, CaseNumber, Decision, Fact, Health, Load, Outcome, Rules, Settings, Stage, State,
    Subject, Verdict,
};
use bedplate_fleet::placement::{Domain, Level, Place};
use bedplate_fleet::repair::{Action, Symptom};
use model::{Duration, Timestamp};
use proptest::prelude::*;

const EACH: u32 = 20;

struct World {
    health: Health,
    budget: Budget,
    now: Timestamp,
    out: Vec<Decision>,
}

impl World {
    /// So many racks of twenty machines, four racks on a feed.
    fn new(racks: u32) -> Self {
        let mut budget = Budget::new(Limits::default());
        let mut health = Health::new(Settings::default(), Rules::standard(), 1);
        for machine in 0..racks * EACH {
            let rack = machine / EACH;
            let domains = [rack, rack / 2, rack / 4, machine % 4].map(Domain);
            health.join(Place { domains }, 0, &mut budget);
        }
        Self { health, budget, now: Timestamp::from_micros(1_000_000_000), out: Vec::new() }
    }

    fn fact(&mut self, fact: &Fact) -> Vec<Decision> {
        self.health.step(self.now, fact, &mut self.budget, &mut self.out);
        std::mem::take(&mut self.out)
    }

    /// Lets time pass, with the engine woken when it wants to be.
    fn wait(&mut self, span: Duration) -> Vec<Decision> {
        let end = self.now + span;
        let mut all = Vec::new();
        while let Some(next) = self.health.next_deadline().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            all.extend(self.fact(&Fact::Time));
        }
        self.now = end;
        all
    }

    fn quiet(&mut self, machine: u32) -> Vec<Decision> {
        let since = self.now - Duration::from_millis(800);
        self.fact(&Fact::Quiet { machine, since })
    }

    /// All that can be known of a machine that is not heard.
    fn known(&mut self, machine: u32, answered: bool, says: BmcSays) -> Vec<Decision> {
        let mut all = Vec::new();
        for _ in 0..3 {
            all.extend(self.fact(&Fact::Neighbour { machine, answered }));
        }
        all.extend(self.fact(&Fact::Bmc { machine, says }));
        all
    }

    fn verdict(&self, machine: u32) -> Verdict {
        self.health.state.machine(machine).expect("a machine").verdict
    }

    fn die(&mut self, machine: u32) -> Vec<Decision> {
        let mut all = self.quiet(machine);
        all.extend(self.known(machine, false, BmcSays::Stopped));
        all
    }

    fn signal(&mut self, machine: u32, line: &str) -> Vec<Decision> {
        let (source, text) = (Source::Kernel, line.to_owned());
        self.fact(&Fact::Signal { machine, source, name: String::new(), value: 0.0, text })
    }
}

fn repairs(decisions: &[Decision]) -> Vec<(CaseNumber, u32, Action)> {
    let repair = |decision: &Decision| match decision {
        Decision::Repair { case, machine, action, .. } => Some((*case, *machine, *action)),
        _ => None,
    };
    decisions.iter().filter_map(repair).collect()
}

fn endings(decisions: &[Decision]) -> usize {
    decisions.iter().filter(|one| matches!(one, Decision::Closed { .. })).count()
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn silence_alone_only_makes_it_ask() {
    let mut world = World::new(4);
    assert_eq!(world.quiet(3), [Decision::Probe { machine: 3 }]);
    assert_eq!(world.verdict(3), Verdict::Alive);
    assert_eq!(world.fact(&Fact::Heard { machine: 3, boot: 0 }), []);
    assert_eq!(world.health.next_deadline(), None, "nothing is left of it");
}

#[test]
fn dead_by_evidence_and_by_nothing_else() {
    for (answered, says, verdict) in [
        (false, BmcSays::Stopped, Verdict::Dead),
        (false, BmcSays::Off, Verdict::Dead),
        (false, BmcSays::Dark, Verdict::Dead),
        (false, BmcSays::Running, Verdict::Isolated),
        (false, BmcSays::Stalled, Verdict::Unknown),
        (false, BmcSays::Mute, Verdict::Unknown),
        (true, BmcSays::Stopped, Verdict::Slow),
        (true, BmcSays::Mute, Verdict::Slow),
    ] {
        let mut world = World::new(4);
        world.quiet(3);
        world.known(3, answered, says);
        assert_eq!(world.verdict(3), verdict, "{answered} {says:?}");
        // Asked again for an hour with the same answers, it stays so.
        for _ in 0..60 {
            world.wait(MINUTE);
            world.known(3, answered, says);
            assert_eq!(world.verdict(3) == Verdict::Dead, verdict == Verdict::Dead);
        }
    }
    let mut world = World::new(4);
    world.quiet(3);
    world.fact(&Fact::Bmc { machine: 3, says: BmcSays::Off });
    assert_eq!(
        world.verdict(3),
        Verdict::Alive,
        "a BMC may be wrong: nobody asked a neighbour yet"
    );
}

#[test]
fn a_dead_machine_is_power_cycled_heard_and_proven() {
    let mut world = World::new(4);
    let decided = world.die(3);
    assert!(decided.iter().any(|one| matches!(one, Decision::Opened { .. })));
    assert_eq!(repairs(&decided), [], "first it is seen who else fails");
    let decided = world.wait(SECOND.percent(1_100));
    let [(case, 3, Action::PowerCycle)] = repairs(&decided)[..] else { panic!("{decided:?}") };
    assert_eq!(world.budget.out(), 1);
    world.fact(&Fact::Ended { case, action: Action::PowerCycle, outcome: Outcome::Done });
    world.wait(SECOND.percent(12_000));
    world.fact(&Fact::Heard { machine: 3, boot: 1 });
    assert_eq!((world.verdict(3), world.budget.out()), (Verdict::Alive, 0));
    let decided = world.wait(MINUTE.percent(6_100));
    let [Decision::Closed { case }] = &decided[..] else { panic!("{decided:?}") };
    let story = case.story();
    for words in [
        "opened: dead: not heard for",
        "of its neighbours 0 reach it and 3 do not; its BMC says that the host has stopped",
        "began to power-cycle it",
        "did power-cycle it",
        "heard again",
        "closed: to power-cycle it helped",
    ] {
        assert!(story.contains(words), "{words}:\n{story}");
    }
}

#[test]
fn what_does_not_help_is_followed_by_the_next_and_at_last_by_a_person() {
    let mut world = World::new(4);
    let mut decided = world.die(3);
    let mut tried = Vec::new();
    while !decided.iter().any(|one| matches!(one, Decision::CallPerson { .. })) {
        let mut next = Vec::new();
        for (case, _, action) in repairs(&decided) {
            tried.push(action);
            next.extend(world.fact(&Fact::Ended { case, action, outcome: Outcome::Failed }));
        }
        assert!(tried.len() <= 3, "{tried:?}");
        next.extend(world.wait(MINUTE));
        decided = next;
    }
    tried.sort_unstable();
    assert_eq!(tried, [Action::PowerCycle, Action::Reinstall, Action::Reflash]);
    let case = world.health.state.cases().next().expect("it is open");
    assert_eq!((case.stage, case.person), (Stage::Person, true));
    assert_eq!(world.budget.out(), 0, "it is out because it is broken");
    let case = case.number;
    assert_eq!(endings(&world.fact(&Fact::Returned { case })), 0, "it has to boot first");
    assert_eq!(endings(&world.fact(&Fact::Heard { machine: 3, boot: 1 })), 1);
}

#[test]
fn a_machine_that_serves_is_emptied_before_it_is_disturbed() {
    let mut world = World::new(4);
    world.fact(&Fact::Load { machine: 5, load: Load { workloads: 8, movable: 4 } });
    world.signal(5, "NVRM: Xid (PCI:0000:9b:00): 79, GPU has fallen off the bus.");
    let mut tried = Vec::new();
    for _ in 0..20 {
        let decided = world.wait(MINUTE);
        for (case, machine, action) in repairs(&decided) {
            tried.push(action);
            let outcome = match action {
                Action::Migrate | Action::Drain => Outcome::Done,
                _ => Outcome::Failed,
            };
            let mut more = world.fact(&Fact::Ended { case, action, outcome });
            assert!(repairs(&more).iter().all(|one| one.1 == machine));
            while let [(case, _, action)] = repairs(&more)[..] {
                tried.push(action);
                more = world.fact(&Fact::Ended { case, action, outcome: Outcome::Done });
            }
        }
    }
    let at = |action| tried.iter().position(|one| *one == action);
    if let Some(cycle) = at(Action::PowerCycle) {
        assert!(at(Action::Migrate).is_some_and(|migrate| migrate < cycle), "{tried:?}");
        assert!(at(Action::Drain).is_some_and(|drain| drain < cycle), "{tried:?}");
    }
    assert_eq!(tried[0], Action::ResetDevice, "which costs least: {tried:?}");
}

#[test]
fn a_quiet_rack_is_one_case_and_holds_its_machines() {
    let mut world = World::new(8);
    world.die(3);
    let since = world.now;
    let rack = Domain(0);
    let decided = world.fact(&Fact::RackQuiet { rack, since });
    let [Decision::ProbeRack { members, .. }] = &decided[..] else { panic!("{decided:?}") };
    assert_eq!(members.len(), 3);
    for _ in 0..3 {
        world.fact(&Fact::RackMember { rack, answered: false, says: BmcSays::Dark });
    }
    world.wait(SECOND.percent(110));
    let case = |world: &World, symptom| {
        world.health.state.cases().filter(|case| case.symptom == symptom).count()
    };
    assert_eq!(case(&world, Symptom::RackDark), 1);
    let decided = world.wait(MINUTE.percent(2_000));
    assert_eq!(repairs(&decided), [], "held");
    let held = world.health.state.cases().filter(|case| matches!(case.stage, Stage::Held(_)));
    assert_eq!(held.count(), 1);
    // After half an hour a person is called, and not again and again.
    let decided = world.wait(MINUTE.percent(6_000));
    let called = decided.iter().filter(|one| matches!(one, Decision::CallPerson { .. })).count();
    assert_eq!((called, repairs(&decided).len()), (1, 0));
    // It is heard: its machines come back, and the brake opens.
    world.fact(&Fact::RackHeard { rack });
    world.fact(&Fact::Heard { machine: 3, boot: 1 });
    world.wait(MINUTE.percent(2_000));
    assert_eq!(case(&world, Symptom::RackDark), 0);
}

#[test]
fn a_rack_whose_machines_answer_needs_a_relay_and_no_case() {
    let mut world = World::new(4);
    let (rack, since) = (Domain(1), world.now);
    world.fact(&Fact::RackQuiet { rack, since });
    let decided = world.fact(&Fact::RackMember { rack, answered: true, says: BmcSays::Mute });
    assert_eq!(decided, [Decision::ChangeRelay { rack }]);
    world.wait(SECOND.percent(110));
    world.fact(&Fact::RackHeard { rack });
    world.wait(MINUTE);
    assert_eq!(world.health.state.cases().count(), 0);
}

#[test]
fn many_machines_of_a_rack_do_not_fail_by_themselves() {
    let mut world = World::new(8);
    for machine in 0..6 {
        world.die(machine);
        world.now = world.now + SECOND;
    }
    let troubled = world.health.state.cases().filter(|case| case.symptom == Symptom::RackTroubled);
    assert_eq!(troubled.count(), 1);
    assert_eq!(repairs(&world.wait(MINUTE.percent(1_500))), []);
}

#[test]
fn much_that_is_quiet_at_once_is_more_likely_us() {
    let mut world = World::new(40);
    for rack in 0..10 {
        let (rack, since) = (Domain(rack * 4), world.now);
        world.fact(&Fact::RackQuiet { rack, since });
        world.fact(&Fact::RackMember { rack, answered: false, says: BmcSays::Mute });
    }
    world.wait(SECOND.percent(200));
    let fleet =
        |world: &World| world.health.state.cases().any(|case| case.symptom == Symptom::FleetSilent);
    assert!(fleet(&world));
    // A machine in a rack that is heard dies; it is held all the same.
    world.die(30);
    assert_eq!(repairs(&world.wait(MINUTE.percent(1_000))), []);
    for rack in 0..10 {
        world.fact(&Fact::RackHeard { rack: Domain(rack * 4) });
    }
    world.wait(MINUTE.percent(3_000));
    assert!(!fleet(&world));
    // The brake is open, and the dead machine is asked about again.
    world.known(30, false, BmcSays::Stopped);
    assert_eq!(repairs(&world.wait(MINUTE)).len(), 1);
}

#[test]
fn a_machine_with_cases_again_and_again_is_a_lemon() {
    let mut world = World::new(4);
    let line = "NVRM: Xid (PCI:0000:9b:00): 79, GPU has fallen off the bus.";
    for round in 0..3 {
        world.signal(5, line);
        let decided = world.wait(SECOND.percent(1_100));
        let [(case, _, action)] = repairs(&decided)[..] else { panic!("{decided:?}") };
        if round == 2 {
            assert_eq!(action, Action::BurnIn);
            let decided = world.fact(&Fact::Ended { case, action, outcome: Outcome::Found });
            assert_eq!(decided, [Decision::CallPerson { case, domain: None }]);
            let story = world.health.state.case(case).expect("open").story();
            assert!(story.contains("a lemon: 3 cases lately"), "{story}");
            return;
        }
        world.fact(&Fact::Ended { case, action, outcome: Outcome::Done });
        let decided = world.wait(MINUTE.percent(6_100));
        assert_eq!(endings(&decided), 1, "{decided:?}");
    }
}

#[test]
fn what_the_budget_refuses_waits_and_says_so() {
    let mut world = World::new(4);
    for machine in [0, 1, 2] {
        world.die(machine);
    }
    let decided = world.wait(SECOND.percent(1_100));
    assert!(repairs(&decided).len() <= 2, "one in ten of twenty");
    let blocked = |world: &World| {
        world.health.state.cases().filter(|case| matches!(case.stage, Stage::Blocked(_))).count()
    };
    assert!(blocked(&world) >= 1);
    let waits = world.health.state.cases().find(|case| matches!(case.stage, Stage::Blocked(_)));
    let story = waits.expect("one waits").story();
    assert!(story.contains("would power-cycle it, but"), "{story}");
}

#[test]
fn a_machine_that_is_well_costs_few_bytes() {
    assert!(State::bytes_per_machine() <= 32, "{}", State::bytes_per_machine());
}

/// Something that may come, in any order.
fn any_fact() -> impl Strategy<Value = Fact> {
    let machine = 0..8 * EACH;
    let says = prop::sample::select(vec![
        BmcSays::Running,
        BmcSays::Stalled,
        BmcSays::Stopped,
        BmcSays::Off,
        BmcSays::Mute,
        BmcSays::Dark,
    ]);
    let rack = (0..9_u32).prop_map(Domain);
    let since = Timestamp::default();
    let line = prop::sample::select(vec![
        "NVRM: Xid (PCI:0000:9b:00): 79, GPU has fallen off the bus.",
        "NVRM: Xid (PCI:0000:01:00): 63, Row Remapper",
        "mlx5_core 0000:0c:00.0 ens1f0np0: Link down",
        "all is well",
    ]);
    prop_oneof![
        4 => machine.clone().prop_map(move |machine| Fact::Quiet { machine, since }),
        2 => (machine.clone(), 0..3_u32).prop_map(|(machine, boot)| Fact::Heard { machine, boot }),
        6 => (machine.clone(), any::<bool>())
            .prop_map(|(machine, answered)| Fact::Neighbour { machine, answered }),
        4 => (machine.clone(), says.clone()).prop_map(|(machine, says)| Fact::Bmc { machine, says }),
        1 => rack.clone().prop_map(move |rack| Fact::RackQuiet { rack, since }),
        1 => rack.clone().prop_map(|rack| Fact::RackHeard { rack }),
        1 => (rack, any::<bool>(), says)
            .prop_map(|(rack, answered, says)| Fact::RackMember { rack, answered, says }),
        3 => (machine.clone(), line).prop_map(|(machine, line)| Fact::Signal {
            machine,
            source: Source::Kernel,
            name: String::new(),
            value: 0.0,
            text: line.to_owned(),
        }),
        1 => (machine, 0..9_u8).prop_map(|(machine, count)| Fact::Load {
            machine,
            load: Load { workloads: count, movable: count / 2 },
        }),
    ]
}

/// What holds after every step.
fn check(world: &World) {
    let state = &world.health.state;
    let mut ill = BTreeSet::new();
    let mut out = BTreeMap::<Domain, u32>::new();
    for machine in 0..state.machines() {
        if state.machine(machine).expect("a machine").out {
            *out.entry(state.place(machine).domains[0]).or_default() += 1;
        }
    }
    for (rack, count) in &out {
        assert_eq!(world.budget.out_of(Level::Rack, *rack), *count, "the budget knows each");
        assert!(*count <= 2, "one in ten of twenty");
    }
    assert_eq!(out.values().sum::<u32>(), world.budget.out());
    for case in state.cases() {
        if let Subject::Machine(machine) = case.subject {
            assert!(ill.insert(machine), "two cases of machine {machine}");
            let known = state.machine(machine).expect("a machine").case;
            assert_eq!(known, Some(case.number), "a machine knows its case");
        }
        assert!(
            case.deadline >= world.now || case.stage == Stage::Person,
            "{case:?} waits for ever"
        );
        let mut tried = case.tried.clone();
        tried.sort_unstable();
        tried.dedup();
        assert_eq!(tried.len(), case.tried.len(), "nothing is tried twice");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever comes: one case of a machine at a time, never more out than the budget has;
    /// replaying gives the same bytes, also from a state that was encoded; and left alone
    /// with repairs that end, each case ends or is with a person.
    #[test]
    fn what_must_hold_holds(facts in prop::collection::vec((any_fact(), 0_u64..90), 1..250)) {
        let mut world = World::new(8);
        let mut twin = World::new(8);
        for (index, (fact, wait)) in facts.iter().enumerate() {
            for world in [&mut world, &mut twin] {
                world.now = world.now + SECOND;
            }
            let wait = Duration::from_secs(*wait);
            let mut decided = world.fact(fact);
            decided.extend(world.wait(wait));
            let mut again = twin.fact(fact);
            again.extend(twin.wait(wait));
            prop_assert_eq!(&decided, &again);
            if index % 16 == 0 {
                let bytes = postcard::to_allocvec(&twin.health.state).expect("encoded");
                twin.health.state = postcard::from_bytes(&bytes).expect("decoded");
            }
            check(&world);
        }
        let bytes = |world: &World| postcard::to_allocvec(&world.health.state).expect("encoded");
        prop_assert_eq!(bytes(&world), bytes(&twin));
        settle(&mut world);
        for case in world.health.state.cases() {
            prop_assert!(case.person, "{:?} neither ended nor is with a person", case);
        }
    }
}

/// All racks are heard, repairs end this way or that, and days pass.
fn settle(world: &mut World) {
    for rack in 0..8 {
        world.fact(&Fact::RackHeard { rack: Domain(rack) });
    }
    let mut open: Vec<(CaseNumber, u32, Action)> = world
        .health
        .state
        .cases()
        .filter_map(|case| match (case.subject, case.stage) {
            (Subject::Machine(machine), Stage::Repairing(action)) => {
                Some((case.number, machine, action))
            }
            _ => None,
        })
        .collect();
    for hour in 0..24 * 14_u64 {
        for (number, machine, action) in std::mem::take(&mut open) {
            let outcome = if hour % 3 == 0 { Outcome::Failed } else { Outcome::Done };
            let decided = world.fact(&Fact::Ended { case: number, action, outcome });
            open.extend(repairs(&decided));
            if hour % 2 == 0 {
                world.fact(&Fact::Heard { machine, boot: hour as u32 });
            }
        }
        let decided = world.wait(MINUTE.percent(6_000));
        open.extend(repairs(&decided));
        if hour > 100 {
            // By then whoever is well is heard.
            for machine in 0..8 * EACH {
                if world.health.state.doubted(machine) {
                    world.fact(&Fact::Heard { machine, boot: 1 });
                }
            }
        }
    }
}
