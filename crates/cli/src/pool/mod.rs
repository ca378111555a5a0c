//! `bedplate pool`: what volumes lie in. Like `bedplate volume`, these verbs ask the
//! disk service of this host and need no control plane.

mod create;
mod list;
mod show;

use clap::Subcommand;

use crate::Failure;
use crate::session::Session;

/// What is done with pools.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a pool, or open the one that a file or device holds
    Create(create::Arguments),
    /// List pools
    List(list::Arguments),
    /// Show a pool, and what lies in it
    Show(show::Arguments),
}

/// Carries it out.
pub async fn run(session: &Session, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Create(arguments) => create::run(session, arguments).await,
        Verb::List(arguments) => list::run(session, arguments).await,
        Verb::Show(arguments) => show::run(session, arguments).await,
    }
}
