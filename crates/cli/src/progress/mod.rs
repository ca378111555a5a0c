//! Live progress of an operation: a line for each step that has ended, and one for
//! the step that goes on, with what it does, for how long, and how long it usually
//! takes. The demo uses it too.
//!
//! [`follow`] asks twice a second for two small documents. A watch would stream the
//! changes of every machine there is to each person who looks at one.

pub mod bytes;
pub mod journal;
pub mod live;
pub mod screen;
pub mod usual;

use std::time::Duration;

use client::{Client, ClientError, Options};
use model::api::{GetMachine, GetOperation, OperationDetail};
use model::id::OperationId;
use model::machine::Machine;
use model::operation::OperationState;
use model::{ErrorCode, Timestamp};
use world::{Clock as _, SystemClock};

use crate::human::clean;
use crate::terminal::Tone;

pub use journal::Journal;
pub use screen::Screen;
pub use usual::Usual;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// Follows an operation until it has ended or needs attention, and gives it with its
/// steps. The future may be dropped at any time; the operation goes on.
///
/// A control plane that is away for a while (a restart, a take-over) is waited for.
/// Fails when it refuses: the operation is not known, or not the caller's.
pub async fn follow(
    client: &Client,
    operation: OperationId,
    screen: &mut Screen,
) -> Result<OperationDetail, ClientError> {
    let id = operation.to_string();
    let mut journal = Journal::default();
    let mut usual = None;
    let mut skew = None;
    let clock = SystemClock::default();
    loop {
        let looked = look(client, &id).await;
        let (detail, machine) = match looked {
            Ok(seen) => seen,
            Err(error) if passing(&error) => {
                screen.live(Some(&format!("waiting for the control plane: {error}")));
                tokio::time::sleep(LOOK).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        if usual.is_none() {
            usual = Some(Usual::learn(client, detail.operation.kind).await);
            skew = client.health().await.ok().map(|health| Skew::between(clock.now(), health.now));
            screen.line(&headline(&detail, machine.as_ref(), screen));
        }
        let now = skew.unwrap_or_default().there(clock.now());
        let usual = usual.as_ref().expect("learnt at the first look");
        for line in journal.news(&detail.steps) {
            screen.columns(&line);
        }
        if detail.operation.state != OperationState::Running {
            screen.live(None);
            screen.line(&end(&detail, machine.as_ref(), screen));
            return Ok(detail);
        }
        let going_on = live::going_on(&detail, machine.as_ref(), usual, now);
        screen.live(going_on.as_deref());
        tokio::time::sleep(LOOK).await;
    }
}

/// The operation and its machine; the machine may be out of sight.
async fn look(
    client: &Client,
    id: &str,
) -> Result<(OperationDetail, Option<Machine>), ClientError> {
    let detail = client.call::<GetOperation>(&[id], &[], &(), Options::default()).await?;
    let machine = detail.operation.machine.to_string();
    match client.call::<GetMachine>(&[&machine], &[], &(), Options::default()).await {
        Ok(machine) => Ok((detail, Some(machine))),
        Err(error) if passing(&error) => Err(error),
        Err(_) => Ok((detail, None)),
    }
}

/// Whether it is worth waiting for the control plane.
fn passing(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } | ClientError::Interrupted { .. } => true,
        ClientError::Problem(problem) => {
            matches!(problem.code, ErrorCode::Unavailable | ErrorCode::NotLeader)
        }
        _ => false,
    }
}

/// How much the control plane's clock is ahead, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Skew(i64);

impl Skew {
    fn between(here: Timestamp, there: Timestamp) -> Self {
        Self(there.micros().saturating_sub(here.micros()))
    }
    /// The time there.
    fn there(self, here: Timestamp) -> Timestamp {
        Timestamp::from_micros(here.micros().saturating_add(self.0))
    }
}

fn headline(detail: &OperationDetail, machine: Option<&Machine>, screen: &Screen) -> String {
    let operation = &detail.operation;
    let text = format!("{} {}", operation.kind, name(detail, machine));
    let id = format!("(operation {})", operation.id.short());
    format!("{} {}", screen.paint().put(Tone::Bold, &text), screen.paint().put(Tone::Dim, &id))
}

fn name(detail: &OperationDetail, machine: Option<&Machine>) -> String {
    let short = || detail.operation.machine.short();
    machine.map_or_else(short, |machine| clean(&machine.name))
}

fn end(detail: &OperationDetail, machine: Option<&Machine>, screen: &Screen) -> String {
    let operation = &detail.operation;
    let took = operation.ended.unwrap_or(operation.updated).since(operation.created);
    let (tone, word) = match operation.state {
        OperationState::Done => (Tone::Good, "done"),
        OperationState::NeedsAttention => (Tone::Bad, "needs attention"),
        OperationState::Abandoned | OperationState::Running => (Tone::Warn, "abandoned"),
    };
    let text = format!("{} {} {word} after {took}", operation.kind, name(detail, machine));
    screen.paint().put(tone, &text)
}
