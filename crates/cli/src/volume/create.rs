//! `bedplate volume create`: an empty volume, or one that begins as an image.
//!
//! An image is copied in by this program, over NBD: the service itself opens no images,
//! so a hostile one meets a process that can do little. While it is copied the volume is
//! not limited. A copy that fails or is broken off leaves nothing behind.

use std::path::{Path, PathBuf};

use clap::Args;
use model::Bytes;
use model::image::ImageFormat;
use model::volume::{Attachment, Backing, DiskOrder, Limits, Volume, VolumeSpec};

use super::image::{self, Image};
use super::limits::Wanted;
use super::nbd::Disk;
use super::passage::Passage;
use super::{convert, copy, service, words};
use crate::Failure;
use crate::image::import::name_of;
use crate::progress::bytes;
use crate::session::Session;

/// What to make.
#[derive(Args, Debug)]
#[command(
    after_help = "Sizes are binary: 20G are 20 GiB. A raw image is copied by this program, a qcow2 image by qemu-img.\n\nExamples:\n  bedplate volume create data --size 20G\n  bedplate volume create data --size 20G --encrypt --iops 5000 --serve\n  bedplate volume create --image debian.qcow2 --size 20G --bandwidth 200M\n  bedplate volume create db --size 100G --iops 2000 --burst-iops 10000\n  bedplate volume create scratch --raw /dev/nvme1n1\n  bedplate volume create measure --null --size 1T"
)]
pub struct Arguments {
    /// Its name [default: that of the image, without its endings]
    name: Option<String>,
    /// Its size: 20G [default: that of the image or device]
    #[arg(long)]
    size: Option<Bytes>,
    /// Image that it begins as: raw or qcow2, told by its content
    #[arg(long, value_name = "FILE", conflicts_with_all = ["raw", "null"])]
    image: Option<PathBuf>,
    #[command(flatten)]
    limits: Wanted,
    /// Encrypt its data on the medium, with a key of its own
    #[arg(long, conflicts_with_all = ["raw", "null"])]
    encrypt: bool,
    /// In which pool [default: the only one there is]
    #[arg(long, conflicts_with_all = ["raw", "null"])]
    pool: Option<String>,
    /// Pass a file or device through as it is, block for block
    #[arg(long, value_name = "PATH", conflicts_with = "null")]
    raw: Option<PathBuf>,
    /// Serve it by NBD at once, and print its address
    #[arg(long)]
    serve: bool,
    /// No medium: reads are zeros, writes are forgotten; for measuring
    #[arg(long)]
    null: bool,
}

/// Makes it.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let image = arguments.image.as_deref().map(image::look).transpose()?;
    let spec = arguments.spec(image.as_ref())?;
    let volume: Volume = match image {
        None => service::order(session, DiskOrder::VolumeCreate(spec)).await?,
        Some(image) => from_image(session, spec, &image).await?,
    };
    match arguments.serve {
        true => serve(session, volume).await,
        false => session.show(&volume, told),
    }
}

/// Serves it; its address is all that standard output has.
async fn serve(session: &Session, volume: Volume) -> Result<(), Failure> {
    let name = volume.name.clone();
    let asked = DiskOrder::Serve { volume: name.clone(), socket: None, read_only: false };
    let attachment: Attachment = service::order(session, asked).await?;
    if session.json {
        let asked = DiskOrder::VolumeShow { volume: name };
        return session.print_json(&service::order::<Volume>(session, asked).await?);
    }
    session.say(told(&volume).trim_end())?;
    session.print(&format!("{}\n", words::uri(&attachment)))
}

fn told(volume: &Volume) -> String {
    let mut text = format!("volume {} made: {}", volume.name, volume.size);
    if volume.encrypted {
        text.push_str(", encrypted");
    }
    let limits = words::limits(&volume.limits);
    if !limits.is_empty() {
        text.push_str(&format!(", {limits}"));
    }
    text + "\n"
}

impl Arguments {
    fn spec(&self, image: Option<&Image>) -> Result<VolumeSpec, Failure> {
        let backing = match (&self.raw, self.null) {
            (Some(path), _) => Backing::Raw { path: service::absolute(path)? },
            (None, true) => Backing::Null,
            (None, false) => Backing::Pool { name: self.pool.clone() },
        };
        let size = match (self.size, image) {
            (Some(size), Some(image)) if size < image.size => {
                let held = format!("{} holds a disk of {}", image.path.display(), image.size);
                return Err(Failure::usage(format!("{held}; --size {size} is less")));
            }
            (None, Some(image)) => Some(image.size),
            (size, _) => size,
        };
        let (limits, encrypt) = (self.limits.limits()?, self.encrypt);
        Ok(VolumeSpec { name: self.name()?, backing, size, image: None, limits, encrypt })
    }

    fn name(&self) -> Result<String, Failure> {
        match (&self.name, &self.image) {
            (Some(name), _) => Ok(name.clone()),
            (None, Some(image)) => Ok(name_of(&image.to_string_lossy())),
            (None, None) => Err(Failure::usage("The volume has no name")
                .next("Say one: bedplate volume create NAME --size 20G")),
        }
    }
}

/// Makes it without limits, copies the image in, and limits it.
async fn from_image(session: &Session, spec: VolumeSpec, image: &Image) -> Result<Volume, Failure> {
    let limits = spec.limits;
    let unlimited = VolumeSpec { limits: Limits::NONE, ..spec };
    let volume: Volume = service::order(session, DiskOrder::VolumeCreate(unlimited)).await?;
    let passage = Passage::into_new(session, &volume).await?;
    session.on_interrupt("");
    match image.format {
        ImageFormat::Raw => copy_raw(session, &passage, image).await?,
        ImageFormat::Qcow2 => copy_qcow2(session, &passage, image).await?,
    }
    passage.close(session).await?;
    let volume = volume.name;
    let asked = match limits.is_none() {
        true => DiskOrder::VolumeShow { volume },
        false => DiskOrder::VolumeLimit { volume, limits },
    };
    service::order(session, asked).await
}

async fn copy_raw(session: &Session, passage: &Passage, image: &Image) -> Result<(), Failure> {
    let bar = bytes::bar(session, image.size.0, "copying");
    let (shown, path) = (bar.clone(), image.path.clone());
    let (socket, name) = (passage.attachment.socket.clone(), passage.attachment.volume.clone());
    let work = tokio::task::spawn_blocking(move || {
        let disk = Disk::connect(Path::new(&socket), &name)?;
        copy::raw(&path, disk, |done| shown.set_position(done))
    });
    let copied = work.await.expect("copying does not panic");
    bar.finish_and_clear();
    copied.map_err(|error| {
        Failure::new("copy-failed", format!("{} could not be copied in", image.path.display()))
            .why(error.to_string())
            .next("Is there room? bedplate pool list. The log of the service may say more.")
    })
}

async fn copy_qcow2(session: &Session, passage: &Passage, image: &Image) -> Result<(), Failure> {
    let bar = bytes::bar(session, image.size.0, "copying");
    // Its cache mode is one that flushes at the end: the usual one does not. The volume
    // is new, so it is zeros.
    let words = "-f qcow2 -O raw -n --target-is-zero -t writeback -W -m 8";
    let mut arguments: Vec<_> = words.split(' ').map(Into::into).collect();
    arguments.push(image.path.clone().into_os_string());
    arguments.push(words::uri(&passage.attachment).into());
    let copied = convert::run(arguments, &bar).await;
    bar.finish_and_clear();
    copied
}
