//! Have the agent sanitise every disk. Evidence is a sample read back with
//! nothing left, disk by disk, and a certificate signed over it.

use model::agent::{AgentCommand, AgentFact, SanitisedDisk};
use model::effect::Action;
use model::machine::{ReasonCode, SanitiseMethod};

use super::{Heard, unasked};
use crate::input::Input;
use crate::turn::Turn;

/// Asks the agent for the best that each disk can do.
pub fn begin(turn: &mut Turn<'_>) {
    let sample_ppm = turn.around.settings.sample_ppm;
    let method = SanitiseMethod::CryptoErase;
    turn.emit_for_step(Action::Agent { command: AgentCommand::Sanitise { method, sample_ppm } });
}

/// Judges the report disk by disk.
pub fn done(turn: &mut Turn<'_>, fact: &AgentFact, input: &Input) -> Heard {
    let AgentFact::Sanitised { disks } = fact else { return unasked(fact) };
    if let Some(fault) = unclean(turn, disks) {
        return Heard::Fatal(ReasonCode::SanitiseFailed, fault);
    }
    let Input::Reported { sanitised: Some(certificate), .. } = input else {
        let fault = "the certificate was not signed".to_owned();
        return Heard::Failed(ReasonCode::SanitiseFailed, fault);
    };
    let count = disks.len();
    turn.machine.status.certificate = Some((**certificate).clone());
    turn.machine.spec.deployment = None;
    turn.machine.status.system = None;
    Heard::Done(format!("{count} disks sanitised, certificate signed"))
}

/// What is wrong with the report: a disk with a residue, unread, or left out.
fn unclean(turn: &Turn<'_>, disks: &[SanitisedDisk]) -> Option<String> {
    for disk in disks {
        if disk.residue.0 > 0 {
            return Some(format!("{} of data remained on {}", disk.residue, disk.disk));
        }
        if disk.sampled.0 == 0 {
            return Some(format!("nothing was read back from {}", disk.disk));
        }
    }
    let parts = turn.machine.status.parts.as_ref()?;
    let missing = parts.disks.iter().find(|part| {
        let same = |disk: &SanitisedDisk| disk.serial == part.serial && disk.disk == part.name;
        !disks.iter().any(same)
    })?;
    Some(format!("disk {} ({}) was left out", missing.name, missing.serial))
}
