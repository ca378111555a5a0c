//! Have the agent quote its PCRs over a fresh nonce, and act on the judgement.
//! The judgement itself is the crate `attest`'s; it comes in with the report.

use model::agent::{AgentCommand, AgentFact};
use model::attestation::Finding;
use model::effect::Action;
use model::encoded::Encoded;
use model::machine::ReasonCode;

use super::{Heard, unasked};
use crate::input::Input;
use crate::turn::Turn;

/// Makes a nonce and asks for a quote over it.
pub fn begin(turn: &mut Turn<'_>) {
    let mut nonce = vec![0; 32];
    turn.around.entropy.fill(&mut nonce);
    let nonce = Encoded(nonce);
    turn.machine.status.nonce = Some(nonce.clone());
    let pcrs = turn.around.settings.pcrs.clone();
    turn.emit_for_step(Action::Agent { command: AgentCommand::Quote { nonce, pcrs } });
}

/// Evidence: a verdict on this very nonce.
pub fn done(turn: &mut Turn<'_>, fact: &AgentFact, input: &Input) -> Heard {
    let AgentFact::Quoted { .. } = fact else { return unasked(fact) };
    let Input::Reported { verdict: Some(verdict), .. } = input else {
        return Heard::Failed(ReasonCode::AttestationFailed, "the quote was not judged".to_owned());
    };
    let asked = turn.machine.status.nonce.as_ref().map(hex);
    if asked.as_deref() != Some(verdict.nonce.as_str()) {
        return Heard::Stale;
    }
    turn.machine.status.nonce = None;
    turn.machine.status.attestation = Some((**verdict).clone());
    match &verdict.finding {
        Finding::Trusted => Heard::Done(format!("trusted by policy {}", verdict.policy)),
        Finding::Learning => Heard::Done("genuine; no policy is enforced yet".to_owned()),
        // Evidence that does not match is never asked for twice.
        Finding::Refused { code, message } => {
            Heard::Fatal(ReasonCode::AttestationFailed, format!("{code}: {message}"))
        }
    }
}

/// Lower-case hexadecimal, as verdicts name nonces.
fn hex(bytes: &Encoded) -> String {
    bytes.0.iter().map(|byte| format!("{byte:02x}")).collect()
}
