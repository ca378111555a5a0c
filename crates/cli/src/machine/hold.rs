//! `bedplate machine drain`, `undrain`, `lock`, `unlock`: machines that are emptied, or left
//! alone by everything automatic.

use clap::Args;
use model::api::{DrainMachine, HoldRequest, LockMachine, UndrainMachine, UnlockMachine};

use super::changed;
use crate::Failure;
use crate::session::{Session, rehearsal};

/// Which machine, and why.
#[derive(Args, Debug)]
#[command(
    after_help = "It takes no new instances, and those that it has are moved where there is room. `bedplate fleet status` tells how many are still to move.\n\nExamples:\n  bedplate machine drain m1 --reason \"fan 3 is to be replaced\""
)]
pub struct Drain {
    /// Which machine
    machine: String,
    /// Why, for whoever looks at it next
    #[arg(long)]
    reason: String,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Which machine, and why.
#[derive(Args, Debug)]
#[command(
    after_help = "Neither placement nor repair nor a rollout touches it until it is unlocked; people can.\n\nExamples:\n  bedplate machine lock m1 --reason \"ada debugs it\""
)]
pub struct Lock {
    /// Which machine
    machine: String,
    /// Why, for whoever looks at it next
    #[arg(long)]
    reason: String,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Which machine.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate machine undrain m1")]
pub struct Undrain {
    /// Which machine
    machine: String,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Which machine.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate machine unlock m1")]
pub struct Unlock {
    /// Which machine
    machine: String,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Empties it.
pub async fn drain(session: &Session, arguments: Drain) -> Result<(), Failure> {
    let request = HoldRequest { reason: arguments.reason };
    let (path, options) = ([arguments.machine.as_str()], rehearsal(arguments.dry_run));
    let machine = session.call::<DrainMachine>(&path, &request, options).await?;
    changed(session, &machine, arguments.dry_run, "drained")
}

/// Lets it take instances again.
pub async fn undrain(session: &Session, arguments: Undrain) -> Result<(), Failure> {
    let (path, options) = ([arguments.machine.as_str()], rehearsal(arguments.dry_run));
    let machine = session.call::<UndrainMachine>(&path, &(), options).await?;
    changed(session, &machine, arguments.dry_run, "open to instances again")
}

/// Has it left alone.
pub async fn lock(session: &Session, arguments: Lock) -> Result<(), Failure> {
    let request = HoldRequest { reason: arguments.reason };
    let (path, options) = ([arguments.machine.as_str()], rehearsal(arguments.dry_run));
    let machine = session.call::<LockMachine>(&path, &request, options).await?;
    changed(session, &machine, arguments.dry_run, "locked")
}

/// Gives it back.
pub async fn unlock(session: &Session, arguments: Unlock) -> Result<(), Failure> {
    let (path, options) = ([arguments.machine.as_str()], rehearsal(arguments.dry_run));
    let machine = session.call::<UnlockMachine>(&path, &(), options).await?;
    changed(session, &machine, arguments.dry_run, "unlocked")
}
