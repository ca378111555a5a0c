//! Verbs on operations, and what every verb does that begins one: follow it to its
//! end, unless it is told to leave it alone.

pub mod list;
pub mod name;
pub mod settle;
pub mod show;
pub mod wait;

use clap::{Args, Subcommand};
use model::api::OperationDetail;
use model::id::OperationId;
use model::machine::Reason;
use model::operation::{Operation, OperationKind, OperationState, Settlement, StepResult};

use crate::machine::words;
use crate::progress::{Screen, follow};
use crate::session::Session;
use crate::{Exit, Failure};

/// What is done with operations.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List operations, newest first
    List(list::Arguments),
    /// Show an operation with its steps
    Show(show::Arguments),
    /// Watch an operation until it ends or needs attention
    Wait(wait::Arguments),
    /// Try again the step that stopped an operation
    Retry(settle::Arguments),
    /// Take the step that stopped it as done; refused where safety hangs on it
    Skip(settle::Arguments),
    /// End an operation that needs attention; its machine stays quarantined
    Abandon(settle::Arguments),
}

/// Carries it out.
pub async fn run(session: &Session, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(arguments) => list::run(session, arguments).await,
        Verb::Show(arguments) => show::run(session, arguments).await,
        Verb::Wait(arguments) => wait::run(session, arguments).await,
        Verb::Retry(arguments) => settle::run(session, arguments, Settlement::Retry).await,
        Verb::Skip(arguments) => settle::run(session, arguments, Settlement::Skip).await,
        Verb::Abandon(arguments) => settle::run(session, arguments, Settlement::Abandon).await,
    }
}

/// What to do with an operation that was begun.
#[derive(Args, Debug)]
pub struct Begun {
    /// Do not wait: print the operation's id
    #[arg(long)]
    pub detach: bool,
    /// Say what would happen, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Follows an operation that was just begun, or says which it is.
pub async fn begun(
    session: &Session,
    begun: &Begun,
    machine: &str,
    operation: Operation,
) -> Result<(), Failure> {
    if begun.dry_run {
        return session.show(&operation, |it| format!("{} of {machine} would begin\n", it.kind));
    }
    match begun.detach {
        true => session.show(&operation, |operation| format!("{}\n", operation.id)),
        false => to_end(session, operation.id).await,
    }
}

/// Follows an operation to its end, and says how it ended.
pub async fn to_end(session: &Session, operation: OperationId) -> Result<(), Failure> {
    session.on_interrupt(format!("bedplate operation wait {}", operation.short()));
    let mut screen = Screen::of(&session.terminal);
    let detail = follow(session.client()?, operation, &mut screen).await?;
    drop(screen);
    session.on_interrupt("");
    if session.json {
        session.print_json(&detail)?;
    }
    ended(session, &detail).await
}

/// How an operation ended: what to do now, or the failure that it is.
async fn ended(session: &Session, detail: &OperationDetail) -> Result<(), Failure> {
    let operation = &detail.operation;
    let machine = session.client()?.machine(&operation.machine.to_string()).await?;
    match operation.state {
        OperationState::Done if session.json => Ok(()),
        OperationState::Done => {
            let address = machine.status.system.as_ref().and_then(|it| it.address.as_deref());
            let next = match (operation.kind, address) {
                (OperationKind::Deploy, Some(address)) => crate::machine::show::ssh(address),
                (OperationKind::Release | OperationKind::Recover, _) => {
                    format!("proof: bedplate machine certificate {}", machine.name)
                }
                _ => format!("bedplate machine show {}", machine.name),
            };
            session.print(&format!("{} is {}\n{next}\n", machine.name, machine.status.lifecycle))
        }
        OperationState::Abandoned => Err(Failure::new("abandoned", "The operation was abandoned")
            .why(format!("{} is {}", machine.name, machine.status.lifecycle))),
        OperationState::NeedsAttention | OperationState::Running => {
            let bmc = machine.spec.bmc.as_ref().map(|bmc| bmc.address.as_str());
            Err(attention(operation, &machine.name, bmc))
        }
    }
}

/// An operation that needs attention, as a failure: what happened, the evidence,
/// and what a person can do.
pub fn attention(operation: &Operation, machine: &str, bmc: Option<&str>) -> Failure {
    let id = operation.id.short();
    let (code, mut why, next) = match &operation.reason {
        Some(reason) => {
            (reason.code.name(), told(reason), words::next(reason, machine, bmc, Some(&id)))
        }
        None => ("needs-attention", String::new(), String::new()),
    };
    why.push_str(&format!("{machine} is quarantined meanwhile."));
    let next = format!(
        "{next}\nbedplate machine show {machine}\nbedplate operation retry|skip|abandon {id}"
    );
    let what = format!("The {} of {machine} needs attention", operation.kind);
    Failure { exit: Exit::Attention, ..Failure::new(code, what) }.why(why).next(next.trim())
}

fn told(reason: &Reason) -> String {
    let mut text = format!("{}\n", reason.message);
    for seen in words::evidence(reason) {
        text.push_str(&format!("- {seen}\n"));
    }
    text
}

/// The word for how a step ended.
pub const fn result(result: StepResult) -> &'static str {
    match result {
        StepResult::Done => "done",
        StepResult::Failed => "failed",
        StepResult::Skipped => "skipped",
        StepResult::Abandoned => "abandoned",
    }
}
