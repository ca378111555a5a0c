//! `bedplate bucket policy`: who may do what.

use std::path::PathBuf;

use clap::Args;
use client::objects::Objects;
use serde_json::json;

use super::document;
use crate::Failure;
use crate::gateway::reach::Reach;
use crate::session::Session;

/// What to say.
#[derive(Args, Debug)]
#[command(
    after_help = "A policy is JSON in the language of S3. What is not allowed by it, by a grant or by owning the\nbucket is refused. The block of public access goes before it: --public-read lifts it for the bucket.\n\nExamples:\n  bedplate bucket policy data\n  bedplate bucket policy data --set policy.json\n  bedplate bucket policy data --public-read\n  bedplate bucket policy data --remove"
)]
pub struct Arguments {
    /// Which bucket
    bucket: String,
    /// Set the policy in this file; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["public_read", "remove"])]
    set: Option<PathBuf>,
    /// Let everybody read objects, and nothing else
    #[arg(long, conflicts_with = "remove")]
    public_read: bool,
    /// Remove the policy
    #[arg(long)]
    remove: bool,
}

/// Shows or changes it.
pub async fn run(session: &Session, reach: &Reach, arguments: Arguments) -> Result<(), Failure> {
    let Arguments { bucket, set, public_read, remove } = arguments;
    let objects = reach.connect(session)?;
    let about = (bucket.as_str(), "policy");
    if remove {
        return document::remove(session, &objects, about, &format!("{bucket} has no policy"))
            .await;
    }
    if public_read {
        session.confirm(&format!("Everybody who reaches the gateway reads all of {bucket}"))?;
        open(&objects, &bucket).await?;
        let policy = public(&bucket);
        let done = format!("everybody may read the objects of {bucket}");
        return document::set(session, &objects, about, policy, &done).await;
    }
    match set {
        Some(path) => {
            let policy = document::read(&path)?;
            let done = format!("{bucket} has a new policy");
            document::set(session, &objects, about, policy, &done).await
        }
        None => {
            let none = format!("{bucket} has no policy: its owner may do everything");
            document::show(session, &objects, about, &none).await
        }
    }
}

/// A block that lets no policy make anything public is lifted.
async fn open(objects: &Objects, bucket: &str) -> Result<(), Failure> {
    let block = objects.bucket_document(bucket, "publicAccessBlock").await?;
    if block.is_some() {
        objects.remove_bucket_document(bucket, "publicAccessBlock").await?;
    }
    Ok(())
}

fn public(bucket: &str) -> Vec<u8> {
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "PublicRead",
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": format!("arn:aws:s3:::{bucket}/*"),
        }],
    });
    policy.to_string().into_bytes()
}
