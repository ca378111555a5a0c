//! `bedplate volume detach`: end what `attach` began.

use clap::Args;
use model::volume::DiskOrder;

use super::service;
use crate::Failure;
use crate::session::Session;

/// Which.
#[derive(Args, Debug)]
#[command(
    after_help = "A virtual machine that uses it loses its disk.\n\nExamples:\n  bedplate volume detach data"
)]
pub struct Arguments {
    /// Which volume
    volume: String,
}

/// Ends it.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let volume = arguments.volume;
    let asked = DiskOrder::Detach { volume: volume.clone() };
    let () = service::order(session, asked).await?;
    session.show(&(), |()| format!("{volume} is served to no virtual machine\n"))
}
