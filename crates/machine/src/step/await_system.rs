//! Wait for the system. Evidence: it called home with the token that was written
//! into its seed, which nobody else has, and which works once.

use super::Heard;
use crate::input::Input;
use crate::turn::Turn;

/// Hears the call.
pub fn hear(turn: &mut Turn<'_>, input: &Input) -> Heard {
    let Input::CalledHome { address, host_keys } = input else {
        return match input {
            Input::Reported { .. } => Heard::Stale,
            _ => Heard::Nothing,
        };
    };
    let now = turn.now();
    let Some(system) = &mut turn.machine.status.system else { return Heard::Stale };
    if system.called_home.is_some() {
        return Heard::Stale;
    }
    system.called_home = Some(now);
    system.address = Some(address.clone());
    system.host_keys.clone_from(host_keys);
    Heard::Done(format!("the system called home from {address}"))
}
