//! Everything that can be read, by its path. Schema versions are those of Redfish
//! release 2025.3 (DSP8010); DMTF's service validator checks each resource against
//! them.

mod accounts;
mod chassis;
mod logs;
mod manager;
mod registry;
mod root;
mod services;
mod storage;
mod system;

use axum::body::Body;
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use model::bmc::PowerState;
use serde_json::{Map, Value, json};

use super::service::Service;

pub(super) use chassis::Heat;
pub(super) use registry::REGISTRY;

/// Schemas with their versions; without one for collections.
const KINDS: [(&str, &str); 44] = [
    ("AccountService", "v1_18_1"),
    ("Chassis", "v1_28_0"),
    ("ChassisCollection", ""),
    ("ComputerSystem", "v1_28_0"),
    ("ComputerSystemCollection", ""),
    ("Drive", "v1_22_0"),
    ("EthernetInterface", "v1_12_5"),
    ("EthernetInterfaceCollection", ""),
    ("Event", "v1_13_0"),
    ("EventDestinationCollection", ""),
    ("EventService", "v1_12_0"),
    ("LogEntry", "v1_21_0"),
    ("LogEntryCollection", ""),
    ("LogService", "v1_9_0"),
    ("LogServiceCollection", ""),
    ("Manager", "v1_25_0"),
    ("ManagerAccount", "v1_14_1"),
    ("ManagerAccountCollection", ""),
    ("ManagerCollection", ""),
    ("ManagerNetworkProtocol", "v1_13_0"),
    ("Memory", "v1_24_0"),
    ("MemoryCollection", ""),
    ("Message", "v1_3_0"),
    ("MessageRegistry", "v1_8_0"),
    ("MessageRegistryFile", "v1_1_5"),
    ("MessageRegistryFileCollection", ""),
    ("Power", "v1_7_3"),
    ("Processor", "v1_23_0"),
    ("ProcessorCollection", ""),
    ("Role", "v1_3_3"),
    ("RoleCollection", ""),
    ("SecureBoot", "v1_2_0"),
    ("Sensor", "v1_13_0"),
    ("SensorCollection", ""),
    ("ServiceRoot", "v1_21_0"),
    ("Session", "v1_8_0"),
    ("SessionCollection", ""),
    ("SessionService", "v1_2_0"),
    ("SoftwareInventory", "v1_14_0"),
    ("SoftwareInventoryCollection", ""),
    ("Storage", "v1_22_0"),
    ("StorageCollection", ""),
    ("Thermal", "v1_7_3"),
    ("VirtualMedia", "v1_6_5"),
];
/// Schemas without a resource of ours among `KINDS` that clients may look up.
const MORE: [(&str, &str); 5] = [
    ("VirtualMediaCollection", ""),
    ("TaskCollection", ""),
    ("TaskService", "v1_3_0"),
    ("UpdateService", "v1_17_1"),
    ("Resource", "v1_24_0"),
];

/// The type of a schema's resource: `#Chassis.v1_28_0.Chassis`.
pub(super) fn kind(name: &str) -> String {
    let known = KINDS.iter().chain(&MORE).find(|(known, _)| *known == name);
    match known.expect("every kind in use is listed").1 {
        "" => format!("#{name}.{name}"),
        version => format!("#{name}.{version}.{name}"),
    }
}

/// Reads a resource; nothing when there is none at this path.
pub(super) fn read(service: &Service, path: &str) -> Option<Value> {
    let mut segments = path.strip_prefix("/redfish")?.split('/').skip(1);
    let Some(version) = segments.next() else {
        return Some(json!({"v1": "/redfish/v1/"}));
    };
    if version != "v1" {
        return None;
    }
    let rest: Vec<&str> = segments.collect();
    let Some((first, rest)) = rest.split_first() else {
        return Some(root::root(service));
    };
    match *first {
        "odata" if rest.is_empty() => Some(root::odata()),
        "Systems" => system::read(service, rest),
        "Chassis" => chassis::read(service, rest),
        "Managers" => manager::read(service, rest),
        "SessionService" => accounts::sessions(service, rest),
        "AccountService" => accounts::accounts(service, rest),
        "EventService" | "TaskService" | "UpdateService" => services::read(service, first, rest),
        "Registries" => registry::read(rest),
        _ => None,
    }
}

/// The beginning of every resource.
fn resource(name: &str, path: &str, title: &str) -> Map<String, Value> {
    let id = path.rsplit('/').next().unwrap_or_default();
    let mut fields = Map::new();
    fields.insert("@odata.id".into(), path.into());
    fields.insert("@odata.type".into(), kind(name).into());
    if !name.ends_with("Collection") {
        fields.insert("Id".into(), id.into());
    }
    fields.insert("Name".into(), title.into());
    fields
}

/// A resource with these further properties.
fn with(name: &str, path: &str, title: &str, properties: Value) -> Value {
    let mut fields = resource(name, path, title);
    if let Value::Object(properties) = properties {
        fields.extend(properties);
    }
    Value::Object(fields)
}

/// A collection of resources below its own path.
fn collection<S: ToString>(
    name: &str,
    path: &str,
    title: &str,
    ids: impl IntoIterator<Item = S>,
) -> Value {
    let members: Vec<Value> =
        ids.into_iter().map(|id| link(&format!("{path}/{}", id.to_string()))).collect();
    with(name, path, title, json!({"Members@odata.count": members.len(), "Members": members}))
}

fn link(path: &str) -> Value {
    json!({"@odata.id": path})
}

fn well() -> Value {
    json!({"State": "Enabled", "Health": "OK"})
}

/// Power in Redfish's words.
pub(super) const fn power_word(power: PowerState) -> &'static str {
    match power {
        PowerState::On => "On",
        PowerState::PoweringOn => "PoweringOn",
        PowerState::PoweringOff => "PoweringOff",
        PowerState::Off | PowerState::Unknown => "Off",
    }
}

/// `$metadata`: where the schemas of all resources are (DSP0266 section 8.4.1).
pub(super) fn metadata() -> Response<Body> {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <edmx:Edmx xmlns:edmx=\"http://docs.oasis-open.org/odata/ns/edmx\" Version=\"4.0\">\n",
    );
    for (name, version) in KINDS.iter().chain(&MORE) {
        let uri = format!("http://redfish.dmtf.org/schemas/v1/{name}_v1.xml");
        text.push_str(&format!(
            "<edmx:Reference Uri=\"{uri}\"><edmx:Include Namespace=\"{name}\"/>"
        ));
        if !version.is_empty() {
            text.push_str(&format!("<edmx:Include Namespace=\"{name}.{version}\"/>"));
        }
        text.push_str("</edmx:Reference>\n");
    }
    text.push_str(
        "<edmx:DataServices><Schema xmlns=\"http://docs.oasis-open.org/odata/ns/edm\" Namespace=\"Service\">\
         <EntityContainer Name=\"Service\" Extends=\"ServiceRoot.v1_21_0.ServiceContainer\"/>\
         </Schema></edmx:DataServices>\n</edmx:Edmx>\n",
    );
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml; charset=utf-8"));
    headers.insert("OData-Version", HeaderValue::from_static("4.0"));
    response
}
