//! What people ask of machines.

use std::collections::BTreeMap;

use machine::{Decision, Input, Refusal, Surroundings};
use model::Timestamp;
use model::attestation::{Judgement, JudgementSpec, Verdict};
use model::id::{JudgementId, MachineId};
use model::machine::{BmcSpec, Lifecycle, Machine, MachineSpec, MachineStatus};
use model::operation::Operation;
use model::problem::{ErrorCode, Problem};
use record::{Change, EffectRow, OperationRow, StepRow};
use world::entropy::new_id;

use super::{Call, Cell, Draft, FoundBmc, Reply, check_name, not_found, taken};

/// Dispatches to one function a call.
pub fn answer(cell: &Cell, draft: &mut Draft<'_>) -> Result<Reply, Problem> {
    let ask = draft.ask;
    match &ask.call {
        Call::Discovered { found } => Ok(discovered(cell, draft, found)),
        Call::Enroll { name, bmc, rack, policy, labels } => {
            enroll(cell, draft, name, Wanted { bmc, rack, policy, labels })
        }
        Call::UpdateMachine { machine, update } => update_machine(cell, draft, *machine, update),
        Call::RemoveMachine { machine } => remove(cell, draft, *machine),
        Call::Power { machine, action } => {
            moved(cell, draft, *machine, &Input::Power(*action)).map(reply_machine)
        }
        Call::Deploy { machine, deployment } => deploy(cell, draft, *machine, deployment),
        Call::Release { machine } => {
            moved(cell, draft, *machine, &Input::Release).and_then(reply_operation)
        }
        Call::Quarantine { machine, reason } => {
            let input = Input::Quarantine(reason.clone());
            moved(cell, draft, *machine, &input).map(reply_machine)
        }
        Call::SetAside { machine, to } => {
            moved(cell, draft, *machine, &Input::SetAside(*to)).map(reply_machine)
        }
        Call::Recover { machine } => {
            moved(cell, draft, *machine, &Input::Recover).and_then(reply_operation)
        }
        _ => unreachable!("dispatched by the cell"),
    }
}

/// What an enrolment brings.
struct Wanted<'a> {
    bmc: &'a BmcSpec,
    rack: &'a Option<String>,
    policy: &'a Option<String>,
    labels: &'a BTreeMap<String, String>,
}

/// A machine after a turn.
pub struct Moved {
    /// The machine.
    pub machine: Machine,
    /// Its operation, where it has one.
    pub operation: Option<Operation>,
    /// Nobody waited for the input.
    pub stale: bool,
}

fn reply_machine(moved: Moved) -> Reply {
    Reply::Machine(Box::new(moved.machine))
}

fn reply_operation(moved: Moved) -> Result<Reply, Problem> {
    let operation = moved.operation.ok_or_else(|| {
        Problem::new(ErrorCode::Internal, "no operation was begun where one should have been")
    })?;
    Ok(Reply::Operation(Box::new(operation)))
}

/// Lets something happen to a machine that there is.
pub fn moved(
    cell: &Cell,
    draft: &mut Draft<'_>,
    id: MachineId,
    input: &Input,
) -> Result<Moved, Problem> {
    let known = cell.nouns.machines.get(id.uuid()).ok_or_else(|| not_found("machine", id))?;
    draft.expect(known.generation)?;
    turn(cell, draft, known, Machine::clone(known), input)
}

/// Runs the engine on `machine`, and drafts what differs from `before`.
fn turn(
    cell: &Cell,
    draft: &mut Draft<'_>,
    before: &Machine,
    mut machine: Machine,
    input: &Input,
) -> Result<Moved, Problem> {
    if matches!(input, Input::Release | Input::Recover) {
        // Its disks are wiped: nobody may be on it.
        super::hosts::leave(cell, draft, before.id)?;
    }
    let journal = machine.status.operation.and_then(|id| cell.nouns.operations.get(&id));
    let mut operation = journal.map(|known| Operation::clone(known));
    let wanted = match input {
        Input::Deploy(deployment) => Some(deployment.image.as_str()),
        _ => machine.spec.deployment.as_ref().map(|wanted| wanted.image.as_str()),
    };
    let image = wanted.and_then(|name| cell.nouns.images.find(name));
    let surroundings = Surroundings {
        now: draft.now,
        entropy: draft.entropy,
        settings: &cell.settings,
        image: image.map(AsRef::as_ref).filter(|image| image.status.ready),
        actor: &draft.ask.actor,
    };
    let decision = machine::decide(&mut machine, &mut operation, input, surroundings)
        .map_err(|refusal| refused(&before.name, refusal))?;
    let stale = decision.stale;
    let grounds = machine.status.attestation.as_mut().and_then(Verdict::take_grounds);
    if let Some(verdict) = grounds {
        draft.put(&judgement(&machine, draft.now, verdict));
    }
    write(cell, draft, before, &machine, operation.as_ref(), decision);
    Ok(Moved { machine, operation, stale })
}

