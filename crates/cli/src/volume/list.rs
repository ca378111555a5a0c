//! `bedplate volume list`: volumes and snapshots.

use clap::Args;
use model::Timestamp;
use model::volume::{DiskOrder, Volume};

use super::{service, words};
use crate::Failure;
use crate::human::{ago, by_number};
use crate::session::Session;
use crate::table::{Table, cell, keep, spare};
use crate::terminal::Tone;

/// Nothing to say.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  bedplate volume list\n  bedplate volume list --dir /srv/disks --output json"
)]
pub struct Arguments {}

/// Asks and lists.
pub async fn run(session: &Session, _: Arguments) -> Result<(), Failure> {
    let mut volumes: Vec<Volume> = service::order(session, DiskOrder::VolumeList).await?;
    volumes.sort_by(|a, b| by_number(&a.name, &b.name));
    if session.json {
        return session.print_json(&volumes);
    }
    if volumes.is_empty() {
        return session.say("no volumes yet; make one: bedplate volume create NAME --size 20G");
    }
    let table = table(&volumes, session.now());
    session.print(&table.render(session.terminal.width, session.terminal.paint))
}

fn table(volumes: &[Volume], now: Timestamp) -> Table {
    let mut table = Table::new(&[
        // Names are what is typed next: they stay whole as long as anything can go.
        keep("NAME", 36),
        spare("POOL", 3, 6),
        keep("SIZE", 8),
        spare("USED", 2, 8),
        spare("LIMITS", 4, 14),
        spare("ENCRYPTED", 5, 3),
        spare("SERVED", 1, 6),
        spare("MADE", 6, 8),
    ]);
    for volume in volumes {
        let served: Vec<&str> =
            volume.attachments.iter().map(|it| words::protocol(it.protocol)).collect();
        table.row(vec![
            cell(Tone::Bold, &volume.name),
            words::backing(&volume.backing).into(),
            volume.size.to_string().into(),
            volume.used.to_string().into(),
            words::limits(&volume.limits).into(),
            if volume.encrypted { "yes" } else { "" }.into(),
            cell(Tone::Good, served.join(", ")),
            cell(Tone::Dim, volume.created.map_or(String::new(), |made| ago(now, made))),
        ]);
    }
    table
}
