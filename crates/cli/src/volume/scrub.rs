//! `bedplate volume scrub`: read all that a volume holds, and check it.

use clap::Args;
use model::Bytes;
use model::volume::{DiskOrder, ScrubFound};

use super::service;
use crate::Failure;
use crate::progress::bytes;
use crate::session::Session;

/// Which.
#[derive(Args, Debug)]
#[command(
    after_help = "Ends with 1 when something is damaged. It goes on beside other work, and yields to it.\n\nExamples:\n  bedplate volume scrub data\n  bedplate volume scrub data@monday --output json"
)]
pub struct Arguments {
    /// Which volume, or snapshot: NAME or NAME@SNAPSHOT
    volume: String,
}

/// Has it read.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let volume = arguments.volume;
    let sign = bytes::spinner(session, &format!("reading all of {volume}"));
    let asked = DiskOrder::Scrub { volume: volume.clone() };
    let found = service::order::<ScrubFound>(session, asked).await;
    sign.finish_and_clear();
    let found = found?;
    session.show(&found, |found| {
        let size = Bytes(found.blocks.saturating_mul(4096));
        format!("{} blocks checked ({size}), {} damaged\n", found.blocks, found.damaged)
    })?;
    verdict(&volume, &found)
}

fn verdict(volume: &str, found: &ScrubFound) -> Result<(), Failure> {
    if found.damaged == 0 && found.unread == 0 {
        return Ok(());
    }
    let why = format!(
        "{} blocks of 4 KiB are not what was written; {} runs or pages of the map could not be read",
        found.damaged, found.unread
    );
    Err(Failure::new("damaged", format!("{volume} is damaged")).why(why).next(
        "The log of the service names each place. Write those blocks anew from a copy, or restore the volume; then replace the medium.",
    ))
}
