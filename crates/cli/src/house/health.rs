//! `bedplate health`: whether the control plane is well.

use clap::Args;
use model::api::Health;

use crate::Failure;
use crate::page::Page;
use crate::session::Session;
use crate::terminal::Tone;

/// Nothing to say.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate health\n  bedplate health --output json")]
pub struct Arguments {}

/// Asks and shows.
pub async fn run(session: &Session, _: Arguments) -> Result<(), Failure> {
    let health = session.client()?.health().await?;
    session.show(&health, |health| page(session, health))
}

fn page(session: &Session, health: &Health) -> String {
    let mut page = Page::new(session.terminal.width, session.terminal.paint);
    let tone = if health.status == "ok" { Tone::Good } else { Tone::Bad };
    page.toned(tone, "status", &health.status);
    page.line("version", &health.version);
    page.line("leads", if health.leader { "yes" } else { "no: another control plane does" });
    page.line("revision", health.revision.to_string());
    page.line("its time", health.now.to_string());
    page.finish()
}
