//! Instances and what they are placed by. The decision is the engine's
//! ([`crate::placing`]); what is recorded is where the instance is.

use fleet::placement::{Refusal, Request};
use model::api::{CreateInstanceRequest, CreateInstanceTypeRequest, CreatePlacementGroupRequest};
use model::fleet::{
    Instance, InstanceSpec, InstanceStatus, InstanceType, InstanceTypeStatus, PlacementGroup,
    PlacementGroupStatus,
};
use model::id::{HostId, InstanceId};
use model::problem::{ErrorCode, Problem};
use model::resources::DIMENSIONS;
use world::entropy::new_id;

use super::{Call, Cell, Draft, Reply, check_name, not_found, taken};

/// More rules than this has no group.
const RULES_MOST: usize = 8;

/// Dispatches to one function a call.
pub fn answer(cell: &Cell, draft: &mut Draft<'_>) -> Result<Reply, Problem> {
    let ask = draft.ask;
    match &ask.call {
        Call::CreateInstanceType(request) => create_type(cell, draft, request),
        Call::RemoveInstanceType { name } => remove_type(cell, draft, name),
        Call::CreatePlacementGroup(request) => create_group(cell, draft, request),
        Call::RemovePlacementGroup { name } => remove_group(cell, draft, name),
        Call::CreateInstance(request) => create(cell, draft, request),
        Call::RemoveInstance { instance } => {
            let known = known(cell, *instance)?;
            draft.expect(known.generation)?;
            draft.remove::<Instance>(known);
            Ok(reply(known.clone()))
        }
        Call::PlaceInstance { instance } => place_again(cell, draft, *instance),
        Call::MakeRoom { instance } => make_room(cell, draft, *instance),
        _ => unreachable!("dispatched by the cell"),
    }
}

fn reply(instance: Instance) -> Reply {
    Reply::Instance(Box::new(instance))
}

fn known(cell: &Cell, id: InstanceId) -> Result<&Instance, Problem> {
    let found = cell.nouns.instances.get(id.uuid());
    found.map(AsRef::as_ref).ok_or_else(|| not_found("instance", id))
}

fn create(
    cell: &Cell,
    draft: &mut Draft<'_>,
    asked: &CreateInstanceRequest,
) -> Result<Reply, Problem> {
    check_name("instance", &asked.name)?;
    if cell.nouns.instances.by_name(&asked.name).is_some() {
        return Err(taken("instance", &asked.name));
    }
    let request = request(cell, &asked.kind, asked.group.as_deref(), &asked.project)?;
    let mut instance = Instance {
        id: new_id(draft.now, draft.entropy),
        name: asked.name.clone(),
        generation: 1,
        labels: asked.labels.clone(),
        created: draft.now,
        updated: draft.now,
        spec: InstanceSpec {
            project: asked.project.clone(),
            kind: asked.kind.clone(),
            group: asked.group.clone(),
        },
        status: InstanceStatus { since: draft.now, ..InstanceStatus::default() },
    };
    match place(cell, draft, &mut instance, &request) {
        Ok(()) => {}
        Err(refusal) if asked.wait_for_room => instance.status.waits = Some(refusal.to_string()),
        Err(refusal) => return Err(refused(refusal, &asked.kind)),
    }
    draft.put(&instance);
    Ok(reply(instance))
}

/// What the engine is asked; refused when something that is named is not there, or is
/// another project's.
fn request(
    cell: &Cell,
    kind: &str,
    group: Option<&str>,
    project: &str,
) -> Result<Request, Problem> {
    let nouns = &cell.nouns;
    if nouns.types.by_name(kind).is_none() {
        return Err(not_found("instance type", kind));
    }
    if nouns.projects.by_name(project).is_none() {
        return Err(not_found("project", project));
    }
    if let Some(name) = group {
        let found = nouns.groups.by_name(name).filter(|group| group.spec.project == project);
        found.ok_or_else(|| not_found("placement group", name))?;
    }
    let request = nouns.placing.request(kind, group, project);
    Ok(request.expect("what is on a shelf is known to the engine"))
}

/// Decides where it goes and writes that into its status.
fn place(
    cell: &Cell,
    draft: &mut Draft<'_>,
    instance: &mut Instance,
    request: &Request,
) -> Result<(), Refusal> {
    // Only members of a group look at several hosts of a kind, from a place of their own.
    let salt = if request.group.is_some() { draft.entropy.next() } else { 0 };
    let (machine, lies) = cell.nouns.placing.decide(request, salt)?;
    let status = &mut instance.status;
    status.host = Some(HostId::from_uuid(machine));
    (status.lies, status.since, status.waits) = (lies, draft.now, None);
    Ok(())
}

fn refused(refusal: Refusal, kind: &str) -> Problem {
    match refusal {
        Refusal::Quota(at) => Problem::new(
            ErrorCode::QuotaExceeded,
            format!("the project's quota of {} has no room for a {kind}", DIMENSIONS[at]),
        ),
        other => Problem::new(ErrorCode::NoRoom, format!("no host takes a {kind}: {other}")),
    }
}

