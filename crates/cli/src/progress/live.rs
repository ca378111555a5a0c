//! The line of the step that goes on: pure functions of what the control plane says.

use model::api::OperationDetail;
use model::machine::{Machine, StepState};
use model::{Bytes, Duration, Timestamp};

use super::Usual;
use crate::human::{clean, span};
use crate::machine::words;

/// Columns of a bar.
const BAR: usize = 20;

/// The line of the step that goes on; `None` between two steps.
pub fn going_on(
    detail: &OperationDetail,
    machine: Option<&Machine>,
    usual: &Usual,
    now: Timestamp,
) -> Option<String> {
    let record = detail.steps.iter().rfind(|step| step.ended.is_none())?;
    let state = machine.and_then(|machine| machine.status.step.as_ref());
    let state = state.filter(|state| state.index == record.index);
    let elapsed = now.since(record.started);
    let doing = match state.and_then(|state| state.progress.as_ref()) {
        Some(progress) if !progress.doing.is_empty() => clean(&progress.doing),
        _ => words::doing(record.kind).to_owned(),
    };
    let mut text = format!("{:<11} {:<14} {:>11}  ", record.lifecycle, record.kind, span(elapsed));
    if let Some(bar) = state.and_then(bar) {
        text.push_str(&format!("{bar}  "));
    }
    text.push_str(&doing);
    text.push_str(&expectation(usual.of(record.kind), elapsed, state, now));
    Some(text)
}

/// How long it usually takes; once that is long over, what happens otherwise.
fn expectation(
    usual: Duration,
    elapsed: Duration,
    state: Option<&StepState>,
    now: Timestamp,
) -> String {
    let late = elapsed > usual.percent(200) + Duration::from_secs(5);
    match state {
        Some(state) if state.pause_until.is_some() => format!(" ({})", words::patience(state, now)),
        Some(state) if late => {
            format!(" (usually {}; {})", span(usual), words::patience(state, now))
        }
        _ => format!(" (usually {})", span(usual)),
    }
}

/// A bar, where the agent says how much there is.
fn bar(state: &StepState) -> Option<String> {
    let progress = state.progress.as_ref()?;
    let percent = words::percent(state)?;
    let full = usize::try_from(percent).unwrap_or(0) * BAR / 100;
    let bar = format!("{}{}", "█".repeat(full), "░".repeat(BAR - full));
    // Units of this size are bytes; small ones are counts.
    let amount = match progress.total >= 1 << 16 {
        true => {
            format!(" {} of {}", Bytes(progress.done.min(progress.total)), Bytes(progress.total))
        }
        false => String::new(),
    };
    Some(format!("{bar} {percent} %{amount}"))
}
