//! Have the agent leave for the system on disk.

use model::agent::{AgentCommand, AgentFact};
use model::effect::Action;
use model::machine::StepKind;

use super::{Heard, await_system, of_agent, unasked};
use crate::input::Input;
use crate::turn::Turn;

/// Asks the agent.
pub fn begin(turn: &mut Turn<'_>) {
    let kexec = turn.machine.spec.deployment.as_ref().is_some_and(|wanted| wanted.kexec);
    turn.emit_for_step(Action::Agent { command: AgentCommand::BootDisk { kexec } });
}

/// Evidence: the agent said that it leaves, or the system called home already.
pub fn hear(turn: &mut Turn<'_>, input: &Input) -> Heard {
    if let Input::CalledHome { .. } = input {
        turn.machine.status.agent = None;
        turn.complete("the system called home".to_owned());
        assert_eq!(turn.step().kind, StepKind::AwaitSystem, "the plan waits for the system next");
        return await_system::hear(turn, input);
    }
    of_agent(turn, input, done)
}

fn done(turn: &mut Turn<'_>, fact: &AgentFact, _: &Input) -> Heard {
    match fact {
        AgentFact::Leaving => {
            turn.machine.status.agent = None;
            Heard::Done("the agent left for the disk".to_owned())
        }
        _ => unasked(fact),
    }
}
