//! `bedplate ca`: the certificate of the CA that every role trusts.

use clap::Args;

use crate::Failure;
use crate::session::Session;

/// Nothing to say.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate ca")]
pub struct Arguments {}

/// Prints it (PEM).
pub async fn run(session: &Session, _: Arguments) -> Result<(), Failure> {
    let pem = session.client()?.authority().await?;
    session.print(&pem)
}
