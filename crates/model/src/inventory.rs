//! What a machine is made of, as its BMC tells it and as the machine itself sees it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::unit::Bytes;

/// The parts of a machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Inventory {
    /// Who made it and which one it is.
    pub system: SystemParts,
    /// One entry a socket.
    pub processors: Vec<Processor>,
    /// One entry a populated slot.
    pub memory: Vec<MemoryModule>,
    /// Whole disks, not partitions.
    pub disks: Vec<Disk>,
    /// Network interfaces with a hardware address.
    pub nics: Vec<Nic>,
    /// PCI functions.
    pub pci: Vec<PciFunction>,
    /// The trusted platform module, where there is one.
    pub tpm: Option<Tpm>,
    /// Firmware by name of the part: `bios`, `bmc`, a disk, a NIC.
    pub firmware: Vec<Firmware>,
}

/// Who made the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SystemParts {
    /// Maker, as the firmware says it.
    pub manufacturer: String,
    /// Product name.
    pub product: String,
    /// Serial number of the chassis.
    pub serial: String,
    /// SMBIOS UUID (DSP0134 section 7.2.1), lower case with dashes; empty when unknown.
    pub uuid: String,
}

/// A socket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Processor {
    /// Model name.
    pub model: String,
    /// Physical cores.
    pub cores: u32,
    /// Hardware threads.
    pub threads: u32,
}

/// A memory module.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MemoryModule {
    /// Slot, as the board labels it.
    pub slot: String,
    /// Capacity.
    pub size: Bytes,
}

/// A disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Disk {
    /// Name in the ramdisk: `nvme0n1`, `vda`; the BMC's own name when it comes from there.
    pub name: String,
    /// Model.
    pub model: String,
    /// Serial number.
    pub serial: String,
    /// Capacity.
    pub size: Bytes,
    /// Turns, or not.
    pub rotational: bool,
    /// How it is attached: `nvme`, `sata`, `sas`, `virtio`.
    pub transport: String,
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Nic {
    /// Name in the ramdisk, or the BMC's.
    pub name: String,
    /// Hardware address, lower case with colons.
    pub mac: String,
    /// Negotiated speed in megabits a second; 0 when down or unknown.
    pub speed_mbps: u32,
    /// Whether the link is up.
    pub link: bool,
    /// Who is at the other end (LLDP, IEEE 802.1AB), when heard.
    pub neighbour: Option<Neighbour>,
}

/// A neighbour on the wire.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Neighbour {
    /// Name of the switch.
    pub system: String,
    /// Its port.
    pub port: String,
}

/// A PCI function.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PciFunction {
    /// `dddd:bb:dd.f`.
    pub address: String,
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Class code, 24 bits.
    pub class: u32,
}

/// A trusted platform module.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Tpm {
    /// Maker, four characters (TPM_PT_MANUFACTURER).
    pub manufacturer: String,
    /// Specification family: `2.0`.
    pub family: String,
    /// SHA-256 of the endorsement key's public area, hexadecimal: this TPM and no other.
    pub endorsement: String,
}

/// A firmware and its version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Firmware {
    /// The part: `bios`, `bmc`, …
    pub part: String,
    /// Version, as the part says it.
    pub version: String,
}

impl Inventory {
    /// All memory.
    pub fn memory_total(&self) -> Bytes {
        Bytes(self.memory.iter().map(|module| module.size.0).sum())
    }
    /// All cores.
    pub fn cores(&self) -> u32 {
        self.processors.iter().map(|socket| socket.cores).sum()
    }
    /// Whether one of its interfaces has this hardware address.
    pub fn has_mac(&self, mac: &str) -> bool {
        self.nics.iter().any(|nic| nic.mac.eq_ignore_ascii_case(mac))
    }
}
