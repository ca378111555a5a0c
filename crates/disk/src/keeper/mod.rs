//! The keeper: a process so small that it need not be replaced.
//!
//! It holds what must outlive an engine: descriptors and bytes that the engine deposits
//! with it ([`store`]), and the lock of the directory. It starts the engine, sees it
//! die and starts the next one; and when it is asked to, it starts a successor beside
//! it and connects the two ([`wire`]). It knows nothing of volumes.
//!
//! When the keeper itself dies, the engine sees the channel close and ends in good
//! order: there is never an engine that nobody watches.

pub mod client;
mod engine;
mod restarts;
mod store;
mod supervise;
pub mod wire;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

use crate::shared::signals::Signals;
use engine::Launch;

/// What a keeper is to do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory that it locks.
    pub directory: PathBuf,
    /// The program of an engine.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// Why a keeper ended.
#[derive(Debug, Error)]
pub enum KeeperError {
    /// The directory could not be locked or made.
    #[error("{path}: {source}")]
    Directory {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another keeper has the directory.
    #[error("another `bedplate disk up` runs in {0}")]
    Taken(PathBuf),
    /// The first engine could not be started, or the system failed.
    #[error("the engine could not be started or watched: {0}")]
    System(#[from] io::Error),
    /// The engine gave up for a reason that a restart does not mend.
    #[error("{0}")]
    Engine(String),
}

/// Keeps engines running until one ends in good order, or a signal asks for the end.
pub fn run(settings: Settings) -> Result<(), KeeperError> {
    let signals = Signals::block()?;
    let lock = lock(&settings.directory)?;
    let launch = Launch { program: settings.program, arguments: settings.arguments };
    supervise::Keeper::start(launch, signals, lock)?.run()
}

/// Takes the directory, which is made when it is not there.
fn lock(directory: &Path) -> Result<File, KeeperError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| KeeperError::Directory { path, source }
    };
    std::fs::create_dir_all(directory).map_err(failed(directory))?;
    let path = directory.join("disk.lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed(&path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(KeeperError::Taken(directory.to_owned())),
        Err(error) => Err(failed(&path)(error.into())),
    }
}
