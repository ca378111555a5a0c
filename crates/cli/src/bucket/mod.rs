//! `bedplate bucket`: buckets of an object gateway, in the dialect S3: this works with
//! any server of S3, except quotas.

mod cors;
mod create;
mod delete;
mod document;
mod encryption;
mod lifecycle;
mod list;
mod policy;
mod quota;
mod show;
mod versioning;

use clap::{Args, Subcommand};

use crate::Failure;
use crate::gateway::reach::Reach;
use crate::session::Session;

/// What is done with buckets, and where.
#[derive(Args, Debug)]
pub struct Noun {
    #[command(flatten)]
    reach: Reach,
    /// What is done.
    #[command(subcommand)]
    verb: Verb,
}

/// What is done with buckets.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a bucket
    Create(create::Arguments),
    /// List the buckets of who asks
    List(list::Arguments),
    /// Show a bucket: what is said about it
    Show(show::Arguments),
    /// Delete an empty bucket
    Delete(delete::Arguments),
    /// Show or change who may do what
    Policy(policy::Arguments),
    /// Show or change whether overwritten objects are kept
    Versioning(versioning::Arguments),
    /// Show or change how many bytes it may hold; on the gateway's host
    Quota(quota::Arguments),
    /// Show or change what is done with objects as they age
    Lifecycle(lifecycle::Arguments),
    /// Show or change which web pages may use it
    Cors(cors::Arguments),
    /// Show or change whether new objects are encrypted
    Encryption(encryption::Arguments),
}

/// Carries it out.
pub async fn run(session: &Session, noun: Noun) -> Result<(), Failure> {
    let Noun { reach, verb } = noun;
    match verb {
        Verb::Create(arguments) => create::run(session, &reach, arguments).await,
        Verb::List(arguments) => list::run(session, &reach, arguments).await,
        Verb::Show(arguments) => show::run(session, &reach, arguments).await,
        Verb::Delete(arguments) => delete::run(session, &reach, arguments).await,
        Verb::Policy(arguments) => policy::run(session, &reach, arguments).await,
        Verb::Versioning(arguments) => versioning::run(session, &reach, arguments).await,
        Verb::Quota(arguments) => quota::run(session, &reach, arguments).await,
        Verb::Lifecycle(arguments) => lifecycle::run(session, &reach, arguments).await,
        Verb::Cors(arguments) => cors::run(session, &reach, arguments).await,
        Verb::Encryption(arguments) => encryption::run(session, &reach, arguments).await,
    }
}
