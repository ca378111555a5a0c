//! Instances that are to be somewhere else: those that wait for room, and those on machines
//! that are drained. Each is one ask of the cell, which decides; what it cannot do now is
//! tried again when something changed.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use model::ErrorCode;
use model::id::InstanceId;

use crate::cell::{Ask, Call};
use crate::nouns::Nouns;
use crate::plane::Plane;

/// Instances that are asked about in one pass, so that people's requests go between.
const PASS: usize = 256;
/// Between two passes at least.
const PAUSE: Duration = Duration::from_secs(1);

/// An instance that is to be placed.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    instance: InstanceId,
    /// What it shares with others that fit nowhere when it does not.
    like: (String, Option<String>),
    /// It may have others make room.
    important: bool,
}

/// Runs until it is dropped.
pub(super) async fn run(plane: Arc<Plane>) {
    let mut changed = plane.leader.changed();
    let mut leading = plane.leader.leading();
    while leading.wait_for(|leads| *leads).await.is_ok() {
        let seen = *changed.borrow_and_update();
        let wanted = wanted(&plane.leader.read());
        let mut stuck = HashSet::new();
        for wanted in wanted {
            if !stuck.contains(&wanted.like) && !place(&plane, &wanted).await {
                stuck.insert(wanted.like);
            }
        }
        tokio::time::sleep(PAUSE).await;
        if changed.wait_for(|revision| *revision != seen).await.is_err() {
            return;
        }
    }
}

/// Who is to be placed, the most important first.
fn wanted(nouns: &Nouns) -> Vec<Wanted> {
    let placing = &nouns.placing;
    let drained = placing.closed_in_use().filter(|machine| {
        let machine = nouns.machines.get(*machine);
        machine.is_some_and(|it| it.spec.drain.is_some() && it.spec.lock.is_none())
    });
    let leaving = drained.flat_map(|machine| placing.on(machine)).take(PASS);
    let mut all: Vec<_> = leaving
        .chain(placing.waiting().take(PASS))
        .filter_map(|id| {
            let instance = nouns.instances.get(id)?;
            let priority = nouns.types.by_name(&instance.spec.kind)?.spec.priority;
            let wanted = Wanted {
                instance: instance.id,
                like: (instance.spec.kind.clone(), instance.spec.group.clone()),
                important: priority > 0 && instance.status.host.is_none(),
            };
            Some((Reverse(priority), instance.id, wanted))
        })
        .collect();
    all.sort_by_key(|(priority, id, _)| (*priority, *id));
    all.into_iter().map(|(_, _, wanted)| wanted).collect()
}

/// Whether it has its place now.
async fn place(plane: &Plane, wanted: &Wanted) -> bool {
    let instance = wanted.instance;
    let ask = |call| plane.leader.ask(Ask::from("bedplate", call));
    match ask(Call::PlaceInstance { instance }).await {
        Ok(_) => true,
        Err(problem) if problem.code == ErrorCode::NoRoom && wanted.important => {
            ask(Call::MakeRoom { instance }).await.is_ok()
                && ask(Call::PlaceInstance { instance }).await.is_ok()
        }
        // Removed meanwhile, or it waits on.
        Err(problem) => problem.code == ErrorCode::NotFound,
    }
}
