//! `bedplate bucket show`: what is said about a bucket.

use clap::Args;
use client::objects::{Method, Objects, Question};
use serde_json::{Map, Value};

use super::{document, encryption, versioning};
use crate::Failure;
use crate::gateway::reach::Reach;
use crate::page::Page;
use crate::session::Session;

/// Which bucket.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  bedplate bucket show data\n  bedplate bucket show data --output json"
)]
pub struct Arguments {
    /// Which bucket
    bucket: String,
}

/// Documents that are shown, and the verb that shows each in full.
const DOCUMENTS: [(&str, &str, &str); 5] = [
    ("policy", "policy", "see: bedplate bucket policy"),
    ("publicAccessBlock", "public", "access is blocked in part or whole"),
    ("lifecycle", "lifecycle", "see: bedplate bucket lifecycle"),
    ("cors", "web pages", "see: bedplate bucket cors"),
    ("object-lock", "lock", "objects can be held"),
];

/// Asks and shows.
pub async fn run(session: &Session, reach: &Reach, arguments: Arguments) -> Result<(), Failure> {
    let bucket = arguments.bucket;
    let objects = reach.connect(session)?;
    // Says first whether it is there, and whether it is ours to look at.
    objects.ask(Method::HEAD, &Question::bucket(&bucket)).await.map_err(|error| {
        let mut failure = Failure::from(error);
        if failure.code == "no-such-key" {
            failure = Failure::new("no-such-bucket", "There is no such bucket")
                .next("See which there are: bedplate bucket list");
        }
        failure
    })?;
    let versioning = versioning::state(&objects, &bucket).await?;
    let encryption = encryption::state(&objects, &bucket).await?;
    let documents = documents(&objects, &bucket).await?;
    if session.json {
        let mut all = documents;
        all.insert("bucket".to_owned(), bucket.into());
        all.insert("versioning".to_owned(), versioning.into());
        all.insert("encryption".to_owned(), encryption.into());
        return session.print_json(&all);
    }
    let mut page = Page::new(session.terminal.width, session.terminal.paint);
    page.heading(&bucket);
    page.line("versioning", versioning);
    page.line("encryption", encryption.as_deref().unwrap_or("off"));
    for (name, label, what) in DOCUMENTS {
        if documents.contains_key(name) {
            page.line(label, what);
        }
    }
    session.print(&page.finish())
}

async fn documents(objects: &Objects, bucket: &str) -> Result<Map<String, Value>, Failure> {
    let mut found = Map::new();
    for (name, ..) in DOCUMENTS {
        if let Some(document) = objects.bucket_document(bucket, name).await? {
            found.insert(name.to_owned(), document::as_json(&document));
        }
    }
    Ok(found)
}
