//! Restart by the BMC. Evidence is boot progress seen after the request: BMCs
//! take requests and do nothing, or answer and lie.

use model::bmc::{BmcCommand, PowerAction};
use model::effect::{Action, Outcome};
use model::machine::BootRoad;
use model::sighting::Sighting;

use super::{Heard, bmc_fault};
use crate::input::Input;
use crate::turn::Turn;

/// Asks the BMC for a restart.
pub fn begin(turn: &mut Turn<'_>) {
    let command = BmcCommand::Power { action: PowerAction::Cycle };
    turn.emit_for_step(Action::Bmc { command });
}

/// Evidence: the firmware was seen on the network, or fetched its image.
pub fn hear(turn: &mut Turn<'_>, input: &Input) -> Heard {
    match input {
        // Taken is not done. A refusal is a fault at once.
        Input::Settled { outcome: Outcome::Bmc { .. }, .. } => Heard::Nothing,
        Input::Settled { outcome, .. } => bmc_fault(outcome),
        Input::Sighted(sighting) => match seen(turn, sighting) {
            Some(evidence) => Heard::Done(evidence),
            None => Heard::Nothing,
        },
        Input::Reported { .. } => Heard::Stale,
        _ => Heard::Nothing,
    }
}

/// Notes a sign of life on the permit, and says in words what it proves.
pub fn seen(turn: &mut Turn<'_>, sighting: &Sighting) -> Option<String> {
    let now = turn.now();
    let status = &mut turn.machine.status;
    let permit = status.boot.as_mut()?;
    let evidence = match sighting {
        Sighting::Fetching { token } if *token == permit.token => {
            // The BMC itself fetches virtual media, before the machine starts.
            (permit.road != BootRoad::Media).then(|| "it fetches its boot image".to_owned())
        }
        Sighting::Fetched { token } if *token == permit.token => {
            permit.fetched = Some(now);
            (permit.road != BootRoad::Media).then(|| "it fetched its boot image".to_owned())
        }
        Sighting::Dhcp { mac, client, .. } if status.macs.contains(mac) => {
            firmware_or_agent(client).then(|| format!("{client} asked for an address"))
        }
        _ => None,
    };
    if evidence.is_some() {
        permit.seen.get_or_insert(now);
    }
    evidence
}

/// A tenant's system that still runs also asks for addresses; it is no evidence.
fn firmware_or_agent(client: &str) -> bool {
    ["HTTPClient", "PXEClient", "bedplate"].iter().any(|known| client.starts_with(known))
}
