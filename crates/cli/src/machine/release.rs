//! `bedplate machine release`: take a machine back.

use clap::Args;
use model::api::ReleaseMachine;

use crate::Failure;
use crate::operation::{Begun, begun};
use crate::session::{Session, rehearsal};

/// Which machine.
#[derive(Args, Debug)]
#[command(
    after_help = "Everything on its disks is destroyed; `bedplate machine certificate` shows the proof.\n\nExamples:\n  bedplate machine release m1\n  bedplate machine release m1 --yes --detach"
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
        let system = machine.spec.deployment.as_ref().map(|it| it.hostname.as_str());
        let system = system.unwrap_or("no system");
        session.confirm(&format!("All data on {} ({system}) is destroyed", machine.name))?;
    }
    let options = rehearsal(arguments.begun.dry_run);
    let operation = session.call::<ReleaseMachine>(&[&arguments.machine], &(), options).await?;
    begun(session, &arguments.begun, &machine.name, operation).await
}
