//! Why an instance is, or is not, somewhere.

use fleet::placement::Request;
use fleet::placement::explain::{Constraint, Explanation};
use model::api::{CreateInstanceRequest, ExplainPlacement};
use model::fleet::{PlacementExplanation, RemovedHosts};
use model::resources::DIMENSIONS;
use model::{ErrorCode, Problem};

use super::incoming::Incoming;
use super::route::{Answered, Outcome, Routes};
use super::scope::not_found;
use crate::nouns::Nouns;
use crate::plane::Plane;

/// The endpoint of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.add::<ExplainPlacement, _, _>(explain)
}

/// What is asked about.
struct Subject {
    kind: String,
    project: String,
    group: Option<String>,
    on: Option<String>,
    /// It has its part of the quota already.
    placed: bool,
}

async fn explain(incoming: Incoming<ExplainPlacement>) -> Outcome<ExplainPlacement> {
    let subject = subject(&incoming)?;
    incoming.in_project(&subject.project)?;
    let nouns = incoming.plane.leader.read();
    let known = request(&nouns, &subject);
    let (request, priority) = known.ok_or_else(|| {
        Problem::new(ErrorCode::NotFound, "the type, project or group that it names is not there")
    })?;
    let told = nouns.placing.explain(&request);
    Ok(Answered::document(in_words(subject, &told, priority)))
}

fn subject(incoming: &Incoming<ExplainPlacement>) -> Result<Subject, Problem> {
    let asked = &incoming.body;
    if let Some(name) = &asked.instance {
        let instance = incoming.instance(name)?;
        let nouns = incoming.plane.leader.read();
        let host = instance.status.host.and_then(|host| nouns.machines.get(host.uuid()));
        return Ok(Subject {
            kind: instance.spec.kind.clone(),
            project: instance.spec.project.clone(),
            group: instance.spec.group.clone(),
            on: host.map(|machine| machine.name.clone()),
            placed: instance.status.host.is_some(),
        });
    }
    let (Some(kind), Some(project)) = (asked.kind.clone(), asked.project.clone()) else {
        let detail = "name an instance, or the type and project of one that is thought of";
        return Err(Problem::new(ErrorCode::InvalidRequest, detail));
    };
    let group = asked.group.clone();
    let nouns = incoming.plane.leader.read();
    nouns.types.by_name(&kind).ok_or_else(|| not_found("instance type", &kind))?;
    Ok(Subject { kind, project, group, on: None, placed: false })
}

/// What the engine is asked, and the priority of the type.
fn request(nouns: &Nouns, subject: &Subject) -> Option<(Request, u8)> {
    let group = subject.group.as_deref();
    if let Some(group) = group {
        let found = nouns.groups.by_name(group);
        found.filter(|group| group.spec.project == subject.project)?;
    }
    let request = nouns.placing.request(&subject.kind, group, &subject.project)?;
    let project = if subject.placed { None } else { request.project };
    let priority = nouns.types.by_name(&subject.kind)?.spec.priority;
    Some((Request { project, ..request }, priority))
}

fn in_words(subject: Subject, told: &Explanation, priority: u8) -> PlacementExplanation {
    let removed = told.removed.iter();
    PlacementExplanation {
        kind: subject.kind,
        on: subject.on,
        hosts: told.hosts,
        removed: removed
            .map(|(constraint, hosts)| RemovedHosts { why: constraint.to_string(), hosts: *hosts })
            .collect(),
        fit: told.fit,
        most_free: told.most_free,
        quota: told.quota.map(|at| DIMENSIONS[at].to_owned()),
        remedy: remedy(told, priority),
    }
}

/// What would help most: against what removed the most hosts.
fn remedy(told: &Explanation, priority: u8) -> Option<String> {
    if let Some(at) = told.quota {
        return Some(format!("a larger quota of {} for the project", DIMENSIONS[at]));
    }
    if told.fit > 0 {
        return None;
    }
    let worst = told.removed.iter().max_by_key(|(_, hosts)| *hosts);
    let Some((constraint, _)) = worst else {
        return Some("hosts: none was offered (bedplate host offer MACHINE)".to_owned());
    };
    let evict = match priority {
        0 => "",
        _ => "; or wait for room: less important instances may have to make it",
    };
    Some(match constraint {
        Constraint::Labels => "hosts with the labels that the type asks for".to_owned(),
        Constraint::Size => "larger hosts, or a smaller type".to_owned(),
        Constraint::Closed => {
            "hosts that are open again: undrain, unlock or repair some".to_owned()
        }
        Constraint::Free(at) => format!(
            "{} on one host; the most that is free on one now is {}{evict}",
            DIMENSIONS[*at], told.most_free
        ),
        Constraint::Node => format!("room on one memory node instead of several{evict}"),
        Constraint::Group(level) => {
            format!("more domains of the level {level:?}, or looser rules of the group")
        }
    })
}

/// A refusal with what removed how many hosts in it.
pub fn refusal(plane: &Plane, asked: &CreateInstanceRequest, problem: Problem) -> Problem {
    let subject = Subject {
        kind: asked.kind.clone(),
        project: asked.project.clone(),
        group: asked.group.clone(),
        on: None,
        placed: false,
    };
    let told = {
        let nouns = plane.leader.read();
        let known = request(&nouns, &subject);
        known.map(|(request, priority)| (nouns.placing.explain(&request), priority))
    };
    let Some((told, priority)) = told else { return problem };
    let removed: Vec<String> =
        told.removed.iter().map(|(constraint, hosts)| format!("{hosts} {constraint}")).collect();
    let detail = format!("{}; of {} hosts {}", problem.detail, told.hosts, removed.join(", "));
    let refusal = Problem::new(ErrorCode::NoRoom, detail);
    match remedy(&told, priority) {
        Some(remedy) => refusal.next(format!("It would fit with {remedy}.")),
        None => refusal,
    }
}
