//! What is done with each input: the verbs that people use, and the events that
//! machines cause.

use model::bmc::{BmcCommand, BmcFact, PowerAction, PowerState};
use model::effect::{Action, Outcome};
use model::id::EffectId;
use model::machine::{Deployment, Lifecycle, ReasonCode};
use model::operation::{OperationKind, OperationState, Settlement, StepResult};

use crate::input::{Input, Refusal};
use crate::turn::Turn;
use crate::{plan, step};

/// Takes an input.
pub fn take(turn: &mut Turn<'_>, input: &Input) -> Result<(), Refusal> {
    match input {
        Input::Enroll => enroll(turn),
        Input::Deploy(deployment) => deploy(turn, deployment),
        Input::Release => release(turn),
        Input::Recover => recover(turn),
        Input::Quarantine(why) => quarantine(turn, why),
        Input::SetAside(to) => set_aside(turn, *to),
        Input::Settle(settlement) => settle(turn, *settlement),
        Input::Power(action) => power(turn, *action),
        Input::Admitted { .. } => {
            step::await_agent::admitted(turn, input);
            Ok(())
        }
        Input::Settled { effect, outcome } => {
            settled(turn, *effect, outcome, input);
            Ok(())
        }
        Input::PowerSeen(power) => {
            turn.machine.status.power = *power;
            Ok(())
        }
        Input::Due => {
            due(turn);
            Ok(())
        }
        Input::Sighted(_) | Input::Reported { .. } | Input::CalledHome { .. } => {
            hear(turn, input);
            Ok(())
        }
    }
}

fn allow(
    turn: &Turn<'_>,
    asked: &'static str,
    allowed: &'static [Lifecycle],
) -> Result<(), Refusal> {
    let lifecycle = turn.machine.status.lifecycle;
    if allowed.contains(&lifecycle) {
        return Ok(());
    }
    Err(Refusal::State { asked, lifecycle, allowed })
}

fn enroll(turn: &mut Turn<'_>) -> Result<(), Refusal> {
    allow(turn, "enroll", &[Lifecycle::Discovered])?;
    if turn.machine.spec.bmc.is_none() {
        return Err(Refusal::Unfit("the machine has no BMC address".to_owned()));
    }
    turn.enter(Lifecycle::Enrolled);
    turn.begin(OperationKind::Enroll, None);
    Ok(())
}

fn deploy(turn: &mut Turn<'_>, deployment: &Deployment) -> Result<(), Refusal> {
    allow(turn, "deploy", &[Lifecycle::Available])?;
    if turn.around.image.is_none() {
        let message = format!("image {} is not ready", deployment.image);
        return Err(Refusal::Unfit(message));
    }
    turn.machine.spec.deployment = Some(deployment.clone());
    turn.machine.generation += 1;
    turn.machine.status.system = None;
    turn.begin(OperationKind::Deploy, Some(deployment.project.clone()));
    Ok(())
}

fn release(turn: &mut Turn<'_>) -> Result<(), Refusal> {
    allow(turn, "release", &[Lifecycle::Active])?;
    let project = turn.machine.spec.deployment.as_ref().map(|wanted| wanted.project.clone());
    turn.machine.generation += 1;
    turn.machine.status.system = None;
    turn.machine.status.agent = None;
    turn.begin(OperationKind::Release, project);
    Ok(())
}

fn recover(turn: &mut Turn<'_>) -> Result<(), Refusal> {
    allow(turn, "recover", &[Lifecycle::Quarantined, Lifecycle::Maintenance])?;
    if turn.machine.spec.bmc.is_none() {
        return Err(Refusal::Unfit("the machine has no BMC address".to_owned()));
    }
    turn.machine.generation += 1;
    turn.machine.status.system = None;
    turn.machine.status.agent = None;
    turn.begin(OperationKind::Recover, None);
    Ok(())
}

fn quarantine(turn: &mut Turn<'_>, why: &str) -> Result<(), Refusal> {
    const ALLOWED: &[Lifecycle] = &[
        Lifecycle::Enrolled,
        Lifecycle::Inspecting,
        Lifecycle::Attesting,
        Lifecycle::Testing,
        Lifecycle::Available,
        Lifecycle::Deploying,
        Lifecycle::Active,
        Lifecycle::Releasing,
        Lifecycle::Sanitising,
        Lifecycle::Maintenance,
    ];
    allow(turn, "quarantine", ALLOWED)?;
    let step = turn.machine.status.step.as_ref().map(|step| step.kind);
    let message = format!("{} asked for it: {why}", turn.around.actor);
    turn.machine.generation += 1;
    turn.quarantine(ReasonCode::Requested, message, step, Vec::new());
    Ok(())
}

fn set_aside(turn: &mut Turn<'_>, to: Lifecycle) -> Result<(), Refusal> {
    const ALLOWED: &[Lifecycle] = &[
        Lifecycle::Discovered,
        Lifecycle::Available,
        Lifecycle::Quarantined,
        Lifecycle::Maintenance,
    ];
    allow(turn, "set-aside", ALLOWED)?;
    if !matches!(to, Lifecycle::Maintenance | Lifecycle::Retired) {
        return Err(Refusal::Unfit(format!("{to} is not maintenance or retired")));
    }
    if turn.operation.as_ref().is_some_and(|work| !work.state.ended()) {
        turn.end_operation(OperationState::Abandoned);
    }
    turn.machine.status.agent = None;
    turn.machine.status.boot = None;
    turn.machine.generation += 1;
    turn.enter(to);
    Ok(())
}

