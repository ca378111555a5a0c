//! Who a machine is. Drawn once, and kept in the rack's directory: a rack that is
//! brought up again has the same machines.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use world::{Entropy, SystemEntropy};

use crate::error::{LabError, file};

/// What distinguishes a machine from all others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// SMBIOS UUID, lower case with dashes.
    pub uuid: String,
    /// Serial number of the chassis.
    pub serial: String,
    /// Hardware address of its network interface.
    pub mac: [u8; 6],
    /// Where its BMC listened last; 0 before the first time.
    pub bmc_port: u16,
}

impl Identity {
    /// Draws a new one.
    fn draw() -> Self {
        let mut entropy = SystemEntropy;
        let mut uuid: [u8; 16] = entropy.bytes();
        // RFC 9562, version 4.
        uuid[6] = uuid[6] & 0x0f | 0x40;
        uuid[8] = uuid[8] & 0x3f | 0x80;
        let low: [u8; 3] = entropy.bytes();
        let serial: [u8; 4] = entropy.bytes();
        Self {
            uuid: uuid::Uuid::from_bytes(uuid).to_string(),
            serial: format!("BPL{:08X}", u32::from_be_bytes(serial)),
            // QEMU's prefix; locally administered.
            mac: [0x52, 0x54, 0x00, low[0], low[1], low[2]],
            bmc_port: 0,
        }
    }

    /// Reads a machine's identity, or draws it.
    pub(crate) fn load(dir: &Path) -> Result<Self, LabError> {
        let path = dir.join("machine.json");
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|error| LabError::File { path, source: error.into() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let identity = Self::draw();
                identity.keep(dir)?;
                Ok(identity)
            }
            Err(source) => Err(LabError::File { path, source }),
        }
    }

    /// Writes it down.
    pub(crate) fn keep(&self, dir: &Path) -> Result<(), LabError> {
        let path = dir.join("machine.json");
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        fs::write(&path, text).map_err(file(&path))
    }
}
