//! `bedplate machine set-aside`: out of the pool by a person's decision.

use clap::{Args, ValueEnum};
use model::api::{SetAside, SetAsideMachine};
use model::machine::Lifecycle;

use super::changed;
use crate::Failure;
use crate::session::{Session, rehearsal};

/// Which machine, and where to.
#[derive(Args, Debug)]
#[command(
    after_help = "For machines that rest: discovered, available, quarantined, in maintenance.\n\nExamples:\n  bedplate machine set-aside m1 --to maintenance\n  bedplate machine set-aside m1 --to retired"
)]
pub struct Arguments {
    /// Which machine
    machine: String,
    /// Where to
    #[arg(long, value_enum)]
    to: Place,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Where a machine is set aside to.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Place {
    /// A person works on it
    Maintenance,
    /// It has left for good
    Retired,
}

/// Asks for it.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let (to, what) = match arguments.to {
        Place::Maintenance => (Lifecycle::Maintenance, "in maintenance"),
        Place::Retired => (Lifecycle::Retired, "retired"),
    };
    let (path, options) = ([arguments.machine.as_str()], rehearsal(arguments.dry_run));
    let machine = session.call::<SetAsideMachine>(&path, &SetAside { to }, options).await?;
    changed(session, &machine, arguments.dry_run, what)
}
