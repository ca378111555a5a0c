//! The documents say what is served: `docs/openapi.json` and the table in `docs/api.md`.

use std::path::{Path, PathBuf};

use control::api;
use model::api::ENDPOINTS;
use serde_json::Value;

use crate::house::House;

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

#[test]
fn the_openapi_document_is_the_kept_one() {
    let kept = std::fs::read_to_string(docs("openapi.json")).unwrap_or_default();
    assert!(
        kept == api::openapi_text(),
        "docs/openapi.json is not what the code says: `cargo xtask openapi` writes it anew; \
         look at what changed before you commit it"
    );
}

#[test]
fn every_endpoint_is_documented() {
    let text = std::fs::read_to_string(docs("api.md")).unwrap_or_default();
    let table = api::endpoint_table();
    assert!(
        text.contains(&table),
        "the table of endpoints in docs/api.md is not what the code says; it must be:\n\n{table}"
    );
    assert_eq!(table.lines().count(), ENDPOINTS.len() + 2);
    assert!(!table.contains("(none)"), "an endpoint has no verb");
}

#[test]
fn every_code_is_documented() {
    let text = std::fs::read_to_string(docs("api.md")).unwrap_or_default();
    for code in model::ErrorCode::ALL {
        let row = format!("| `{}` | {} |", code.name(), code.status());
        assert!(text.contains(&row), "docs/api.md has no row that begins with {row}");
    }
}

#[test]
fn every_metric_is_documented() {
    let text = std::fs::read_to_string(docs("api.md")).unwrap_or_default();
    let metrics = api::Metrics::new().text();
    let names = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    for name in names.map(|line| line.split(' ').next().unwrap()) {
        assert!(text.contains(&format!("`{name}`")), "docs/api.md does not name {name}");
    }
}

#[tokio::test]
async fn the_served_document_is_the_same_and_whole() {
    let house = House::new().await;
    let served: Value = house.get("", "/v1/openapi.json").await;
    assert_eq!(served, api::openapi());
    let mut references = Vec::new();
    collect(&served, &mut references);
    assert!(references.len() > 100);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(served.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    let operations: usize = served["paths"]
        .as_object()
        .unwrap()
        .values()
        .map(|methods| methods.as_object().unwrap().len())
        .sum();
    assert_eq!(operations, ENDPOINTS.len());
    for name in served["components"]["schemas"].as_object().unwrap().keys() {
        assert!(!name.contains(|c: char| c.is_ascii_digit()), "{name} is not a name for people");
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                references.push(reference.clone());
            }
            map.values().for_each(|value| collect(value, references));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}
