//! What machines cause: sightings, admissions, reports, answers of BMCs, calls
//! home, and deadlines. All of it may come late, twice, or from a liar.

use machine::Input;
use model::id::MachineId;
use model::machine::Lifecycle;
use model::problem::{ErrorCode, Problem};
use model::sighting::Sighting;
use record::Change;

use super::machines::{moved, seen_on_network};
use super::{Call, Cell, Draft, Reply, not_found};

/// More machines than this are not kept only because they were seen on the network.
const DISCOVERED_MAX: usize = 1_000;

/// Dispatches to the machine that it is about.
pub fn answer(cell: &Cell, draft: &mut Draft<'_>) -> Result<Reply, Problem> {
    let ask = draft.ask;
    match &ask.call {
        Call::Sighted { sighting } => sighted(cell, draft, sighting),
        Call::Admit { machine, presence, endorsement, macs, serial } => {
            let input = Input::Admitted {
                presence: presence.clone(),
                endorsement: endorsement.clone(),
                macs: macs.clone(),
                serial: serial.clone(),
            };
            admit(cell, draft, *machine, &input)
        }
        Call::Reported { machine, certificate, report, verdict, sanitised } => {
            let input = Input::Reported {
                certificate: certificate.clone(),
                report: report.clone(),
                verdict: verdict.clone(),
                sanitised: sanitised.clone(),
            };
            heard(cell, draft, *machine, &input)
        }
        Call::Settled { effect, outcome } => settled(cell, draft, *effect, outcome),
        Call::PowerSeen { machine, power } => {
            heard(cell, draft, *machine, &Input::PowerSeen(*power))
        }
        Call::CalledHome { token_digest, address, host_keys } => {
            called_home(cell, draft, token_digest, address, host_keys)
        }
        Call::Due { machine } => heard(cell, draft, *machine, &Input::Due),
        _ => unreachable!("dispatched by the cell"),
    }
}

fn heard(
    cell: &Cell,
    draft: &mut Draft<'_>,
    machine: MachineId,
    input: &Input,
) -> Result<Reply, Problem> {
    let moved = moved(cell, draft, machine, input)?;
    Ok(Reply::Heard { stale: moved.stale })
}

fn sighted(cell: &Cell, draft: &mut Draft<'_>, sighting: &Sighting) -> Result<Reply, Problem> {
    let machine = match sighting {
        Sighting::Dhcp { mac, .. } => cell.nouns.machine_by_mac(mac),
        Sighting::Fetching { token } | Sighting::Fetched { token } => {
            cell.nouns.machine_by_boot_token(token)
        }
    };
    if let Some(machine) = machine {
        return heard(cell, draft, machine.id, &Input::Sighted(sighting.clone()));
    }
    if let Sighting::Dhcp { mac, client, .. } = sighting {
        let firmware = client.starts_with("HTTPClient") || client.starts_with("PXEClient");
        let name = format!("mac-{}", mac.replace(':', ""));
        let known = cell.nouns.machines.by_name(&name).is_some();
        if firmware && !known && cell.nouns.machines.len() < machines_max(cell) {
            seen_on_network(draft, name, mac);
        }
    }
    Ok(Reply::Heard { stale: true })
}

/// Anybody on the wire can make up addresses: what they make us keep is bounded.
fn machines_max(cell: &Cell) -> usize {
    let discovered = |lifecycle| lifecycle == Lifecycle::Discovered;
    let all = cell.nouns.machines.iter();
    let seen = all.filter(|(_, machine)| discovered(machine.status.lifecycle)).count();
    if seen >= DISCOVERED_MAX { 0 } else { usize::MAX }
}

fn admit(
    cell: &Cell,
    draft: &mut Draft<'_>,
    machine: MachineId,
    input: &Input,
) -> Result<Reply, Problem> {
    let moved = moved(cell, draft, machine, input)?;
    if moved.stale {
        let detail = format!(
            "machine {} is {} and was not told to boot from us",
            moved.machine.name, moved.machine.status.lifecycle
        );
        return Err(Problem::new(ErrorCode::Conflict, detail)
            .next("Its agent goes on trying; deploy, release or recover it to let it in."));
    }
    // A machine that is quarantined now was let in by nobody: the reply shows the reason.
    Ok(Reply::Machine(Box::new(moved.machine)))
}

fn settled(
    cell: &Cell,
    draft: &mut Draft<'_>,
    effect: model::id::EffectId,
    outcome: &model::effect::Outcome,
) -> Result<Reply, Problem> {
    let Some(known) = cell.nouns.outbox.get(&effect) else {
        return Ok(Reply::Heard { stale: true });
    };
    let input = Input::Settled { effect, outcome: outcome.clone() };
    if cell.nouns.machines.get(known.machine.uuid()).is_some() {
        return heard(cell, draft, known.machine, &input);
    }
    let outcome = "{\"outcome\":\"superseded\"}".to_owned();
    draft.changes.push(Change::EffectSettled { id: effect.uuid(), outcome });
    Ok(Reply::Heard { stale: true })
}

fn called_home(
    cell: &Cell,
    draft: &mut Draft<'_>,
    token_digest: &str,
    address: &str,
    host_keys: &[String],
) -> Result<Reply, Problem> {
    let machine = cell.nouns.machine_by_home_token(token_digest);
    let machine = machine.ok_or_else(|| not_found("system", "that waits for this call"))?;
    let input = Input::CalledHome { address: address.to_owned(), host_keys: host_keys.to_vec() };
    heard(cell, draft, machine.id, &input)
}
