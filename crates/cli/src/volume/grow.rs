//! `bedplate volume grow`: more room. There is no way back: what lies there would be lost.

use clap::Args;
use model::Bytes;
use model::volume::{DiskOrder, Volume};

use super::service;
use crate::Failure;
use crate::session::Session;

/// Which, and how large.
#[derive(Args, Debug)]
#[command(
    after_help = "A virtual machine sees the new size at once; NBD clients when they connect again. File systems\ngrow by their own tools afterwards (growpart, resize2fs, xfs_growfs).\n\nExamples:\n  bedplate volume grow data --size 40G"
)]
pub struct Arguments {
    /// Which volume
    volume: String,
    /// Its new size: 40G
    #[arg(long)]
    size: Bytes,
}

/// Grows it.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let Arguments { volume, size } = arguments;
    let grown: Volume = service::order(session, DiskOrder::VolumeGrow { volume, size }).await?;
    session.show(&grown, |grown| format!("volume {} has {}\n", grown.name, grown.size))
}
