//! An agent asks for its orders, and waits when there are none. What is delivered
//! is read from the outbox: an order exists once it is recorded, not before.
//! Delivered more than once is fine, the agent knows orders by their ids.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::Request;
use model::agent::AgentOrder;
use model::effect::{Action, Effect};
use model::id::{EffectId, MachineId};
use model::{ErrorCode, Problem};
use tokio::sync::Notify;

use super::Agents;
use super::caller::{Caller, caller};
use crate::api::Refusal;
use crate::nouns::Nouns;
use crate::plane::Plane;

/// The longest wait.
const WAIT_LONGEST: Duration = Duration::from_secs(60);
/// How long the same orders are held back from an agent that was given them: it is
/// at work on them, and asks for new ones. After that they are given again, in case
/// they never arrived.
const HELD_BACK: Duration = Duration::from_secs(5);

/// Wakes agents that wait: each machine has a bell of its own, so that a commit
/// about one machine does not stir the others.
#[derive(Default)]
pub struct Orders {
    // A std mutex: held for a look into a map, never across an await.
    lines: Mutex<HashMap<MachineId, Line>>,
}

#[derive(Default)]
struct Line {
    bell: Arc<Notify>,
    waiting: usize,
}

impl Orders {
    /// Nobody waits yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Something about this machine was recorded: those who wait look again.
    pub fn wake(&self, machine: MachineId) {
        if let Some(line) = self.lines().get(&machine) {
            line.bell.notify_waiters();
        }
    }

    /// Much may have changed: everybody looks again.
    pub fn wake_all(&self) {
        for line in self.lines().values() {
            line.bell.notify_waiters();
        }
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<MachineId, Line>> {
        // A panic elsewhere leaves the map whole: each change to it is one call.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, machine: MachineId) -> Waiting<'_> {
        let mut lines = self.lines();
        let line = lines.entry(machine).or_default();
        line.waiting += 1;
        Waiting { orders: self, machine, bell: line.bell.clone() }
    }
}

/// Somebody who waits for a machine's bell.
struct Waiting<'a> {
    orders: &'a Orders,
    machine: MachineId,
    bell: Arc<Notify>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut lines = self.orders.lines();
        let line = lines.get_mut(&self.machine).expect("whoever waits stands in line");
        line.waiting -= 1;
        if line.waiting == 0 {
            lines.remove(&self.machine);
        }
    }
}

/// `GET /v1/agent/orders?wait=SECONDS`.
pub(super) async fn orders(
    agents: Agents,
    request: Request,
) -> Result<Json<Vec<AgentOrder>>, Refusal> {
    let plane = &agents.plane;
    let caller = caller(plane, &request)?;
    let wait = wait_of(request.uri().query())?;
    drop(request);
    let _open = plane.metrics.agent();
    let line = plane.orders.wait(caller.machine);
    let given = agents.given(&caller);
    let held = held_back(plane, &caller, &line, &given);
    match tokio::time::timeout(wait.min(HELD_BACK), held).await {
        Ok(fresh) => agents.give(&caller, fresh?),
        Err(_) => {
            let any = held_back(plane, &caller, &line, &[]);
            match tokio::time::timeout(wait.saturating_sub(HELD_BACK), any).await {
                Ok(orders) => agents.give(&caller, orders?),
                // The last look says what there is, also to an agent that did not wait.
                Err(_) => agents.give(&caller, current(plane, &caller)?),
            }
        }
    }
}

/// Waits until there are orders, and others than those that were given.
async fn held_back(
    plane: &Plane,
    caller: &Caller,
    line: &Waiting<'_>,
    given: &[EffectId],
) -> Result<Vec<AgentOrder>, Problem> {
    loop {
        // The bell is heard from here on, so that nothing between look and wait is lost.
        let mut rung = std::pin::pin!(line.bell.notified());
        rung.as_mut().enable();
        let orders = current(plane, caller)?;
        if !orders.is_empty() && !orders.iter().map(|order| order.id).eq(given.iter().copied()) {
            return Ok(orders);
        }
        rung.await;
    }
}

/// What the agent is to do, in the order in which it was decided.
fn current(plane: &Plane, caller: &Caller) -> Result<Vec<AgentOrder>, Problem> {
    caller.machine(plane)?;
    let nouns = plane.leader.read();
    Ok(orders_of(&nouns, caller.machine))
}

/// The orders of a machine's agent that have not ended. An agent's orders are
/// always those of the machine's current step.
pub(super) fn orders_of(nouns: &Nouns, machine: MachineId) -> Vec<AgentOrder> {
    let step = nouns.machines.get(machine.uuid()).and_then(|it| it.status.step.as_ref());
    let effects = step.into_iter().flat_map(|step| [step.recovery, step.effect]).flatten();
    let mut orders: Vec<AgentOrder> =
        effects.filter_map(|id| as_order(nouns.outbox.get(&id)?)).collect();
    orders.sort_by_key(|order| order.sequence);
    orders
}

fn as_order(effect: &Arc<Effect>) -> Option<AgentOrder> {
    match &effect.action {
        Action::Agent { command } => {
            Some(AgentOrder { id: effect.id, sequence: effect.sequence, command: command.clone() })
        }
        Action::Bmc { .. } => None,
    }
}

impl Agents {
    /// What this agent was given last.
    fn given(&self, caller: &Caller) -> Vec<EffectId> {
        let given = self.talks.given.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = given.get(&caller.machine).filter(|it| it.0 == caller.peer.certificate);
        mine.map(|it| it.1.clone()).unwrap_or_default()
    }

    /// Gives orders, and remembers which.
    fn give(
        &self,
        caller: &Caller,
        orders: Vec<AgentOrder>,
    ) -> Result<Json<Vec<AgentOrder>>, Refusal> {
        let ids: Vec<EffectId> = orders.iter().map(|order| order.id).collect();
        let mut given = self.talks.given.lock().unwrap_or_else(PoisonError::into_inner);
        match ids.is_empty() {
            true => given.remove(&caller.machine),
            false => given.insert(caller.machine, (caller.peer.certificate.clone(), ids)),
        };
        Ok(Json(orders))
    }
}

/// `wait` of the query, in seconds; not at all when it is absent.
fn wait_of(query: Option<&str>) -> Result<Duration, Problem> {
    let value = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("wait="));
    let Some(value) = value else { return Ok(Duration::ZERO) };
    let seconds = value.parse().map(Duration::from_secs).ok().filter(|it| *it <= WAIT_LONGEST);
    seconds.ok_or_else(|| {
        Problem::new(ErrorCode::InvalidRequest, "wait is a number of seconds, at most 60")
    })
}
