//! `bedplate machine timeline`: where the seconds of a machine's life went, as bars
//! in proportion, and the sums by step.

use clap::Args;
use client::Options;
use model::api::{GetTimeline, Timeline, TimelineSpan};
use model::machine::StepKind;
use model::{Duration, Timestamp};

use crate::Failure;
use crate::human::{ago, clean, cut};
use crate::session::Session;
use crate::terminal::{Paint, Tone};

use super::words;

/// Spans shown without `--all`.
const SHOWN: usize = 40;
/// Columns before the bar.
const BEFORE: usize = 44;
/// Columns when there is no terminal.
const WIDTH: usize = 100;

/// Which machine.
#[derive(Args, Debug)]
#[command(
    after_help = "Bars of work are in proportion to one another. Rests between works are dotted, not to scale.\n\nExamples:\n  bedplate machine timeline m1\n  bedplate machine timeline m1 --all"
)]
pub struct Arguments {
    /// Which machine
    machine: String,
    /// All spans; otherwise the last 40
    #[arg(long)]
    all: bool,
}

/// Asks and draws.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let path = [arguments.machine.as_str()];
    let timeline = session.call::<GetTimeline>(&path, &(), Options::default()).await?;
    let shown = if arguments.all { usize::MAX } else { SHOWN };
    let (width, paint, now) = (session.terminal.width, session.terminal.paint, session.now());
    session.show(&timeline, |timeline| chart(timeline, shown, now, width, paint))
}

/// The chart and the sums.
pub fn chart(
    timeline: &Timeline,
    shown: usize,
    now: Timestamp,
    width: Option<usize>,
    paint: Paint,
) -> String {
    let width = width.unwrap_or(WIDTH);
    let spans = &timeline.spans[timeline.spans.len().saturating_sub(shown)..];
    let hidden = timeline.spans.len() - spans.len();
    let works = spans.iter().filter(|span| span.step.is_some());
    let longest = works.map(|span| span.span.micros()).max().unwrap_or(0).max(1);
    let mut text =
        format!("{} in all, since {}\n", timeline.to.since(timeline.from), ago(now, timeline.from));
    if hidden > 0 {
        text.push_str(&format!("{hidden} earlier spans are not shown; --all shows them\n"));
    }
    text.push('\n');
    for span in spans {
        text.push_str(&row(span, longest, width, paint));
    }
    text.push_str(&sums(timeline, width, paint));
    text
}

fn row(span: &TimelineSpan, longest: u64, width: usize, paint: Paint) -> String {
    let room = bars(width);
    let (step, bar) = match span.step {
        Some(step) => (step.name(), bar(span.span.micros(), longest, room)),
        None => ("", "·".repeat(4)),
    };
    let tries = if span.attempts > 1 { format!(" {} tries", span.attempts) } else { String::new() };
    let state = paint.put(words::tone(span.lifecycle), &format!("{:<12}", span.lifecycle.name()));
    let tone = if span.attempts > 1 { Tone::Warn } else { Tone::Moving };
    let left = width.saturating_sub(BEFORE + bar.chars().count() + tries.len() + 1);
    let detail = cut(&clean(&span.detail), left);
    let line = format!(
        "{state}{step:<16}{:>12}  {}{tries} {}",
        span.span.to_string(),
        paint.put(tone, &bar),
        paint.put(Tone::Dim, &detail)
    );
    format!("{}\n", line.trim_end())
}

/// Columns of the longest bar: beside it there is room for what was seen.
fn bars(width: usize) -> usize {
    (width.saturating_sub(BEFORE) * 3 / 5).clamp(4, 48)
}

/// A bar in eighths of a column; the least that was is seen.
fn bar(part: u64, whole: u64, room: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = u128::from(part) * (room as u128) * 8 / u128::from(whole.max(1));
    let eighths = usize::try_from(eighths).unwrap_or(room * 8).clamp(1, room * 8);
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// How much each step took in all, most first.
fn sums(timeline: &Timeline, width: usize, paint: Paint) -> String {
    let mut sums: Vec<(StepKind, Duration, u32)> = Vec::new();
    for span in &timeline.spans {
        let Some(step) = span.step else { continue };
        match sums.iter_mut().find(|(known, ..)| *known == step) {
            Some((_, sum, times)) => (*sum, *times) = (*sum + span.span, *times + 1),
            None => sums.push((step, span.span, 1)),
        }
    }
    if sums.is_empty() {
        return String::new();
    }
    sums.sort_by_key(|(_, sum, _)| std::cmp::Reverse(*sum));
    let whole = sums.iter().fold(Duration::ZERO, |whole, (_, sum, _)| whole + *sum);
    let room = bars(width);
    let mut text = format!("\n{}\n", paint.put(Tone::Bold, "Work by step"));
    for (step, sum, times) in sums {
        let percent = u128::from(sum.micros()) * 100 / u128::from(whole.micros().max(1));
        text.push_str(&format!(
            "{:<16}{:>12}{percent:>4} %{times:>6} ×  {}\n",
            step.name(),
            sum.to_string(),
            paint.put(Tone::Moving, &bar(sum.micros(), whole.micros(), room))
        ));
    }
    text
}
