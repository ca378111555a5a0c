//! The root of the service, and the list of its parts for OData clients.

use serde_json::{Value, json};

use super::super::service::Service;
use super::{link, with};

/// Collections and services below the root.
const PARTS: [&str; 8] = [
    "Systems",
    "Chassis",
    "Managers",
    "SessionService",
    "AccountService",
    "EventService",
    "UpdateService",
    "Registries",
];

pub(super) fn root(service: &Service) -> Value {
    let mut root = with(
        "ServiceRoot",
        "/redfish/v1",
        "Bedplate lab BMC",
        json!({
            "RedfishVersion": "1.23.0",
            "UUID": service.uuid,
            "Vendor": "Bedplate",
            "Product": "Lab",
            "Tasks": link("/redfish/v1/TaskService"),
            "Links": {"Sessions": link("/redfish/v1/SessionService/Sessions")},
            "ProtocolFeaturesSupported": {
                "ExpandQuery": {"ExpandAll": false, "Levels": false, "Links": false, "NoLinks": false},
                "SelectQuery": false,
                "FilterQuery": false,
                "OnlyMemberQuery": false,
                "ExcerptQuery": false,
                "TopSkipQuery": false,
                "MultipleHTTPRequests": true,
            },
        }),
    );
    root["Id"] = "RootService".into();
    for part in PARTS {
        root[part] = link(&format!("/redfish/v1/{part}"));
    }
    root["@odata.id"] = "/redfish/v1/".into();
    root
}

pub(super) fn odata() -> Value {
    let entry = |name: &str| json!({"name": name, "kind": "Singleton", "url": format!("/redfish/v1/{name}")});
    let mut value = vec![json!({"name": "Service", "kind": "Singleton", "url": "/redfish/v1/"})];
    value.extend(PARTS.iter().map(|part| entry(part)));
    json!({"@odata.context": "/redfish/v1/$metadata", "value": value})
}
