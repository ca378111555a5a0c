//! The OpenAPI 3.1 document, made from the table of endpoints and the schemas of
//! its types. `docs/openapi.json` is the same text, kept so that a change of the
//! API shows in a review.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use model::api::{ENDPOINTS, EndpointInfo, Method, Shape};
use model::event::Event;
use model::project::Permission;
use model::{ErrorCode, Problem};

use super::authorise::word;
use super::table::mutates;

/// Endpoints whose request is bytes.
const UPLOADS: &[&str] = &["putImageContent"];

/// The document. Its order is stable: keys are sorted. It is made once.
pub fn openapi() -> Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(document).clone()
}

fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for info in ENDPOINTS {
        let methods = paths.entry(info.path).or_insert_with(|| json!({}));
        methods[info.method.name().to_ascii_lowercase()] = operation(info, &mut generator);
    }
    generator.subschema_for::<Problem>();
    let schemas = Value::Object(generator.take_definitions(true));
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Bedplate",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Racks of mixed servers as a cloud",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": security_schemes(),
            "responses": { "Problem": problem_response() },
            "headers": headers(),
        },
    });
    sorted(renamed(document))
}

/// The document as it is kept in `docs/openapi.json`.
pub fn openapi_text() -> String {
    // JSON of strings and numbers always prints.
    let mut text = serde_json::to_string_pretty(&openapi()).unwrap_or_default();
    text.push('\n');
    text
}

fn operation(info: &EndpointInfo, generator: &mut SchemaGenerator) -> Value {
    let mut operation = json!({
        "operationId": info.name,
        "summary": info.summary.trim(),
        "description": format!("Permission: `{}`.", word(info.permission)),
        "tags": [tag(info.path)],
        "responses": {
            status(info.shape): reply(info, generator),
            "default": { "$ref": "#/components/responses/Problem" },
        },
        "x-permission": word(info.permission),
    });
    let parameters = parameters(info);
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    match info.permission {
        Permission::Open => operation["security"] = json!([]),
        Permission::Agent => operation["security"] = json!([{ "certificate": [] }]),
        _ => {}
    }
    if info.has_request {
        let schema = (info.request)(generator);
        let content = json!({ "application/json": { "schema": schema } });
        operation["requestBody"] = json!({ "required": true, "content": content });
    } else if UPLOADS.contains(&info.name) {
        let content = json!({ "application/octet-stream": {} });
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    operation
}

fn status(shape: Shape) -> &'static str {
    match shape {
        Shape::Document | Shape::Bytes => "200",
        Shape::Created => "201",
        Shape::Accepted => "202",
    }
}

fn reply(info: &EndpointInfo, generator: &mut SchemaGenerator) -> Value {
    let header = |name: &str| json!({ "$ref": format!("#/components/headers/{name}") });
    let mut headers = json!({ "X-Request-Id": header("RequestId") });
    let mut content = Map::new();
    match info.shape {
        Shape::Bytes => {
            content.insert(bytes_kind(info.name).to_owned(), json!({}));
        }
        _ => {
            let schema = (info.reply)(generator);
            content.insert("application/json".to_owned(), json!({ "schema": schema }));
        }
    }
    if info.query.iter().any(|(name, _)| *name == "watch") {
        let event = generator.subschema_for::<Event>();
        content.insert("application/x-ndjson".to_owned(), json!({ "schema": event }));
    }
    match info.shape {
        Shape::Created | Shape::Accepted => headers["Location"] = header("Location"),
        _ => {}
    }
    if has_etag(info) {
        headers["ETag"] = header("ETag");
    }
    json!({ "description": info.summary.trim(), "headers": headers, "content": content })
}

/// Whether the reply is one resource with a generation.
fn has_etag(info: &EndpointInfo) -> bool {
    let named = ["getMachine", "updateMachine", "getImage", "createImage", "putImageContent"];
    let policies = ["getPolicy", "updatePolicy", "learnPolicy", "createProject"];
    named.contains(&info.name) || policies.contains(&info.name)
}

fn bytes_kind(name: &str) -> &'static str {
    match name {
        "getAuthority" => "application/x-pem-file",
        "getMetrics" => "application/openmetrics-text",
        _ => "application/octet-stream",
    }
}

