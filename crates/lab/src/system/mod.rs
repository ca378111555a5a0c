//! The operating system that machines of the lab are installed with: a Debian of
//! Debian's own packages, small, quick to boot under emulation, and with secure boot
//! on from the firmware to the kernel.
//!
//! ```text
//! packages -> tree -> root file system \
//!                     boot partition   -> disk image -> compressed, with its checksum
//! ```
//! Read in this order: [`recipe`] (what goes into it), `tree` (the packages and the
//! files of ours), `boot` (the way to the kernel), `disk` (the partitions), `pack`.
//!
//! The same recipe is not built twice: see [`build`].

mod boot;
mod disk;
mod error;
mod layout;
mod pack;
pub mod recipe;
mod seal;
mod settle;
mod tools;
mod tree;

use std::path::{Path, PathBuf};

use model::Bytes;
use model::image::{Checksum, Compression, ImageFormat};
use tokio::task::spawn_blocking;

pub use error::SystemError;
use error::file;
use layout::Layout;
use recipe::Recipe;
use seal::Seal;

/// An image that is wanted.
#[derive(Clone, Debug)]
pub struct Order {
    /// Where the image goes; its seal (what it was built from) goes beside it, with
    /// `.json` after the name.
    pub out: PathBuf,
    /// Where the builder works; needs about 1.5 GB, on a file system that can hold
    /// device nodes. What it leaves there is removed.
    pub work: PathBuf,
    /// Debian's release, by its code name.
    pub suite: String,
    /// Where packages come from, the address of a mirror;
    /// Debian's own addresses, with security updates, when absent.
    pub mirror: Option<String>,
    /// Packages beside those of the recipe.
    pub extra_packages: Vec<String>,
    /// What the kernel is told beside what the recipe tells it.
    pub extra_command_line: String,
}

impl Order {
    /// The system of the demo.
    pub fn new(out: impl Into<PathBuf>, work: impl Into<PathBuf>) -> Self {
        Self {
            out: out.into(),
            work: work.into(),
            suite: recipe::SUITE.to_owned(),
            mirror: None,
            extra_packages: Vec::new(),
            extra_command_line: String::new(),
        }
    }
}

/// An image that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The file.
    pub path: PathBuf,
    /// Of the file as it is.
    pub checksum: Checksum,
    /// Size of the file.
    pub stored: Bytes,
    /// Size on disk, unpacked: the smallest disk that it fits on.
    pub size: Bytes,
    /// Layout, once unpacked.
    pub format: ImageFormat,
    /// How it is packed.
    pub compression: Compression,
    /// Whether it was built now; otherwise it was there already.
    pub fresh: bool,
}

/// Builds the image, or finds that it has been built from the same recipe before.
///
/// Takes one to three minutes, of which most is Debian's; `progress` gets a line for
/// people at each step. Needs root and the network. To get newer packages into an
/// image whose recipe has not changed, delete the file.
pub async fn build(
    order: Order,
    progress: impl Fn(&str) + Send + Sync,
) -> Result<Built, SystemError> {
    let recipe = Recipe::of(&order)?;
    if let Some(seal) = Seal::read(&order.out, &recipe.digest()) {
        progress("the system image is there already");
        return Ok(built(order.out, seal, false));
    }
    tools::check()?;
    let work = order.work.join("system");
    let made = make(&order.out, &work, &recipe, &progress).await;
    // Best effort: the next build begins by removing it, and then failures are told.
    let _ = tree::remove(&work).await;
    let seal = made?;
    Ok(built(order.out, seal, true))
}

async fn make(
    out: &Path,
    work: &Path,
    recipe: &Recipe,
    progress: &(impl Fn(&str) + Send + Sync),
) -> Result<Seal, SystemError> {
    tree::remove(work).await?;
    std::fs::create_dir_all(work).map_err(file(work))?;
    progress(&format!("installing Debian {} into a folder (a minute or two)", recipe.suite()));
    let root = work.join("root");
    tree::install(recipe, &root, progress).await?;
    progress("settling what starts at boot, and how");
    let loaders = work.join("loaders");
    let (tree, settled, to) = (root.clone(), recipe.clone(), loaders.clone());
    blocking(move || settle::settle(&settled, &tree).map(|()| to)).await?;
    boot::unpack(&root, &loaders).await?;
    let weighed = root.clone();
    let content = blocking(move || tree::weigh(&weighed)).await?;
    let layout = Layout::holding(content);
    progress(&format!("writing the file systems ({content} of files)"));
    let esp = work.join("esp.fat");
    boot::make(recipe, &loaders, &layout, &esp).await?;
    let raw = work.join("disk.raw");
    disk::make(recipe, &layout, &root, &esp, &raw).await?;
    progress(&format!("compressing a disk of {}", layout.size()));
    let (checksum, stored) = pack::pack(&raw, out).await?;
    let seal = Seal { recipe: recipe.digest(), checksum, stored, size: layout.size() };
    seal.write(out)?;
    Ok(seal)
}

fn built(path: PathBuf, seal: Seal, fresh: bool) -> Built {
    Built {
        path,
        checksum: seal.checksum,
        stored: seal.stored,
        size: seal.size,
        format: ImageFormat::Raw,
        compression: Compression::Zstd,
        fresh,
    }
}

/// Runs what waits for files on a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SystemError> + Send + 'static,
) -> Result<T, SystemError> {
    spawn_blocking(work).await.expect("the builder's own work does not panic")
}
