//! `bedplate volume delete`: for good.

use clap::Args;
use model::volume::{DiskOrder, Volume};

use super::service;
use crate::Failure;
use crate::session::Session;

/// Which.
#[derive(Args, Debug)]
#[command(
    after_help = "A volume whose snapshots are kept, and a snapshot that has clones, cannot be deleted. The key of\nan encrypted volume goes with it: what is left on the medium cannot be read by anybody.\n\nExamples:\n  bedplate volume delete trial\n  bedplate volume delete data@monday --yes"
)]
pub struct Arguments {
    /// Which volume, or snapshot: NAME or NAME@SNAPSHOT
    volume: String,
}

/// Deletes it.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let volume = arguments.volume;
    // It must be there, and people are told how much they lose.
    let shown = DiskOrder::VolumeShow { volume: volume.clone() };
    let known: Volume = service::order(session, shown).await?;
    session.confirm(&format!("{volume} is deleted for good, with {} in it", known.used))?;
    let () = service::order(session, DiskOrder::VolumeDelete { volume }).await?;
    session.show(&known, |known| format!("{} is deleted\n", known.name))
}
