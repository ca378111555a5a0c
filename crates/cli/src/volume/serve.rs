//! `bedplate volume serve`: serve a volume by NBD.

use std::path::PathBuf;

use clap::Args;
use model::volume::{Attachment, DiskOrder};

use super::{service, words};
use crate::Failure;
use crate::session::Session;

/// Which, and where.
#[derive(Args, Debug)]
#[command(
    after_help = "Prints its address, so others can use it:\n  qemu-img info $(bedplate volume serve data)\n\nExamples:\n  bedplate volume serve data\n  bedplate volume serve data --nbd /run/data.sock --read-only"
)]
pub struct Arguments {
    /// Which volume, or snapshot: NAME or NAME@SNAPSHOT
    volume: String,
    /// The path of the socket [default: VOLUME.nbd in the service's directory]
    #[arg(long, value_name = "SOCKET")]
    nbd: Option<PathBuf>,
    /// No writes
    #[arg(long)]
    read_only: bool,
}

/// Serves it.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let Arguments { volume, nbd, read_only } = arguments;
    let socket = nbd.as_deref().map(service::absolute).transpose()?;
    let asked = DiskOrder::Serve { volume, socket, read_only };
    let attachment: Attachment = service::order(session, asked).await?;
    session.show(&attachment, |attachment| format!("{}\n", words::uri(attachment)))
}
