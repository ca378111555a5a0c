//! Why a rack could not be built, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::uefi_vars::StoreError;

/// Why something in the lab did not work.
#[derive(Debug, Error)]
pub enum LabError {
    /// The rack that was asked for cannot be.
    #[error("{0}")]
    Spec(String),
    /// A network namespace and tap devices need root.
    #[error(
        "a virtual rack needs root: it makes a network namespace, a bridge and tap devices. \
         Run it as root (sudo), or in a container with CAP_NET_ADMIN, CAP_SYS_ADMIN and /dev/net/tun"
    )]
    NotRoot,
    /// Programs or files that are not there, with the packages that have them.
    #[error("{} not found; install with: apt-get install {}", .what.join(", "), .packages.join(" "))]
    Missing {
        /// What was looked for.
        what: Vec<String>,
        /// Debian's packages that have it.
        packages: Vec<&'static str>,
    },
    /// A rack is up on this directory.
    #[error(
        "the rack in {dir} is already up (process {pid}); take it down with: bedplate lab down"
    )]
    AlreadyUp {
        /// The directory.
        dir: PathBuf,
        /// The process that runs it.
        pid: u32,
    },
    /// A namespace of that name exists and is not ours.
    #[error(
        "the network namespace {name} exists already and belongs to something else; \
         choose another name, or remove it with: ip netns delete {name}"
    )]
    NamespaceTaken {
        /// Its name.
        name: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel refused something.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: String,
        /// Why not.
        source: io::Error,
    },
    /// A program failed.
    #[error(transparent)]
    Process(#[from] world::process::ProcessError),
    /// A variable store makes no sense.
    #[error("{path}: {source}")]
    Store {
        /// Which.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// QEMU ended, or did not answer.
    #[error("QEMU of {machine}: {said}")]
    Qemu {
        /// Whose.
        machine: String,
        /// What it said, or what happened.
        said: String,
    },
    /// A certificate could not be made or read.
    #[error("{doing}: {why}")]
    Certificate {
        /// What was being done.
        doing: String,
        /// Why not.
        why: String,
    },
    /// A machine's state does not allow what was asked.
    #[error("{0}")]
    State(String),
}

/// Turns an I/O error about a file into ours.
pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> LabError {
    let path = path.to_owned();
    move |source| LabError::File { path, source }
}

/// Turns an I/O error about anything else into ours.
pub(crate) fn system(doing: impl Into<String>) -> impl FnOnce(io::Error) -> LabError {
    let doing = doing.into();
    move |source| LabError::System { doing, source }
}
