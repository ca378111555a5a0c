//! `bedplate machine recover`: bring a machine back from quarantine or maintenance.

use clap::Args;
use model::api::RecoverMachine;

use crate::Failure;
use crate::operation::{Begun, begun};
use crate::session::{Session, rehearsal};

/// Which machine.
#[derive(Args, Debug)]
#[command(
    after_help = "It is inspected, attested, sanitised and tested anew. What is on its disks is destroyed.\nTo go on with an operation where it stopped, see: bedplate operation retry.\n\nExamples:\n  bedplate machine recover m1"
)]
pub struct Arguments {
    /// Which machine
    machine: String,
    #[command(flatten)]
    begun: Begun,
}

/// Asks whether that is meant, asks for it, and follows it.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let machine = session.client()?.machine(&arguments.machine).await?;
    if !arguments.begun.dry_run {
        session.confirm(&format!("All data on {} is destroyed", machine.name))?;
    }
    let options = rehearsal(arguments.begun.dry_run);
    let operation = session.call::<RecoverMachine>(&[&arguments.machine], &(), options).await?;
    begun(session, &arguments.begun, &machine.name, operation).await
}
