//! The system event log.

use serde_json::{Value, json};

use super::super::journal::Entry;
use super::super::service::Service;
use super::{collection, kind, link, registry, well, with};

const PATH: &str = "/redfish/v1/Systems/1/LogServices";

pub(super) fn read(service: &Service, rest: &[&str]) -> Option<Value> {
    match rest {
        [] => Some(collection("LogServiceCollection", PATH, "Logs", ["Sel"])),
        ["Sel"] => Some(log(service)),
        ["Sel", "Entries"] => Some(entries(service)),
        ["Sel", "Entries", id] => {
            let all = service.journal.entries();
            all.iter().find(|entry| entry.id.to_string() == *id).map(entry)
        }
        _ => None,
    }
}

fn log(service: &Service) -> Value {
    let path = format!("{PATH}/Sel");
    with(
        "LogService",
        &path,
        "System event log",
        json!({
            "ServiceEnabled": true,
            "LogEntryType": "Event",
            "MaxNumberOfRecords": 512,
            "OverWritePolicy": "WrapsWhenFull",
            "DateTime": service.now().to_string(),
            "DateTimeLocalOffset": "+00:00",
            "Entries": link(&format!("{path}/Entries")),
            "Status": well(),
            "Actions": {"#LogService.ClearLog": {
                "target": format!("{path}/Actions/LogService.ClearLog"),
            }},
        }),
    )
}

/// Log collections carry their entries (DSP0266 section 9.9), newest first.
fn entries(service: &Service) -> Value {
    let members: Vec<Value> = service.journal.entries().iter().rev().map(entry).collect();
    json!({
        "@odata.id": format!("{PATH}/Sel/Entries"),
        "@odata.type": kind("LogEntryCollection"),
        "Name": "System event log entries",
        "Members@odata.count": members.len(),
        "Members": members,
    })
}

fn entry(entry: &Entry) -> Value {
    let (key, argument) = entry.what.message();
    with(
        "LogEntry",
        &format!("{PATH}/Sel/Entries/{}", entry.id),
        "Event",
        json!({
            "EntryType": "Event",
            "Created": entry.at.to_string(),
            "Severity": "OK",
            "MessageId": format!("{}.{key}", registry::REGISTRY),
            "Message": entry.what.text(),
            "MessageArgs": argument.into_iter().collect::<Vec<_>>(),
            "Links": {"OriginOfCondition": link(entry.what.origin())},
        }),
    )
}
