//! Object gateways, as the verbs of buckets and objects reach them, and what their
//! administrators do.
//!
//! Two ways lead to a gateway. Buckets and objects are asked for over the network, with
//! an access key, as any client of S3 does ([`reach`]). Keys, quotas and its health are
//! asked for at the socket in its directory, by its own user ([`service`]).

pub mod key;
pub mod place;
pub mod project;
pub mod reach;
pub mod refusal;
pub mod service;
pub mod session;
pub mod status;

use clap::Subcommand;

use crate::Failure;
use crate::session::Session;

/// What administrators do with a gateway that runs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// How it is: version, space, damage, limits
    Status(status::Arguments),
    /// Access keys: who may sign requests
    #[command(subcommand)]
    Key(key::Verb),
    /// Short credentials, made of an access key
    Session(session::Arguments),
    /// Projects: what their buckets hold, and may hold
    #[command(subcommand)]
    Project(project::Verb),
}

/// Carries it out.
pub async fn run(session: &Session, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Status(arguments) => status::run(session, arguments).await,
        Verb::Key(verb) => key::run(session, verb).await,
        Verb::Session(arguments) => session::run(session, arguments).await,
        Verb::Project(verb) => project::run(session, verb).await,
    }
}
