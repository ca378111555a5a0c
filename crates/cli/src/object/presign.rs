//! `bedplate object presign`: an address that whoever has it may use for a while.

use clap::{Args, ValueEnum};
use client::objects::Question;
use model::Duration;
use serde_json::json;

use crate::Failure;
use crate::gateway::place::{self, Place};
use crate::gateway::reach::Reach;
use crate::session::Session;

/// What, and for how long.
#[derive(Args, Debug)]
#[command(
    after_help = "It has the rights of the access key that signed it, for this object and method only, and is good until\nit expires or the key is removed. Nothing is asked of the gateway.\n\nExamples:\n  bedplate object presign data/model.bin\n  bedplate object presign data/incoming/1.bin --method put --ttl 15m"
)]
pub struct Arguments {
    /// Which object: BUCKET/KEY
    #[arg(value_parser = place::object)]
    place: Place,
    /// What may be done
    #[arg(long, value_enum, default_value_t = Method::Get)]
    method: Method,
    /// How long it is good: 90s, 15m, 12h, at most 7d
    #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = crate::token::ttl)]
    ttl: Duration,
    /// This version
    #[arg(long)]
    version: Option<String>,
}

/// What may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Method {
    /// Fetch it
    Get,
    /// Store it
    Put,
    /// Look what is known of it
    Head,
    /// Delete it
    Delete,
}

/// Makes it.
pub async fn run(session: &Session, reach: &Reach, arguments: Arguments) -> Result<(), Failure> {
    let Arguments { place, method, ttl, version } = arguments;
    let seconds = ttl.micros() / 1_000_000;
    if !(1..=7 * 86_400).contains(&seconds) {
        return Err(Failure::usage("An address is good for 7 days at most").next("Say --ttl 7d."));
    }
    let method = match method {
        Method::Get => "GET",
        Method::Put => "PUT",
        Method::Head => "HEAD",
        Method::Delete => "DELETE",
    };
    let mut question = Question::object(&place.bucket, &place.key);
    if let Some(version) = version {
        question = question.with("versionId", version);
    }
    let url = reach.connect(session)?.presign(method, &question, seconds)?;
    let made = json!({ "url": url, "method": method, "seconds": seconds });
    session.show(&made, |_| format!("{url}\n"))
}
