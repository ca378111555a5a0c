//! `bedplate object get`: fetch objects. What was interrupted goes on where it broke off,
//! and what came is compared with the checksum that was kept when it was stored.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use clap::Args;
use client::objects::checksum::Comparison;
use client::objects::download::Download;
use client::objects::{ObjectHead, Objects};
use indicatif::ProgressBar;
use serde::Serialize;
use tokio::io::AsyncReadExt as _;

use super::{paths, tree};
use crate::Failure;
use crate::gateway::place::Place;
use crate::gateway::reach::Reach;
use crate::progress::bytes;
use crate::session::Session;

/// Bytes read at a time of what is there already.
const CHUNK: usize = 1 << 20;

/// What, and where to.
#[derive(Args, Debug)]
#[command(
    after_help = "A file has another name until it is whole; interrupted, it goes on from there the next time. With\n--recursive, files that are there with the same length and time are passed over.\n\nExamples:\n  bedplate object get data/docs/README.md\n  bedplate object get data/dump.sql -\n  bedplate object get --recursive data/photos/ photos\n  bedplate object get data/model.bin old.bin --version 4A2F"
)]
pub struct Arguments {
    /// Which object: BUCKET/KEY; with --recursive what keys begin with
    place: Place,
    /// The file, or with --recursive the directory; `-` is standard output [default: the key's last name, here]
    target: Option<PathBuf>,
    /// This version
    #[arg(long, conflicts_with = "recursive")]
    version: Option<String>,
    /// All objects whose keys begin so
    #[arg(long, short)]
    recursive: bool,
    /// Files at a time
    #[arg(long, requires = "recursive", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    parallel: u8,
    /// Also what seems to be there already
    #[arg(long, requires = "recursive")]
    all: bool,
}

/// What came, as JSON.
#[derive(Serialize)]
struct Got {
    bucket: String,
    key: String,
    file: PathBuf,
    size: u64,
    etag: String,
    verified_by: Option<&'static str>,
}

/// Fetches it.
pub async fn run(session: &Session, reach: &Reach, arguments: Arguments) -> Result<(), Failure> {
    let Arguments { place, target, version, recursive, parallel, all } = arguments;
    let objects = reach.connect(session)?;
    if recursive {
        let target = target.unwrap_or_else(|| PathBuf::from("."));
        return tree::down(session, &objects, (&place, &target), parallel, all).await;
    }
    if place.key.is_empty() {
        return Err(Failure::usage(format!("{}/ names no object", place.bucket))
            .next("Say --recursive to fetch all of it."));
    }
    let Place { bucket, key } = place;
    let what = Download { bucket: &bucket, key: &key, version: version.as_deref() };
    let head = objects.head(&bucket, &key, what.version).await?;
    if target.as_deref() == Some(Path::new("-")) {
        return stream(&objects, &what, &head).await;
    }
    let target = named(target, &key)?;
    if target.exists() {
        session.confirm(&format!("{} is there, and is overwritten", target.display()))?;
    }
    let bar = bytes::bar(session, head.size, "fetching");
    session.on_interrupt(format!(
        "What came is kept. It goes on with: bedplate object get {bucket}/{key} {}",
        target.display()
    ));
    let by = file(&objects, &what, &head, &target, &bar).await;
    bar.finish_and_clear();
    let (size, etag, verified_by) = (head.size, head.etag, by?);
    let got = Got { bucket, key, file: target, size, etag, verified_by };
    session.show(&got, told)
}

fn told(got: &Got) -> String {
    let verified = match got.verified_by {
        Some(by) => format!("verified by {by}"),
        None => "not verified: it was stored in parts without checksums".to_owned(),
    };
    format!("{} is here: {}, {verified}\n", got.file.display(), model::Bytes(got.size))
}

/// The file that is meant: in a directory, or here, it has the key's last name.
fn named(target: Option<PathBuf>, key: &str) -> Result<PathBuf, Failure> {
    let name = || {
        let no_name = || Failure::usage(format!("{key} has no name for a file; say one"));
        paths::last(key).map(PathBuf::from).ok_or_else(no_name)
    };
    match target {
        Some(directory) if directory.is_dir() => Ok(directory.join(name()?)),
        Some(target) => Ok(target),
        None => name(),
    }
}

/// To standard output. What is wrong can only be said at the end.
async fn stream(objects: &Objects, what: &Download<'_>, head: &ObjectHead) -> Result<(), Failure> {
    let out = std::io::stdout().as_fd().try_clone_to_owned()?;
    let mut out = tokio::fs::File::from_std(out.into());
    let comparison = Comparison::with(head);
    objects.download(what, head, 0, comparison, &mut out, |_| {}).await?;
    Ok(())
}

/// Into a file, which has another name until it is whole. What is there of it already,
/// of the same version, is not fetched again. Returns by what it was verified.
pub async fn file(
    objects: &Objects,
    what: &Download<'_>,
    head: &ObjectHead,
    target: &Path,
    bar: &ProgressBar,
) -> Result<Option<&'static str>, Failure> {
    let part = part(target, &head.etag);
    let failed = |error: std::io::Error| Failure::file(&part, &error);
    let mut options = tokio::fs::OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).open(&part).await;
    let mut file = file.map_err(failed)?;
    let mut comparison = Comparison::with(head);
    let have = there(&mut file, comparison.as_mut()).await.map_err(failed)?;
    if have > head.size {
        std::fs::remove_file(&part).map_err(failed)?;
        return Err(Failure::new("content-damaged", "What was there of the file is not of it")
            .why(format!("{} is longer than the object", part.display()))
            .next("It was removed. Do it again."));
    }
    bar.inc(have);
    let count = |bytes| bar.inc(bytes);
    let came = objects.download(what, head, have, comparison, &mut file, count).await;
    if let Err(client::objects::ObjectError::Damaged(_)) = &came {
        // The next time it begins anew.
        std::fs::remove_file(&part).map_err(failed)?;
    }
    let by = came?;
    file.sync_all().await.map_err(failed)?;
    drop(file);
    std::fs::rename(&part, target).map_err(|error| Failure::file(target, &error))?;
    Ok(by)
}

/// Reads what is there of a file, for the comparison; how much it is.
async fn there(
    file: &mut tokio::fs::File,
    mut comparison: Option<&mut Comparison>,
) -> std::io::Result<u64> {
    let (mut have, mut chunk) = (0, vec![0; CHUNK]);
    loop {
        let count = file.read(&mut chunk).await?;
        if count == 0 {
            return Ok(have);
        }
        have += count as u64;
        if let Some(comparison) = &mut comparison {
            comparison.update(&chunk[..count]);
        }
    }
}

/// The name of a file that is not whole yet: another version has another.
fn part(target: &Path, etag: &str) -> PathBuf {
    let tag: String = etag.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
    let mut name = target.to_owned();
    name.as_mut_os_string().push(format!(".{tag}.part"));
    name
}
