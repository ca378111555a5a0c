//! `bedplate machine quarantine`: out of service, with a reason.

use clap::Args;
use model::api::{QuarantineMachine, QuarantineRequest};

use super::changed;
use crate::Failure;
use crate::session::{Session, rehearsal};

/// Which machine, and why.
#[derive(Args, Debug)]
#[command(
    after_help = "Work on it stops where it is; nothing is wiped. To bring it back: bedplate machine recover.\n\nExamples:\n  bedplate machine quarantine m1 --reason \"fan 3 is loud\""
)]
pub struct Arguments {
    /// Which machine
    machine: String,
    /// Why, for whoever looks at it next
    #[arg(long)]
    reason: String,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Asks for it.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let request = QuarantineRequest { reason: arguments.reason };
    let (path, options) = ([arguments.machine.as_str()], rehearsal(arguments.dry_run));
    let machine = session.call::<QuarantineMachine>(&path, &request, options).await?;
    changed(session, &machine, arguments.dry_run, "quarantined")
}
