//! Which machine an agent says it runs on. That is not yet believed: the proof and
//! the machine's own record decide. So a name and an address are enough here, and
//! a lie leads at most to an exchange that cannot be ended.

use std::sync::Arc;

use model::agent::Hello;
use model::machine::{Lifecycle, Machine};
use model::{ErrorCode, Problem};

use crate::nouns::Nouns;

/// The machine, which must be one that we wait for.
pub(super) fn recognise(
    nouns: &Nouns,
    hello: &Hello,
    endorsement: Option<&str>,
) -> Result<Arc<Machine>, Problem> {
    let by_mac = by_mac(nouns, hello)?;
    let is_known = |machine: &Arc<Machine>| {
        endorsement.is_some() && machine.status.endorsement.as_deref() == endorsement
    };
    // The TPM comes first: interfaces are moved from machine to machine, TPMs are not.
    let found = match by_mac {
        Some(machine) if is_known(&machine) => Some(machine),
        other => endorsement.and_then(|it| nouns.machine_by_endorsement(it)).cloned().or(other),
    };
    let found = found.or_else(|| search(nouns, |machine| has_name(machine, hello)));
    let Some(machine) = found else {
        let detail = "no machine of ours has this TPM, one of these hardware addresses, or this serial number";
        return Err(Problem::new(ErrorCode::NotFound, detail).next(
            "Enrol the machine with its BMC first: `bedplate machine enroll`. It is then restarted into its agent.",
        ));
    };
    if !expects_agent(&machine) {
        let detail = format!(
            "{} is {}, and no agent is expected on it",
            machine.name, machine.status.lifecycle
        );
        return Err(Problem::new(ErrorCode::Conflict, detail)
            .next("Nothing: the machine is restarted into its agent when one is needed."));
    }
    Ok(machine)
}

/// Whether an agent may come: one was sent for, or one is there and comes again.
fn expects_agent(machine: &Machine) -> bool {
    let status = &machine.status;
    let over = matches!(
        status.lifecycle,
        Lifecycle::Discovered | Lifecycle::Active | Lifecycle::Retired | Lifecycle::Quarantined
    );
    status.boot.is_some() || (status.agent.is_some() && !over)
}

fn by_mac(nouns: &Nouns, hello: &Hello) -> Result<Option<Arc<Machine>>, Problem> {
    let mut found: Option<&Arc<Machine>> = None;
    for mac in &hello.macs {
        let Some(machine) = nouns.machine_by_mac(mac) else { continue };
        if found.is_some_and(|before| before.id != machine.id) {
            let detail = "its hardware addresses are those of two machines of ours";
            return Err(Problem::new(ErrorCode::Conflict, detail).next(
                "An interface was moved: recover both machines, so that their parts are read again.",
            ));
        }
        found = Some(machine);
    }
    Ok(found.cloned())
}

/// Through all machines: only for those that are not found by an address.
fn search(nouns: &Nouns, wanted: impl Fn(&Arc<Machine>) -> bool) -> Option<Arc<Machine>> {
    nouns.machines.iter().map(|(_, machine)| machine).find(|machine| wanted(machine)).cloned()
}

/// Whether the BMC told the same SMBIOS UUID or serial number. Boards leave the
/// factory with empty or common ones, so one that says nothing counts as none.
fn has_name(machine: &Machine, hello: &Hello) -> bool {
    const COMMON: [&str; 6] = [
        "",
        "0",
        "none",
        "default string",
        "to be filled by o.e.m.",
        "00000000-0000-0000-0000-000000000000",
    ];
    let Some(parts) = &machine.status.parts_by_bmc else { return false };
    let says = |told: &str| !COMMON.contains(&told.trim().to_ascii_lowercase().as_str());
    let system = &parts.system;
    (says(&hello.serial) && system.serial == hello.serial)
        || (says(&hello.uuid) && system.uuid.eq_ignore_ascii_case(&hello.uuid))
}
