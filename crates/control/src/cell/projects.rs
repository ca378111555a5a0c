//! What people ask of projects and tokens.

use model::problem::{ErrorCode, Problem};
use model::project::{Project, ProjectSpec, ProjectStatus, Token, TokenSpec, TokenStatus};
use world::entropy::new_id;

use super::{Call, Cell, Draft, Reply, check_name, not_found, taken};

/// Dispatches to one function a call.
pub fn answer(cell: &Cell, draft: &mut Draft<'_>) -> Result<Reply, Problem> {
    let ask = draft.ask;
    match &ask.call {
        Call::CreateProject { name, spec } => {
            check_name("project", name)?;
            if cell.nouns.projects.by_name(name).is_some() {
                return Err(taken("project", name));
            }
            let project = Project {
                id: new_id(draft.now, draft.entropy),
                name: name.clone(),
                generation: 1,
                labels: Default::default(),
                created: draft.now,
                updated: draft.now,
                spec: spec.clone(),
                status: ProjectStatus::default(),
            };
            draft.put(&project);
            Ok(Reply::Project(Box::new(project)))
        }
        Call::UpdateProject { project, spec } => update_project(cell, draft, project, spec),
        Call::RemoveProject { project } => remove_project(cell, draft, project),
        Call::CreateToken { name, spec, digest } => create_token(cell, draft, name, spec, digest),
        Call::RemoveToken { token } => {
            let known = cell.nouns.tokens.find(token).ok_or_else(|| not_found("token", token))?;
            draft.remove::<Token>(known);
            Ok(Reply::Token(Box::new(Token::clone(known))))
        }
        _ => unreachable!("dispatched by the cell"),
    }
}

fn update_project(
    cell: &Cell,
    draft: &mut Draft<'_>,
    name: &str,
    spec: &ProjectSpec,
) -> Result<Reply, Problem> {
    let known = cell.nouns.projects.find(name).ok_or_else(|| not_found("project", name))?;
    draft.expect(known.generation)?;
    let mut project = Project::clone(known);
    project.spec = spec.clone();
    project.generation += 1;
    project.updated = draft.now;
    draft.put(&project);
    Ok(Reply::Project(Box::new(project)))
}

fn remove_project(cell: &Cell, draft: &mut Draft<'_>, name: &str) -> Result<Reply, Problem> {
    let known = cell.nouns.projects.find(name).ok_or_else(|| not_found("project", name))?;
    draft.expect(known.generation)?;
    let name = &known.name;
    let machine = cell.nouns.machines.iter().find(|(_, machine)| {
        machine.spec.deployment.as_ref().is_some_and(|wanted| wanted.project == *name)
    });
    let token = cell.nouns.tokens.iter().find(|(_, it)| it.spec.project.as_ref() == Some(name));
    let image = cell.nouns.images.iter().find(|(_, it)| it.spec.project.as_ref() == Some(name));
    let instance = cell.nouns.instances.iter().find(|(_, it)| it.spec.project == *name);
    let group = cell.nouns.groups.iter().find(|(_, it)| it.spec.project == *name);
    let holds = machine
        .map(|(_, it)| format!("machine {}", it.name))
        .or_else(|| token.map(|(_, it)| format!("token {}", it.name)))
        .or_else(|| image.map(|(_, it)| format!("image {}", it.name)))
        .or_else(|| instance.map(|(_, it)| format!("instance {}", it.name)))
        .or_else(|| group.map(|(_, it)| format!("placement group {}", it.name)));
    if let Some(holds) = holds {
        let detail = format!("project {name} still holds {holds}");
        return Err(Problem::new(ErrorCode::Conflict, detail).next("Release or remove that first."));
    }
    draft.remove::<Project>(known);
    Ok(Reply::Project(Box::new(Project::clone(known))))
}

fn create_token(
    cell: &Cell,
    draft: &mut Draft<'_>,
    name: &str,
    spec: &TokenSpec,
    digest: &str,
) -> Result<Reply, Problem> {
    check_name("token", name)?;
    if cell.nouns.tokens.by_name(name).is_some() {
        return Err(taken("token", name));
    }
    if let Some(project) = &spec.project
        && cell.nouns.projects.by_name(project).is_none()
    {
        return Err(not_found("project", project));
    }
    let token = Token {
        id: new_id(draft.now, draft.entropy),
        name: name.to_owned(),
        generation: 1,
        labels: Default::default(),
        created: draft.now,
        updated: draft.now,
        spec: spec.clone(),
        status: TokenStatus { digest: digest.to_owned() },
    };
    draft.put(&token);
    Ok(Reply::Token(Box::new(token)))
}
