//! Placement groups: list, make, remove.

use model::api::{CreatePlacementGroup, ListPlacementGroups, RemovePlacementGroup};

use super::incoming::Incoming;
use super::page::{self, Cut};
use super::replies;
use super::route::{Answered, Outcome, Routes};
use super::scope::not_found;
use crate::cell::Call;

/// The endpoints of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .add::<ListPlacementGroups, _, _>(list)
        .add::<CreatePlacementGroup, _, _>(create)
        .add::<RemovePlacementGroup, _, _>(remove)
}

async fn list(incoming: Incoming<ListPlacementGroups>) -> Outcome<ListPlacementGroups> {
    let (scope, query) = (incoming.scope(), &incoming.query);
    let after = page::after(query)?;
    let revision = incoming.plane.leader.revision();
    let cut = {
        let nouns = incoming.plane.leader.read();
        Cut::from(nouns.groups.after(after), query.limit, |group| {
            let wanted = query.selects(&group.labels) && scope.owns(Some(&group.spec.project));
            wanted.then(|| group.clone())
        })
    };
    Ok(Answered::document(cut.page(revision, |group| (*group).clone())))
}

async fn create(incoming: Incoming<CreatePlacementGroup>) -> Outcome<CreatePlacementGroup> {
    incoming.in_project(&incoming.body.spec.project)?;
    let call = Call::CreatePlacementGroup(Box::new(incoming.body.clone()));
    let answer = incoming.ask(call).await?;
    let made = replies::placement_group(answer.reply)?;
    let etag = made.generation;
    Ok(Answered::document(made).etag(etag).replayed(answer.replayed))
}

async fn remove(incoming: Incoming<RemovePlacementGroup>) -> Outcome<RemovePlacementGroup> {
    let (name, scope) = (incoming.parameter("group"), incoming.scope());
    let found = {
        let nouns = incoming.plane.leader.read();
        let found = nouns.groups.find(name);
        let found = found.filter(|group| scope.owns(Some(&group.spec.project)));
        found.map(|group| group.name.clone())
    };
    let found = found.ok_or_else(|| not_found("placement group", name));
    let name = incoming.target(found, name.to_owned())?;
    let answer = incoming.ask(Call::RemovePlacementGroup { name }).await?;
    Ok(Answered::document(replies::placement_group(answer.reply)?).replayed(answer.replayed))
}
