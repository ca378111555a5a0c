//! The machine itself: power, boot, processors, memory, interfaces, secure boot.

use serde_json::{Value, json};

use super::super::power::{ENABLED, RESETS, TARGETS};
use super::super::service::Service;
use super::{collection, link, logs, power_word, storage, well, with};

pub(super) const PATH: &str = "/redfish/v1/Systems/1";

pub(super) fn read(service: &Service, rest: &[&str]) -> Option<Value> {
    match rest {
        [] => Some(collection("ComputerSystemCollection", "/redfish/v1/Systems", "Systems", ["1"])),
        ["1"] => Some(system(service)),
        ["1", "Processors", rest @ ..] => processors(service, rest),
        ["1", "Memory", rest @ ..] => memory(service, rest),
        ["1", "EthernetInterfaces", rest @ ..] => interfaces(service, rest),
        ["1", "Storage", rest @ ..] => storage::read(service, rest),
        ["1", "LogServices", rest @ ..] => logs::read(service, rest),
        ["1", "SecureBoot"] => Some(secure_boot(service)),
        _ => None,
    }
}

fn system(service: &Service) -> Value {
    let parts = service.hardware.parts();
    let below = |name: &str| link(&format!("{PATH}/{name}"));
    let model = parts.processors.first().map(|processor| processor.model.clone());
    let bios = parts.firmware.iter().find(|firmware| firmware.part == "bios");
    let properties = json!({
        "SystemType": "Physical",
        "Manufacturer": parts.system.manufacturer,
        "Model": parts.system.product,
        "SerialNumber": parts.system.serial,
        "UUID": parts.system.uuid,
        "BiosVersion": bios.map(|firmware| firmware.version.clone()),
        "PowerState": power_word(service.power()),
        "Status": well(),
        "Boot": boot(service),
        "BootProgress": progress(service),
        "ProcessorSummary": {
            "Count": parts.processors.len(),
            "CoreCount": parts.cores(),
            "LogicalProcessorCount": parts.processors.iter().map(|p| p.threads).sum::<u32>(),
            "Model": model,
            "Status": well(),
        },
        "MemorySummary": {
            "TotalSystemMemoryGiB": parts.memory_total().0 as f64 / f64::from(1u32 << 30),
            "Status": well(),
        },
        "Processors": below("Processors"),
        "Memory": below("Memory"),
        "EthernetInterfaces": below("EthernetInterfaces"),
        "Storage": below("Storage"),
        "LogServices": below("LogServices"),
        "SecureBoot": below("SecureBoot"),
        "Links": {
            "Chassis": [link("/redfish/v1/Chassis/1")],
            "ManagedBy": [link("/redfish/v1/Managers/1")],
        },
        "Actions": {"#ComputerSystem.Reset": {
            "target": format!("{PATH}/Actions/ComputerSystem.Reset"),
            "ResetType@Redfish.AllowableValues": RESETS,
        }},
    });
    let mut system = with("ComputerSystem", PATH, &service.spec.name, properties);
    if parts.tpm.is_some() {
        system["TrustedModules"] = json!([{"InterfaceType": "TPM2_0", "Status": well()}]);
    }
    system
}

fn boot(service: &Service) -> Value {
    let wish = service.switch.wish();
    json!({
        "BootSourceOverrideEnabled": wish.enabled,
        "BootSourceOverrideEnabled@Redfish.AllowableValues": ENABLED,
        "BootSourceOverrideMode": "UEFI",
        "BootSourceOverrideMode@Redfish.AllowableValues": ["UEFI"],
        "BootSourceOverrideTarget": wish.target,
        "BootSourceOverrideTarget@Redfish.AllowableValues": TARGETS,
        "HttpBootUri": wish.uri,
    })
}

fn progress(service: &Service) -> Value {
    let view = service.hardware.view();
    json!({"LastState": view.stage.name(), "LastStateTime": view.since.to_string()})
}

fn processors(service: &Service, rest: &[&str]) -> Option<Value> {
    let path = format!("{PATH}/Processors");
    let all = &service.hardware.parts().processors;
    let [id] = rest else {
        let ids = 1..=all.len();
        return rest
            .is_empty()
            .then(|| collection("ProcessorCollection", &path, "Processors", ids));
    };
    let processor = all.get(position(id)?)?;
    Some(with(
        "Processor",
        &format!("{path}/{id}"),
        "Processor",
        json!({
            "ProcessorType": "CPU",
            "Socket": format!("CPU {id}"),
            "Manufacturer": service.hardware.parts().system.manufacturer,
            "Model": processor.model,
            "ProcessorArchitecture": "x86",
            "InstructionSet": "x86-64",
            "TotalCores": processor.cores,
            "TotalThreads": processor.threads,
            "Status": well(),
        }),
    ))
}

fn memory(service: &Service, rest: &[&str]) -> Option<Value> {
    let path = format!("{PATH}/Memory");
    let all = &service.hardware.parts().memory;
    let [id] = rest else {
        let ids = 1..=all.len();
        return rest.is_empty().then(|| collection("MemoryCollection", &path, "Memory", ids));
    };
    let module = all.get(position(id)?)?;
    Some(with(
        "Memory",
        &format!("{path}/{id}"),
        &module.slot,
        json!({
            "DeviceLocator": module.slot,
            "MemoryType": "DRAM",
            "CapacityMiB": module.size.0 >> 20,
            "Status": well(),
        }),
    ))
}

fn interfaces(service: &Service, rest: &[&str]) -> Option<Value> {
    let path = format!("{PATH}/EthernetInterfaces");
    let all = &service.hardware.parts().nics;
    let [id] = rest else {
        let title = "Ethernet interfaces";
        let ids = 1..=all.len();
        return rest
            .is_empty()
            .then(|| collection("EthernetInterfaceCollection", &path, title, ids));
    };
    let nic = all.get(position(id)?)?;
    Some(with(
        "EthernetInterface",
        &format!("{path}/{id}"),
        &nic.name,
        json!({
            "MACAddress": nic.mac,
            "PermanentMACAddress": nic.mac,
            "SpeedMbps": nic.speed_mbps,
            "FullDuplex": true,
            "InterfaceEnabled": true,
            "LinkStatus": if nic.link { "LinkUp" } else { "LinkDown" },
            "Status": well(),
        }),
    ))
}

fn secure_boot(service: &Service) -> Value {
    let on = service.hardware.secure_boot();
    with(
        "SecureBoot",
        &format!("{PATH}/SecureBoot"),
        "UEFI secure boot",
        json!({
            "SecureBootEnable": on,
            "SecureBootCurrentBoot": if on { "Enabled" } else { "Disabled" },
            "SecureBootMode": if on { "UserMode" } else { "SetupMode" },
        }),
    )
}

/// Members count from 1.
pub(super) fn position(id: &str) -> Option<usize> {
    id.parse::<usize>().ok()?.checked_sub(1)
}
