//! Have the agent tell the parts, as the machine itself sees them.

use model::agent::{AgentCommand, AgentFact};
use model::effect::Action;
use model::machine::ReasonCode;

use super::{Heard, unasked};
use crate::input::Input;
use crate::turn::Turn;

/// Asks the agent.
pub fn begin(turn: &mut Turn<'_>) {
    turn.emit_for_step(Action::Agent { command: AgentCommand::Report });
}

/// Evidence: an inventory that fits what the BMC said.
pub fn done(turn: &mut Turn<'_>, fact: &AgentFact, _: &Input) -> Heard {
    let AgentFact::Inventory { inventory } = fact else { return unasked(fact) };
    if inventory.disks.is_empty() {
        let fault = "it has no disk to install a system on".to_owned();
        return Heard::Fatal(ReasonCode::HardwareFailed, fault);
    }
    let summary = format!(
        "{} cores, {}, {} disks, {} network interfaces",
        inventory.cores(),
        inventory.memory_total(),
        inventory.disks.len(),
        inventory.nics.len()
    );
    turn.machine.status.parts = Some(inventory.clone());
    Heard::Done(summary)
}
