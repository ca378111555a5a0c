//! The messages of our events (DSP0266 section 9.5.11).

use serde_json::{Map, Value, json};

use super::super::journal::Happening;
use super::{collection, kind, with};

/// Beginning of every message's id.
pub(super) const PREFIX: &str = "BedplateLab";
/// The registry, as message ids name it.
pub(in crate::bmc) const REGISTRY: &str = "BedplateLab.1.0";

const PATH: &str = "/redfish/v1/Registries";

pub(super) fn read(rest: &[&str]) -> Option<Value> {
    match rest {
        [] => Some(collection("MessageRegistryFileCollection", PATH, "Registries", [PREFIX])),
        [PREFIX] => Some(with(
            "MessageRegistryFile",
            &format!("{PATH}/{PREFIX}"),
            "Messages of the lab",
            json!({
                "Registry": REGISTRY,
                "Languages": ["en"],
                "Location": [{"Language": "en", "Uri": format!("{PATH}/{PREFIX}/Registry")}],
            }),
        )),
        [PREFIX, "Registry"] => Some(registry()),
        _ => None,
    }
}

fn registry() -> Value {
    let mut messages = Map::new();
    for (key, text, arguments) in Happening::MESSAGES {
        let mut message = json!({
            "Description": text,
            "Message": text,
            "NumberOfArgs": arguments,
            "MessageSeverity": "OK",
            "Resolution": "None.",
        });
        if arguments > 0 {
            message["ParamTypes"] = vec!["string"; arguments].into();
            message["ArgDescriptions"] = vec!["What it is now."; arguments].into();
        }
        messages.insert(key.into(), message);
    }
    json!({
        "@odata.type": kind("MessageRegistry"),
        "Id": "BedplateLab.1.0.0",
        "Name": "Messages of the lab",
        "Language": "en",
        "Description": "What happens to a machine of the lab and its BMC.",
        "RegistryPrefix": PREFIX,
        "RegistryVersion": "1.0.0",
        "OwningEntity": "Bedplate",
        "Messages": messages,
    })
}
