//! Finds a kernel: Debian's package, downloaded and unpacked but not installed.
//!
//! Debian signs its kernels' modules, and builds its cloud kernel with the EFI stub,
//! TPM and NVMe inside. What is unpacked once is used again: nothing is asked of the
//! network when a kernel lies in the folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use model::Duration;
use world::process;

use super::ImageError;

/// How long a question to the package manager may take.
const ASK: Duration = Duration::from_secs(120);
/// How long a download or unpacking may take.
const WORK: Duration = Duration::from_secs(900);

/// Debian's kernels for x86-64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// For virtual machines: fewer drivers, starts sooner.
    Cloud,
    /// For servers.
    General,
}

impl Flavour {
    /// The package that depends on the newest kernel of this kind.
    pub const fn package(self) -> &'static str {
        match self {
            Flavour::Cloud => "linux-image-cloud-amd64",
            Flavour::General => "linux-image-amd64",
        }
    }

    fn is(self, version: &str) -> bool {
        (self == Flavour::Cloud) == version.ends_with("-cloud-amd64")
    }
}

/// A kernel that was unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// `6.1.0-56-cloud-amd64`
    pub version: String,
    /// The kernel itself.
    pub image: PathBuf,
    /// `…/lib/modules/VERSION`.
    pub modules: PathBuf,
}

impl Kernel {
    /// The kernel in an unpacked package.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(package: &Path) -> Result<Self, ImageError> {
        let odd = |what| ImageError::OddKernel { path: package.to_owned(), what };
        let all = package.join("lib/modules");
        let mut versions = entries(&all)?;
        let modules = versions.pop().ok_or_else(|| odd("modules"))?;
        let version = modules.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        let version = version.ok_or_else(|| odd("a version"))?;
        let image = package.join(format!("boot/vmlinuz-{version}"));
        if !image.is_file() {
            return Err(odd("a kernel"));
        }
        Ok(Self { version, image, modules })
    }
}

/// The kernel of this flavour below `dir`, downloaded if it is not there. `say` is
/// given a line for people before each step that takes time.
///
/// # Errors
/// When the package manager fails, or its package is not a kernel's.
pub async fn fetch_kernel(
    dir: &Path,
    flavour: Flavour,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<Kernel, ImageError> {
    if let Some(kernel) = cached(dir, flavour) {
        return Ok(kernel);
    }
    std::fs::create_dir_all(dir).map_err(ImageError::at(dir))?;
    let _turn = turn(dir).await?;
    // Somebody else may have fetched it while we waited for our turn.
    if let Some(kernel) = cached(dir, flavour) {
        return Ok(kernel);
    }
    let package = newest(flavour).await?;
    let work = dir.join(format!("{package}.partial"));
    let unpacked = work.join("package");
    if work.exists() {
        std::fs::remove_dir_all(&work).map_err(ImageError::at(&work))?;
    }
    std::fs::create_dir_all(&unpacked).map_err(ImageError::at(&unpacked))?;
    say(&format!("downloading {package} (some 30 to 70 MB)"));
    let mut download = process::command("apt-get")?;
    download.arg("download").arg(&package).current_dir(&work);
    process::finish("apt-get", download, WORK).await?;
    let is_package = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "deb");
    let archive = entries(&work)?.into_iter().find(is_package);
    let archive = archive.ok_or(ImageError::NoKernel { package: flavour.package() })?;
    say(&format!("unpacking {package}"));
    let arguments: [OsString; 3] = ["-x".into(), archive.into(), unpacked.clone().into()];
    process::run("dpkg-deb", arguments, WORK).await?;
    let version = Kernel::open(&unpacked)?.version;
    // Only what is whole gets its final name.
    let place = dir.join(&version);
    std::fs::rename(&unpacked, &place).map_err(ImageError::at(&place))?;
    std::fs::remove_dir_all(&work).map_err(ImageError::at(&work))?;
    Kernel::open(&place)
}

/// Holds the folder until dropped: two programs must not unpack into it at once.
async fn turn(dir: &Path) -> Result<std::fs::File, ImageError> {
    let path = dir.join("lock");
    let lock = std::fs::File::create(&path).map_err(ImageError::at(&path))?;
    let locked = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await;
    locked.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(ImageError::at(path))
}

/// The newest kernel that was unpacked before.
fn cached(dir: &Path, flavour: Flavour) -> Option<Kernel> {
    let whole = |path: &PathBuf| path.extension().is_none_or(|ending| ending != "partial");
    let found = entries(dir).ok()?.into_iter().filter(whole);
    let kernels = found.filter_map(|path| Kernel::open(&path).ok());
    kernels
        .filter(|kernel| flavour.is(&kernel.version))
        .max_by_key(|kernel| numbers(&kernel.version))
}

/// The numbers in a version: `6.1.0-9` comes before `6.1.0-56`.
fn numbers(version: &str) -> Vec<u64> {
    let runs = version.split(|c: char| !c.is_ascii_digit());
    runs.filter_map(|digits| digits.parse().ok()).collect()
}

/// The real package behind the one that always means the newest.
async fn newest(flavour: Flavour) -> Result<String, ImageError> {
    let package = flavour.package();
    let said = process::run("apt-cache", ["depends", "--important", package], ASK).await?;
    let said = String::from_utf8_lossy(&said);
    let depends = said.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let mut images = depends.filter(|name| {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.+".contains(&b));
        plain && name.starts_with("linux-image-")
    });
    images.next().map(str::to_owned).ok_or(ImageError::NoKernel { package })
}

/// What lies in a folder, by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, ImageError> {
    let read = std::fs::read_dir(folder).map_err(ImageError::at(folder))?;
    let mut paths = Vec::new();
    for entry in read {
        paths.push(entry.map_err(ImageError::at(folder))?.path());
    }
    paths.sort();
    Ok(paths)
}