/// Places one that waits, or moves one that is where nobody should be.
fn place_again(cell: &Cell, draft: &mut Draft<'_>, id: InstanceId) -> Result<Reply, Problem> {
    let before = known(cell, id)?;
    let mut instance = before.clone();
    if let Some(host) = before.status.host {
        if cell.nouns.placing.is_open(host.uuid()) {
            // It is well where it is: the host was opened again meanwhile.
            return Ok(reply(instance));
        }
        instance.status.moves += 1;
    }
    let spec = &before.spec;
    let request = request(cell, &spec.kind, spec.group.as_deref(), &spec.project)?;
    // Who moves has its part of the quota already.
    let request = match before.status.host {
        Some(_) => Request { project: None, ..request },
        None => request,
    };
    place(cell, draft, &mut instance, &request).map_err(|refusal| refused(refusal, &spec.kind))?;
    instance.updated = draft.now;
    draft.put(&instance);
    Ok(reply(instance))
}

/// Those who are less important wait from now on; the important one is placed by the next
/// call, when their room is free.
fn make_room(cell: &Cell, draft: &mut Draft<'_>, id: InstanceId) -> Result<Reply, Problem> {
    let instance = known(cell, id)?;
    if instance.status.host.is_some() {
        return Ok(reply(instance.clone()));
    }
    let spec = &instance.spec;
    let request = request(cell, &spec.kind, spec.group.as_deref(), &spec.project)?;
    let salt = draft.entropy.next();
    let victims = cell.nouns.placing.victims(&request, salt).filter(|them| !them.is_empty());
    let victims = victims.ok_or_else(|| refused(Refusal::NoRoom, &spec.kind))?;
    for victim in victims {
        let mut victim = known(cell, InstanceId::from_uuid(victim))?.clone();
        victim.status = InstanceStatus {
            since: draft.now,
            moves: victim.status.moves,
            waits: Some(format!("{} has a higher priority and took its room", instance.name)),
            ..InstanceStatus::default()
        };
        victim.updated = draft.now;
        draft.put(&victim);
    }
    Ok(reply(instance.clone()))
}

fn create_type(
    cell: &Cell,
    draft: &mut Draft<'_>,
    asked: &CreateInstanceTypeRequest,
) -> Result<Reply, Problem> {
    check_name("instance type", &asked.name)?;
    if cell.nouns.types.by_name(&asked.name).is_some() {
        return Err(taken("instance type", &asked.name));
    }
    if asked.spec.resources.millicores == 0 || asked.spec.resources.memory_mib == 0 {
        let detail = "an instance takes some of a core and some memory at least";
        return Err(Problem::new(ErrorCode::InvalidRequest, detail));
    }
    let made = InstanceType {
        id: new_id(draft.now, draft.entropy),
        name: asked.name.clone(),
        generation: 1,
        labels: asked.labels.clone(),
        created: draft.now,
        updated: draft.now,
        spec: asked.spec.clone(),
        status: InstanceTypeStatus {},
    };
    draft.put(&made);
    Ok(Reply::InstanceType(Box::new(made)))
}

fn remove_type(cell: &Cell, draft: &mut Draft<'_>, name: &str) -> Result<Reply, Problem> {
    let found = cell.nouns.types.find(name).ok_or_else(|| not_found("instance type", name))?;
    draft.expect(found.generation)?;
    let user = cell.nouns.instances.iter().find(|(_, it)| it.spec.kind == found.name);
    if let Some((_, user)) = user {
        let detail = format!("the instance {} is a {}", user.name, found.name);
        return Err(Problem::new(ErrorCode::Conflict, detail).next("Remove its instances first."));
    }
    draft.remove::<InstanceType>(found);
    Ok(Reply::InstanceType(Box::new(InstanceType::clone(found))))
}

fn create_group(
    cell: &Cell,
    draft: &mut Draft<'_>,
    asked: &CreatePlacementGroupRequest,
) -> Result<Reply, Problem> {
    check_name("placement group", &asked.name)?;
    if cell.nouns.groups.by_name(&asked.name).is_some() {
        return Err(taken("placement group", &asked.name));
    }
    if cell.nouns.projects.by_name(&asked.spec.project).is_none() {
        return Err(not_found("project", &asked.spec.project));
    }
    let rules = &asked.spec.spread;
    if rules.len() > RULES_MOST || rules.iter().any(|rule| rule.most == 0) {
        let detail =
            format!("a group has at most {RULES_MOST} rules, each of which lets some share");
        return Err(Problem::new(ErrorCode::InvalidRequest, detail));
    }
    let made = PlacementGroup {
        id: new_id(draft.now, draft.entropy),
        name: asked.name.clone(),
        generation: 1,
        labels: Default::default(),
        created: draft.now,
        updated: draft.now,
        spec: asked.spec.clone(),
        status: PlacementGroupStatus {},
    };
    draft.put(&made);
    Ok(Reply::PlacementGroup(Box::new(made)))
}

fn remove_group(cell: &Cell, draft: &mut Draft<'_>, name: &str) -> Result<Reply, Problem> {
    let found = cell.nouns.groups.find(name).ok_or_else(|| not_found("placement group", name))?;
    draft.expect(found.generation)?;
    let named = Some(&found.name);
    let member = cell.nouns.instances.iter().find(|(_, it)| it.spec.group.as_ref() == named);
    if let Some((_, member)) = member {
        let detail = format!("the instance {} belongs to {}", member.name, found.name);
        return Err(Problem::new(ErrorCode::Conflict, detail).next("Remove its members first."));
    }
    draft.remove::<PlacementGroup>(found);
    Ok(Reply::PlacementGroup(Box::new(PlacementGroup::clone(found))))
}
