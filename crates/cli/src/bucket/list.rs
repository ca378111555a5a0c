//! `bedplate bucket list`.

use clap::Args;

use crate::Failure;
use crate::gateway::reach::Reach;
use crate::session::Session;
use crate::table::{Table, cell, keep, spare};
use crate::terminal::Tone;

/// Nothing to say.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  bedplate bucket list\n  bedplate bucket list --endpoint https://objects.example --output json"
)]
pub struct Arguments {}

/// Asks and lists.
pub async fn run(session: &Session, reach: &Reach, _: Arguments) -> Result<(), Failure> {
    let buckets = reach.connect(session)?.buckets().await?;
    if session.json {
        return session.print_json(&buckets);
    }
    if buckets.is_empty() {
        return session.say("no buckets yet; make one: bedplate bucket create NAME");
    }
    let mut table = Table::new(&[keep("NAME", 63), spare("MADE", 1, 20)]);
    for bucket in &buckets {
        table.row(vec![cell(Tone::Bold, &bucket.name), cell(Tone::Dim, &bucket.created)]);
    }
    session.print(&table.render(session.terminal.width, session.terminal.paint))
}
