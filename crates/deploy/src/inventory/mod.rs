//! What the machine is made of, as it sees itself: SMBIOS, PCI, disks, network
//! interfaces with their neighbours, TPM, firmware versions.

pub mod pci;
pub mod smbios;

use std::collections::BTreeMap;
use std::io::Read as _;

use model::Bytes;
use model::inventory::{Firmware, Inventory, MemoryModule, Neighbour, Processor, Tpm};

use crate::disks;
use crate::network::interfaces;
use crate::settings::Roots;

/// Collects everything. What cannot be read is left out, not guessed.
pub fn collect(roots: &Roots, tpm: Option<Tpm>, heard: &BTreeMap<String, Neighbour>) -> Inventory {
    let tables = firmware_tables(roots);
    let disks = disks::list(roots);
    let mut nics = interfaces::list(roots);
    for nic in &mut nics {
        nic.neighbour = heard.get(&nic.name).cloned();
    }
    let disk_firmware = disks.iter().filter(|disk| !disk.firmware.is_empty());
    let firmware = [("bios".to_owned(), tables.bios.clone())]
        .into_iter()
        .filter(|(_, version)| !version.is_empty())
        .chain(disk_firmware.map(|disk| (disk.disk.name.clone(), disk.firmware.clone())))
        .map(|(part, version)| Firmware { part, version })
        .collect();
    let counted = processors(roots);
    let mut sockets = or_else(tables.processors, || counted.clone());
    // The processor itself knows its name better than the board's firmware.
    for (socket, name) in sockets.iter_mut().zip(counted.iter().map(|c| &c.model).cycle()) {
        if !name.is_empty() {
            socket.model.clone_from(name);
        }
    }
    Inventory {
        processors: sockets,
        memory: or_else(tables.memory, || memory(roots)),
        system: tables.system,
        disks: disks.into_iter().map(|found| found.disk).collect(),
        nics,
        pci: pci::list(roots),
        tpm,
        firmware,
    }
}

/// The SMBIOS tables; empty on a machine without.
pub fn firmware_tables(roots: &Roots) -> smbios::Tables {
    let read = |name: &str| {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(roots.sys("firmware/dmi/tables").join(name));
        let most = smbios::TABLE_MOST as u64;
        let _ = file.and_then(|file| file.take(most).read_to_end(&mut bytes));
        bytes
    };
    smbios::parse(&read("DMI"), smbios::is_modern(&read("smbios_entry_point")))
}

fn or_else<T>(told: Vec<T>, otherwise: impl FnOnce() -> Vec<T>) -> Vec<T> {
    if told.is_empty() { otherwise() } else { told }
}

/// Without SMBIOS: what the kernel counts, as one socket.
fn processors(roots: &Roots) -> Vec<Processor> {
    let text = std::fs::read_to_string(roots.proc("cpuinfo")).unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let threads = text.lines().filter(|line| line.starts_with("processor")).count() as u32;
    let cores = field("cpu cores").and_then(|cores| cores.parse().ok()).unwrap_or(threads);
    match threads {
        0 => Vec::new(),
        _ => vec![Processor { model: field("model name").unwrap_or_default(), cores, threads }],
    }
}

/// Without SMBIOS: all memory as one module.
fn memory(roots: &Roots) -> Vec<MemoryModule> {
    let text = std::fs::read_to_string(roots.proc("meminfo")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: Option<u64> =
        line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse().ok());
    kib.into_iter()
        .map(|kib| MemoryModule { slot: String::new(), size: Bytes(kib.saturating_mul(1024)) })
        .collect()
}
