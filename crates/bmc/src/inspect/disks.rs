//! Disks: the drives of every storage subsystem, each once.

use std::collections::HashSet;

use model::Bytes;
use model::inventory::Disk;
use nv_redfish::schema::drive::{Drive, MediaType};
use nv_redfish::schema::protocol::Protocol;
use nv_redfish::schema::resource::State;
use nv_redfish::schema::storage::Storage;
use nv_redfish_core::EntityTypeRef;

use super::walk::{Walk, count, text};
use crate::document::{Document, MOST_MEMBERS};
use crate::failure::clean;

pub(super) async fn read(walk: &mut Walk, system: &Document) -> Vec<Disk> {
    let Some(collection) = system.link("/Storage") else { return Vec::new() };
    let mut disks = Vec::new();
    let mut seen = HashSet::new();
    for storage in walk.members::<Storage>(&collection).await {
        for drive in storage.drives.iter().flatten() {
            let path = drive.odata_id().to_string();
            if seen.len() >= MOST_MEMBERS || !seen.insert(path.clone()) {
                continue;
            }
            let drive = walk.resource::<Drive>(&path).await;
            disks.extend(drive.as_deref().and_then(part));
        }
    }
    disks
}

fn part(drive: &Drive) -> Option<Disk> {
    let state = drive.status.as_ref().and_then(|status| status.state.flatten());
    let size = Bytes(count(drive.capacity_bytes));
    if state == Some(State::Absent) || size.0 == 0 {
        return None;
    }
    Some(Disk {
        name: clean(&drive.id, 128),
        model: text(&drive.model),
        serial: text(&drive.serial_number),
        size,
        rotational: matches!(drive.media_type.flatten(), Some(MediaType::Hdd | MediaType::Smr)),
        transport: transport(drive.protocol.flatten()).to_owned(),
    })
}

fn transport(protocol: Option<Protocol>) -> &'static str {
    match protocol {
        // What is attached by PCI Express and is a drive, speaks NVMe.
        Some(Protocol::Nvme | Protocol::Pcie) => "nvme",
        Some(Protocol::Sata | Protocol::Ahci) => "sata",
        Some(Protocol::Sas) => "sas",
        Some(Protocol::Usb) => "usb",
        _ => "",
    }
}
