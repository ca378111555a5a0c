//! `bedplate object show`: what is known of an object.

use clap::Args;
use model::Bytes;
use serde_json::json;

use crate::Failure;
use crate::gateway::place::{self, Place};
use crate::gateway::reach::Reach;
use crate::page::Page;
use crate::session::Session;

/// Which object.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  bedplate object show data/model.bin\n  bedplate object show data/model.bin --version 4A2F --output json"
)]
pub struct Arguments {
    /// Which object: BUCKET/KEY
    #[arg(value_parser = place::object)]
    place: Place,
    /// This version
    #[arg(long)]
    version: Option<String>,
}

/// Asks and shows.
pub async fn run(session: &Session, reach: &Reach, arguments: Arguments) -> Result<(), Failure> {
    let Arguments { place, version } = arguments;
    let objects = reach.connect(session)?;
    let head = objects.head(&place.bucket, &place.key, version.as_deref()).await?;
    if session.json {
        let about = json!({ "bucket": place.bucket, "key": place.key, "object": head });
        return session.print_json(&about);
    }
    let mut page = Page::new(session.terminal.width, session.terminal.paint);
    page.heading(&place.to_string());
    page.line("size", format!("{} ({} bytes)", Bytes(head.size), head.size));
    page.line("written", &head.modified);
    page.line("type", &head.content_type);
    page.line("etag", &head.etag);
    page.line("version", head.version.unwrap_or_default());
    for (algorithm, value) in &head.checksums {
        let of = head.checksum_type.as_deref().unwrap_or_default().to_ascii_lowercase();
        page.line("checksum", format!("{algorithm} {value} {of}"));
    }
    page.line("encryption", head.encryption.unwrap_or_default());
    page.line("held", head.retention.unwrap_or_default());
    page.line("legal hold", if head.legal_hold { "on" } else { "" });
    for (name, value) in &head.metadata {
        page.line("metadata", format!("{name}={value}"));
    }
    session.print(&page.finish())
}
