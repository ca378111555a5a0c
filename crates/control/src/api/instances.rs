//! Instances: list, watch, make, show, remove.

use std::sync::Arc;

use model::api::{CreateInstance, Endpoint, GetInstance, ListInstances, RemoveInstance};
use model::fleet::Instance;
use model::id::InstanceId;
use model::{ErrorCode, Problem};
use uuid::Uuid;

use super::explain;
use super::incoming::Incoming;
use super::page::{self, Cut};
use super::route::{Answered, Outcome, Routes};
use super::scope::not_found;
use super::{replies, watch};
use crate::cell::Call;

/// The endpoints of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .add::<ListInstances, _, _>(list)
        .add::<CreateInstance, _, _>(create)
        .add::<GetInstance, _, _>(show)
        .add::<RemoveInstance, _, _>(remove)
}

impl<E: Endpoint> Incoming<E> {
    /// An instance by name or id, if the caller sees it.
    pub fn instance(&self, name: &str) -> Result<Arc<Instance>, Problem> {
        let scope = self.scope();
        let nouns = self.plane.leader.read();
        let found = nouns.instances.find(name);
        let found = found.filter(|it| scope.owns(Some(&it.spec.project)));
        found.cloned().ok_or_else(|| not_found("instance", name))
    }
}

async fn list(incoming: Incoming<ListInstances>) -> Outcome<ListInstances> {
    if incoming.query.watch {
        return watch::begin(&incoming, Some("instance")).map(Answered::raw);
    }
    let (scope, query) = (incoming.scope(), &incoming.query);
    let after = page::after(query)?;
    let revision = incoming.plane.leader.revision();
    let cut = {
        let nouns = incoming.plane.leader.read();
        Cut::from(nouns.instances.after(after), query.limit, |instance| {
            let wanted =
                query.selects(&instance.labels) && scope.owns(Some(&instance.spec.project));
            wanted.then(|| instance.clone())
        })
    };
    Ok(Answered::document(cut.page(revision, |instance| (*instance).clone())))
}

async fn create(incoming: Incoming<CreateInstance>) -> Outcome<CreateInstance> {
    let asked = &incoming.body;
    incoming.in_project(&asked.project)?;
    let answer = match incoming.ask(Call::CreateInstance(Box::new(asked.clone()))).await {
        Err(problem) if problem.code == ErrorCode::NoRoom => {
            return Err(explain::refusal(&incoming.plane, asked, problem));
        }
        answer => answer?,
    };
    let instance = replies::instance(answer.reply)?;
    let (etag, path) = (instance.generation, format!("/v1/instances/{}", instance.id));
    Ok(Answered::document(instance).etag(etag).location(path).replayed(answer.replayed))
}

async fn show(incoming: Incoming<GetInstance>) -> Outcome<GetInstance> {
    let instance = incoming.instance(incoming.parameter("instance"))?;
    let etag = instance.generation;
    Ok(Answered::document((*instance).clone()).etag(etag))
}

async fn remove(incoming: Incoming<RemoveInstance>) -> Outcome<RemoveInstance> {
    let found = incoming.instance(incoming.parameter("instance")).map(|instance| instance.id);
    let instance = incoming.target(found, InstanceId::from_uuid(Uuid::nil()))?;
    let answer = incoming.ask(Call::RemoveInstance { instance }).await?;
    Ok(Answered::document(replies::instance(answer.reply)?).replayed(answer.replayed))
}
