//! Operations: list, watch, show, wait for, settle.

use std::ops::Bound;
use std::time::Duration;

use model::api::{GetOperation, ListOperations, OperationDetail, SettleOperation};
use model::id::OperationId;
use model::operation::OperationState;

use super::incoming::Incoming;
use super::page::{self, Cut};
use super::route::{Answered, Outcome, Routes};
use super::{replies, watch};
use crate::cell::Call;

/// The endpoints of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .add::<ListOperations, _, _>(list)
        .add::<GetOperation, _, _>(show)
        .add::<SettleOperation, _, _>(settle)
}

async fn list(incoming: Incoming<ListOperations>) -> Outcome<ListOperations> {
    if incoming.query.watch {
        return watch::begin(&incoming, Some("operation")).map(Answered::raw);
    }
    let (scope, query) = (incoming.scope(), &incoming.query);
    let before = page::after(query)?.map(OperationId::from_uuid);
    let before = before.map_or(Bound::Unbounded, Bound::Excluded);
    let revision = incoming.plane.leader.revision();
    let cut = {
        let nouns = incoming.plane.leader.read();
        let newest_first = nouns.operations.range((Bound::Unbounded, before)).rev();
        let keyed = newest_first.map(|(id, operation)| (id.uuid(), operation));
        // Operations have no labels: whoever asks for some gets none.
        Cut::from(keyed, query.limit, |operation| {
            let wanted = query.labels.is_empty() && scope.sees_operation(operation);
            wanted.then(|| operation.clone())
        })
    };
    Ok(Answered::document(cut.page(revision, |operation| (*operation).clone())))
}

async fn show(mut incoming: Incoming<GetOperation>) -> Outcome<GetOperation> {
    let mut changed = incoming.plane.leader.changed();
    let patience = tokio::time::sleep(Duration::from_secs(incoming.query.wait));
    let mut patience = std::pin::pin!(patience);
    loop {
        changed.borrow_and_update();
        let operation = incoming.operation()?;
        // One that needs attention does not move by itself either.
        let stands = operation.state != OperationState::Running;
        let over = stands || incoming.query.wait == 0;
        let late = !over
            && tokio::select! {
                moved = changed.changed() => moved.is_err(),
                () = &mut patience => true,
                () = incoming.closing.wait() => true,
            };
        if over || late {
            return detail(&incoming);
        }
    }
}

/// The operation with its journal, as they are now.
fn detail(incoming: &Incoming<GetOperation>) -> Outcome<GetOperation> {
    let operation = (*incoming.operation()?).clone();
    let nouns = incoming.plane.leader.read();
    let steps = nouns.steps.get(&operation.id).cloned().unwrap_or_default();
    Ok(Answered::document(OperationDetail { operation, steps }))
}

async fn settle(incoming: Incoming<SettleOperation>) -> Outcome<SettleOperation> {
    let operation = incoming.operation()?.id;
    let settlement = incoming.body.settlement;
    let answer = incoming.ask(Call::Settle { operation, settlement }).await?;
    let operation = replies::operation(answer.reply)?;
    Ok(Answered::document(operation).replayed(answer.replayed))
}
