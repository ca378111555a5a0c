//! Verbs on images. Each verb is a file.

pub mod content;
pub mod import;
pub mod list;
pub mod remove;
pub mod show;

use clap::Subcommand;
use model::image::{Compression, ImageFormat};

use crate::Failure;
use crate::session::Session;

/// What is done with images.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Bring an image in from a file or an address
    Import(import::Arguments),
    /// List images
    List(list::Arguments),
    /// Show an image
    Show(show::Arguments),
    /// Remove an image that nothing is being deployed from
    Remove(remove::Arguments),
}

/// Carries it out.
pub async fn run(session: &Session, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Import(arguments) => import::run(session, arguments).await,
        Verb::List(arguments) => list::run(session, arguments).await,
        Verb::Show(arguments) => show::run(session, arguments).await,
        Verb::Remove(arguments) => remove::run(session, arguments).await,
    }
}

/// The word for a layout.
pub const fn format(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Raw => "raw",
        ImageFormat::Qcow2 => "qcow2",
    }
}

/// The word for a way of packing.
pub const fn compression(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "none",
        Compression::Zstd => "zstd",
        Compression::Gzip => "gzip",
        Compression::Xz => "xz",
    }
}
