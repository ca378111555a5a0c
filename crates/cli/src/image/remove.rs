//! `bedplate image remove`: remove an image that nothing is being deployed from.

use clap::Args;
use model::api::RemoveImage;

use crate::Failure;
use crate::session::{Session, rehearsal};

/// Which image.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate image remove debian-11")]
pub struct Arguments {
    /// Which image, by name or id
    image: String,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Asks for it.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    if !arguments.dry_run {
        session.confirm(&format!("The image {} is removed", arguments.image))?;
    }
    let (path, options) = ([arguments.image.as_str()], rehearsal(arguments.dry_run));
    let image = session.call::<RemoveImage>(&path, &(), options).await?;
    let would = if arguments.dry_run { "would be " } else { "" };
    session.show(&image, |image| format!("image {} {would}removed\n", image.name))
}
