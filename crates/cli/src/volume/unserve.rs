//! `bedplate volume unserve`: end what `serve` began.

use clap::Args;
use model::volume::DiskOrder;

use super::service;
use crate::Failure;
use crate::session::Session;

/// Which.
#[derive(Args, Debug)]
#[command(
    after_help = "Clients are hung up on, once what they asked is answered.\n\nExamples:\n  bedplate volume unserve data"
)]
pub struct Arguments {
    /// Which volume, or snapshot: NAME or NAME@SNAPSHOT
    volume: String,
}

/// Ends it.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let volume = arguments.volume;
    let asked = DiskOrder::Unserve { volume: volume.clone() };
    let () = service::order(session, asked).await?;
    session.show(&(), |()| format!("{volume} is not served by NBD\n"))
}
