//! Have the agent work the parts for a while and watch for faults.

use model::agent::{AgentCommand, AgentFact};
use model::effect::Action;
use model::machine::ReasonCode;

use super::{Heard, unasked};
use crate::input::Input;
use crate::turn::Turn;

/// Asks the agent.
pub fn begin(turn: &mut Turn<'_>) {
    let span = turn.around.settings.burn_in;
    turn.emit_for_step(Action::Agent { command: AgentCommand::BurnIn { span } });
    let step = turn.step_mut();
    step.deadline = step.deadline + span;
}

/// Evidence: every test passed.
pub fn done(_: &mut Turn<'_>, fact: &AgentFact, _: &Input) -> Heard {
    let AgentFact::BurnedIn { results } = fact else { return unasked(fact) };
    if results.is_empty() {
        let fault = "the burn-in tested nothing".to_owned();
        return Heard::Failed(ReasonCode::HardwareFailed, fault);
    }
    let failed: Vec<String> = results
        .iter()
        .filter(|result| !result.passed)
        .map(|result| format!("{}: {}", result.test, result.detail))
        .collect();
    if failed.is_empty() {
        let all: Vec<String> =
            results.iter().map(|result| format!("{}: {}", result.test, result.detail)).collect();
        return Heard::Done(all.join("; "));
    }
    Heard::Fatal(ReasonCode::HardwareFailed, failed.join("; "))
}
