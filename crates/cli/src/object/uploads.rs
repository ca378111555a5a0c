//! `bedplate object uploads`: uploads in parts that were not finished. They use space, and
//! are seen in no list of objects.

use clap::Args;

use crate::Failure;
use crate::gateway::place::Place;
use crate::gateway::reach::Reach;
use crate::human::count;
use crate::session::Session;
use crate::table::{Table, cell, keep, spare};
use crate::terminal::Tone;

/// Of which bucket.
#[derive(Args, Debug)]
#[command(
    after_help = "A rule does it by itself: bedplate bucket lifecycle BUCKET --abort-uploads 3\n\nExamples:\n  bedplate object uploads data\n  bedplate object uploads data/photos/ --abort"
)]
pub struct Arguments {
    /// Of which bucket, and what keys begin with
    place: Place,
    /// Give them up: what was sent of them is deleted
    #[arg(long)]
    abort: bool,
}

/// Lists them, or gives them up.
pub async fn run(session: &Session, reach: &Reach, arguments: Arguments) -> Result<(), Failure> {
    let Arguments { place, abort } = arguments;
    let objects = reach.connect(session)?;
    let mut uploads = objects.uploads(&place.bucket).await?;
    uploads.retain(|upload| upload.key.starts_with(&place.key));
    if abort && !uploads.is_empty() {
        let what = count(uploads.len(), "upload");
        session.confirm(&format!("{what} given up; clients that go on with them fail"))?;
        for upload in &uploads {
            objects.abort(&place.bucket, &upload.key, &upload.upload).await?;
        }
        return session.show(&uploads, |_| format!("{what} given up\n"));
    }
    if session.json {
        return session.print_json(&uploads);
    }
    if uploads.is_empty() {
        return session.say("no uploads go on");
    }
    let mut table = Table::new(&[keep("KEY", 24), spare("BEGUN", 1, 20), keep("UPLOAD", 12)]);
    for upload in &uploads {
        table.row(vec![
            cell(Tone::Bold, &upload.key),
            cell(Tone::Dim, upload.begun.split('.').next().unwrap_or_default()),
            (&upload.upload).into(),
        ]);
    }
    session.print(&table.render(session.terminal.width, session.terminal.paint))
}
