//! The envelope that every resource of the API shares.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A resource: what is wanted (`spec`), what is (`status`), and who it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(bound(
    serialize = "S: Serialize, T: Serialize, I: Serialize",
    deserialize = "S: Deserialize<'de>, T: Deserialize<'de>, I: Deserialize<'de>"
))]
pub struct Resource<I, S, T> {
    /// Stable, unique, sorts by time of making.
    pub id: I,
    /// Unique among its kind (and project, where it has one); for people.
    pub name: String,
    /// Grows with every change of `spec`; the etag. A change that names an older one is refused.
    pub generation: u64,
    /// Free marks by which people select.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// What is wanted.
    pub spec: S,
    /// What is, as far as it was seen.
    pub status: T,
}