/// What a person decides about an operation that needs attention.
fn settle(turn: &mut Turn<'_>, settlement: Settlement) -> Result<(), Refusal> {
    allow(turn, "settle", &[Lifecycle::Quarantined])?;
    let reason = turn.machine.status.reason.clone().expect("a quarantine has a reason");
    if turn.operation.as_ref().is_none_or(|work| work.state != OperationState::NeedsAttention) {
        return Err(Refusal::Unfit("the operation does not need attention".to_owned()));
    }
    match settlement {
        Settlement::Abandon => {
            turn.end_operation(OperationState::Abandoned);
            Ok(())
        }
        Settlement::Retry => {
            resume(turn, reason.lifecycle);
            turn.go_on(None);
            Ok(())
        }
        Settlement::Skip => {
            let step = reason.step.ok_or(Refusal::NotSkippable("what went wrong is not a step"))?;
            if !plan::skippable(step) {
                return Err(Refusal::NotSkippable(step.name()));
            }
            resume(turn, reason.lifecycle);
            turn.start(step);
            turn.skip();
            Ok(())
        }
    }
}

/// Back from quarantine into the state where it stopped.
fn resume(turn: &mut Turn<'_>, lifecycle: Lifecycle) {
    turn.machine.status.reason = None;
    turn.enter(lifecycle);
    let now = turn.now();
    if let Some(operation) = &mut turn.operation {
        operation.state = OperationState::Running;
        operation.reason = None;
        operation.updated = now;
    }
}

impl Turn<'_> {
    /// Takes the step that was just started as done, by a person's word.
    fn skip(&mut self) {
        let kind = self.step().kind;
        let unasked = self.step_mut().effect.take();
        self.decision.settled.extend(unasked);
        let unsent = |id: &EffectId| self.decision.settled.contains(id);
        let effects = std::mem::take(&mut self.decision.effects);
        self.decision.effects = effects.into_iter().filter(|effect| !unsent(&effect.id)).collect();
        self.journal(Some(StepResult::Skipped), format!("skipped by {}", self.around.actor));
        self.machine.status.step = None;
        self.go_on(Some(kind));
    }
}

fn power(turn: &mut Turn<'_>, action: PowerAction) -> Result<(), Refusal> {
    const ALLOWED: &[Lifecycle] =
        &[Lifecycle::Available, Lifecycle::Active, Lifecycle::Quarantined, Lifecycle::Maintenance];
    allow(turn, "power", ALLOWED)?;
    if turn.machine.spec.bmc.is_none() {
        return Err(Refusal::Unfit("the machine has no BMC address".to_owned()));
    }
    let deadline = turn.now() + turn.around.settings.patience(model::machine::StepKind::ReadParts);
    turn.emit(Action::Bmc { command: BmcCommand::Power { action } }, deadline);
    // Off or restarted, whatever ran on it is gone.
    if turn.machine.status.lifecycle == Lifecycle::Available && action != PowerAction::On {
        turn.machine.status.agent = None;
    }
    Ok(())
}

/// An effect on the BMC ended.
fn settled(turn: &mut Turn<'_>, effect: EffectId, outcome: &Outcome, input: &Input) {
    note_power(turn, outcome);
    turn.decision.settled.push(effect);
    let Some(step) = &mut turn.machine.status.step else {
        return;
    };
    if step.recovery == Some(effect) {
        // Whether the recovery worked shows when the step is tried again.
        step.recovery = None;
        let rung = step.rung;
        match rung {
            model::machine::Rung::ResetBmc => turn.pause(turn.around.settings.bmc_reset_pause),
            _ => turn.attempt(),
        }
    } else if step.effect == Some(effect) {
        step.effect = None;
        hear(turn, input);
    } else {
        turn.stale();
    }
}

fn note_power(turn: &mut Turn<'_>, outcome: &Outcome) {
    if let Outcome::Bmc { fact: BmcFact::Power { state } } = outcome {
        turn.machine.status.power = *state;
    }
}

/// Lets the current step hear something.
fn hear(turn: &mut Turn<'_>, input: &Input) {
    match step::hear(turn, input) {
        step::Heard::Nothing => {}
        step::Heard::Stale => turn.stale(),
        step::Heard::Done(evidence) => turn.complete(evidence),
        step::Heard::Failed(code, fault) => turn.fail(code, fault),
        step::Heard::Fatal(code, fault) => turn.give_up(code, fault),
    }
}

/// A moment has come: a pause or a deadline is over.
fn due(turn: &mut Turn<'_>) {
    let now = turn.now();
    let Some(step) = &turn.machine.status.step else { return turn.stale() };
    if let Some(until) = step.pause_until {
        if until <= now {
            turn.attempt();
        } else {
            turn.stale();
        }
    } else if step.deadline > now {
        turn.stale();
    } else if step.recovery.is_some() {
        // The recovery did not end in time: the step is tried all the same.
        turn.decision
            .settled
            .extend(turn.machine.status.step.as_mut().and_then(|s| s.recovery.take()));
        turn.attempt();
    } else {
        let (code, fault) = step::late(turn);
        turn.fail(code, fault);
    }
}

/// The power state that an action leads to.
pub const fn power_after(action: PowerAction) -> PowerState {
    match action {
        PowerAction::On | PowerAction::Cycle => PowerState::On,
        PowerAction::Off | PowerAction::GracefulOff => PowerState::Off,
    }
}
