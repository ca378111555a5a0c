//! `bedplate bucket encryption`: whether new objects are encrypted at rest.

use clap::Args;
use client::objects::{Objects, xml};
use serde_json::json;

use crate::Failure;
use crate::gateway::reach::Reach;
use crate::session::Session;

/// What to say.
#[derive(Args, Debug)]
#[command(
    after_help = "AES-256-GCM, with a key for each object, wrapped by the gateway's. Objects that are there stay as\nthey are; copy them onto themselves to change that.\n\nExamples:\n  bedplate bucket encryption data\n  bedplate bucket encryption data --on\n  bedplate bucket encryption data --off"
)]
pub struct Arguments {
    /// Which bucket
    bucket: String,
    /// Encrypt new objects
    #[arg(long, conflicts_with = "off")]
    on: bool,
    /// Do not, unless a client asks for it
    #[arg(long)]
    off: bool,
}

const ON: &str = "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>\
<SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>\
</ServerSideEncryptionConfiguration>";

/// Shows or changes it.
pub async fn run(session: &Session, reach: &Reach, arguments: Arguments) -> Result<(), Failure> {
    let Arguments { bucket, on, off } = arguments;
    let objects = reach.connect(session)?;
    if on {
        objects.set_bucket_document(&bucket, "encryption", ON).await?;
    }
    if off {
        objects.remove_bucket_document(&bucket, "encryption").await?;
    }
    let state = state(&objects, &bucket).await?;
    session.show(&json!({ "bucket": bucket, "encryption": state }), |_| {
        format!("encryption of new objects in {bucket} is {}\n", state.as_deref().unwrap_or("off"))
    })
}

/// How new objects are encrypted, if they are.
pub async fn state(objects: &Objects, bucket: &str) -> Result<Option<String>, Failure> {
    let document = objects.bucket_document(bucket, "encryption").await?.unwrap_or_default();
    Ok(xml::parse(&document).and_then(|document| {
        let rule = document.child("Rule")?.child("ApplyServerSideEncryptionByDefault")?;
        rule.text_of("SSEAlgorithm").map(str::to_owned)
    }))
}
