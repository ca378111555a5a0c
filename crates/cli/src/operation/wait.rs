//! `bedplate operation wait`: watch an operation until it ends or needs attention.

use clap::Args;

use super::name::find;
use super::to_end;
use crate::Failure;
use crate::session::Session;

/// Which operation.
#[derive(Args, Debug)]
#[command(
    after_help = "Ends with 0 when it is done, 1 when it was abandoned, 3 when it needs attention.\nCtrl-C ends the watching; the operation goes on.\n\nExamples:\n  bedplate operation wait 3f9c1a2b\n  bedplate operation wait m1"
)]
pub struct Arguments {
    /// Its id, the last digits of it, or a machine: its latest operation
    operation: String,
}

/// Follows it.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let id = find(session, &arguments.operation).await?;
    to_end(session, id).await
}
