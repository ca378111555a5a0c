//! The steps. Each has a file: how a try begins, what is evidence for it, what is
//! a fault. What comes after a step is [`crate::plan`]'s business, what is tried
//! after a fault is [`crate::ladder`]'s.

pub mod attest;
pub mod await_agent;
pub mod await_system;
pub mod boot_disk;
pub mod burn_in;
pub mod point_at_image;
pub mod read_parts;
pub mod report_parts;
pub mod restart;
pub mod sanitise;
pub mod write_image;

use model::agent::{AgentFact, AgentFailureKind, AgentNews};
use model::bmc::{BmcCommand, BmcFailureKind, PowerAction};
use model::effect::Outcome;
use model::machine::{Progress, ReasonCode, Rung, StepKind};

use crate::input::Input;
use crate::turn::Turn;

/// What an input means for the current step.
#[derive(Debug)]
pub enum Heard {
    /// Good to know; the step goes on.
    Nothing,
    /// Not for this step.
    Stale,
    /// The evidence, in words.
    Done(String),
    /// This try failed.
    Failed(ReasonCode, String),
    /// The step failed, and another try would not help.
    Fatal(ReasonCode, String),
}

/// Begins a try of a step.
pub fn begin(turn: &mut Turn<'_>, kind: StepKind) {
    match kind {
        StepKind::ReadParts => read_parts::begin(turn),
        StepKind::PointAtImage => point_at_image::begin(turn),
        StepKind::Restart => restart::begin(turn),
        StepKind::AwaitAgent => {}
        StepKind::ReportParts => report_parts::begin(turn),
        StepKind::Attest => attest::begin(turn),
        StepKind::BurnIn => burn_in::begin(turn),
        StepKind::WriteImage => write_image::begin(turn),
        StepKind::BootDisk => boot_disk::begin(turn),
        StepKind::AwaitSystem => {}
        StepKind::Sanitise => sanitise::begin(turn),
    }
}

/// Lets the current step hear something.
pub fn hear(turn: &mut Turn<'_>, input: &Input) -> Heard {
    let Some(step) = &turn.machine.status.step else { return Heard::Stale };
    match step.kind {
        StepKind::ReadParts => read_parts::hear(turn, input),
        StepKind::PointAtImage => point_at_image::hear(turn, input),
        StepKind::Restart => restart::hear(turn, input),
        StepKind::AwaitAgent => await_agent::hear(turn, input),
        StepKind::ReportParts => of_agent(turn, input, report_parts::done),
        StepKind::Attest => of_agent(turn, input, attest::done),
        StepKind::BurnIn => of_agent(turn, input, burn_in::done),
        StepKind::WriteImage => of_agent(turn, input, write_image::done),
        StepKind::BootDisk => boot_disk::hear(turn, input),
        StepKind::AwaitSystem => await_system::hear(turn, input),
        StepKind::Sanitise => of_agent(turn, input, sanitise::done),
    }
}

/// What it means that the evidence did not come in time.
pub fn late(turn: &Turn<'_>) -> (ReasonCode, String) {
    let step = turn.step();
    let waited = turn.now().since(step.tried);
    let (code, missing) = match step.kind {
        StepKind::ReadParts | StepKind::PointAtImage => {
            (ReasonCode::BmcUnreachable, "the BMC gave no answer")
        }
        StepKind::Restart if step.effect.is_some() => {
            (ReasonCode::BmcUnreachable, "the BMC gave no answer")
        }
        StepKind::Restart => {
            (ReasonCode::NoBoot, "the BMC took the request, and nothing was seen of the machine")
        }
        StepKind::AwaitAgent => (ReasonCode::NoAgent, "the agent did not prove itself"),
        StepKind::AwaitSystem => (ReasonCode::NoSystem, "the system did not call home"),
        _ => (ReasonCode::NoAgent, "the agent gave no sign of progress"),
    };
    (code, format!("{missing} within {waited}"))
}

