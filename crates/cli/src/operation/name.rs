//! Which operation is meant: an id, the end of one as tables show it, or a machine
//! whose latest operation it is.

use model::api::ListOperations;
use model::id::OperationId;
use model::operation::Operation;

use crate::Failure;
use crate::session::Session;

/// Finds the operation.
pub async fn find(session: &Session, given: &str) -> Result<OperationId, Failure> {
    if let Ok(id) = given.parse::<OperationId>() {
        return Ok(id);
    }
    let (operations, _) = session.client()?.all::<ListOperations, Operation>(&[]).await?;
    let machine = session.client()?.machine(given).await.ok();
    let found = match machine {
        // Newest first: the first one is the latest.
        Some(machine) => {
            operations.iter().find(|it| it.machine == machine.id).into_iter().collect()
        }
        None => ending(&operations, given),
    };
    match found.as_slice() {
        [operation] => Ok(operation.id),
        [] => Err(Failure::new("not-found", format!("There is no operation {given}"))
            .next("List them: bedplate operation list")),
        several => Err(Failure::usage(format!("{} operations end in {given}", several.len()))
            .next("Give more of the id.")),
    }
}

/// Those whose id ends so. Less than four digits say nothing.
fn ending<'a>(operations: &'a [Operation], given: &str) -> Vec<&'a Operation> {
    let given = given.to_ascii_lowercase();
    if given.len() < 4 {
        return Vec::new();
    }
    operations.iter().filter(|it| it.id.to_string().ends_with(&given)).collect()
}
