//! Builds the one image that every machine boots.
//!
//! A unified kernel image: systemd's EFI stub with the kernel, its command line and
//! an initial ramdisk as sections, signed as a whole for secure boot. The same file
//! goes by HTTP, TFTP and virtual medium. Without the signature it is the same byte
//! for byte for the same inputs, so that its measurement can be foretold.

mod build;
pub mod cpio;
mod initrd;
pub mod iso;
pub mod kernel;
pub mod modinfo;
pub mod modules;
pub mod pe;

pub use build::{Built, CMDLINE, Order, STUB, build};
pub use iso::iso;
pub use kernel::{Flavour, Kernel, fetch_kernel};
pub use modules::ModuleSet;

use std::path::PathBuf;

use thiserror::Error;

/// Why an image could not be built.
#[derive(Debug, Error)]
pub enum ImageError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The stub is not one that sections can be added to.
    #[error("the EFI stub cannot be used: {0}")]
    Stub(#[from] pe::PeError),
    /// A module is neither in the folder nor part of the kernel.
    #[error("the kernel has no module {name}")]
    NoModule {
        /// Its name.
        name: String,
    },
    /// A module's file makes no sense.
    #[error("module {path} cannot be read: {why}")]
    BadModule {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// The package manager names no kernel.
    #[error("the package {package} names no kernel; run apt-get update and try again")]
    NoKernel {
        /// The package.
        package: &'static str,
    },
    /// What was unpacked is not a kernel package.
    #[error("the kernel package unpacked in {path} lacks {what}")]
    OddKernel {
        /// Where.
        path: PathBuf,
        /// What it lacks.
        what: &'static str,
    },
    /// A program that we need failed.
    #[error(transparent)]
    Program(#[from] world::process::ProcessError),
}

impl ImageError {
    /// Says which file it was.
    pub(crate) fn at(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
