//! `bedplate volume snapshot`: keep what a volume holds now.

use clap::Args;
use model::volume::{DiskOrder, Volume};

use super::service;
use crate::Failure;
use crate::session::Session;

/// Of what, and its name.
#[derive(Args, Debug)]
#[command(
    after_help = "It takes no time and no room; what is written later is kept apart. The snapshot holds what was\nacknowledged: flush what a guest still has in its own memory first.\n\nExamples:\n  bedplate volume snapshot data monday"
)]
pub struct Arguments {
    /// Which volume
    volume: String,
    /// The snapshot's name; it is data@monday from then on
    name: String,
}

/// Makes it.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let Arguments { volume, name } = arguments;
    let made: Volume = service::order(session, DiskOrder::VolumeSnapshot { volume, name }).await?;
    session.show(&made, |made| format!("snapshot {} made\n", made.name))
}
