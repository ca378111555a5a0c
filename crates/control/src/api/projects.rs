//! Projects: list, make, show, change, remove.

use std::sync::Arc;

use model::Problem;
use model::api::{
    CreateProject, Endpoint, GetProject, ListProjects, ProjectDetail, RemoveProject, UpdateProject,
};
use model::project::Project;

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
        .add::<GetProject, _, _>(show)
        .add::<UpdateProject, _, _>(update)
        .add::<RemoveProject, _, _>(remove)
}

/// The project of the path, if the caller sees it.
fn project<E: Endpoint>(incoming: &Incoming<E>) -> Result<Arc<Project>, Problem> {
    let (name, scope) = (incoming.parameter("project"), incoming.scope());
    let nouns = incoming.plane.leader.read();
    let found = nouns.projects.find(name).filter(|project| scope.sees_project(project));
    found.cloned().ok_or_else(|| not_found("project", name))
}

async fn show(incoming: Incoming<GetProject>) -> Outcome<GetProject> {
    let project = project(&incoming)?;
    let used = incoming.plane.leader.read().placing.used(&project.name).into();
    let etag = project.generation;
    Ok(Answered::document(ProjectDetail { project: (*project).clone(), used }).etag(etag))
}

async fn update(incoming: Incoming<UpdateProject>) -> Outcome<UpdateProject> {
    let project = project(&incoming)?;
    incoming.needs_generation(project.generation)?;
    let (name, spec) = (project.name.clone(), incoming.body.clone());
    let answer = incoming.ask(Call::UpdateProject { project: name, spec }).await?;
    let project = replies::project(answer.reply)?;
    let etag = project.generation;
    Ok(Answered::document(project).etag(etag).replayed(answer.replayed))
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
