//! `bedplate object list`.

use clap::Args;
use client::objects::{ListObjects, Listing, Objects};
use model::Bytes;

use crate::Failure;
use crate::gateway::place::Place;
use crate::gateway::reach::Reach;
use crate::session::Session;
use crate::table::{Table, cell, keep, spare};
use crate::terminal::Tone;

/// Of a page, as gateways give them at most.
const PAGE: usize = 1000;

/// What to list.
#[derive(Args, Debug)]
#[command(
    after_help = "Keys are folded at the first / behind what they begin with, as directories are.\n\nExamples:\n  bedplate object list data\n  bedplate object list data/photos/ --recursive --limit 100000\n  bedplate object list data/docs/README.md --versions"
)]
pub struct Arguments {
    /// Of which bucket, and what keys begin with: BUCKET or BUCKET/PREFIX
    place: Place,
    /// All keys, not folded
    #[arg(long, short)]
    recursive: bool,
    /// All versions and delete markers
    #[arg(long)]
    versions: bool,
    /// The most lines
    #[arg(long, default_value_t = 1000)]
    limit: usize,
}

/// Asks and lists.
pub async fn run(session: &Session, reach: &Reach, arguments: Arguments) -> Result<(), Failure> {
    let objects = reach.connect(session)?;
    let (listing, more) = gather(&objects, &arguments).await?;
    if session.json {
        return session.print_json(&listing);
    }
    if listing.objects.is_empty() && listing.prefixes.is_empty() {
        return session
            .say(&format!("no objects; store one: bedplate object put FILE {}", arguments.place));
    }
    let table = table(&listing);
    session.print(&table.render(session.terminal.width, session.terminal.paint))?;
    match more {
        true => session.say(&format!("and more: --limit {} shows them", arguments.limit * 10)),
        false => Ok(()),
    }
}

/// Pages until there are enough lines, and whether there are more.
async fn gather(objects: &Objects, arguments: &Arguments) -> Result<(Listing, bool), Failure> {
    let Arguments { place, recursive, versions, limit } = arguments;
    let mut asked = ListObjects {
        prefix: place.key.clone(),
        folded: !recursive,
        versions: *versions,
        ..ListObjects::default()
    };
    let mut all = Listing::default();
    loop {
        let left = limit.saturating_sub(all.objects.len() + all.prefixes.len());
        asked.limit = Some(left.clamp(1, PAGE));
        let page = objects.list(&place.bucket, &asked).await?;
        all.objects.extend(page.objects);
        all.prefixes.extend(page.prefixes);
        match page.next {
            Some(_) if all.objects.len() + all.prefixes.len() >= *limit => return Ok((all, true)),
            Some(next) => asked.next = Some(next),
            None => return Ok((all, false)),
        }
    }
}

fn table(listing: &Listing) -> Table {
    let mut table = Table::new(&[
        keep("KEY", 24),
        keep("SIZE", 9),
        spare("WRITTEN", 1, 20),
        keep("VERSION", 12),
        spare("STATE", 2, 7),
        spare("ETAG", 3, 34),
    ]);
    for prefix in &listing.prefixes {
        let nothing = || "".into();
        let name = cell(Tone::Moving, prefix);
        table.row(vec![name, nothing(), nothing(), nothing(), nothing(), nothing()]);
    }
    for line in &listing.objects {
        let (state, tone) = match (line.delete_marker, line.latest) {
            (true, _) => ("deleted", Tone::Warn),
            (false, Some(true)) => ("newest", Tone::Good),
            (false, _) => ("", Tone::Plain),
        };
        let size = if line.delete_marker { String::new() } else { Bytes(line.size).to_string() };
        table.row(vec![
            cell(Tone::Bold, &line.key),
            size.into(),
            cell(Tone::Dim, line.modified.split('.').next().unwrap_or_default()),
            line.version.as_deref().unwrap_or("").into(),
            cell(tone, state),
            cell(Tone::Dim, &line.etag),
        ]);
    }
    table
}
