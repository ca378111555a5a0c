//! `bedplate bucket versioning`: whether overwritten objects are kept.

use clap::Args;
use client::objects::{Objects, xml};
use serde_json::json;

use crate::Failure;
use crate::gateway::reach::Reach;
use crate::session::Session;

/// What to say.
#[derive(Args, Debug)]
#[command(
    after_help = "Versions use space until they are deleted: `bedplate bucket lifecycle` does that by age.\n\nExamples:\n  bedplate bucket versioning data\n  bedplate bucket versioning data --on\n  bedplate bucket versioning data --suspend"
)]
pub struct Arguments {
    /// Which bucket
    bucket: String,
    /// Keep what is overwritten or deleted from now on
    #[arg(long, conflicts_with = "suspend")]
    on: bool,
    /// Keep what was kept, and no more
    #[arg(long)]
    suspend: bool,
}

/// Shows or changes it.
pub async fn run(session: &Session, reach: &Reach, arguments: Arguments) -> Result<(), Failure> {
    let Arguments { bucket, on, suspend } = arguments;
    let objects = reach.connect(session)?;
    if on || suspend {
        set(&objects, &bucket, if on { "Enabled" } else { "Suspended" }).await?;
    }
    let state = state(&objects, &bucket).await?;
    session.show(&json!({ "bucket": bucket, "versioning": state }), |_| {
        format!("versioning of {bucket} is {state}\n")
    })
}

/// Says whether versions are kept.
pub async fn set(objects: &Objects, bucket: &str, status: &str) -> Result<(), Failure> {
    let document =
        format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
    Ok(objects.set_bucket_document(bucket, "versioning", document).await?)
}

/// Whether versions are kept: `on`, `suspended` or `off`.
pub async fn state(objects: &Objects, bucket: &str) -> Result<&'static str, Failure> {
    let document = objects.bucket_document(bucket, "versioning").await?.unwrap_or_default();
    let status = xml::parse(&document).and_then(|it| Some(it.text_of("Status")?.to_owned()));
    Ok(match status.as_deref() {
        Some("Enabled") => "on",
        Some(_) => "suspended",
        None => "off",
    })
}
