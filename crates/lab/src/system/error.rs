//! Why a system image could not be built, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why there is no image.
#[derive(Debug, Error)]
pub enum SystemError {
    /// Packages are installed as root, with device nodes and owners.
    #[error(
        "building the system image needs root, because packages are installed into a \
         folder with their owners and device nodes; run it as root (sudo)"
    )]
    NotRoot,
    /// Programs that are not there, with the packages that have them.
    #[error("{} not found; install with: apt-get install {}", .what.join(", "), .packages.join(" "))]
    Missing {
        /// What was looked for.
        what: Vec<&'static str>,
        /// Debian's packages that have it.
        packages: Vec<&'static str>,
    },
    /// The order makes no sense.
    #[error("{what} cannot be {value:?}: {why}")]
    Order {
        /// Which part of it.
        what: &'static str,
        /// What was asked for.
        value: String,
        /// Why not.
        why: &'static str,
    },
    /// Packages could not be installed.
    #[error("Debian's packages could not be installed: {said}")]
    Packages {
        /// The last things that mmdebstrap said.
        said: String,
    },
    /// The packages did not bring what the system needs.
    #[error("the installed system lacks {what}")]
    Lacking {
        /// Which file.
        what: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A program failed.
    #[error(transparent)]
    Process(#[from] world::process::ProcessError),
}

/// Turns an I/O error about a file into ours.
pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> SystemError {
    let path = path.to_owned();
    move |source| SystemError::File { path, source }
}
