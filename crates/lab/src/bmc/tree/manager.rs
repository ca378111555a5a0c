//! The BMC itself, and its virtual drive.

use serde_json::{Value, json};

use super::super::service::Service;
use super::{collection, link, well, with};

const PATH: &str = "/redfish/v1/Managers/1";

pub(super) fn read(service: &Service, rest: &[&str]) -> Option<Value> {
    match rest {
        [] => Some(collection("ManagerCollection", "/redfish/v1/Managers", "Managers", ["1"])),
        ["1"] => Some(manager(service)),
        ["1", "VirtualMedia"] => {
            let path = format!("{PATH}/VirtualMedia");
            Some(collection("VirtualMediaCollection", &path, "Virtual media", ["Cd"]))
        }
        ["1", "VirtualMedia", "Cd"] => Some(drive(service)),
        ["1", "EthernetInterfaces"] => {
            let path = format!("{PATH}/EthernetInterfaces");
            let title = "Ethernet interfaces";
            Some(collection("EthernetInterfaceCollection", &path, title, ["1"]))
        }
        ["1", "EthernetInterfaces", "1"] => Some(interface(service)),
        ["1", "NetworkProtocol"] => Some(protocols(service)),
        _ => None,
    }
}

fn manager(service: &Service) -> Value {
    let below = |name: &str| link(&format!("{PATH}/{name}"));
    with(
        "Manager",
        PATH,
        "BMC",
        json!({
            "ManagerType": "BMC",
            "Manufacturer": "Bedplate",
            "Model": "Lab BMC",
            "FirmwareVersion": env!("CARGO_PKG_VERSION"),
            "UUID": service.uuid,
            "ServiceEntryPointUUID": service.uuid,
            "DateTime": service.now().to_string(),
            "DateTimeLocalOffset": "+00:00",
            "PowerState": "On",
            "Status": well(),
            "VirtualMedia": below("VirtualMedia"),
            "EthernetInterfaces": below("EthernetInterfaces"),
            "NetworkProtocol": below("NetworkProtocol"),
            "Links": {
                "ManagerForServers": [link("/redfish/v1/Systems/1")],
                "ManagerForChassis": [link("/redfish/v1/Chassis/1")],
                "ManagerInChassis": link("/redfish/v1/Chassis/1"),
            },
            "Actions": {"#Manager.Reset": {
                "target": format!("{PATH}/Actions/Manager.Reset"),
                "ResetType@Redfish.AllowableValues": ["ForceRestart", "GracefulRestart"],
            }},
        }),
    )
}

fn drive(service: &Service) -> Value {
    let path = format!("{PATH}/VirtualMedia/Cd");
    let image = service.media.image();
    let name = image.as_deref().map(|image| image.rsplit('/').next().unwrap_or_default());
    with(
        "VirtualMedia",
        &path,
        "Virtual drive",
        json!({
            "MediaTypes": ["CD", "USBStick"],
            "Image": image,
            "ImageName": name,
            "Inserted": image.is_some(),
            "WriteProtected": true,
            "VerifyCertificate": false,
            "ConnectedVia": if image.is_some() { "URI" } else { "NotConnected" },
            "TransferMethod": "Upload",
            "Actions": {
                "#VirtualMedia.InsertMedia": {
                    "target": format!("{path}/Actions/VirtualMedia.InsertMedia"),
                },
                "#VirtualMedia.EjectMedia": {
                    "target": format!("{path}/Actions/VirtualMedia.EjectMedia"),
                },
            },
        }),
    )
}

fn interface(service: &Service) -> Value {
    let path = format!("{PATH}/EthernetInterfaces/1");
    let address = service.spec.listen.ip().to_string();
    with(
        "EthernetInterface",
        &path,
        "Management interface",
        json!({
            "InterfaceEnabled": true,
            "LinkStatus": "LinkUp",
            "IPv4Addresses": [{
                "Address": address,
                "SubnetMask": "255.0.0.0",
                "Gateway": "0.0.0.0",
                "AddressOrigin": "Static",
            }],
            "Status": well(),
        }),
    )
}

fn protocols(service: &Service) -> Value {
    with(
        "ManagerNetworkProtocol",
        &format!("{PATH}/NetworkProtocol"),
        "Protocols",
        json!({
            "HostName": service.spec.name,
            "HTTPS": {"ProtocolEnabled": true, "Port": service.port()},
            "HTTP": {"ProtocolEnabled": false, "Port": null},
            "Status": well(),
        }),
    )
}
