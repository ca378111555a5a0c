//! `bedplate volume show`: one volume as a page, with how long its requests take.

use clap::Args;
use model::Timestamp;
use model::volume::{DiskOrder, Latency, Volume};

use super::{service, words};
use crate::Failure;
use crate::human::{ago, count, moment};
use crate::page::Page;
use crate::session::Session;
use crate::table::{Table, cell, keep, spare};
use crate::terminal::{Paint, Tone};

/// Which volume.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  bedplate volume show data\n  bedplate volume show data@monday --output json"
)]
pub struct Arguments {
    /// Which volume, or snapshot: NAME or NAME@SNAPSHOT
    volume: String,
}

/// Asks and shows.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let asked = DiskOrder::VolumeShow { volume: arguments.volume };
    let volume: Volume = service::order(session, asked).await?;
    if session.json {
        return session.print_json(&volume);
    }
    let all: Vec<Volume> = service::order(session, DiskOrder::VolumeList).await?;
    let (width, paint) = (session.terminal.width, session.terminal.paint);
    session.print(&page(&volume, &all, session.now(), width, paint))
}

/// The page of a volume. `all` are those among which its snapshots and clones are.
pub fn page(
    volume: &Volume,
    all: &[Volume],
    now: Timestamp,
    width: Option<usize>,
    paint: Paint,
) -> String {
    let mut page = Page::new(width, paint);
    let kind = if volume.name.contains('@') { "Snapshot" } else { "Volume" };
    page.heading(&format!("{kind} {}", volume.name));
    page.line("lies in", words::backing(&volume.backing));
    page.line("size", volume.size.to_string());
    page.line("used", volume.used.to_string());
    page.line("encrypted", if volume.encrypted { "yes" } else { "no" });
    let limits = words::limits(&volume.limits);
    page.line("limits", if limits.is_empty() { "none" } else { &limits });
    page.line("clone of", volume.clone_of.as_deref().unwrap_or_default());
    page.line("made", volume.created.map_or(String::new(), |made| moment(now, made)));
    served(&mut page, volume);
    relations(&mut page, volume, all, now);
    if volume.latency.iter().any(|kind| kind.count > 0) {
        page.heading("Requests, from fetch to reply");
        let table = latency(&volume.latency).render(Some(page.room()), paint);
        page.block(&table);
    }
    page.finish()
}

fn served(page: &mut Page, volume: &Volume) {
    if volume.attachments.is_empty() {
        return;
    }
    page.heading("Served");
    for attachment in &volume.attachments {
        let mut text = attachment.socket.clone();
        if attachment.read_only {
            text.push_str(", read only");
        }
        text.push_str(&format!(", {}", count(attachment.clients as usize, "client")));
        page.line(words::protocol(attachment.protocol), text);
    }
}

/// Its snapshots, and what began as one of them.
fn relations(page: &mut Page, volume: &Volume, all: &[Volume], now: Timestamp) {
    let prefix = format!("{}@", volume.name);
    let snapshots: Vec<&Volume> = all.iter().filter(|it| it.name.starts_with(&prefix)).collect();
    let begins = |of: &str| of == volume.name || of.starts_with(&prefix);
    let is_clone = |it: &&Volume| it.clone_of.as_deref().is_some_and(begins);
    let clones: Vec<&Volume> = all.iter().filter(is_clone).collect();
    if snapshots.is_empty() && clones.is_empty() {
        return;
    }
    page.heading("Snapshots and clones");
    for (place, snapshot) in snapshots.iter().enumerate() {
        let made = snapshot.created.map_or(String::new(), |made| format!(", {}", ago(now, made)));
        page.line(if place == 0 { "snapshots" } else { "" }, format!("{}{made}", snapshot.name));
    }
    for (place, clone) in clones.iter().enumerate() {
        let of = clone.clone_of.as_deref().unwrap_or_default();
        page.line(if place == 0 { "clones" } else { "" }, format!("{}, of {of}", clone.name));
    }
}

fn latency(kinds: &[Latency]) -> Table {
    let mut table = Table::new(&[
        keep("REQUESTS", 12),
        spare("COUNT", 1, 5),
        keep("P50", 7),
        keep("P99", 7),
        spare("P99.9", 2, 7),
        spare("P99.999", 3, 7),
        keep("LONGEST", 7),
    ]);
    for kind in kinds.iter().filter(|kind| kind.count > 0) {
        table.row(vec![
            cell(Tone::Bold, kind.kind.replace('_', "-")),
            kind.count.to_string().into(),
            words::nanos(kind.p50).into(),
            words::nanos(kind.p99).into(),
            words::nanos(kind.p999).into(),
            words::nanos(kind.p99999).into(),
            words::nanos(kind.most).into(),
        ]);
    }
    table
}
