//! What people ask of attestation policies.

use model::attestation::{Policy, PolicyMode, PolicySpec, PolicyStatus};
use model::id::MachineId;
use model::problem::{ErrorCode, Problem};
use world::entropy::new_id;

use super::{Call, Cell, Draft, Reply, check_name, not_found};

/// Dispatches to one function a call.
pub fn answer(cell: &Cell, draft: &mut Draft<'_>) -> Result<Reply, Problem> {
    let ask = draft.ask;
    match &ask.call {
        Call::UpdatePolicy { policy, spec } => {
            let status = cell.nouns.policies.by_name(policy).map(|known| known.status.clone());
            put(cell, draft, policy, spec.clone(), status.unwrap_or_default())
        }
        Call::LearnPolicy { policy, machine, mode } => learn(cell, draft, policy, *machine, *mode),
        _ => unreachable!("dispatched by the cell"),
    }
}

fn learn(
    cell: &Cell,
    draft: &mut Draft<'_>,
    policy: &str,
    id: MachineId,
    mode: PolicyMode,
) -> Result<Reply, Problem> {
    let machine = cell.nouns.machines.get(id.uuid()).ok_or_else(|| not_found("machine", id))?;
    let verdict = machine.status.attestation.as_ref().ok_or_else(|| {
        let detail = format!("machine {} has not been attested yet", machine.name);
        Problem::new(ErrorCode::Conflict, detail)
            .next("Enrol it, wait until it is available, and learn then.")
    })?;
    // Records of before have it all in the machine's status.
    let judgement = cell.nouns.judgements.get(id.uuid()).map(|judgement| &judgement.status);
    let verdict = judgement.filter(|it| it.nonce == verdict.nonce).unwrap_or(verdict);
    let pcrs = attest::learn(verdict);
    if pcrs.is_empty() {
        let detail =
            format!("the last quote of machine {} proved nothing to learn from", machine.name);
        return Err(Problem::new(ErrorCode::Conflict, detail)
            .next("See why: bedplate machine show NAME. Learn from a machine that is well."));
    }
    let roots = cell.nouns.policies.by_name(policy);
    let endorsement_roots = roots.map(|known| known.spec.endorsement_roots.clone());
    let spec = PolicySpec { mode, pcrs, endorsement_roots: endorsement_roots.unwrap_or_default() };
    let status = PolicyStatus { learnt_from: Some(id), learnt_at: Some(draft.now) };
    put(cell, draft, policy, spec, status)
}

fn put(
    cell: &Cell,
    draft: &mut Draft<'_>,
    name: &str,
    spec: PolicySpec,
    status: PolicyStatus,
) -> Result<Reply, Problem> {
    check_name("policy", name)?;
    let now = draft.now;
    let policy = match cell.nouns.policies.by_name(name) {
        Some(known) => {
            draft.expect(known.generation)?;
            let generation = known.generation + 1;
            Policy { generation, updated: now, spec, status, ..Policy::clone(known) }
        }
        None => Policy {
            id: new_id(now, draft.entropy),
            name: name.to_owned(),
            generation: 1,
            labels: Default::default(),
            created: now,
            updated: now,
            spec,
            status,
        },
    };
    draft.put(&policy);
    Ok(Reply::Policy(Box::new(policy)))
}
