//! `bedplate metrics`: figures for Prometheus, as they are scraped.

use clap::Args;

use crate::Failure;
use crate::session::Session;

/// Nothing to say.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate metrics")]
pub struct Arguments {}

/// Prints them as they are.
pub async fn run(session: &Session, _: Arguments) -> Result<(), Failure> {
    let text = session.client()?.metrics().await?;
    session.print(&text)
}
