//! The machine's disks.

use serde_json::{Value, json};

use super::super::service::Service;
use super::system::position;
use super::{collection, link, well, with};

const PATH: &str = "/redfish/v1/Systems/1/Storage";

pub(super) fn read(service: &Service, rest: &[&str]) -> Option<Value> {
    match rest {
        [] => Some(collection("StorageCollection", PATH, "Storage", ["1"])),
        ["1"] => Some(subsystem(service)),
        ["1", "Drives", id] => drive(service, id),
        _ => None,
    }
}

fn subsystem(service: &Service) -> Value {
    let count = service.hardware.parts().disks.len();
    let drives: Vec<Value> = (1..=count).map(|id| link(&format!("{PATH}/1/Drives/{id}"))).collect();
    with(
        "Storage",
        &format!("{PATH}/1"),
        "Disks",
        json!({
            "Drives@odata.count": count,
            "Drives": drives,
            "Status": well(),
        }),
    )
}

fn drive(service: &Service, id: &str) -> Option<Value> {
    let disk = service.hardware.parts().disks.get(position(id)?)?;
    let protocol = if disk.transport == "nvme" { "NVMe" } else { "SATA" };
    Some(with(
        "Drive",
        &format!("{PATH}/1/Drives/{id}"),
        &disk.name,
        json!({
            "Model": disk.model,
            "SerialNumber": disk.serial,
            "CapacityBytes": disk.size.0,
            "BlockSizeBytes": 512,
            "MediaType": if disk.rotational { "HDD" } else { "SSD" },
            "Protocol": protocol,
            "Status": well(),
        }),
    ))
}
