//! `bedplate object`: objects of a gateway, in the dialect S3: this works with any server
//! of S3.

mod copy;
mod delete;
mod get;
mod kind;
mod list;
mod paths;
mod presign;
mod put;
mod show;
mod tree;
mod uploads;

use clap::{Args, Subcommand};

use crate::Failure;
use crate::gateway::reach::Reach;
use crate::session::Session;

/// What is done with objects, and where.
#[derive(Args, Debug)]
pub struct Noun {
    #[command(flatten)]
    reach: Reach,
    /// What is done.
    #[command(subcommand)]
    verb: Verb,
}

/// What is done with objects.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Store a file, or a directory with all in it
    Put(put::Arguments),
    /// Fetch an object, or all objects whose keys begin alike
    Get(get::Arguments),
    /// List objects
    List(list::Arguments),
    /// Show what is known of an object
    Show(show::Arguments),
    /// Delete objects
    Delete(delete::Arguments),
    /// Copy an object within the gateway
    Copy(copy::Arguments),
    /// Make an address that whoever has it may use for a while
    Presign(presign::Arguments),
    /// List uploads that were not finished, or give them up
    Uploads(uploads::Arguments),
}

/// Carries it out.
pub async fn run(session: &Session, noun: Noun) -> Result<(), Failure> {
    let Noun { reach, verb } = noun;
    match verb {
        Verb::Put(arguments) => put::run(session, &reach, arguments).await,
        Verb::Get(arguments) => get::run(session, &reach, arguments).await,
        Verb::List(arguments) => list::run(session, &reach, arguments).await,
        Verb::Show(arguments) => show::run(session, &reach, arguments).await,
        Verb::Delete(arguments) => delete::run(session, &reach, arguments).await,
        Verb::Copy(arguments) => copy::run(session, &reach, arguments).await,
        Verb::Presign(arguments) => presign::run(session, &reach, arguments).await,
        Verb::Uploads(arguments) => uploads::run(session, &reach, arguments).await,
    }
}
