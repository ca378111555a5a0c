//! Events, tasks, and firmware: the last two can only be looked at.

use serde_json::{Value, json};

use super::super::service::Service;
use super::{collection, link, registry, well, with};

pub(super) fn read(service: &Service, first: &str, rest: &[&str]) -> Option<Value> {
    match (first, rest) {
        ("EventService", []) => Some(events()),
        ("EventService", ["Subscriptions"]) => {
            let path = "/redfish/v1/EventService/Subscriptions";
            Some(collection("EventDestinationCollection", path, "Subscriptions", [""; 0]))
        }
        ("TaskService", []) => Some(tasks(service)),
        ("TaskService", ["Tasks"]) => {
            Some(collection("TaskCollection", "/redfish/v1/TaskService/Tasks", "Tasks", [""; 0]))
        }
        ("UpdateService", []) => Some(updates()),
        ("UpdateService", ["FirmwareInventory", rest @ ..]) => firmware(service, rest),
        _ => None,
    }
}

fn events() -> Value {
    with(
        "EventService",
        "/redfish/v1/EventService",
        "Events",
        json!({
            "ServiceEnabled": true,
            "ServerSentEventUri": "/redfish/v1/EventService/SSE",
            "EventFormatTypes": ["Event"],
            "RegistryPrefixes": [registry::PREFIX],
            "ResourceTypes": ["ComputerSystem", "Manager", "VirtualMedia"],
            "Subscriptions": link("/redfish/v1/EventService/Subscriptions"),
            "Status": well(),
        }),
    )
}

fn tasks(service: &Service) -> Value {
    with(
        "TaskService",
        "/redfish/v1/TaskService",
        "Tasks",
        json!({
            "ServiceEnabled": true,
            "DateTime": service.now().to_string(),
            "CompletedTaskOverWritePolicy": "Oldest",
            "LifeCycleEventOnTaskStateChange": false,
            "Tasks": link("/redfish/v1/TaskService/Tasks"),
            "Status": well(),
        }),
    )
}

fn updates() -> Value {
    with(
        "UpdateService",
        "/redfish/v1/UpdateService",
        "Firmware",
        json!({
            "ServiceEnabled": false,
            "FirmwareInventory": link("/redfish/v1/UpdateService/FirmwareInventory"),
            "Status": {"State": "Disabled", "Health": "OK"},
        }),
    )
}

fn firmware(service: &Service, rest: &[&str]) -> Option<Value> {
    let path = "/redfish/v1/UpdateService/FirmwareInventory";
    let known = &service.hardware.parts().firmware;
    let [id] = rest else {
        let ids = known.iter().map(|firmware| firmware.part.as_str()).chain(["bmc"]);
        let title = "Firmware";
        return rest
            .is_empty()
            .then(|| collection("SoftwareInventoryCollection", path, title, ids));
    };
    let version = match *id {
        "bmc" => env!("CARGO_PKG_VERSION").to_owned(),
        part => known.iter().find(|firmware| firmware.part == part)?.version.clone(),
    };
    Some(with(
        "SoftwareInventory",
        &format!("{path}/{id}"),
        &format!("Firmware: {id}"),
        json!({
            "Version": version,
            "Updateable": false,
            "Status": well(),
        }),
    ))
}
