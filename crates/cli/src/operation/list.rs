//! `bedplate operation list`: operations, newest first.

use std::collections::HashMap;

use clap::{Args, ValueEnum};
use model::Timestamp;
use model::api::{ListMachines, ListOperations, Page};
use model::id::MachineId;
use model::machine::Machine;
use model::operation::{Operation, OperationState};

use crate::Failure;
use crate::human::ago;
use crate::session::Session;
use crate::table::{Table, cell, keep, spare};
use crate::terminal::Tone;

/// Operations shown without `--all`.
const SHOWN: usize = 50;

/// Which operations.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  bedplate operation list\n  bedplate operation list --state needs-attention\n  bedplate operation list --machine m1 --all"
)]
pub struct Arguments {
    /// Only those that stand so
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Only those of this machine
    #[arg(long)]
    machine: Option<String>,
    /// All; otherwise the newest 50 (--output json lists all)
    #[arg(long)]
    all: bool,
}

/// How an operation stands.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    /// Going on
    Running,
    /// Came to its end
    Done,
    /// Stands still with a reason
    NeedsAttention,
    /// A person ended it
    Abandoned,
}

impl State {
    const fn meant(self) -> OperationState {
        match self {
            State::Running => OperationState::Running,
            State::Done => OperationState::Done,
            State::NeedsAttention => OperationState::NeedsAttention,
            State::Abandoned => OperationState::Abandoned,
        }
    }
}

/// Lists them.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let mut page = session.list::<ListOperations, Operation>(&[]).await?;
    if let Some(state) = arguments.state {
        page.items.retain(|operation| operation.state == state.meant());
    }
    if let Some(name) = &arguments.machine {
        let machine = session.client()?.machine(name).await?;
        page.items.retain(|operation| operation.machine == machine.id);
    }
    let mut names = HashMap::new();
    if !session.json {
        if !arguments.all && page.items.len() > SHOWN {
            let hidden = page.items.len() - SHOWN;
            page.items.truncate(SHOWN);
            session.say(&format!("{hidden} older operations are not shown; --all shows them"))?;
        }
        let machines = session.list::<ListMachines, Machine>(&[]).await?;
        names = machines.items.into_iter().map(|machine| (machine.id, machine.name)).collect();
    }
    let now = session.now();
    session.show_list(&page, |page| table(page, &names, now), "no such operations")
}

/// The table of operations.
pub fn table(page: &Page<Operation>, names: &HashMap<MachineId, String>, now: Timestamp) -> Table {
    let columns = [
        keep("", 1),
        keep("ID", 8),
        keep("KIND", 7),
        keep("MACHINE", 8),
        keep("STATE", 9),
        spare("REASON", 2, 10),
        spare("BEGUN", 3, 8),
        spare("TOOK", 4, 6),
        spare("PROJECT", 5, 7),
        spare("BY", 6, 5),
    ];
    let mut table = Table::new(&columns);
    for operation in &page.items {
        let attention = operation.state == OperationState::NeedsAttention;
        let took = operation.ended.unwrap_or(now).since(operation.created);
        let short = operation.machine.short();
        let machine = names.get(&operation.machine).unwrap_or(&short);
        table.row(vec![
            cell(Tone::Bad, if attention { "!" } else { "" }),
            cell(Tone::Bold, operation.id.short()),
            operation.kind.name().into(),
            machine.into(),
            cell(tone(operation.state), operation.state.name()),
            operation.reason.as_ref().map_or("", |reason| reason.code.name()).into(),
            cell(Tone::Dim, ago(now, operation.created)),
            took.to_string().into(),
            operation.project.as_deref().unwrap_or_default().into(),
            cell(Tone::Dim, &operation.actor),
        ]);
    }
    table
}

/// The tone of how an operation stands.
pub const fn tone(state: OperationState) -> Tone {
    match state {
        OperationState::Running => Tone::Moving,
        OperationState::Done => Tone::Good,
        OperationState::NeedsAttention => Tone::Bad,
        OperationState::Abandoned => Tone::Dim,
    }
}
