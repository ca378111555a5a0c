//! What is kept no longer: operations that ended long ago, with their steps, and what is more
//! than the newest of them. Events have a retention of their own, in [`crate::leader`].

use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use model::id::OperationId;

use crate::cell::{Ask, Call};
use crate::nouns::Nouns;
use crate::plane::Plane;

/// How long things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Operations that have ended, counted from their end.
    pub operations_for: model::Duration,
    /// Operations that have ended, however new they are.
    pub operations_most: usize,
    /// Events: the newest so many. Not less than are kept in memory.
    pub events_most: u64,
}

impl Default for Retention {
    /// A quarter of a year, and what fits into some gigabytes.
    fn default() -> Self {
        Self {
            operations_for: model::Duration::from_secs(90 * 86_400),
            operations_most: 1_000_000,
            events_most: 1_000_000,
        }
    }
}

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(60);
/// Operations that go in one transaction: with their steps a short one.
const AT_ONCE: usize = 64;

/// Runs until it is dropped.
pub(super) async fn run(plane: Arc<Plane>) {
    let mut leading = plane.leader.leading();
    while leading.wait_for(|leads| *leads).await.is_ok() {
        loop {
            let operations = over(&plane.leader.read(), &plane.retention, plane.clock.now());
            if operations.is_empty() {
                break;
            }
            let all = operations.len() < AT_ONCE;
            let asked = plane.leader.ask(Ask::from("bedplate", Call::Forget { operations })).await;
            if asked.is_err() || all {
                break;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Some operations that are kept no longer, the oldest first.
fn over(nouns: &Nouns, retention: &Retention, now: Timestamp) -> Vec<OperationId> {
    let current = |id: &OperationId| {
        let machine = nouns.operations.get(id).and_then(|it| nouns.machines.get(it.machine.uuid()));
        machine.is_some_and(|machine| machine.status.operation == Some(*id))
    };
    let mut spare = nouns.operations.len().saturating_sub(retention.operations_most);
    let ended = nouns.operations.values().filter_map(|it| Some((it.id, it.ended?)));
    // In the order of their ids, which is that of their beginnings.
    let over = ended.filter(|(id, ended)| {
        let old = now.since(*ended) > retention.operations_for;
        let goes = (old || spare > 0) && !current(id);
        spare = spare.saturating_sub(usize::from(goes));
        goes
    });
    over.map(|(id, _)| id).take(AT_ONCE).collect()
}
