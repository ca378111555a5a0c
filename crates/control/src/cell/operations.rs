//! What people decide about operations that need attention.

use machine::Input;
use model::operation::Operation;
use model::problem::{ErrorCode, Problem};

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
