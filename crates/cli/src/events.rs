//! `bedplate events`: what happened, and what happens.

use clap::Args;
use client::Options;
use model::api::{ListEvents, Page};
use model::event::Event;
use model::machine::Machine;
use model::operation::{Operation, StepRecord};

use crate::Failure;
use crate::human::{clean, cut};
use crate::session::Session;
use crate::terminal::Tone;

/// Events shown without `--all`.
const SHOWN: &str = "100";

/// Whether to wait for more.
#[derive(Args, Debug)]
#[command(
    after_help = "With --output json and --watch there is one JSON event a line.\n\nExamples:\n  bedplate events\n  bedplate events --watch\n  bedplate events --watch --from 1200 --output json"
)]
pub struct Arguments {
    /// Go on with what comes, until Ctrl-C
    #[arg(long, short)]
    watch: bool,
    /// With --watch: begin after this revision; with what comes from now on when absent
    #[arg(long, requires = "watch")]
    from: Option<u64>,
    /// All that are kept; otherwise the last 100
    #[arg(long, conflicts_with = "watch")]
    all: bool,
}

/// Shows them.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    if arguments.watch {
        let from = match arguments.from {
            Some(from) => from,
            None => session.client()?.health().await?.revision,
        };
        session.say("watching; Ctrl-C ends it")?;
        let mut watch = session.client()?.watch::<ListEvents>(from, &[]);
        loop {
            line(session, &watch.next().await?)?;
        }
    }
    let page = match arguments.all || session.json {
        true => session.list::<ListEvents, Event>(&[]).await?,
        // Newest first: the first page has them.
        false => {
            let (query, options) = ([("limit", SHOWN)], Options::default());
            session.client()?.call::<ListEvents>(&[], &query, &(), options).await?
        }
    };
    if page.next_page.is_some() {
        session.say("earlier events are not shown; --all shows them")?;
    }
    show_events(session, &page)
}

/// A list of events: for people the newest comes last, where they look first.
pub fn show_events(session: &Session, page: &Page<Event>) -> Result<(), Failure> {
    if session.json {
        return session.print_json(page);
    }
    let mut events: Vec<&Event> = page.items.iter().collect();
    events.sort_by_key(|event| event.revision);
    events.into_iter().try_for_each(|event| line(session, event))
}

/// One event on one line.
pub fn line(session: &Session, event: &Event) -> Result<(), Failure> {
    if session.json {
        let text = serde_json::to_string(event).expect("an event is JSON");
        return session.print(&format!("{text}\n"));
    }
    let (paint, width) = (session.terminal.paint, session.terminal.width.unwrap_or(usize::MAX));
    let time = event.at.to_string();
    let time = time.get(11..19).unwrap_or(&time);
    let (tone, text) = sense(event);
    let head = format!("{:>6} {time} ", event.revision);
    let text = cut(&clean(&text), width.saturating_sub(head.chars().count()));
    session.print(&format!("{}{}\n", paint.put(Tone::Dim, &head), paint.put(tone, &text)))
}

/// What an event says, for people.
fn sense(event: &Event) -> (Tone, String) {
    let name = event.name.as_deref().unwrap_or(&event.id);
    let by = match event.actor.as_str() {
        "bedplate" => String::new(),
        actor if actor.starts_with("machine:") => String::new(),
        actor => format!(" (by {actor})"),
    };
    let object = event.object.clone();
    if event.subject == "machine"
        && let Some(machine) =
            object.clone().and_then(|it| serde_json::from_value::<Machine>(it).ok())
    {
        return (
            crate::machine::words::tone(machine.status.lifecycle),
            machine_sense(&machine, &by),
        );
    }
    if event.subject == "operation"
        && let Some(it) = object.clone().and_then(|it| serde_json::from_value::<Operation>(it).ok())
    {
        return (Tone::Bold, format!("operation {} {} {}{by}", it.id.short(), it.kind, it.state));
    }
    if event.subject == "step"
        && let Some(step) = object.and_then(|it| serde_json::from_value::<StepRecord>(it).ok())
    {
        return (Tone::Plain, step_sense(&step));
    }
    (Tone::Plain, format!("{} {name}{by}", event.kind))
}

fn machine_sense(machine: &Machine, by: &str) -> String {
    let status = &machine.status;
    let doing = match (&status.step, &status.reason) {
        (Some(step), _) => format!(", {}", crate::machine::words::step(step)),
        (None, Some(reason)) => format!(", {}: {}", reason.code.name(), reason.message),
        (None, None) => String::new(),
    };
    format!("machine {} {}{doing}{by}", machine.name, status.lifecycle)
}

fn step_sense(step: &StepRecord) -> String {
    let result = match (step.result, step.ended) {
        (Some(result), Some(ended)) => {
            format!("{} after {}", crate::operation::result(result), ended.since(step.started))
        }
        _ => format!("try {} ({})", step.attempt, step.rung.name()),
    };
    let detail = if step.detail.is_empty() { String::new() } else { format!(": {}", step.detail) };
    format!("operation {} {} {result}{detail}", step.operation.short(), step.kind)
}
