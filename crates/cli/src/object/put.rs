//! `bedplate object put`: store files. Large ones go in parts, several at a time; each
//! part and the whole are compared by checksum.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use client::objects::{Objects, Stored, Upload, upload};
use indicatif::ProgressBar;
use serde::Serialize;

use super::{kind, paths, tree};
use crate::Failure;
use crate::gateway::place::Place;
use crate::gateway::reach::Reach;
use crate::progress::bytes;
use crate::session::Session;

/// What, and where to.
#[derive(Args, Debug)]
#[command(
    after_help = "A place is BUCKET/KEY, or s3://BUCKET/KEY; a key that ends with / gets the file's name. With\n--recursive, files that are there with the same length and a later time are passed over, and links\nare not followed. What is interrupted leaves parts behind: bedplate object uploads.\n\nExamples:\n  bedplate object put README.md data/docs/\n  bedplate object put --recursive photos data/photos\n  bedplate object put - data/dump.sql\n  bedplate object put model.bin data/model.bin --parallel 8 --metadata step=1200"
)]
pub struct Arguments {
    /// The file, or with --recursive the directory; `-` is standard input
    source: PathBuf,
    /// Where to: BUCKET/KEY
    place: Place,
    #[command(flatten)]
    options: Options,
    /// All files below a directory, under keys that begin so
    #[arg(long, short)]
    recursive: bool,
    /// Also what seems to be there already
    #[arg(long, requires = "recursive")]
    all: bool,
}

/// How it is stored.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Parts or files at a time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub parallel: u8,
    /// The media type [default: by the end of the name]
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Words of your own about it: NAME=VALUE
    #[arg(long, value_name = "PAIR", value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// Encrypt it at rest
    #[arg(long)]
    encrypt: bool,
    /// Refuse when there is an object of this key already
    #[arg(long)]
    if_absent: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    match !name.is_empty() && name.bytes().all(plain) {
        true => Ok((name.to_ascii_lowercase(), value.to_owned())),
        false => Err("names have letters, digits, and - _ . only".to_owned()),
    }
}

impl Options {
    /// What is sent along. Conditions on the key are for the last request of an upload in
    /// parts; the gateway decides when it is put together.
    fn headers(&self, name: &str) -> Vec<(String, String)> {
        let kind = self.content_type.clone().unwrap_or_else(|| kind::of(name).to_owned());
        let mut headers = vec![("content-type".to_owned(), kind)];
        for (name, value) in &self.metadata {
            headers.push((format!("x-amz-meta-{name}"), value.clone()));
        }
        if self.encrypt {
            headers.push(("x-amz-server-side-encryption".to_owned(), "AES256".to_owned()));
        }
        headers
    }

    /// An upload of one thing.
    fn upload(&self, (bucket, key): (&str, String), name: &str, length: Option<u64>) -> Upload {
        let headers = self.headers(name);
        let parallel = usize::from(self.parallel);
        let (bucket, part, absent) = (bucket.to_owned(), upload::PART, self.if_absent);
        Upload { bucket, key, headers, length, parallel, part, absent }
    }
}

/// What was stored, as JSON.
#[derive(Serialize)]
struct Put {
    bucket: String,
    key: String,
    #[serde(flatten)]
    stored: Stored,
}

/// Stores it.
pub async fn run(session: &Session, reach: &Reach, arguments: Arguments) -> Result<(), Failure> {
    let Arguments { source, place, options, recursive, all } = arguments;
    let objects = reach.connect(session)?;
    session.on_interrupt("");
    if recursive {
        return tree::up(session, &objects, (&source, &place), &options, all).await;
    }
    let name = source.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let key = match place.key.is_empty() || place.key.ends_with('/') {
        true if name == "-" => {
            return Err(Failure::usage("Standard input needs a whole key: BUCKET/KEY"));
        }
        true => format!("{}{name}", place.key),
        false => place.key.clone(),
    };
    let stored = one(session, &objects, (&place.bucket, &key), &source, &options).await?;
    let put = Put { bucket: place.bucket, key, stored };
    session.show(&put, |put| {
        let size = model::Bytes(put.stored.size);
        format!("{}/{} is stored: {size}, verified by CRC64NVME\n", put.bucket, put.key)
    })
}

/// Stores one file, or standard input, with a bar.
async fn one(
    session: &Session,
    objects: &Objects,
    (bucket, key): (&str, &str),
    source: &Path,
    options: &Options,
) -> Result<Stored, Failure> {
    if source == Path::new("-") {
        let bar = bytes::spinner(session, "storing");
        let upload = options.upload((bucket, key.to_owned()), key, None);
        let input = std::io::stdin().as_fd().try_clone_to_owned()?;
        let input = tokio::fs::File::from_std(input.into());
        let stored = objects.upload(&upload, input, counts(&bar)).await;
        bar.finish_and_clear();
        return Ok(stored?);
    }
    let failed = |error: std::io::Error| Failure::file(source, &error);
    let metadata = std::fs::metadata(source).map_err(failed)?;
    if metadata.is_dir() {
        return Err(Failure::usage(format!("{} is a directory", source.display()))
            .next("Say --recursive to store all that is in it."));
    }
    let length = metadata.is_file().then_some(metadata.len());
    let bar = bytes::bar(session, metadata.len(), "storing");
    let stored = file(objects, (bucket, key.to_owned()), source, (options, length), &bar).await;
    bar.finish_and_clear();
    stored
}

/// Stores one file.
pub async fn file(
    objects: &Objects,
    (bucket, key): (&str, String),
    source: &Path,
    (options, length): (&Options, Option<u64>),
    bar: &ProgressBar,
) -> Result<Stored, Failure> {
    let file = tokio::fs::File::open(source).await;
    let file = file.map_err(|error| Failure::file(source, &error))?;
    let name = paths::last(&key).unwrap_or_default().to_owned();
    let upload = options.upload((bucket, key), &name, length);
    Ok(objects.upload(&upload, file, counts(bar)).await?)
}

fn counts(bar: &ProgressBar) -> upload::Progress {
    let bar = bar.clone();
    Arc::new(move |bytes| bar.inc(bytes))
}
