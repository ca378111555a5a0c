//! Machines as hosts of instances: offered, emptied, left alone.

use model::Resources;
use model::fleet::{Hold, Host, HostSpec, HostStatus};
use model::id::{HostId, MachineId};
use model::inventory::Inventory;
use model::machine::{Lifecycle, Machine};
use model::problem::{ErrorCode, Problem};

use super::{Call, Cell, Draft, HoldKind, Reply, not_found};

/// Dispatches to one function a call.
pub fn answer(cell: &Cell, draft: &mut Draft<'_>) -> Result<Reply, Problem> {
    let ask = draft.ask;
    match &ask.call {
        Call::Hold { machine, what, reason } => {
            hold(cell, draft, *machine, *what, reason.as_deref())
        }
        Call::OfferHost { machine, spec } => offer(cell, draft, *machine, spec),
        Call::WithdrawHost { machine } => {
            let known = cell.nouns.hosts.get(machine.uuid());
            let known = known.ok_or_else(|| not_found("host", machine))?.clone();
            draft.expect(known.generation)?;
            leave(cell, draft, *machine)?;
            Ok(Reply::Host(Box::new(Host::clone(&known))))
        }
        _ => unreachable!("dispatched by the cell"),
    }
}

fn hold(
    cell: &Cell,
    draft: &mut Draft<'_>,
    id: MachineId,
    what: HoldKind,
    reason: Option<&str>,
) -> Result<Reply, Problem> {
    let known = cell.nouns.machines.get(id.uuid()).ok_or_else(|| not_found("machine", id))?;
    draft.expect(known.generation)?;
    let mut machine = Machine::clone(known);
    let place = match what {
        HoldKind::Drain => &mut machine.spec.drain,
        HoldKind::Lock => &mut machine.spec.lock,
    };
    if reason.is_none() && place.is_none() {
        return Ok(Reply::Machine(Box::new(machine)));
    }
    *place = reason.map(|reason| Hold {
        by: draft.ask.actor.clone(),
        since: place.as_ref().map_or(draft.now, |hold| hold.since),
        reason: reason.to_owned(),
    });
    machine.generation += 1;
    machine.updated = draft.now;
    draft.put(&machine);
    Ok(Reply::Machine(Box::new(machine)))
}

fn offer(
    cell: &Cell,
    draft: &mut Draft<'_>,
    id: MachineId,
    spec: &HostSpec,
) -> Result<Reply, Problem> {
    let machine = cell.nouns.machines.get(id.uuid()).ok_or_else(|| not_found("machine", id))?;
    if machine.status.lifecycle != Lifecycle::Active {
        let detail = format!(
            "machine {} is {}; a host is one that is active",
            machine.name, machine.status.lifecycle
        );
        return Err(Problem::new(ErrorCode::Conflict, detail)
            .next("Deploy a host's system on it first: bedplate machine deploy."));
    }
    let room = room(machine, spec)?;
    let status = HostStatus { room, rack: machine.spec.rack.clone() };
    let before = cell.nouns.hosts.get(id.uuid());
    if let Some(known) = before {
        draft.expect(known.generation)?;
        empty(cell, machine)?;
    }
    let host = Host {
        id: HostId::from_uuid(id.uuid()),
        name: machine.name.clone(),
        generation: before.map_or(0, |known| known.generation) + 1,
        labels: machine.labels.clone(),
        created: before.map_or(draft.now, |known| known.created),
        updated: draft.now,
        spec: spec.clone(),
        status,
    };
    draft.put(&host);
    Ok(Reply::Host(Box::new(host)))
}

/// A machine ceases to be a host, if it is one: it must have no instances.
pub fn leave(cell: &Cell, draft: &mut Draft<'_>, id: MachineId) -> Result<(), Problem> {
    let Some(host) = cell.nouns.hosts.get(id.uuid()) else { return Ok(()) };
    if let Some(machine) = cell.nouns.machines.get(id.uuid()) {
        empty(cell, machine)?;
    }
    draft.remove::<Host>(host);
    Ok(())
}

fn empty(cell: &Cell, machine: &Machine) -> Result<(), Problem> {
    let instances = cell.nouns.placing.on(machine.id.uuid()).count();
    if instances == 0 {
        return Ok(());
    }
    let detail = format!("machine {} has {instances} instances", machine.name);
    let next = format!(
        "Empty it first: bedplate machine drain {} --reason …; `bedplate fleet status` tells how far it is.",
        machine.name
    );
    Err(Problem::new(ErrorCode::Conflict, detail).next(next))
}

/// What instances can take of each memory node.
fn room(machine: &Machine, spec: &HostSpec) -> Result<Vec<Resources>, Problem> {
    let unfit = |detail: String| Problem::new(ErrorCode::InvalidRequest, detail);
    let mut nodes = spec.nodes.clone();
    if nodes.is_empty() {
        let status = &machine.status;
        let parts = status.parts.as_ref().or(status.parts_by_bmc.as_ref());
        let parts = parts.ok_or_else(|| {
            unfit(format!("the parts of {} are not known; say what it has", machine.name))
        })?;
        nodes.push(of_parts(parts));
    }
    if nodes.len() > fleet::placement::state::NODES {
        return Err(unfit(format!("a host has {} memory nodes", nodes.len())));
    }
    if !(1..=1_000).contains(&spec.cores_percent) {
        let detail = format!("cores_percent is {}; it must be 1 to 1000", spec.cores_percent);
        return Err(unfit(detail));
    }
    for node in &mut nodes {
        let cores = u64::from(node.millicores) * u64::from(spec.cores_percent) / 100;
        node.millicores = u32::try_from(cores)
            .map_err(|_| unfit("a node has more cores than can be counted".to_owned()))?;
    }
    let first = nodes.first_mut().expect("there is one node at least");
    *first = first.minus(&spec.reserve).ok_or_else(|| {
        unfit(format!("the first node has {first}, and {} is to be kept", spec.reserve))
    })?;
    let mut sums = [0_u64; 5];
    for node in &nodes {
        for (sum, amount) in sums.iter_mut().zip(node.amounts()) {
            *sum += u64::from(amount);
        }
    }
    if sums.iter().any(|sum| *sum > u64::from(u32::MAX)) || sums == [0; 5] {
        return Err(unfit("a host must have something, and not more than there is".to_owned()));
    }
    Ok(nodes)
}

/// PCI classes of GPUs that compute (PCI Code and ID Assignment 1.15: 3D controllers,
/// processing accelerators); those that only show a picture are others.
const GPU_CLASSES: [u32; 2] = [0x0302, 0x1200];

/// What a machine of these parts has.
fn of_parts(parts: &Inventory) -> Resources {
    let fits = |amount: u64| u32::try_from(amount).unwrap_or(u32::MAX);
    let threads: u64 = parts.processors.iter().map(|it| u64::from(it.threads.max(it.cores))).sum();
    let disks: u64 = parts.disks.iter().map(|disk| disk.size.0).sum();
    let network: u64 =
        parts.nics.iter().filter(|nic| nic.link).map(|nic| u64::from(nic.speed_mbps)).sum();
    let gpus = parts.pci.iter().filter(|it| GPU_CLASSES.contains(&(it.class >> 8))).count();
    Resources {
        millicores: fits(threads * 1_000),
        memory_mib: fits(parts.memory_total().0 >> 20),
        disk_gib: fits(disks >> 30),
        network_mbps: fits(network),
        gpus: fits(gpus as u64),
    }
}
