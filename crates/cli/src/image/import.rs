//! `bedplate image import`: bring an image in.
//!
//! A file is read once before it is sent: its checksum says at once whether it is
//! the right one, travels with it, and lets the same import be repeated: what is
//! there already is not sent again, and what broke off is sent anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use model::ErrorCode;
use model::api::{CreateImage, CreateImageRequest, GetImage};
use model::image::{Checksum, Compression, Image, ImageFormat};

use super::content::{self, Kind};
use crate::progress::bytes;
use crate::session::{Session, rehearsal};
use crate::{Failure, machine};

/// What to bring in.
#[derive(Args, Debug)]
#[command(
    after_help = "A file's format and compression are told by its first bytes. An address is fetched by the\ncontrol plane; there they are told by the name, or by --format and --compression.\n\nExamples:\n  bedplate image import debian-12.qcow2\n  bedplate image import ./debian.raw.zst --name debian-12 --checksum sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n  bedplate image import https://images.example/debian-12.qcow2 --label os=debian"
)]
pub struct Arguments {
    /// File, or https:// address that the control plane fetches
    #[arg(value_name = "FILE|URL")]
    source: String,
    /// Its name [default: that of the file, without its endings]
    #[arg(long)]
    name: Option<String>,
    /// SHA-256 of the file: sha256:… or 64 hexadecimal digits
    #[arg(long, value_parser = checksum)]
    checksum: Option<Checksum>,
    /// Layout [default: told by the content]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// How it is packed [default: told by the content]
    #[arg(long, value_enum)]
    compression: Option<Packing>,
    /// Whose it is; everybody's when absent
    #[arg(long)]
    project: Option<String>,
    /// A label, key=value; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Layout of an image.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// The bytes of the disk
    Raw,
    /// QEMU's format
    Qcow2,
}

/// How an image is packed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Packing {
    /// Not at all
    None,
    /// Zstandard
    Zstd,
    /// gzip
    Gzip,
    /// xz
    Xz,
}

fn checksum(text: &str) -> Result<Checksum, String> {
    Checksum::parse(text).ok_or_else(|| "it is sha256: and 64 hexadecimal digits".to_owned())
}

impl Arguments {
    fn format(&self) -> Option<ImageFormat> {
        self.format.map(|format| match format {
            Format::Raw => ImageFormat::Raw,
            Format::Qcow2 => ImageFormat::Qcow2,
        })
    }

    fn compression(&self) -> Option<Compression> {
        self.compression.map(|packing| match packing {
            Packing::None => Compression::None,
            Packing::Zstd => Compression::Zstd,
            Packing::Gzip => Compression::Gzip,
            Packing::Xz => Compression::Xz,
        })
    }

    fn request(&self, kind: Kind, labels: BTreeMap<String, String>) -> CreateImageRequest {
        CreateImageRequest {
            name: self.name.clone().unwrap_or_else(|| name_of(&self.source)),
            format: self.format().unwrap_or(kind.format),
            compression: self.compression().unwrap_or(kind.compression),
            checksum: self.checksum.clone(),
            url: None,
            project: self.project.clone(),
            labels,
        }
    }
}

/// Brings it in.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let labels = machine::labels(&arguments.labels)?;
    let address = ["https://", "http://"].iter().any(|it| arguments.source.starts_with(it));
    let image = match address {
        true => fetch(session, &arguments, labels).await?,
        false => send(session, &arguments, labels).await?,
    };
    let Some(image) = image else { return Ok(()) };
    session.show(&image, |image| {
        format!(
            "image {} is ready: {}, {} on disk\n",
            image.name,
            super::format(image.spec.format),
            image.status.size
        )
    })
}

/// Has the control plane fetch it.
async fn fetch(
    session: &Session,
    arguments: &Arguments,
    labels: BTreeMap<String, String>,
) -> Result<Option<Image>, Failure> {
    let (format, compression) = content::by_name(&arguments.source);
    let Some(format) = arguments.format().or(format) else {
        return Err(Failure::usage(format!(
            "The name of {} does not say its format",
            arguments.source
        ))
        .next("Say --format raw or --format qcow2, and --compression where it is packed."));
    };
    let mut request = arguments.request(Kind { compression, format }, labels);
    request.url = Some(arguments.source.clone());
    if arguments.checksum.is_none() {
        session.say("no --checksum: whatever comes from there is taken as it is")?;
    }
    if arguments.dry_run {
        return rehearse(session, &request).await;
    }
    session.on_interrupt(format!("bedplate image show {}", request.name));
    let bar = bytes::spinner(session, &format!("the control plane fetches {}", arguments.source));
    let image = session.call::<CreateImage>(&[], &request, rehearsal(false)).await;
    bar.finish_and_clear();
    image.map(Some)
}

