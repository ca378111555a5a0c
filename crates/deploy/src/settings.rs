//! What the agent is told before it can ask: where the control plane is and
//! whose certificate it has. It comes with the image (`/etc/bedplate/control.json`),
//! so that one image serves the whole fleet without a command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;

use crate::tpm::TpmPlace;

/// `/etc/bedplate/control.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Control {
    /// `https://ADDRESS:PORT` of the control plane.
    pub url: String,
    /// The only certificates that are trusted (PEM).
    pub ca: String,
}

/// The largest `control.json` that is read.
const CONTROL_MOST: u64 = 1 << 20;

impl Control {
    /// Reads and checks the file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let size = std::fs::metadata(path).with_context(|| format!("{}", path.display()))?.len();
        anyhow::ensure!(size <= CONTROL_MOST, "{} is too large", path.display());
        let text = std::fs::read(path).with_context(|| format!("{}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{}", path.display()))
    }
}

/// Where the machine's `dev`, `sys` and `proc` are: `/`, or a made-up tree in tests.
#[derive(Clone, Debug)]
pub struct Roots {
    dir: PathBuf,
}

impl Roots {
    /// All below this folder.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }
    /// A device node.
    pub fn dev(&self, name: &str) -> PathBuf {
        self.dir.join("dev").join(name)
    }
    /// A path in sysfs.
    pub fn sys(&self, path: &str) -> PathBuf {
        self.dir.join("sys").join(path)
    }
    /// A path in procfs.
    pub fn proc(&self, path: &str) -> PathBuf {
        self.dir.join("proc").join(path)
    }
}

/// How patient the agent is.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// First wait before a repeated try; doubles from there.
    pub first: Duration,
    /// Longest wait before a repeated try.
    pub most: Duration,
    /// A connection that gives no byte for so long is dead.
    pub stall: Duration,
    /// A download without a byte for so long, over all tries, has failed.
    pub give_up: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(250),
            most: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            give_up: Duration::from_secs(600),
        }
    }
}

/// Everything that the agent's work depends on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The control plane.
    pub control: Control,
    /// The machine's trees.
    pub roots: Roots,
    /// How patient to be.
    pub patience: Patience,
    /// Where the TPM is.
    pub tpm: TpmPlace,
    /// Whether the machine is ours (PID 1): its clock may be set.
    pub owns_machine: bool,
}
