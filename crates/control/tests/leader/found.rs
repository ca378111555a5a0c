//! Machines are found by what they tell of themselves, whatever the order in which
//! they came: a process that was started again finds the same.

use std::sync::Arc;

use control::nouns::{Meaning, Nouns};
use model::machine::{Lifecycle, Machine, MachineSpec, MachineStatus};

use crate::process::NOW;

const MAC: &str = "02:00:00:00:00:01";

fn machine(number: u128, name: &str, lifecycle: Lifecycle) -> Arc<Machine> {
    let macs = vec![MAC.to_owned()];
    let endorsement = Some("digest".to_owned());
    Arc::new(Machine {
        id: model::Id::from_uuid(uuid::Uuid::from_u128(number)),
        name: name.to_owned(),
        generation: 1,
        labels: Default::default(),
        created: NOW,
        updated: NOW,
        spec: MachineSpec::default(),
        status: MachineStatus { since: NOW, lifecycle, macs, endorsement, ..Default::default() },
    })
}

#[test]
fn the_order_in_which_machines_came_does_not_matter() {
    let seen = machine(1, "seen", Lifecycle::Discovered);
    let enrolled = machine(2, "enrolled", Lifecycle::Available);
    let twin = machine(3, "twin", Lifecycle::Available);
    let all = [&seen, &enrolled, &twin];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut nouns = Nouns::default();
        order.iter().for_each(|which| nouns.take(Meaning::Machine(all[*which].clone())));
        assert_eq!(nouns.machine_by_mac(MAC).unwrap().name, "enrolled");
        assert_eq!(nouns.machine_by_endorsement("digest").unwrap().name, "enrolled");
        // When one goes, the next is found.
        for (gone, next) in [(&enrolled, Some("twin")), (&twin, Some("seen")), (&seen, None)] {
            nouns.take(Meaning::Removed("machine".into(), gone.id.uuid()));
            let found = nouns.machine_by_mac(MAC).map(|machine| machine.name.as_str());
            assert_eq!(found, next);
        }
    }
}

#[test]
fn a_name_that_passed_to_another_stays_with_it() {
    let mut nouns = Nouns::default();
    nouns.take(Meaning::Machine(machine(1, "a", Lifecycle::Available)));
    nouns.take(Meaning::Machine(machine(2, "a", Lifecycle::Available)));
    nouns.take(Meaning::Removed("machine".into(), uuid::Uuid::from_u128(1)));
    assert_eq!(nouns.machines.by_name("a").unwrap().id.uuid(), uuid::Uuid::from_u128(2));
    nouns.take(Meaning::Machine(machine(2, "b", Lifecycle::Available)));
    assert!(nouns.machines.by_name("a").is_none() && nouns.machines.by_name("b").is_some());
}
