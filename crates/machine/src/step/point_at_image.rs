//! Have the BMC point the next boot, and only that, at our image. The address is
//! for one machine and one boot.
//!
//! The BMC's word is all there is here; whether it did so shows in the next step.

use model::bmc::{BmcCommand, BmcFact, BootTarget};
use model::effect::{Action, Outcome};
use model::machine::{BootPermit, BootRoad, MachineStatus, ReasonCode};
use world::entropy::new_token;

use super::{Heard, bmc_fault};
use crate::input::Input;
use crate::turn::Turn;

/// Gives leave to boot and tells the BMC.
pub fn begin(turn: &mut Turn<'_>) {
    let now = turn.now();
    let token = new_token::<16>(turn.around.entropy);
    let status = &mut turn.machine.status;
    let road = status.boot.as_ref().map(|permit| permit.road).or(status.road);
    let road = road.unwrap_or_else(|| preferred(status));
    let command = first_command(road, &token, turn.around.settings);
    turn.machine.status.boot =
        Some(BootPermit { token, road, issued: now, seen: None, fetched: None });
    turn.emit_for_step(Action::Bmc { command });
}

fn preferred(status: &MachineStatus) -> BootRoad {
    if status.abilities.http_boot {
        BootRoad::Http
    } else if status.abilities.virtual_media {
        BootRoad::Media
    } else {
        BootRoad::Pxe
    }
}

/// Another road than the one that failed.
pub fn take_other_road(status: &mut MachineStatus) {
    let abilities = status.abilities;
    let failed = status.boot.as_ref().map_or(BootRoad::Pxe, |permit| permit.road);
    let other = match failed {
        BootRoad::Http if abilities.virtual_media => BootRoad::Media,
        BootRoad::Http => BootRoad::Pxe,
        BootRoad::Media if abilities.http_boot => BootRoad::Http,
        BootRoad::Media => BootRoad::Pxe,
        BootRoad::Pxe if abilities.http_boot => BootRoad::Http,
        BootRoad::Pxe => BootRoad::Media,
    };
    if let Some(permit) = &mut status.boot {
        permit.road = other;
    }
    status.road = Some(other);
}

fn first_command(road: BootRoad, token: &str, settings: &crate::Settings) -> BmcCommand {
    match road {
        BootRoad::Http => {
            let uri = format!("{}/boot/{token}/bedplate.efi", settings.boot_url);
            BmcCommand::SetBoot { target: BootTarget::Http { uri } }
        }
        BootRoad::Media => {
            let url = format!("{}/media/{token}/bedplate.iso", settings.media_url);
            BmcCommand::InsertMedia { url }
        }
        BootRoad::Pxe => BmcCommand::SetBoot { target: BootTarget::Pxe },
    }
}

/// Evidence: the BMC took the last of its commands.
pub fn hear(turn: &mut Turn<'_>, input: &Input) -> Heard {
    let Input::Settled { outcome, .. } = input else { return Heard::Nothing };
    let Outcome::Bmc { fact } = outcome else { return bmc_fault(outcome) };
    if *fact != BmcFact::Accepted {
        return Heard::Failed(ReasonCode::BmcUnfit, "the BMC answered something else".to_owned());
    }
    let road = turn.machine.status.boot.as_ref().map(|permit| permit.road);
    let inserted = turn.step().progress.is_some();
    if road == Some(BootRoad::Media) && !inserted {
        let doing = "medium inserted".to_owned();
        turn.step_mut().progress = Some(model::machine::Progress { doing, done: 1, total: 2 });
        let command = BmcCommand::SetBoot { target: BootTarget::Media };
        turn.emit_for_step(Action::Bmc { command });
        return Heard::Nothing;
    }
    let road = match road {
        Some(BootRoad::Http) => "HTTP boot",
        Some(BootRoad::Media) => "virtual media",
        _ => "PXE",
    };
    Heard::Done(format!("next boot by {road}"))
}