async fn rehearse(
    session: &Session,
    request: &CreateImageRequest,
) -> Result<Option<Image>, Failure> {
    let image = session.call::<CreateImage>(&[], request, rehearsal(true)).await?;
    session.show(&image, |image| {
        let (format, packed) =
            (super::format(image.spec.format), super::compression(image.spec.compression));
        format!("image {} would be made: {format}, compression {packed}\n", image.name)
    })?;
    Ok(None)
}

/// Reads a file, announces it, and sends it.
async fn send(
    session: &Session,
    arguments: &Arguments,
    labels: BTreeMap<String, String>,
) -> Result<Option<Image>, Failure> {
    let path = PathBuf::from(&arguments.source);
    let unreadable = |error: std::io::Error| Failure::file(&path, &error);
    let file = std::fs::File::open(&path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    if length == 0 {
        return Err(Failure::usage(format!("{} is empty", path.display())));
    }
    let kind = content::kind(file).map_err(|error| damaged(&path, &error))?;
    let mut request = arguments.request(kind, labels);
    if arguments.dry_run {
        return rehearse(session, &request).await;
    }
    let found = checked(session, &path, length).await?;
    if let Some(expected) = arguments.checksum.as_ref().filter(|expected| **expected != found) {
        return Err(Failure::new(
            ErrorCode::ChecksumMismatch.name(),
            ErrorCode::ChecksumMismatch.title(),
        )
        .why(format!("{} is {found}\nexpected was {expected}", path.display()))
        .next(ErrorCode::ChecksumMismatch.next()));
    }
    request.checksum = Some(found);
    let image = announce(session, &request).await?;
    if image.status.ready {
        session.say(&format!("image {} is there already, with this checksum", image.name))?;
        return Ok(Some(image));
    }
    session.on_interrupt("");
    let bar = bytes::bar(session, length, "sending");
    let shown = bar.clone();
    let id = image.id.to_string();
    let client = session.client()?;
    let sent = client.upload_file(&id, &path, move |done, _| shown.set_position(done)).await;
    bar.finish_and_clear();
    Ok(Some(sent?))
}

fn damaged(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        ErrorCode::ImageUnreadable.name(),
        format!("{} cannot be unpacked", path.display()),
    )
    .why(error.to_string())
    .next(ErrorCode::ImageUnreadable.next())
}

/// The checksum of the file.
async fn checked(session: &Session, path: &Path, length: u64) -> Result<Checksum, Failure> {
    let bar = bytes::bar(session, length, "checking");
    let (shown, owned) = (bar.clone(), path.to_owned());
    let work = tokio::task::spawn_blocking(move || {
        content::checksum(&owned, |done| shown.set_position(done))
    });
    let found = work.await.expect("reading a file does not panic");
    bar.finish_and_clear();
    found.map_err(|error| Failure::file(path, &error))
}

/// Announces the image, or finds the one of an import that broke off.
async fn announce(session: &Session, request: &CreateImageRequest) -> Result<Image, Failure> {
    let refused = match session.call::<CreateImage>(&[], request, rehearsal(false)).await {
        Err(failure) if failure.code == ErrorCode::NameTaken.name() => failure,
        made => return made,
    };
    let options = client::Options::default();
    let known = session.call::<GetImage>(&[&request.name], &(), options).await?;
    let same = known.status.checksum == request.checksum
        && known.spec.format == request.format
        && known.spec.compression == request.compression;
    match same {
        true => Ok(known),
        false => Err(refused.next(format!(
            "Give it another --name, or remove the other: bedplate image remove {}",
            request.name
        ))),
    }
}

/// The name of a file or address, without its endings.
pub fn name_of(source: &str) -> String {
    let path = source.split(['?', '#']).next().unwrap_or(source).trim_end_matches('/');
    let mut name = path.rsplit('/').next().unwrap_or(path);
    for end in [".zst", ".gz", ".xz", ".qcow2", ".raw", ".img"] {
        name = name.strip_suffix(end).unwrap_or(name);
    }
    name.to_ascii_lowercase()
}
