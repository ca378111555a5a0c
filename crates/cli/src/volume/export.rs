//! `bedplate volume export`: what a volume holds, as a file.
//!
//! It is served read-only for the time of the copy, and `qemu-img` reads it. The file
//! has another name until it is whole.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use model::Bytes;
use model::volume::{DiskOrder, Volume};
use serde::Serialize;

use super::passage::Passage;
use super::{convert, service, words};
use crate::Failure;
use crate::progress::bytes;
use crate::session::Session;

/// What, and where to.
#[derive(Args, Debug)]
#[command(
    after_help = "What is written to a volume meanwhile may be in the file or not. For a moment that is whole, make\na snapshot and export that.\n\nExamples:\n  bedplate volume export data@monday monday.qcow2\n  bedplate volume export data data.raw"
)]
pub struct Arguments {
    /// Which volume, or snapshot: NAME or NAME@SNAPSHOT
    volume: String,
    /// The file
    file: PathBuf,
    /// Its format [default: raw where it ends with .raw or .img, else qcow2]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Pack the blocks of a qcow2 file
    #[arg(long)]
    compress: bool,
}

/// Format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The bytes of the disk
    Raw,
    /// QEMU's format
    Qcow2,
}

/// What was made, as JSON.
#[derive(Serialize)]
struct Exported {
    volume: String,
    file: PathBuf,
    format: &'static str,
    size: Bytes,
}

/// Exports it.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let Arguments { volume, file, format, compress } = arguments;
    let format = format.unwrap_or_else(|| by_name(&file));
    if compress && format == Format::Raw {
        return Err(Failure::usage("A raw file has no packed blocks").next("Leave --compress out."));
    }
    let volume: Volume = service::order(session, DiskOrder::VolumeShow { volume }).await?;
    if file.exists() {
        session.confirm(&format!("{} is there, and is overwritten", file.display()))?;
    }
    let part = Part::of(&file)?;
    let passage = Passage::open(session, &volume, true).await?;
    session.on_interrupt("");
    copy(session, &passage, &volume, &part.0, (format, compress)).await?;
    passage.close(session).await?;
    std::fs::rename(&part.0, &file).map_err(|error| Failure::file(&file, &error))?;
    let format = word(format);
    let exported = Exported { volume: volume.name, file, format, size: volume.size };
    session.show(&exported, |it| {
        format!(
            "{} is in {} ({}, a disk of {})\n",
            it.volume,
            it.file.display(),
            it.format,
            it.size
        )
    })
}

async fn copy(
    session: &Session,
    passage: &Passage,
    volume: &Volume,
    part: &Path,
    (format, compress): (Format, bool),
) -> Result<(), Failure> {
    let bar = bytes::bar(session, volume.size.0, "copying");
    let words = ["-f", "raw", "-O", word(format), "-t", "writeback", "-W", "-m", "8"];
    let mut arguments: Vec<OsString> = words.into_iter().map(Into::into).collect();
    if compress {
        arguments.push("-c".into());
    }
    arguments.push(words::uri(&passage.attachment).into());
    arguments.push(part.as_os_str().to_owned());
    let copied = convert::run(arguments, &bar).await;
    bar.finish_and_clear();
    copied
}

fn word(format: Format) -> &'static str {
    match format {
        Format::Raw => "raw",
        Format::Qcow2 => "qcow2",
    }
}

fn by_name(file: &Path) -> Format {
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("raw" | "img") => Format::Raw,
        _ => Format::Qcow2,
    }
}

/// A file that is not whole yet. It is removed when it does not come to that: it is of
/// no use to anybody.
struct Part(PathBuf);

impl Part {
    /// Beside the file, under its name in full: `qemu-img` would take `a:b` for a protocol.
    fn of(file: &Path) -> Result<Self, Failure> {
        let mut name = std::path::absolute(file).map_err(|error| Failure::file(file, &error))?;
        if name.file_name().is_none() {
            return Err(Failure::usage(format!("{} names no file", file.display())));
        }
        name.as_mut_os_string().push(".part");
        Ok(Self(name))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Nothing is there when it was whole and has its name.
        std::fs::remove_file(&self.0).ok();
    }
}
