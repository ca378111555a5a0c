//! Walking through a tree with limited patience: what cannot be read is skipped,
//! and a BMC that stops answering is not asked two hundred times more.

use std::sync::Arc;

use model::bmc::BmcFailureKind;
use nv_redfish::quirks::CompatBmc;
use nv_redfish_core::query::ExpandQuery;
use nv_redfish_core::{EntityTypeRef, NavProperty, ODataId};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::document::{Document, MOST_MEMBERS, ROOT};
use crate::failure::{Failure, Outcome, clean};
use crate::typed::{Reader, failure_of};
use crate::wire::Wire;

/// After so many requests without an answer the rest is left out.
const PATIENCE: u32 = 3;

/// What can be read through the types of `nv-redfish`.
pub(super) trait Resource: EntityTypeRef + for<'de> Deserialize<'de> + 'static {}
impl<T: EntityTypeRef + for<'de> Deserialize<'de> + 'static> Resource for T {}

/// One walk.
pub(super) struct Walk {
    wire: Arc<Wire>,
    compat: CompatBmc<Reader>,
    /// Whether collections can be read with their members in one request.
    expands: bool,
    silences: u32,
    until: Instant,
}

impl Walk {
    /// Finds out which platform it is, for the repairs that its documents need.
    pub(super) async fn start(wire: Arc<Wire>) -> Outcome<Self> {
        // The last fifth of the time is for what comes after the walk.
        let until = Instant::now() + wire.limits.inspect.mul_f32(0.8);
        let root = wire.get(ROOT).await?;
        let reader = Arc::new(Reader(wire.clone()));
        let compat = CompatBmc::classify(reader).await.map_err(failure_of)?;
        let offered = root.body.pointer("/ProtocolFeaturesSupported/ExpandQuery/NoLinks");
        let broken = compat.quirks().expand_is_not_working_properly();
        let expands = offered.and_then(Value::as_bool) == Some(true) && !broken;
        Ok(Self { wire, compat, expands, silences: 0, until })
    }

    /// Whether patience or time has run out.
    pub(super) fn is_over(&self) -> bool {
        self.silences >= PATIENCE || Instant::now() >= self.until
    }

    /// A document as JSON.
    pub(super) async fn document(&mut self, path: &str) -> Option<Document> {
        if self.is_over() {
            return None;
        }
        let outcome = self.wire.get(path).await;
        self.taken(path, outcome)
    }

    /// A resource through its type.
    pub(super) async fn resource<T: Resource>(&mut self, path: &str) -> Option<Arc<T>> {
        if self.is_over() {
            return None;
        }
        let property = NavProperty::<T>::new_reference(ODataId::from(path.to_owned()));
        let outcome = property.get(&self.compat).await.map_err(failure_of);
        self.taken(path, outcome)
    }

    /// The members of a collection through their type, each that makes sense.
    pub(super) async fn members<T: Resource>(&mut self, collection: &str) -> Vec<Arc<T>> {
        let Some(document) = self.collection(collection).await else { return Vec::new() };
        let Some(members) = document.body.get("Members").and_then(Value::as_array) else {
            return Vec::new();
        };
        let mut resources = Vec::new();
        for member in members.iter().take(MOST_MEMBERS) {
            let path = member.get("@odata.id").and_then(Value::as_str);
            let whole = member.as_object().is_some_and(|member| member.len() > 1);
            let decoded = if whole { self.compat.decode(member.clone()).ok() } else { None };
            match (decoded, path) {
                (Some(resource), _) => resources.push(Arc::new(resource)),
                (None, Some(path)) => resources.extend(self.resource(path).await),
                (None, None) => {}
            }
        }
        resources
    }

    async fn collection(&mut self, path: &str) -> Option<Document> {
        if self.expands {
            let query = ExpandQuery::no_links().to_query_string();
            if let Some(document) = self.document(&format!("{path}?{query}")).await {
                return Some(document);
            }
        }
        self.document(path).await
    }

    fn taken<T>(&mut self, path: &str, outcome: Result<T, Failure>) -> Option<T> {
        match outcome {
            Ok(read) => {
                self.silences = 0;
                Some(read)
            }
            Err(failure) => {
                if failure.kind == BmcFailureKind::Unreachable {
                    self.silences += 1;
                }
                tracing::debug!(path = clean(path, 160), %failure, "left out");
                None
            }
        }
    }
}

/// A count of the BMC's, where it makes sense.
pub(super) fn count(number: Option<Option<i64>>) -> u64 {
    number.flatten().and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
}

/// The same, for what is never that large.
pub(super) fn small(number: Option<Option<i64>>) -> u32 {
    u32::try_from(count(number)).unwrap_or(0)
}

/// A text of the BMC's, or nothing.
pub(super) fn text(text: &Option<Option<String>>) -> String {
    text.iter().flatten().map(|text| clean(text, 128)).next().unwrap_or_default()
}
