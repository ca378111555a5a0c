//! `bedplate volume`: disks for virtual machines and others.
//!
//! These verbs ask the disk service of this host at the control socket in its directory
//! (`--dir`, as `bedplate disk up` has it). They need no control plane and no token:
//! whoever may use the socket may ask.

mod attach;
mod clone;
mod convert;
mod copy;
mod create;
mod delete;
mod detach;
mod export;
mod grow;
mod image;
mod limit;
mod limits;
mod list;
mod nbd;
mod passage;
mod scrub;
mod serve;
pub mod service;
pub mod show;
mod snapshot;
mod unserve;
pub mod words;

use clap::Subcommand;

use crate::Failure;
use crate::session::Session;

/// What is done with volumes.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a volume: empty, or with what an image holds
    Create(create::Arguments),
    /// List volumes and snapshots
    List(list::Arguments),
    /// Show a volume: limits, who is served, snapshots, how long requests take
    Show(show::Arguments),
    /// Keep what a volume holds now
    Snapshot(snapshot::Arguments),
    /// Make a volume that begins as a snapshot is, at once and without copying
    Clone(clone::Arguments),
    /// Make a volume larger
    Grow(grow::Arguments),
    /// Change what a volume may use, at once
    Limit(limit::Arguments),
    /// Delete a volume or a snapshot for good
    Delete(delete::Arguments),
    /// Serve a volume to a virtual machine, by vhost-user
    Attach(attach::Arguments),
    /// End what `attach` began
    Detach(detach::Arguments),
    /// Serve a volume by NBD
    Serve(serve::Arguments),
    /// End what `serve` began
    Unserve(unserve::Arguments),
    /// Copy a volume or snapshot into a file
    Export(export::Arguments),
    /// Read all that a volume or snapshot holds, and check it
    Scrub(scrub::Arguments),
}

/// Carries it out.
pub async fn run(session: &Session, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Create(arguments) => create::run(session, arguments).await,
        Verb::List(arguments) => list::run(session, arguments).await,
        Verb::Show(arguments) => show::run(session, arguments).await,
        Verb::Snapshot(arguments) => snapshot::run(session, arguments).await,
        Verb::Clone(arguments) => clone::run(session, arguments).await,
        Verb::Grow(arguments) => grow::run(session, arguments).await,
        Verb::Limit(arguments) => limit::run(session, arguments).await,
        Verb::Delete(arguments) => delete::run(session, arguments).await,
        Verb::Attach(arguments) => attach::run(session, arguments).await,
        Verb::Detach(arguments) => detach::run(session, arguments).await,
        Verb::Serve(arguments) => serve::run(session, arguments).await,
        Verb::Unserve(arguments) => unserve::run(session, arguments).await,
        Verb::Export(arguments) => export::run(session, arguments).await,
        Verb::Scrub(arguments) => scrub::run(session, arguments).await,
    }
}
