//! Attestation policies: list, show, change, learn. They hold no secrets and
//! belong to no project, so everybody who may look sees them all.

use model::api::{GetPolicy, LearnPolicy, ListPolicies, UpdatePolicy};
use model::attestation::Policy;
use std::sync::Arc;

use super::incoming::{Incoming, Match};
use super::page::{self, Cut};
use super::replies;
use super::route::{Answered, Outcome, Routes};
use super::scope::not_found;
use crate::cell::Call;

/// The endpoints of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .add::<ListPolicies, _, _>(list)
        .add::<GetPolicy, _, _>(show)
        .add::<UpdatePolicy, _, _>(update)
        .add::<LearnPolicy, _, _>(learn)
}

async fn list(incoming: Incoming<ListPolicies>) -> Outcome<ListPolicies> {
    let query = &incoming.query;
    let after = page::after(query)?;
    let revision = incoming.plane.leader.revision();
    let cut = {
        let nouns = incoming.plane.leader.read();
        Cut::from(nouns.policies.after(after), query.limit, |policy| {
            query.selects(&policy.labels).then(|| policy.clone())
        })
    };
    Ok(Answered::document(cut.page(revision, |policy| (*policy).clone())))
}

/// The policy of a name or id, if there is one.
fn find(plane: &crate::plane::Plane, name: &str) -> Option<Arc<Policy>> {
    plane.leader.read().policies.find(name).cloned()
}

async fn show(incoming: Incoming<GetPolicy>) -> Outcome<GetPolicy> {
    let name = incoming.parameter("policy");
    let policy = find(&incoming.plane, name).ok_or_else(|| not_found("policy", name))?;
    let etag = policy.generation;
    Ok(Answered::document((*policy).clone()).etag(etag))
}

/// Changes a policy, or makes it when there is none of that name. Only a policy
/// that exists needs `If-Match`; one that was read and is gone is not made again.
async fn update(mut incoming: Incoming<UpdatePolicy>) -> Outcome<UpdatePolicy> {
    let name = incoming.parameter("policy").to_owned();
    let policy = match find(&incoming.plane, &name) {
        Some(policy) => {
            incoming.needs_generation(policy.generation)?;
            policy.name.clone()
        }
        None if incoming.generation != Match::Absent => return Err(not_found("policy", &name)),
        None => {
            // No policy has it: one that somebody makes meanwhile is not overwritten.
            incoming.generation = Match::Generation(0);
            name
        }
    };
    let spec = incoming.body.clone();
    let answer = incoming.ask(Call::UpdatePolicy { policy, spec }).await?;
    let policy = replies::policy(answer.reply)?;
    let etag = policy.generation;
    Ok(Answered::document(policy).etag(etag).replayed(answer.replayed))
}

async fn learn(incoming: Incoming<LearnPolicy>) -> Outcome<LearnPolicy> {
    let name = incoming.parameter("policy");
    let policy = find(&incoming.plane, name).map_or(name.to_owned(), |it| it.name.clone());
    let golden = &incoming.body.machine;
    let machine = {
        let nouns = incoming.plane.leader.read();
        nouns.machines.find(golden).map(|machine| machine.id)
    };
    let machine = machine.ok_or_else(|| not_found("machine", golden))?;
    let mode = incoming.body.mode;
    let answer = incoming.ask(Call::LearnPolicy { policy, machine, mode }).await?;
    let policy = replies::policy(answer.reply)?;
    let etag = policy.generation;
    Ok(Answered::document(policy).etag(etag).replayed(answer.replayed))
}
