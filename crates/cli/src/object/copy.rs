//! `bedplate object copy`: the gateway copies; nothing of the content comes here.

use clap::Args;
use serde_json::json;

use crate::Failure;
use crate::gateway::place::{self, Place};
use crate::gateway::reach::Reach;
use crate::session::Session;

/// What, and where to.
#[derive(Args, Debug)]
#[command(
    after_help = "Up to 5 GiB, as S3 has it.\n\nExamples:\n  bedplate object copy data/model.bin archive/2026/model.bin\n  bedplate object copy data/model.bin data/model.bin --version 4A2F"
)]
pub struct Arguments {
    /// Which object: BUCKET/KEY
    #[arg(value_parser = place::object)]
    source: Place,
    /// Where to: BUCKET/KEY; a key that ends with / gets the source's last name
    place: Place,
    /// This version of the source
    #[arg(long)]
    version: Option<String>,
}

/// Copies it.
pub async fn run(session: &Session, reach: &Reach, arguments: Arguments) -> Result<(), Failure> {
    let Arguments { source, mut place, version } = arguments;
    if place.key.is_empty() || place.key.ends_with('/') {
        place.key.push_str(source.key.rsplit('/').next().unwrap_or_default());
    }
    let objects = reach.connect(session)?;
    let from = (source.bucket.as_str(), source.key.as_str(), version.as_deref());
    let etag = objects.copy(from, (&place.bucket, &place.key)).await?;
    let copied = json!({ "bucket": place.bucket, "key": place.key, "etag": etag });
    session.show(&copied, |_| format!("{place} is a copy of {source}\n"))
}
