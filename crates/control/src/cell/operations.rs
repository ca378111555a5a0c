//! What people decide about operations that need attention, and which are kept.

use machine::Input;
use model::id::OperationId;
use model::operation::Operation;
use model::problem::{ErrorCode, Problem};
use record::Change;

use super::machines::moved;
use super::{Call, Cell, Draft, Reply, not_found};

/// Retry, skip or abandon.
pub fn settle(cell: &Cell, draft: &mut Draft<'_>) -> Result<Reply, Problem> {
    let ask = draft.ask;
    let Call::Settle { operation, settlement } = &ask.call else {
        unreachable!("dispatched by the cell")
    };
    let known = cell.nouns.operations.get(operation);
    let known = known.ok_or_else(|| not_found("operation", operation))?;
    let machine = cell.nouns.machines.get(known.machine.uuid());
    let current = machine.and_then(|machine| machine.status.operation);
    if current != Some(*operation) {
        let detail =
            format!("operation {operation} is {}; there is nothing to settle", known.state);
        return Err(Problem::new(ErrorCode::Conflict, detail)
            .next("See what the machine does now: bedplate machine show NAME."));
    }
    let moved = moved(cell, draft, known.machine, &Input::Settle(*settlement))?;
    let after = moved.operation.unwrap_or_else(|| Operation::clone(known));
    Ok(Reply::Operation(Box::new(after)))
}

/// Those of these that have ended, and that no machine names as its last, are kept no longer.
pub fn forget(cell: &Cell, draft: &mut Draft<'_>, operations: &[OperationId]) -> Reply {
    let mut stale = true;
    for id in operations {
        let Some(known) = cell.nouns.operations.get(id) else { continue };
        let machine = cell.nouns.machines.get(known.machine.uuid());
        let named = machine.is_some_and(|machine| machine.status.operation == Some(*id));
        if !known.state.ended() || named {
            continue;
        }
        stale = false;
        for step in cell.nouns.steps.get(id).into_iter().flatten() {
            let (operation, index) = (id.uuid(), step.index);
            draft.changes.push(Change::StepForgotten { operation, index });
        }
        draft.changes.push(Change::OperationForgotten { id: id.uuid() });
    }
    Reply::Heard { stale }
}