/// What the BMC is asked before a step is tried again on a rung.
pub const fn recovery(kind: StepKind, rung: Rung) -> Option<BmcCommand> {
    match (kind, rung) {
        (_, Rung::Reconnect) => Some(BmcCommand::Reconnect),
        (_, Rung::ResetBmc) => Some(BmcCommand::ResetBmc),
        (StepKind::Restart, Rung::PowerCycle) => {
            Some(BmcCommand::Power { action: PowerAction::Off })
        }
        (_, Rung::PowerCycle) => Some(BmcCommand::Power { action: PowerAction::Cycle }),
        _ => None,
    }
}

/// The fault in a BMC's answer, sorted by what it says about the BMC.
fn bmc_fault(outcome: &Outcome) -> Heard {
    let Outcome::BmcFailed { failure } = outcome else { return Heard::Stale };
    let code = match failure.kind {
        BmcFailureKind::Unreachable | BmcFailureKind::Busy => ReasonCode::BmcUnreachable,
        BmcFailureKind::Unauthorised => ReasonCode::BmcUnauthorised,
        BmcFailureKind::Unsupported | BmcFailureKind::Malformed | BmcFailureKind::Refused => {
            ReasonCode::BmcUnfit
        }
    };
    Heard::Failed(code, failure.message.clone())
}

/// News for a step that is the agent's: progress moves the deadline, the end is
/// judged by `done`.
fn of_agent(
    turn: &mut Turn<'_>,
    input: &Input,
    done: fn(&mut Turn<'_>, &AgentFact, &Input) -> Heard,
) -> Heard {
    let Input::Reported { certificate, report, .. } = input else { return Heard::Nothing };
    let admitted = turn.machine.status.agent.as_ref().map(|agent| agent.certificate.as_str());
    if admitted != Some(certificate) || turn.step().effect != Some(report.id) {
        return Heard::Stale;
    }
    match &report.news {
        AgentNews::Progress { doing, done, total } => {
            progress(turn, doing, *done, *total);
            Heard::Nothing
        }
        AgentNews::Failed { failure } => {
            let kind = turn.step().kind;
            Heard::Failed(agent_code(kind, failure.kind), failure.message.clone())
        }
        AgentNews::Done { fact } => done(turn, fact, input),
    }
}

fn progress(turn: &mut Turn<'_>, doing: &str, done: u64, total: u64) {
    const DOING_MAX: usize = 120;
    let patience = turn.around.settings.patience(turn.step().kind);
    let extended = turn.now() + patience;
    let step = turn.step_mut();
    // Only what moves on counts as progress: a stuck agent runs into its deadline.
    let before = step.progress.as_ref().map(|known| (known.doing.as_str(), known.done));
    if before.is_none_or(|(what, count)| what != doing || count < done) {
        step.deadline = extended;
    }
    let doing = doing.chars().take(DOING_MAX).collect();
    step.progress = Some(Progress { doing, done, total });
}

const fn agent_code(step: StepKind, kind: AgentFailureKind) -> ReasonCode {
    match (step, kind) {
        (StepKind::WriteImage | StepKind::BootDisk, _) => ReasonCode::ImageFailed,
        (StepKind::Sanitise, _) => ReasonCode::SanitiseFailed,
        (_, AgentFailureKind::Tpm) => ReasonCode::AttestationFailed,
        (_, AgentFailureKind::Hardware | AgentFailureKind::Disk) => ReasonCode::HardwareFailed,
        (_, _) => ReasonCode::NoAgent,
    }
}

/// The agent did something else than it was asked.
fn unasked(fact: &AgentFact) -> Heard {
    let what = match fact {
        AgentFact::Inventory { .. } => "an inventory",
        AgentFact::Quoted { .. } => "a quote",
        AgentFact::BurnedIn { .. } => "a burn-in",
        AgentFact::ImageWritten { .. } => "a written image",
        AgentFact::Sanitised { .. } => "sanitised disks",
        AgentFact::Leaving => "that it leaves",
    };
    Heard::Failed(ReasonCode::NoAgent, format!("the agent reported {what}, which was not asked"))
}
