//! Types of instances: list, make, remove, and how many more of one fit.

use model::api::{CreateInstanceType, GetCapacity, ListInstanceTypes, RemoveInstanceType};
use model::fleet::Capacity;

use super::incoming::Incoming;
use super::page::{self, Cut};
use super::replies;
use super::route::{Answered, Outcome, Routes};
use super::scope::not_found;
use crate::cell::Call;

/// The endpoints of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .add::<ListInstanceTypes, _, _>(list)
        .add::<CreateInstanceType, _, _>(create)
        .add::<RemoveInstanceType, _, _>(remove)
        .add::<GetCapacity, _, _>(capacity)
}

async fn list(incoming: Incoming<ListInstanceTypes>) -> Outcome<ListInstanceTypes> {
    let query = &incoming.query;
    let after = page::after(query)?;
    let revision = incoming.plane.leader.revision();
    let cut = {
        let nouns = incoming.plane.leader.read();
        Cut::from(nouns.types.after(after), query.limit, |made| {
            query.selects(&made.labels).then(|| made.clone())
        })
    };
    Ok(Answered::document(cut.page(revision, |made| (*made).clone())))
}

async fn create(incoming: Incoming<CreateInstanceType>) -> Outcome<CreateInstanceType> {
    let call = Call::CreateInstanceType(Box::new(incoming.body.clone()));
    let answer = incoming.ask(call).await?;
    let made = replies::instance_type(answer.reply)?;
    let etag = made.generation;
    Ok(Answered::document(made).etag(etag).replayed(answer.replayed))
}

async fn remove(incoming: Incoming<RemoveInstanceType>) -> Outcome<RemoveInstanceType> {
    let name = incoming.parameter("type");
    let found = {
        let nouns = incoming.plane.leader.read();
        nouns.types.find(name).map(|made| made.name.clone())
    };
    let found = found.ok_or_else(|| not_found("instance type", name));
    let name = incoming.target(found, name.to_owned())?;
    let answer = incoming.ask(Call::RemoveInstanceType { name }).await?;
    Ok(Answered::document(replies::instance_type(answer.reply)?).replayed(answer.replayed))
}

async fn capacity(incoming: Incoming<GetCapacity>) -> Outcome<GetCapacity> {
    incoming.of_no_project()?;
    let name = incoming.parameter("type");
    let nouns = incoming.plane.leader.read();
    let made = nouns.types.find(name).ok_or_else(|| not_found("instance type", name))?;
    let fits = nouns.placing.capacity(&made.name).unwrap_or_default();
    let open_hosts = nouns.placing.totals().open_hosts;
    Ok(Answered::document(Capacity { kind: made.name.clone(), fits, open_hosts }))
}
