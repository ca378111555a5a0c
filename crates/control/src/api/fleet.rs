//! The fleet at a glance.

use std::collections::BTreeMap;

use model::api::GetFleet;
use model::fleet::FleetStatus;
use model::machine::Lifecycle;

use super::incoming::Incoming;
use super::route::{Answered, Outcome, Routes};
use crate::nouns::Nouns;

/// The endpoint of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.add::<GetFleet, _, _>(status)
}

async fn status(incoming: Incoming<GetFleet>) -> Outcome<GetFleet> {
    incoming.of_no_project()?;
    let nouns = incoming.plane.leader.read();
    Ok(Answered::document(of(&nouns)))
}

/// What the record says of the fleet.
fn of(nouns: &Nouns) -> FleetStatus {
    let mut machines: BTreeMap<String, u64> = BTreeMap::new();
    let (mut unhealthy, mut draining, mut locked) = (0, 0, 0);
    for (_, machine) in nouns.machines.iter() {
        let lifecycle = machine.status.lifecycle;
        *machines.entry(lifecycle.name().to_owned()).or_default() += 1;
        unhealthy += u64::from(lifecycle == Lifecycle::Quarantined);
        draining += u64::from(machine.spec.drain.is_some());
        locked += u64::from(machine.spec.lock.is_some());
    }
    let placing = &nouns.placing;
    let totals = placing.totals();
    let (placed, waiting, strays) = placing.counts();
    let (hosts_in_use, states) = placing.spread();
    let closed = placing.closed_in_use().map(|host| placing.on(host).count());
    let to_move = closed.sum::<usize>() + strays;
    FleetStatus {
        machines,
        unhealthy,
        draining,
        locked,
        hosts: nouns.hosts.len() as u64,
        open_hosts: totals.open_hosts,
        hosts_in_use: hosts_in_use as u64,
        placed: placed as u64,
        waiting: waiting as u64,
        to_move: to_move as u64,
        whole: totals.whole.into(),
        free: totals.free.into(),
        states: states as u64,
    }
}
