//! Projects: list, make, remove.

use model::api::{CreateProject, ListProjects, RemoveProject};

use super::incoming::Incoming;
use super::page::{self, Cut};
use super::replies;
use super::route::{Answered, Outcome, Routes};
use super::scope::not_found;
use crate::cell::Call;

/// The endpoints of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .add::<ListProjects, _, _>(list)
        .add::<CreateProject, _, _>(create)
        .add::<RemoveProject, _, _>(remove)
}

async fn list(incoming: Incoming<ListProjects>) -> Outcome<ListProjects> {
    let (scope, query) = (incoming.scope(), &incoming.query);
    let after = page::after(query)?;
    let revision = incoming.plane.leader.revision();
    let cut = {
        let nouns = incoming.plane.leader.read();
        Cut::from(nouns.projects.after(after), query.limit, |project| {
            let wanted = query.selects(&project.labels) && scope.sees_project(project);
            wanted.then(|| project.clone())
        })
    };
    Ok(Answered::document(cut.page(revision, |project| (*project).clone())))
}

async fn create(incoming: Incoming<CreateProject>) -> Outcome<CreateProject> {
    let (name, spec) = (incoming.body.name.clone(), incoming.body.spec.clone());
    let answer = incoming.ask(Call::CreateProject { name, spec }).await?;
    let project = replies::project(answer.reply)?;
    let etag = project.generation;
    Ok(Answered::document(project).etag(etag).replayed(answer.replayed))
}

async fn remove(incoming: Incoming<RemoveProject>) -> Outcome<RemoveProject> {
    let name = incoming.parameter("project");
    let found = {
        let nouns = incoming.plane.leader.read();
        nouns.projects.find(name).map(|project| project.name.clone())
    };
    let found = found.ok_or_else(|| not_found("project", name));
    let project = incoming.target(found, name.to_owned())?;
    let answer = incoming.ask(Call::RemoveProject { project }).await?;
    Ok(Answered::document(replies::project(answer.reply)?).replayed(answer.replayed))
}
