//! `bedplate object delete`.

use clap::Args;
use client::objects::{ListObjects, Objects};
use serde_json::json;

use crate::Failure;
use crate::gateway::place::Place;
use crate::gateway::reach::Reach;
use crate::human::count;
use crate::session::Session;

/// What to delete.
#[derive(Args, Debug)]
#[command(
    after_help = "Where a bucket keeps versions, a deleted object is only marked as such; --versions deletes for good.\n\nExamples:\n  bedplate object delete data/docs/README.md\n  bedplate object delete data/model.bin --version 4A2F\n  bedplate object delete data/logs/ --recursive\n  bedplate object delete data/ --recursive --versions --yes"
)]
pub struct Arguments {
    /// Which object: BUCKET/KEY; with --recursive what keys begin with
    place: Place,
    /// This version, for good
    #[arg(long, conflicts_with = "recursive")]
    version: Option<String>,
    /// All objects whose keys begin so
    #[arg(long, short)]
    recursive: bool,
    /// All versions, for good
    #[arg(long, requires = "recursive")]
    versions: bool,
}

/// Deletes it.
pub async fn run(session: &Session, reach: &Reach, arguments: Arguments) -> Result<(), Failure> {
    let Arguments { place, version, recursive, versions } = arguments;
    let objects = reach.connect(session)?;
    if recursive {
        return all(session, &objects, &place, versions).await;
    }
    if place.key.is_empty() {
        return Err(Failure::usage(format!("{}/ names no object", place.bucket)).next(
            "Say --recursive to delete all of it; the bucket itself: bedplate bucket delete",
        ));
    }
    let what = match &version {
        Some(version) => format!("The version {version} of {place} is deleted for good"),
        None => format!("{place} is deleted"),
    };
    session.confirm(&what)?;
    objects.delete(&place.bucket, &place.key, version.as_deref()).await?;
    session.show(&json!({ "deleted": 1, "failed": [] }), |_| format!("{place} deleted\n"))
}

async fn all(
    session: &Session,
    objects: &Objects,
    place: &Place,
    versions: bool,
) -> Result<(), Failure> {
    let found = found(objects, place, versions).await?;
    let what = count(found.len(), if versions { "version" } else { "object" });
    if !found.is_empty() {
        session.confirm(&format!("{what} of {place} deleted"))?;
    }
    let done = objects.delete_many(&place.bucket, &found).await?;
    session.show(&done, |done| format!("{} deleted\n", count(done.deleted, "object")))?;
    if done.failed.is_empty() {
        return Ok(());
    }
    let told = done.failed.iter().take(10).map(|(key, why)| format!("{key}: {why}"));
    Err(Failure::new("some-failed", format!("{} stay", count(done.failed.len(), "object")))
        .why(told.collect::<Vec<_>>().join("\n"))
        .next("See what holds them: bedplate object show BUCKET/KEY"))
}

/// All that there is, before any of it goes: so that the question says how much.
async fn found(
    objects: &Objects,
    place: &Place,
    versions: bool,
) -> Result<Vec<(String, Option<String>)>, Failure> {
    let mut asked = ListObjects { prefix: place.key.clone(), versions, ..ListObjects::default() };
    let mut found = Vec::new();
    loop {
        let page = objects.list(&place.bucket, &asked).await?;
        found.extend(page.objects.into_iter().map(|line| (line.key, line.version)));
        match page.next {
            Some(next) => asked.next = Some(next),
            None => return Ok(found),
        }
    }
}
