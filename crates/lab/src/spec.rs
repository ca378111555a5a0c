//! What a rack is asked to be: machines, their network, and whom they trust.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use model::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::LabError;

/// The most machines that one rack holds: as many as its ports and addresses allow.
pub const MACHINES_MAX: usize = 200;

/// A rack.
#[derive(Clone, Debug)]
pub struct RackSpec {
    /// Its name: lower-case letters, digits and dashes, at most 32.
    pub name: String,
    /// Where it keeps everything: identities, disks, TPM states, logs. A rack that is
    /// brought up again on the same directory is the same rack, powered off.
    pub dir: PathBuf,
    /// Its machines.
    pub machines: Vec<MachineSpec>,
    /// The wire that they share.
    pub network: NetworkSpec,
    /// A certificate (PEM) for the secure-boot `db`, beside Microsoft's.
    pub trust: Option<PathBuf>,
    /// How processors are emulated.
    pub accel: Accel,
    /// Whether secure boot is on.
    pub secure_boot: bool,
    /// Where BMCs listen. Port 0: any free port each, kept for the next time;
    /// otherwise this port for the first machine, the next for the second, and so on.
    pub bmc_listen: SocketAddr,
    /// Whether BMCs have the OEM endpoint that switches faults.
    pub fault_endpoint: bool,
}

/// A machine.
#[derive(Clone, Debug)]
pub struct MachineSpec {
    /// Its name: lower-case letters, digits and dashes, at most 32; unique in the rack.
    pub name: String,
    /// Virtual processors.
    pub cpus: u32,
    /// Memory; rounded down to mebibytes.
    pub memory: Bytes,
    /// Sizes of its NVMe disks.
    pub disks: Vec<Bytes>,
}

/// The wire: a network namespace with one bridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSpec {
    /// Name of the namespace (`ip netns`).
    pub namespace: String,
    /// Name of the bridge inside it.
    pub bridge: String,
    /// Address of the bridge: the control plane's sockets are bound to it.
    pub server: Ipv4Addr,
    /// Bits of its subnet.
    pub prefix: u8,
}

/// How processors are emulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accel {
    /// KVM when a probe really booted firmware under it, otherwise TCG.
    #[default]
    Auto,
    /// KVM.
    Kvm,
    /// QEMU's own translation: works everywhere, slowly.
    Tcg,
}

impl RackSpec {
    /// A rack of `count` machines `node-1`, `node-2`, … with all defaults.
    pub fn new(name: impl Into<String>, dir: impl Into<PathBuf>, count: usize) -> Self {
        Self {
            name: name.into(),
            dir: dir.into(),
            machines: (1..=count).map(|n| MachineSpec::new(format!("node-{n}"))).collect(),
            network: NetworkSpec::default(),
            trust: None,
            accel: Accel::Auto,
            secure_boot: true,
            bmc_listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            fault_endpoint: false,
        }
    }

    /// Refuses what cannot be built, before anything is touched.
    pub fn check(&self) -> Result<(), LabError> {
        check_name("rack", &self.name)?;
        check_name("namespace", &self.network.namespace)?;
        check_name("bridge", &self.network.bridge)?;
        refuse(self.network.bridge.len() > 15, "a bridge's name has at most 15 characters")?;
        refuse(!(8..=30).contains(&self.network.prefix), "a subnet has 8 to 30 bits")?;
        refuse(self.machines.is_empty(), "a rack has at least one machine")?;
        refuse(self.machines.len() > MACHINES_MAX, "a rack has at most 200 machines")?;
        for (index, machine) in self.machines.iter().enumerate() {
            machine.check()?;
            let twice = self.machines[..index].iter().any(|other| other.name == machine.name);
            refuse(twice, format!("two machines are called {}", machine.name))?;
        }
        Ok(())
    }
}

impl MachineSpec {
    /// A machine with 1 GiB of memory and one disk of 8 GiB. One processor: under
    /// emulation a second one doubles what firmware costs, because each of its calls
    /// into system management mode waits for all processors.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), cpus: 1, memory: Bytes::gib(1), disks: vec![Bytes::gib(8)] }
    }

    fn check(&self) -> Result<(), LabError> {
        check_name("machine", &self.name)?;
        refuse(!(1..=64).contains(&self.cpus), "a machine has 1 to 64 processors")?;
        let memory = Bytes::mib(256)..=Bytes::gib(1024);
        refuse(!memory.contains(&self.memory), "a machine has 256 MiB to 1 TiB of memory")?;
        refuse(self.disks.len() > 8, "a machine has at most 8 disks")?;
        let small =
            self.disks.iter().any(|size| *size < Bytes::mib(1) || !size.0.is_multiple_of(512));
        refuse(small, "a disk has at least 1 MiB, in whole sectors of 512 bytes")
    }
}

impl Default for NetworkSpec {
    fn default() -> Self {
        Self {
            namespace: "bedplate-lab".into(),
            bridge: "br0".into(),
            server: Ipv4Addr::new(10, 77, 0, 1),
            prefix: 24,
        }
    }
}

impl NetworkSpec {
    /// Whether an address is on this wire.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix.min(32))).unwrap_or(0);
        u32::from(address) & mask == u32::from(self.server) & mask
    }
}

fn check_name(what: &str, name: &str) -> Result<(), LabError> {
    let fits = !name.is_empty() && name.len() <= 32;
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let begins = !name.starts_with('-');
    refuse(
        !(fits && plain && begins),
        format!("the name of a {what} is 1 to 32 lower-case letters, digits and dashes: {name:?}"),
    )
}

fn refuse(bad: bool, why: impl Into<String>) -> Result<(), LabError> {
    if bad { Err(LabError::Spec(why.into())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_that_cannot_be_built_is_refused() {
        let good = RackSpec::new("rack", "/tmp/rack", 2);
        good.check().unwrap();
        let mut bad = good.clone();
        bad.machines[1].name = "node-1".into();
        assert!(bad.check().unwrap_err().to_string().contains("two machines"));
        let mut bad = good.clone();
        bad.network.namespace = "../etc".into();
        assert!(bad.check().is_err());
        let mut bad = good;
        bad.machines[0].disks = vec![Bytes(1_000)];
        assert!(bad.check().is_err());
    }

    #[test]
    fn a_wire_knows_its_addresses() {
        let network = NetworkSpec::default();
        assert!(network.contains(Ipv4Addr::new(10, 77, 0, 250)));
        assert!(!network.contains(Ipv4Addr::new(10, 77, 1, 1)));
    }
}
