//! `bedplate machine remove`: forget a machine that is retired or was only discovered.

use clap::Args;
use model::api::RemoveMachine;

use super::changed;
use crate::Failure;
use crate::session::{Session, rehearsal};

/// Which machine.
#[derive(Args, Debug)]
#[command(
    after_help = "A machine that was in service is retired first: bedplate machine set-aside NAME --to retired\n\nExamples:\n  bedplate machine remove m1"
)]
pub struct Arguments {
    /// Which machine
    machine: String,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Asks for it.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    if !arguments.dry_run {
        session.confirm(&format!("Everything known of {} is forgotten", arguments.machine))?;
    }
    let (path, options) = ([arguments.machine.as_str()], rehearsal(arguments.dry_run));
    let machine = session.call::<RemoveMachine>(&path, &(), options).await?;
    changed(session, &machine, arguments.dry_run, "removed")
}
