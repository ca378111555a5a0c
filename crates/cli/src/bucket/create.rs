//! `bedplate bucket create`.

use clap::Args;
use serde::Serialize;

use super::versioning;
use crate::Failure;
use crate::gateway::reach::Reach;
use crate::session::Session;

/// What to make.
#[derive(Args, Debug)]
#[command(
    after_help = "Names have 3 to 63 lower-case letters, digits, dots and hyphens, and are one for all accounts.\n\nExamples:\n  bedplate bucket create data\n  bedplate bucket create archive --lock"
)]
pub struct Arguments {
    /// Its name
    bucket: String,
    /// Keep what is overwritten or deleted
    #[arg(long)]
    versioning: bool,
    /// Objects can be held against deletion; versions are kept. For good
    #[arg(long)]
    lock: bool,
}

/// What was made, as JSON.
#[derive(Serialize)]
struct Created {
    bucket: String,
    versioning: bool,
    lock: bool,
}

/// Makes it.
pub async fn run(session: &Session, reach: &Reach, arguments: Arguments) -> Result<(), Failure> {
    let Arguments { bucket, versioning, lock } = arguments;
    let objects = reach.connect(session)?;
    objects.create_bucket(&bucket, lock).await?;
    if versioning && !lock {
        versioning::set(&objects, &bucket, "Enabled").await?;
    }
    let created = Created { bucket, versioning: versioning || lock, lock };
    session.show(&created, |it| format!("bucket {} made\n", it.bucket))
}
