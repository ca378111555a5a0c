//! Read the parts and the power state from the BMC.

use model::bmc::{BmcCommand, BmcFact};
use model::effect::{Action, Outcome};
use model::machine::ReasonCode;

use super::{Heard, bmc_fault};
use crate::input::Input;
use crate::turn::Turn;

/// Asks the BMC.
pub fn begin(turn: &mut Turn<'_>) {
    turn.emit_for_step(Action::Bmc { command: BmcCommand::Inspect });
}

/// Evidence: an inventory of the machine that it was before.
pub fn hear(turn: &mut Turn<'_>, input: &Input) -> Heard {
    let Input::Settled { outcome, .. } = input else { return Heard::Nothing };
    let Outcome::Bmc { fact } = outcome else { return bmc_fault(outcome) };
    let BmcFact::Inventory { inventory, power, abilities, certificate } = fact else {
        return Heard::Failed(ReasonCode::BmcUnfit, "the BMC answered something else".to_owned());
    };
    // The first contact decides which certificate is the BMC's, unless whoever
    // enrolled it said so. From then on no other is accepted.
    if let Some(bmc) = turn.machine.spec.bmc.as_mut().filter(|bmc| bmc.certificate.is_none()) {
        bmc.certificate.clone_from(certificate);
    }
    let status = &mut turn.machine.status;
    let known = status.parts_by_bmc.as_ref().map_or("", |parts| parts.system.serial.as_str());
    let told = inventory.system.serial.as_str();
    if !known.is_empty() && !told.is_empty() && known != told {
        let fault = format!("its BMC says serial number {told}, and it was {known}");
        return Heard::Fatal(ReasonCode::IdentityChanged, fault);
    }
    for nic in &inventory.nics {
        let mac = nic.mac.to_ascii_lowercase();
        if !mac.is_empty() && !status.macs.contains(&mac) {
            status.macs.push(mac);
        }
    }
    status.power = *power;
    status.abilities = *abilities;
    status.parts_by_bmc = Some(inventory.clone());
    let system = &inventory.system;
    Heard::Done(format!("{} {} {}", system.manufacturer, system.product, system.serial))
}
