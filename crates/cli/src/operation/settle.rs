//! `bedplate operation retry|skip|abandon`: what a person decides about an operation
//! that needs attention.

use clap::Args;
use model::api::{SettleOperation, SettleRequest};
use model::operation::Settlement;

use super::name::find;
use super::to_end;
use crate::Failure;
use crate::session::{Session, rehearsal};

/// Which operation.
#[derive(Args, Debug)]
#[command(
    after_help = "Only burn-in and await-system can be skipped: on the others hangs what is promised to tenants.\n\nExamples:\n  bedplate operation retry 3f9c1a2b\n  bedplate operation skip m1 --detach\n  bedplate operation abandon m1"
)]
pub struct Arguments {
    /// Its id, the last digits of it, or a machine: its latest operation
    operation: String,
    /// Do not wait for the end of what goes on
    #[arg(long)]
    detach: bool,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Settles it, and follows it where it goes on.
pub async fn run(
    session: &Session,
    arguments: Arguments,
    settlement: Settlement,
) -> Result<(), Failure> {
    let id = find(session, &arguments.operation).await?;
    let (request, options) = (SettleRequest { settlement }, rehearsal(arguments.dry_run));
    let operation = session.call::<SettleOperation>(&[&id.to_string()], &request, options).await?;
    let goes_on = settlement != Settlement::Abandon && !arguments.dry_run && !arguments.detach;
    if goes_on {
        return to_end(session, id).await;
    }
    let would = if arguments.dry_run { "would be " } else { "" };
    session.show(&operation, |it| format!("operation {} {would}{}\n", it.id.short(), it.state))
}
