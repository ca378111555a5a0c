//! `bedplate operation show`: an operation with its journal.

use clap::Args;
use client::Options;
use model::Timestamp;
use model::api::{GetOperation, OperationDetail};

use super::name::find;
use super::{attention, list};
use crate::Failure;
use crate::human::moment;
use crate::page::Page;
use crate::progress::journal;
use crate::session::Session;
use crate::terminal::Paint;

/// Which operation.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  bedplate operation show 3f9c1a2b\n  bedplate operation show m1 --output json"
)]
pub struct Arguments {
    /// Its id, the last digits of it, or a machine: its latest operation
    operation: String,
}

/// Asks and shows.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let id = find(session, &arguments.operation).await?.to_string();
    let detail = session.call::<GetOperation>(&[&id], &(), Options::default()).await?;
    if session.json {
        return session.print_json(&detail);
    }
    let machine = session.client()?.machine(&detail.operation.machine.to_string()).await;
    let name = machine.map_or_else(|_| detail.operation.machine.to_string(), |it| it.name);
    let (width, paint) = (session.terminal.width, session.terminal.paint);
    session.print(&page(&detail, &name, session.now(), width, paint))
}

/// The page of an operation.
pub fn page(
    detail: &OperationDetail,
    machine: &str,
    now: Timestamp,
    width: Option<usize>,
    paint: Paint,
) -> String {
    let operation = &detail.operation;
    let mut page = Page::new(width, paint);
    page.heading(&format!("{} of {machine}", operation.kind));
    page.toned(list::tone(operation.state), "state", operation.state.name());
    page.line("id", operation.id.to_string());
    page.line("asked for by", &operation.actor);
    page.line("project", operation.project.as_deref().unwrap_or_default());
    page.line("begun", moment(now, operation.created));
    if let Some(ended) = operation.ended {
        page.line("ended", moment(now, ended));
        page.line("took", ended.since(operation.created).to_string());
    }
    page.heading("Steps");
    let room = page.room();
    for step in &detail.steps {
        page.block(&journal::line(step, now, room, paint));
    }
    if let Some(reason) = &operation.reason {
        let failure = attention(operation, machine, None);
        page.heading("Needs attention");
        page.line("reason", reason.code.name());
        for (place, line) in failure.why.lines().enumerate() {
            page.line(if place == 0 { "why" } else { "" }, line);
        }
        for (place, line) in failure.next.lines().enumerate() {
            page.line(if place == 0 { "next" } else { "" }, line);
        }
    }
    page.finish()
}
