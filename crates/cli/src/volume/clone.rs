//! `bedplate volume clone`: a volume that begins as a snapshot is.

use clap::Args;
use model::volume::{DiskOrder, Volume};

use super::limits::Wanted;
use super::service;
use crate::Failure;
use crate::session::Session;

/// Of what, and its name.
#[derive(Args, Debug)]
#[command(
    after_help = "It is there at once; only what is written to it takes room. A clone of what is encrypted is\nencrypted, with a key of its own for what it writes.\n\nExamples:\n  bedplate volume clone data@monday trial\n  bedplate volume clone data@monday trial --iops 500"
)]
pub struct Arguments {
    /// Which snapshot
    #[arg(value_name = "VOLUME@SNAPSHOT", value_parser = snapshot)]
    snapshot: String,
    /// The volume's name
    name: String,
    #[command(flatten)]
    limits: Wanted,
}

fn snapshot(text: &str) -> Result<String, String> {
    match text.split_once('@') {
        Some((volume, name)) if !volume.is_empty() && !name.is_empty() => Ok(text.to_owned()),
        _ => Err("only snapshots are cloned: VOLUME@SNAPSHOT, made by bedplate volume snapshot"
            .to_owned()),
    }
}

/// Makes it.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let limits = arguments.limits.limits()?;
    let Arguments { snapshot, name, .. } = arguments;
    let asked = DiskOrder::VolumeClone { snapshot, name, limits };
    let made: Volume = service::order(session, asked).await?;
    session.show(&made, |made| {
        let of = made.clone_of.as_deref().unwrap_or("a snapshot");
        format!("volume {} made, as {of} is: {}\n", made.name, made.size)
    })
}
