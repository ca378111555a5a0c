//! `bedplate capacity`: how many more of a type fit.

use clap::Args;
use client::Options;
use model::api::GetCapacity;

use crate::Failure;
use crate::session::Session;

/// Of which type.
#[derive(Args, Debug)]
#[command(
    after_help = "Counts what open hosts have free; rules of groups and quotas are not looked at.\n\nExamples:\n  bedplate capacity --type small"
)]
pub struct Arguments {
    /// Which type
    #[arg(long = "type", value_name = "TYPE")]
    kind: String,
}

/// Asks and shows.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let path = [arguments.kind.as_str()];
    let capacity = session.call::<GetCapacity>(&path, &(), Options::default()).await?;
    session.show(&capacity, |it| {
        format!("{} more of {} fit on {} open hosts\n", it.fits, it.kind, it.open_hosts)
    })
}
