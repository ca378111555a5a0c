//! `bedplate gateway session`: short credentials, for a job that should not have more.

use clap::Args;
use model::Duration;
use model::gateway::{GatewayOrder, GatewaySecret};

use super::key;
use super::service::Which;
use crate::Failure;
use crate::session::Session;

/// Of which key, for how long.
#[derive(Args, Debug)]
#[command(
    after_help = "They sign as the access key does, with its rights, until they expire or the key is removed.\nNothing is kept of them.\n\nExamples:\n  bedplate gateway session\n  bedplate gateway session BPAAAABBBBCCCCDDDDEE --ttl 15m\n  bedplate gateway session --output json"
)]
pub struct Arguments {
    /// The access key's id [default: the gateway's first]
    key: Option<String>,
    /// How long they are good: 90s, 15m, 12h, 1d
    #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = crate::token::ttl)]
    ttl: Duration,
    #[command(flatten)]
    which: Which,
}

/// Makes them.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let Arguments { key, ttl: span, which } = arguments;
    let id = match key {
        Some(id) => id,
        None => key::first(session, &which)?,
    };
    let made: GatewaySecret = which.order(session, GatewayOrder::Session { id, span }).await?;
    key::tell(session, &made)
}
