//! Words and tones for machines that several verbs use.

use model::Timestamp;
use model::machine::{Lifecycle, Machine, Reason, StepKind, StepState};

use crate::human::span;
use crate::terminal::Tone;

/// The tone of a state.
pub const fn tone(lifecycle: Lifecycle) -> Tone {
    match lifecycle {
        Lifecycle::Available | Lifecycle::Active => Tone::Good,
        Lifecycle::Quarantined => Tone::Bad,
        Lifecycle::Maintenance => Tone::Warn,
        Lifecycle::Discovered | Lifecycle::Retired => Tone::Dim,
        _ => Tone::Moving,
    }
}

/// What a step does, for people.
pub const fn doing(step: StepKind) -> &'static str {
    match step {
        StepKind::ReadParts => "reading the parts from the BMC",
        StepKind::PointAtImage => "having the BMC point the next boot at our image",
        StepKind::Restart => "restarting; waiting for its firmware on the network",
        StepKind::AwaitAgent => "booting our image; waiting for its agent to prove itself",
        StepKind::ReportParts => "listing the parts from inside",
        StepKind::Attest => "proving firmware and boot by the TPM",
        StepKind::BurnIn => "working processors, memory and disks",
        StepKind::WriteImage => "writing the image to disk",
        StepKind::BootDisk => "leaving for the system on disk",
        StepKind::AwaitSystem => "starting the system; waiting for its call home",
        StepKind::Sanitise => "sanitising the disks",
    }
}

/// How far a step has come, in percent, where it can be told.
pub fn percent(step: &StepState) -> Option<u64> {
    let progress = step.progress.as_ref().filter(|progress| progress.total > 0)?;
    let done = u128::from(progress.done.min(progress.total)) * 100;
    u64::try_from(done / u128::from(progress.total)).ok()
}

/// The current step in a few words: `write-image 43 %, try 2`.
pub fn step(step: &StepState) -> String {
    let mut text = step.kind.to_string();
    if let Some(percent) = percent(step) {
        text.push_str(&format!(" {percent} %"));
    }
    if step.attempt > 1 {
        text.push_str(&format!(", try {}", step.attempt));
    }
    text
}

/// What comes next while a step goes on: a pause, or when this try is given up.
pub fn patience(step: &StepState, now: Timestamp) -> String {
    match step.pause_until {
        Some(until) => format!("tried again in {}", span(until.since(now))),
        None if step.deadline > now => {
            format!("given up in {} without a sign of progress", span(step.deadline.since(now)))
        }
        None => "its time is over".to_owned(),
    }
}

/// What to do about a reason, with the names in place of the engine's `NAME`, `URL`
/// and `ID`.
pub fn next(reason: &Reason, machine: &str, bmc: Option<&str>, operation: Option<&str>) -> String {
    let word = |text: &str| {
        let bare = text.trim_end_matches(['.', ',', ')', ';']);
        let end = &text[bare.len()..];
        let known = match bare {
            "NAME" => Some(machine),
            "URL" => bmc,
            "ID" => operation.or(Some(machine)),
            _ => None,
        };
        known.map_or_else(|| text.to_owned(), |known| format!("{known}{end}"))
    };
    let words: Vec<String> = reason.next.split(' ').map(word).collect();
    words.join(" ")
}

/// What was seen, oldest first, without saying again what the message says.
pub fn evidence(reason: &Reason) -> Vec<String> {
    let shorter = |seen: &String| match seen.split_once("): ") {
        Some((head, fault)) if reason.message.ends_with(fault) => format!("{head}): the same"),
        _ => seen.clone(),
    };
    let told = reason.evidence.iter().filter(|seen| !reason.message.ends_with(seen.as_str()));
    told.map(shorter).collect()
}

/// Whether a person is waited for.
pub fn needs_attention(machine: &Machine) -> bool {
    machine.status.lifecycle == Lifecycle::Quarantined
}
