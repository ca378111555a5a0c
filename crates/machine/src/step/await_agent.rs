//! Wait for the agent's hello and let it in. Whether its TPM is genuine has been
//! checked before; here it is decided whether it is *this* machine, now.

use model::machine::{Lifecycle, ReasonCode, StepKind};

use super::Heard;
use super::restart::seen;
use crate::input::Input;
use crate::turn::Turn;

/// Evidence is the admission; see [`admitted`].
pub fn hear(turn: &mut Turn<'_>, input: &Input) -> Heard {
    match input {
        Input::Sighted(sighting) => {
            seen(turn, sighting);
            Heard::Nothing
        }
        Input::Reported { .. } => Heard::Stale,
        _ => Heard::Nothing,
    }
}

/// An agent proved itself.
pub fn admitted(turn: &mut Turn<'_>, input: &Input) {
    let Input::Admitted { presence, endorsement, macs, serial } = input else {
        unreachable!("called with an admission")
    };
    let status = &turn.machine.status;
    let expected = matches!(
        status.step.as_ref().map(|step| step.kind),
        Some(StepKind::Restart | StepKind::AwaitAgent)
    );
    // An agent whose certificate ran out, or that lost it, proves itself again.
    let again = status.agent.is_some() && status.lifecycle != Lifecycle::Active;
    if !expected && !again {
        return turn.stale();
    }
    if let Some((code, fault)) = stranger(turn, endorsement.as_deref(), serial) {
        let step = turn.machine.status.step.as_ref().map(|step| step.kind);
        return turn.quarantine(code, fault.clone(), step, vec![fault]);
    }
    let status = &mut turn.machine.status;
    status.endorsement = endorsement.clone();
    for mac in macs {
        if !status.macs.contains(mac) && status.macs.len() < MACS_MAX {
            status.macs.push(mac.clone());
        }
    }
    if let Some(permit) = status.boot.take() {
        status.road = Some(permit.road);
    }
    status.power = model::bmc::PowerState::On;
    let before = status.agent.replace(presence.clone());
    if expected {
        let evidence = format!("agent {} proved itself", presence.version);
        // From the restart too: what boots our agent has restarted. The plan leaves
        // out the wait for an agent that is there.
        turn.complete(evidence);
    } else if before.is_some_and(|known| known.certificate != presence.certificate) {
        turn.repeat_for_new_agent();
    }
}

/// More hardware addresses than any server has are a lie.
const MACS_MAX: usize = 64;

/// Why this is not the machine that it was.
fn stranger(
    turn: &Turn<'_>,
    endorsement: Option<&str>,
    serial: &str,
) -> Option<(ReasonCode, String)> {
    let status = &turn.machine.status;
    let Some(endorsement) = endorsement else {
        let fault = "it has no TPM, or one that is switched off".to_owned();
        return Some((ReasonCode::NoTpm, fault));
    };
    if let Some(known) = status.endorsement.as_deref().filter(|known| *known != endorsement) {
        let fault = format!("its TPM is {endorsement}, and it was {known}");
        return Some((ReasonCode::IdentityChanged, fault));
    }
    let known = status.parts_by_bmc.as_ref().map_or("", |parts| parts.system.serial.as_str());
    if !known.is_empty() && !serial.is_empty() && known != serial {
        let fault = format!("it says serial number {serial}, and its BMC says {known}");
        return Some((ReasonCode::IdentityChanged, fault));
    }
    None
}

impl Turn<'_> {
    /// Another agent has taken the place of the one that was given the order of
    /// the current step (the machine restarted by itself): the step is tried again.
    fn repeat_for_new_agent(&mut self) {
        let Some(step) = &self.machine.status.step else { return };
        if step.effect.is_some() && step.recovery.is_none() && step.pause_until.is_none() {
            let fault = "the agent was replaced by another in the middle of it";
            self.fail(ReasonCode::NoAgent, fault);
        }
    }
}
