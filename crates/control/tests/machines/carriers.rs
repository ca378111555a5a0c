//! Requests to BMCs: one that hangs holds nobody up, what is too late or passed is
//! not carried out, and what a stop interrupts is carried out after the next start.

use std::time::Duration;

use control::carriers::CarrierSettings;
use control::cell::Call;
use model::bmc::{BmcCommand, PowerAction, PowerState};
use model::id::MachineId;
use model::machine::{Lifecycle, StepKind};
use netboot::Directory as _;

use crate::house::House;
use crate::played_bmc::{Manner, mac_of};

/// Two places at once, given up after a moment.
fn narrow() -> CarrierSettings {
    CarrierSettings {
        prompt: 2,
        doubtful: 1,
        patience: Duration::from_millis(20),
        ..CarrierSettings::default()
    }
}

fn step_of(machine: &model::machine::Machine) -> Option<StepKind> {
    machine.status.step.as_ref().map(|step| step.kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn bmcs_that_hang_hold_nobody_up() {
    let house = House::new();
    let carriers = house.carry(narrow());
    let mut hanging = Vec::new();
    for number in 0..12 {
        let name = format!("hangs-{number}");
        house.bmcs.set(&name, Manner::Hangs);
        hanging.push(house.enroll(&name).await);
    }
    let mut good = Vec::new();
    for number in 0..6 {
        good.push(house.enroll(&format!("good-{number}")).await);
    }
    for machine in good {
        house
            .until_machine(machine, "it restarts", |it| step_of(it) == Some(StepKind::Restart))
            .await;
    }
    for machine in hanging {
        assert_eq!(step_of(&house.machine(machine)), Some(StepKind::ReadParts));
    }
    assert!(house.bmcs.passwords().iter().all(|password| password == "calvin"));
    carriers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_hangs_ends_at_its_deadline() {
    // A hundredth of the usual patience: 1.2 seconds for the parts.
    let settings = machine::Settings { patience_percent: 1, ..machine::Settings::default() };
    let house = House::with(settings);
    let carriers = house.carry(narrow());
    house.bmcs.set("one", Manner::Hangs);
    let machine = house.enroll("one").await;
    let after = house
        .until_machine(machine, "the first try is given up", |it| {
            it.status.step.as_ref().is_some_and(|step| !step.faults.is_empty())
        })
        .await;
    let step = after.status.step.expect("it goes on");
    assert!(step.faults[0].contains("did not answer"), "{:?}", step.faults);
    carriers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_late_is_not_carried_out() {
    let house = House::new();
    let machine = house.enroll("one").await;
    let effect = house.until("an effect", |nouns| nouns.outbox.values().next().cloned()).await;
    house.clock.set(effect.deadline + model::Duration::from_secs(1));
    let carriers = house.carry(narrow());
    house
        .until("the late one ends", |nouns| (!nouns.outbox.contains_key(&effect.id)).then_some(()))
        .await;
    let fault = house
        .until_machine(machine, "its fault is noted", |it| {
            it.status.step.as_ref().is_some_and(|step| !step.faults.is_empty())
        })
        .await;
    assert_eq!(fault.status.step.expect("it goes on").attempt, 1);
    assert_eq!(house.bmcs.heard("one"), [], "its time was over before it was sent");
    carriers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_request_takes_the_place_of_an_older_one() {
    let house = House::new();
    let machine = house.enroll("one").await;
    let reason = "by hand".to_owned();
    house.ask(Call::Quarantine { machine, reason }).await.expect("it may");
    for action in [PowerAction::Off, PowerAction::On] {
        house.ask(Call::Power { machine, action }).await.expect("it may");
    }
    let carriers = house.carry(narrow());
    house.until("both end", |nouns| nouns.outbox.is_empty().then_some(())).await;
    let on = BmcCommand::Power { action: PowerAction::On };
    assert_eq!(house.bmcs.heard("one"), [on], "off was passed by on");
    assert_eq!(house.machine(machine).status.power, PowerState::On);
    carriers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stop_interrupts_is_done_after_the_next_start() {
    let house = House::new();
    house.bmcs.set("one", Manner::Hangs);
    let carriers = house.carry(narrow());
    let machine = house.enroll("one").await;
    while house.bmcs.heard("one").is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    carriers.stop().await;
    assert_eq!(house.plane.leader.read().outbox.len(), 1, "it is still out");
    house.bmcs.set("one", Manner::Good);
    let carriers = house.carry(narrow());
    house.until_machine(machine, "it restarts", |it| step_of(it) == Some(StepKind::Restart)).await;
    let asked = house.bmcs.heard("one");
    assert_eq!(asked[..2], [BmcCommand::Inspect, BmcCommand::Inspect]);
    carriers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlines_are_looked_at_when_they_come() {
    let house = House::new();
    let carriers = house.carry(narrow());
    let machine = house.enroll("one").await;
    house.until_machine(machine, "it restarts", |it| step_of(it) == Some(StepKind::Restart)).await;
    // Nothing boots. Its BMC answers, and then only the clock moves it.
    let quarantined = async {
        for turn in 0.. {
            let waits = |nouns: &control::nouns::Nouns| nouns.outbox.is_empty().then_some(());
            house.until("its BMC has answered", waits).await;
            let before = house.machine(machine).status;
            if before.lifecycle == Lifecycle::Quarantined {
                return before;
            }
            house.pass(1_000);
            nudge(&house, machine, turn).await;
            house
                .until_machine(machine, "its deadline was looked at", |it| it.status != before)
                .await;
        }
        unreachable!("turns have no end")
    };
    let ended = tokio::time::timeout(Duration::from_secs(120), quarantined).await;
    let reason = ended.expect("it ends in quarantine").reason.expect("with a reason");
    assert_eq!(reason.code, model::machine::ReasonCode::NoBoot, "{reason:?}");
    carriers.stop().await;
}

/// A clock that was set wakes nobody, a change of the machine does.
async fn nudge(house: &House, machine: MachineId, turn: u32) {
    let labels = [("turn".to_owned(), turn.to_string())].into();
    let update = model::api::MachineUpdate { labels, ..Default::default() };
    house.ask(Call::UpdateMachine { machine, update }).await.expect("it may");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_boot_network_sees_permits_and_is_heard() {
    let house = House::new();
    let carriers = house.carry(narrow());
    let directory = carriers.directory();
    let machine = house.enroll("one").await;
    house.until_machine(machine, "it restarts", |it| step_of(it) == Some(StepKind::Restart)).await;
    let mac = mac_of("one");
    let permit = directory.by_mac(&mac).expect("it may boot");
    assert_eq!(permit.machine, machine);
    assert_eq!(directory.by_token(&permit.token), Some(permit.clone()));
    assert!(directory.known(&mac) && !directory.known("52:54:00:00:00:00"));
    assert_eq!(directory.by_token("0123"), None);
    directory.sighting(model::sighting::Sighting::Fetching { token: permit.token });
    house
        .until_machine(machine, "it was seen", |it| step_of(it) == Some(StepKind::AwaitAgent))
        .await;
    carriers.stop().await;
}
