//! What another process left, or still holds: the record in a rack's directory, and
//! how it is cleared.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use world::process::ProcessId;

use crate::error::{LabError, file};
use crate::network;
use crate::rack::LabMachine;
use crate::spec::{NetworkSpec, RackSpec};

/// A rack gets this long to come down when it is asked to.
const DOWN_LIMIT: Duration = Duration::from_secs(20);

/// The record of a rack that is up: `rack.json` in its directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub name: String,
    pub owner: ProcessId,
    pub network: NetworkSpec,
    /// Where its sockets are.
    pub sockets: PathBuf,
    pub machines: Vec<LabMachine>,
}

impl Record {
    /// The record of a rack that is coming up: its machines are not known yet.
    pub(crate) fn new(spec: &RackSpec, sockets: &Path) -> Result<Self, LabError> {
        let owner = ProcessId::of(std::process::id())
            .ok_or_else(|| LabError::State("/proc does not know this process".into()))?;
        let (name, network) = (spec.name.clone(), spec.network.clone());
        Ok(Self { name, owner, network, sockets: sockets.to_owned(), machines: Vec::new() })
    }

    fn path(dir: &Path) -> PathBuf {
        dir.join("rack.json")
    }

    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, LabError> {
        let path = Self::path(dir);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|error| LabError::File { path, source: error.into() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LabError::File { path, source }),
        }
    }

    /// Written by renaming, and readable only to its owner: it holds passwords.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), LabError> {
        let (path, fresh) = (Self::path(dir), dir.join("rack.json.fresh"));
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        crate::bmc::write_private(&fresh, &text)?;
        fs::rename(&fresh, &path).map_err(file(&path))
    }

    pub(crate) fn remove(dir: &Path) {
        let _ = fs::remove_file(Self::path(dir));
    }
}

/// A rack as its directory tells of it.
#[derive(Debug)]
pub struct Remains {
    dir: PathBuf,
    record: Record,
}

impl Remains {
    /// What a directory tells; nothing when no rack is up or was left there.
    pub fn find(dir: &Path) -> Result<Option<Self>, LabError> {
        let record = Record::read(dir)?;
        Ok(record.map(|record| Self { dir: dir.to_owned(), record }))
    }

    /// Name of the rack.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// Its machines, as they were when it came up; passwords may have changed since.
    pub fn machines(&self) -> &[LabMachine] {
        &self.record.machines
    }

    /// Its wire.
    pub fn network(&self) -> &NetworkSpec {
        &self.record.network
    }

    /// Where its sockets are.
    pub fn sockets(&self) -> &Path {
        &self.record.sockets
    }

    /// The process that runs it, while that lives.
    pub fn owner(&self) -> Option<u32> {
        let owner = self.record.owner;
        let stranger = owner.pid != std::process::id();
        (owner.alive() && stranger).then_some(owner.pid)
    }

    /// Asks the owner to take the rack down (SIGTERM), ends it when it does not, and
    /// clears what is left: children, namespace, record. Repeating it does no harm.
    pub async fn clear(self) -> Result<(), LabError> {
        let owner = self.record.owner;
        if self.owner().is_some() {
            terminate(owner);
            let gone = async {
                while owner.alive() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            if tokio::time::timeout(DOWN_LIMIT, gone).await.is_err() {
                owner.kill();
            }
        }
        clear_children(&self.dir).await?;
        network::remove(&self.record.network.namespace).await?;
        let _ = fs::remove_dir_all(&self.record.sockets);
        Record::remove(&self.dir);
        Ok(())
    }
}

/// Asks a process to end. As with killing: the descriptor first, the check after.
fn terminate(process: ProcessId) {
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return };
    if let Ok(handle) = pidfd_open(pid, PidfdFlags::empty())
        && process.alive()
    {
        let _ = pidfd_send_signal(&handle, Signal::TERM);
    }
}

/// Ends the children that a rack wrote down, each by its id and start.
async fn clear_children(dir: &Path) -> Result<(), LabError> {
    let machines = dir.join("machines");
    let Ok(entries) = fs::read_dir(&machines) else { return Ok(()) };
    for machine in entries {
        let machine = machine.map_err(file(&machines))?.path();
        for name in ["qemu.child", "swtpm.child"] {
            let path = machine.join(name);
            let Ok(text) = fs::read(&path) else { continue };
            if let Ok(child) = serde_json::from_slice::<ProcessId>(&text) {
                child.kill();
                for _ in 0..200 {
                    if !child.alive() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            fs::remove_file(&path).map_err(file(&path))?;
        }
    }
    Ok(())
}