fn parameters(info: &EndpointInfo) -> Vec<Value> {
    let mut parameters = Vec::new();
    for part in info.path.split(['{', '}']).skip(1).step_by(2) {
        let description = match part {
            "operation" => "Id of the operation.",
            "token" if info.permission == Permission::Open => "The single-use token.",
            _ => "Name or id.",
        };
        parameters.push(json!({
            "name": part, "in": "path", "required": true, "description": description,
            "schema": { "type": "string" },
        }));
    }
    for (name, description) in info.query {
        parameters.push(json!({
            "name": name, "in": "query", "description": description,
            "schema": query_schema(name),
        }));
    }
    if mutates(info) && !matches!(info.permission, Permission::Open | Permission::Agent) {
        if !UPLOADS.contains(&info.name) {
            parameters.push(json!({
                "name": "Idempotency-Key", "in": "header",
                "description": "A repeated request with the same key does nothing twice and gets the same reply.",
                "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
            }));
        }
        let needed = info.method == Method::Put && info.has_request;
        if info.path.contains('{') {
            parameters.push(json!({
            "name": "If-Match", "in": "header",
            "description": match needed {
                true => "The etag of the resource that is changed. Needed, unless there is none yet.",
                false => "Refuse unless the resource still has this etag.",
            },
            "schema": { "type": "string" },
        }));
        }
    }
    parameters
}

fn query_schema(name: &str) -> Value {
    match name {
        "limit" => json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 }),
        "from" => json!({ "type": "integer", "minimum": 0 }),
        "wait" => json!({ "type": "integer", "minimum": 0, "default": 0 }),
        "watch" | "dry_run" | "follow" => json!({ "type": "boolean", "default": false }),
        "label" => json!({ "type": "array", "items": { "type": "string" } }),
        _ => json!({ "type": "string" }),
    }
}

/// The noun of a path: `/v1/machines:discover` is about machines.
fn tag(path: &str) -> &str {
    let path = path.trim_start_matches("/v1").trim_start_matches('/');
    path.split(['/', ':', '.']).next().unwrap_or(path)
}

fn security_schemes() -> Value {
    json!({
        "token": { "type": "http", "scheme": "bearer", "description": "A token, as `bedplate token create` makes it." },
        "certificate": { "type": "mutualTLS", "description": "The certificate of a machine's agent." },
    })
}

fn problem_response() -> Value {
    let codes: Vec<String> =
        ErrorCode::ALL.iter().map(|code| format!("{} {}", code.status(), code)).collect();
    json!({
        "description": format!("A problem (RFC 9457). Codes by status: {}.", codes.join(", ")),
        "headers": { "X-Request-Id": { "$ref": "#/components/headers/RequestId" } },
        "content": {
            "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } },
        },
    })
}

fn headers() -> Value {
    let header =
        |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    json!({
        "RequestId": header("The id of the request: the caller's, or one of ours."),
        "ETag": header("The generation of the resource, for If-Match."),
        "Location": header("Where what was made or begun is found."),
    })
}

/// What every reference to a schema begins with.
const SCHEMAS: &str = "#/components/schemas/";

/// Gives the schemas of generic types names that people would choose: a resource
/// whose spec is a `MachineSpec` is a `Machine`, and a page of those a `MachinePage`.
fn renamed(mut document: Value) -> Value {
    let schemas = document["components"]["schemas"].take();
    let Value::Object(schemas) = schemas else {
        unreachable!("the schemas were put there as an object");
    };
    let referred = |schema: &Value, pointer: &str| {
        let reference = schema.pointer(pointer)?.as_str()?;
        reference.strip_prefix(SCHEMAS).map(str::to_owned)
    };
    let mut names = BTreeMap::new();
    for (generated, schema) in schemas.iter().filter(|(name, _)| name.starts_with("Resource")) {
        let spec = referred(schema, "/properties/spec/$ref").unwrap_or_default();
        if let Some(noun) = spec.strip_suffix("Spec") {
            names.insert(generated.clone(), noun.to_owned());
        }
    }
    for (generated, schema) in schemas.iter().filter(|(name, _)| name.starts_with("Page")) {
        if let Some(item) = referred(schema, "/properties/items/items/$ref") {
            let noun = names.get(&item).unwrap_or(&item);
            names.insert(generated.clone(), format!("{noun}Page"));
        }
    }
    let count = schemas.len();
    let named: Map<String, Value> = schemas
        .into_iter()
        .map(|(name, schema)| (names.get(&name).cloned().unwrap_or(name), schema))
        .collect();
    assert_eq!(named.len(), count, "two schemas would have one name");
    document["components"]["schemas"] = Value::Object(named);
    refer(&mut document, &names);
    document
}

/// Follows the new names in every reference.
fn refer(value: &mut Value, names: &BTreeMap<String, String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let new = match (key.as_str(), &*value) {
                    ("$ref", Value::String(reference)) => {
                        reference.strip_prefix(SCHEMAS).and_then(|name| names.get(name))
                    }
                    _ => None,
                };
                match new {
                    Some(name) => *value = Value::String(format!("{SCHEMAS}{name}")),
                    None => refer(value, names),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| refer(item, names)),
        _ => {}
    }
}

/// The same with the keys of every object in order, whatever the map keeps.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<(String, Value)> = map.into_iter().collect();
            pairs.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(pairs.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