/// What a finding rests on, as an object of its own.
fn judgement(machine: &Machine, now: Timestamp, verdict: Verdict) -> Judgement {
    Judgement {
        id: JudgementId::from_uuid(machine.id.uuid()),
        name: machine.name.clone(),
        generation: 1,
        labels: BTreeMap::new(),
        created: now,
        updated: now,
        spec: JudgementSpec {},
        status: verdict,
    }
}

/// Drafts what a turn changed, and nothing else.
fn write(
    cell: &Cell,
    draft: &mut Draft<'_>,
    before: &Machine,
    machine: &Machine,
    operation: Option<&Operation>,
    decision: Decision,
) {
    let same = before.status == machine.status && before.spec == machine.spec;
    if !same || before.generation != machine.generation {
        draft.put(machine);
    }
    for changed in decision.ended.iter().chain(operation) {
        let known = cell.nouns.operations.get(&changed.id);
        if known.is_none_or(|known| **known != *changed) {
            draft.changes.push(Change::Operation(operation_row(changed)));
        }
    }
    for step in decision.steps {
        let body = serde_json::to_string(&step).expect("a step is plain data");
        let row = StepRow { operation: step.operation.uuid(), index: step.index, body };
        draft.changes.push(Change::Step(row));
    }
    for id in decision.settled {
        if cell.nouns.outbox.contains_key(&id) {
            let outcome = settled_with(draft.ask, id);
            draft.changes.push(Change::EffectSettled { id: id.uuid(), outcome });
        }
    }
    for effect in decision.effects {
        let body = serde_json::to_string(&effect).expect("an effect is plain data");
        draft.changes.push(Change::EffectQueued(EffectRow {
            id: effect.id.uuid(),
            target: effect.machine.uuid(),
            sequence: effect.sequence,
            body,
        }));
    }
}

/// How an effect ended, for the record: its outcome, or that nobody waits for it.
fn settled_with(ask: &super::Ask, id: model::id::EffectId) -> String {
    match &ask.call {
        Call::Settled { effect, outcome } if *effect == id => {
            serde_json::to_string(outcome).expect("an outcome is plain data")
        }
        _ => "{\"outcome\":\"superseded\"}".to_owned(),
    }
}

fn operation_row(operation: &Operation) -> OperationRow {
    OperationRow {
        id: operation.id.uuid(),
        kind: operation.kind.name().to_owned(),
        target: operation.machine.uuid(),
        state: operation.state.name().to_owned(),
        body: serde_json::to_string(operation).expect("an operation is plain data"),
    }
}

fn refused(name: &str, refusal: Refusal) -> Problem {
    match refusal {
        Refusal::State { asked, lifecycle, allowed } => {
            let allowed: Vec<&str> = allowed.iter().map(|state| state.name()).collect();
            let detail = format!(
                "machine {name} is {lifecycle}; {asked} needs one that is {}",
                allowed.join(", ")
            );
            Problem::new(ErrorCode::Conflict, detail)
        }
        Refusal::Unfit(why) => Problem::new(ErrorCode::Conflict, format!("machine {name}: {why}")),
        Refusal::NotSkippable(step) => {
            let detail = format!("machine {name}: {step} cannot be skipped, safety hangs on it");
            Problem::new(ErrorCode::Conflict, detail).next("Retry it, or abandon the operation.")
        }
    }
}

fn blank(draft: &mut Draft<'_>, name: String) -> Machine {
    let now = draft.now;
    Machine {
        id: new_id(now, draft.entropy),
        name,
        generation: 1,
        labels: BTreeMap::new(),
        created: now,
        updated: now,
        spec: MachineSpec::default(),
        status: MachineStatus { since: now, ..MachineStatus::default() },
    }
}

/// A machine that was only seen on the network.
pub fn seen_on_network(draft: &mut Draft<'_>, name: String, mac: &str) {
    let mut machine = blank(draft, name);
    machine.status.macs = vec![mac.to_owned()];
    draft.put(&machine);
}

fn discovered(cell: &Cell, draft: &mut Draft<'_>, found: &[FoundBmc]) -> Reply {
    let mut made = Vec::new();
    for bmc in found {
        let same = |machine: &Machine| {
            let enrolled = machine.spec.bmc.as_ref().map(|known| known.address.as_str());
            [enrolled, machine.status.seen_at.as_deref()].contains(&Some(bmc.address.as_str()))
        };
        let name = name_for(&bmc.address);
        let known = cell.nouns.machines.iter().any(|(_, machine)| same(machine));
        if known || cell.nouns.machines.by_name(&name).is_some() {
            continue;
        }
        let mut machine = blank(draft, name);
        machine.status.seen_at = Some(bmc.address.clone());
        draft.put(&machine);
        made.push(machine);
    }
    Reply::Machines(made)
}

