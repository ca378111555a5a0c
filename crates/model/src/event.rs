//! Events: what watchers see, in the order in which it was recorded.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// One change, as a watch streams it (one JSON object a line).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Position in the record: watch again from here to miss nothing.
    pub revision: u64,
    /// When.
    pub at: Timestamp,
    /// What happened: `machine.changed`, `operation.changed`, `step.ended`, `image.removed`, …
    pub kind: String,
    /// The kind of thing: `machine`, `operation`, …
    pub subject: String,
    /// Its id.
    pub id: String,
    /// Its name, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who caused it: a token's name, `machine:<id>`, or `bedplate`.
    pub actor: String,
    /// The request that caused it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The thing after the change; absent when it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<serde_json::Value>,
}
