//! The journal of an operation as lines: pure functions of its step records.

use std::collections::BTreeMap;

use model::Timestamp;
use model::machine::Rung;
use model::operation::{StepRecord, StepResult};

use crate::human::{clean, cut};
use crate::machine::words;
use crate::terminal::{Paint, Tone};

/// A line of the journal: what stands in columns, and the words after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its tone.
    pub tone: Tone,
    /// Mark, state, step, and how long it took.
    pub head: String,
    /// Evidence or fault.
    pub text: String,
}

impl Line {
    /// In full, on one line.
    pub fn whole(&self) -> String {
        format!("{}{}", self.head, self.text).trim_end().to_owned()
    }
}

/// Which lines were told already.
#[derive(Debug, Default)]
pub struct Journal {
    /// By number of the step: the tries told, and whether its end was.
    told: BTreeMap<u32, (u32, bool)>,
}

impl Journal {
    /// The lines that are new since the last time.
    pub fn news(&mut self, steps: &[StepRecord]) -> Vec<Line> {
        let mut lines = Vec::new();
        for step in steps {
            let (tries, over) = self.told.entry(step.index).or_insert((1, false));
            // A try that follows a fault; the fault is the detail of the record.
            let next_rung = step.rung != Rung::First && !step.detail.is_empty();
            if !*over && step.ended.is_none() && next_rung && step.attempt + 1 > *tries {
                *tries = step.attempt + 1;
                lines.push(fault(step));
            }
            if !*over && step.ended.is_some() {
                *over = true;
                lines.push(ended(step));
            }
        }
        lines
    }
}

/// What went wrong at a try, and what comes next.
fn fault(step: &StepRecord) -> Line {
    let head = format!("  ↻ {:<11} {:<14} {:>11}  ", step.lifecycle, step.kind, "");
    let text = format!("{}; next: {}", clean(&step.detail), rung(step.rung));
    Line { tone: Tone::Warn, head, text }
}

/// A rung in words.
const fn rung(rung: Rung) -> &'static str {
    match rung {
        Rung::First => "the first try",
        Rung::Again => "once more",
        Rung::Reconnect => "with a new session on the BMC",
        Rung::OtherBoot => "by another way to boot",
        Rung::ResetBmc => "after a restart of the BMC",
        Rung::PowerCycle => "after power off and on",
    }
}

fn ended(step: &StepRecord) -> Line {
    let took = step.ended.unwrap_or(step.started).since(step.started).to_string();
    let (mark, tone) = mark(step.result);
    let head = format!("  {mark} {:<11} {:<14} {took:>11}  ", step.lifecycle, step.kind);
    // The engine begins what it says of a failure with the step, which the head has.
    let detail = clean(&step.detail);
    let text = detail.strip_prefix(&format!("{}: ", step.kind)).unwrap_or(&detail).to_owned();
    Line { tone, head, text }
}

const fn mark(result: Option<StepResult>) -> (&'static str, Tone) {
    match result {
        Some(StepResult::Done) => ("✓", Tone::Plain),
        Some(StepResult::Failed) => ("✗", Tone::Bad),
        Some(StepResult::Skipped) => ("↷", Tone::Warn),
        Some(StepResult::Abandoned) => ("–", Tone::Dim),
        None => ("…", Tone::Moving),
    }
}

/// A step on one line of at most `room` columns, whether it has ended or not.
pub fn line(step: &StepRecord, now: Timestamp, room: usize, paint: Paint) -> String {
    let (mark, tone) = mark(step.result);
    let took = step.ended.unwrap_or(now).since(step.started).to_string();
    let tries = match step.attempt {
        0 | 1 => String::new(),
        tries => format!("{tries} tries ({}) ", step.rung.name()),
    };
    let detail = match step.detail.is_empty() && step.ended.is_none() {
        true => words::doing(step.kind).to_owned(),
        false => clean(&step.detail),
    };
    let text =
        format!("{mark} {:<11} {:<14} {took:>11}  {tries}{detail}", step.lifecycle, step.kind);
    paint.put(tone, cut(&text, room).trim_end())
}