/// A name from an address: what follows the scheme, with dashes.
fn name_for(address: &str) -> String {
    let host = address.split("://").last().unwrap_or(address);
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    format!("bmc-{}", host.chars().map(plain).take(50).collect::<String>())
}

fn enroll(
    cell: &Cell,
    draft: &mut Draft<'_>,
    name: &str,
    wanted: Wanted<'_>,
) -> Result<Reply, Problem> {
    check_name("machine", name)?;
    let uses_address = |machine: &Machine| {
        machine.spec.bmc.as_ref().is_some_and(|bmc| bmc.address == wanted.bmc.address)
    };
    let other = cell.nouns.machines.iter().find(|(_, known)| uses_address(known));
    if let Some((_, other)) = other.filter(|(_, other)| other.name != name) {
        let detail = format!("the BMC {} is that of machine {}", wanted.bmc.address, other.name);
        return Err(Problem::new(ErrorCode::Conflict, detail));
    }
    let known = cell.nouns.machines.by_name(name).map(|known| Machine::clone(known));
    let input = match known.as_ref().map(|known| known.status.lifecycle) {
        None | Some(Lifecycle::Discovered) => Input::Enroll,
        // Once more, with another account or address.
        Some(Lifecycle::Quarantined) => Input::Recover,
        Some(_) => return Err(taken("machine", name)),
    };
    let before = known.unwrap_or_else(|| blank(draft, name.to_owned()));
    let mut machine = before.clone();
    machine.spec.bmc = Some(wanted.bmc.clone());
    machine.spec.rack.clone_from(wanted.rack);
    machine.spec.policy.clone_from(wanted.policy);
    machine.labels.clone_from(wanted.labels);
    let moved = turn(cell, draft, &before, machine, &input)?;
    reply_operation(moved)
}

fn update_machine(
    cell: &Cell,
    draft: &mut Draft<'_>,
    id: MachineId,
    update: &model::api::MachineUpdate,
) -> Result<Reply, Problem> {
    let known = cell.nouns.machines.get(id.uuid()).ok_or_else(|| not_found("machine", id))?;
    draft.expect(known.generation)?;
    let mut machine = Machine::clone(known);
    machine.labels.clone_from(&update.labels);
    machine.spec.rack.clone_from(&update.rack);
    machine.spec.policy.clone_from(&update.policy);
    machine.generation += 1;
    machine.updated = draft.now;
    draft.put(&machine);
    Ok(Reply::Machine(Box::new(machine)))
}

fn remove(cell: &Cell, draft: &mut Draft<'_>, id: MachineId) -> Result<Reply, Problem> {
    let known = cell.nouns.machines.get(id.uuid()).ok_or_else(|| not_found("machine", id))?;
    draft.expect(known.generation)?;
    let lifecycle = known.status.lifecycle;
    if !matches!(lifecycle, Lifecycle::Discovered | Lifecycle::Retired) {
        let detail = format!(
            "machine {} is {lifecycle}; only discovered or retired ones are removed",
            known.name
        );
        let next =
            format!("Retire it first: bedplate machine set-aside {} --to retired.", known.name);
        return Err(Problem::new(ErrorCode::Conflict, detail).next(next));
    }
    for effect in cell.nouns.outbox.values().filter(|effect| effect.machine == id) {
        let outcome = "{\"outcome\":\"superseded\"}".to_owned();
        draft.changes.push(Change::EffectSettled { id: effect.id.uuid(), outcome });
    }
    super::hosts::leave(cell, draft, id)?;
    if let Some(judgement) = cell.nouns.judgements.get(id.uuid()) {
        draft.remove::<Judgement>(judgement);
    }
    draft.remove::<Machine>(known);
    Ok(Reply::Machine(Box::new(Machine::clone(known))))
}

fn deploy(
    cell: &Cell,
    draft: &mut Draft<'_>,
    id: MachineId,
    deployment: &model::machine::Deployment,
) -> Result<Reply, Problem> {
    if cell.nouns.projects.by_name(&deployment.project).is_none() {
        return Err(not_found("project", &deployment.project));
    }
    let image = cell.nouns.images.find(&deployment.image);
    let image = image.ok_or_else(|| not_found("image", &deployment.image))?;
    if image.spec.project.as_ref().is_some_and(|owner| *owner != deployment.project) {
        return Err(not_found("image", &deployment.image));
    }
    check_name("host", &deployment.hostname)?;
    let input = Input::Deploy(Box::new(deployment.clone()));
    moved(cell, draft, id, &input).and_then(reply_operation)
}
