//! `bedplate bucket delete`.

use clap::Args;
use serde_json::json;

use crate::Failure;
use crate::gateway::reach::Reach;
use crate::session::Session;

/// Which bucket.
#[derive(Args, Debug)]
#[command(
    after_help = "It must be empty: without versions, and without uploads that go on.\n\nExamples:\n  bedplate bucket delete data"
)]
pub struct Arguments {
    /// Which bucket
    bucket: String,
}

/// Deletes it.
pub async fn run(session: &Session, reach: &Reach, arguments: Arguments) -> Result<(), Failure> {
    let bucket = arguments.bucket;
    let objects = reach.connect(session)?;
    session.confirm(&format!("The bucket {bucket} is deleted, with its policy and rules"))?;
    objects.delete_bucket(&bucket).await?;
    session.show(&json!({ "bucket": bucket }), |_| format!("bucket {bucket} deleted\n"))
}
