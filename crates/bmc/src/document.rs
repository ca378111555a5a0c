//! A Redfish document as JSON, for what the generated types leave out: allowable
//! values, settings objects, virtual media, actions.

use serde_json::Value;

use crate::failure::{Failure, Outcome, clean};
use crate::wire::Answer;

/// The service root (DSP0266 section 6.6).
pub(crate) const ROOT: &str = "/redfish/v1/";

/// The most members of a collection that are looked at.
pub(crate) const MOST_MEMBERS: usize = 256;

/// A document and where it was read.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) path: String,
    pub(crate) body: Value,
    pub(crate) etag: Option<String>,
}

/// An action of a resource, as the resource describes it.
#[derive(Debug)]
pub(crate) struct ActionLink {
    pub(crate) target: String,
    /// Values of the parameter asked for; empty when it does not say.
    pub(crate) allowable: Vec<String>,
    /// Where the values are said instead (DSP0268, ActionInfo).
    pub(crate) info: Option<String>,
}

impl Document {
    /// A reply to a GET; an object, or it makes no sense.
    pub(crate) fn from_answer(path: &str, answer: Answer) -> Outcome<Self> {
        let etag = answer.etag().map(str::to_owned);
        let body = answer.body.filter(Value::is_object).ok_or_else(|| {
            Failure::malformed(format!("GET {}: no JSON object", clean(path, 160)))
        })?;
        let etag = etag.or_else(|| body.get("@odata.etag")?.as_str().map(str::to_owned));
        Ok(Self { path: path.to_owned(), body, etag })
    }

    /// A text at a JSON pointer, cleaned; empty when there is none.
    pub(crate) fn text(&self, pointer: &str) -> String {
        let text = self.body.pointer(pointer).and_then(Value::as_str);
        text.map(|text| clean(text, 128)).unwrap_or_default()
    }

    /// Where a navigation property leads.
    pub(crate) fn link(&self, pointer: &str) -> Option<String> {
        link(self.body.pointer(pointer)?)
    }

    /// Where the navigation properties in an array lead.
    pub(crate) fn links(&self, pointer: &str) -> Vec<String> {
        let array = self.body.pointer(pointer).and_then(Value::as_array);
        array.into_iter().flatten().filter_map(link).take(MOST_MEMBERS).collect()
    }

    /// The members of a collection.
    pub(crate) fn members(&self) -> Vec<String> {
        self.links("/Members")
    }

    /// Texts in an array; none when there is no such array.
    pub(crate) fn texts(&self, pointer: &str) -> Vec<String> {
        texts(self.body.pointer(pointer))
    }

    /// An action (`#ComputerSystem.Reset`) and the allowable values of one of its
    /// parameters (`ResetType`).
    pub(crate) fn action(&self, name: &str, parameter: &str) -> Option<ActionLink> {
        let action = self.body.get("Actions")?.get(name)?;
        Some(ActionLink {
            target: action.get("target")?.as_str()?.to_owned(),
            allowable: texts(action.get(format!("{parameter}@Redfish.AllowableValues"))),
            info: action.get("@Redfish.ActionInfo").and_then(Value::as_str).map(str::to_owned),
        })
    }

    /// The allowable values of a parameter, when this is an ActionInfo.
    pub(crate) fn parameter_values(&self, parameter: &str) -> Vec<String> {
        let parameters = self.body.get("Parameters").and_then(Value::as_array);
        let named = parameters
            .into_iter()
            .flatten()
            .find(|entry| entry.get("Name").and_then(Value::as_str) == Some(parameter));
        texts(named.and_then(|entry| entry.get("AllowableValues")))
    }
}

fn link(value: &Value) -> Option<String> {
    value.get("@odata.id")?.as_str().filter(|id| !id.is_empty()).map(str::to_owned)
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let array = value.and_then(Value::as_array).into_iter().flatten();
    array.filter_map(Value::as_str).take(64).map(|text| clean(text, 64)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn document(body: Value) -> Document {
        Document { path: "/x".to_owned(), body, etag: None }
    }

    #[test]
    fn allowable_values_are_found_in_both_places() {
        let system = document(json!({"Actions": {"#A.Reset": {
            "target": "/reset", "ResetType@Redfish.AllowableValues": ["On", 7, "Off"],
            "@Redfish.ActionInfo": "/info"}}}));
        let action = system.action("#A.Reset", "ResetType").unwrap();
        assert_eq!((action.target.as_str(), action.info.as_deref()), ("/reset", Some("/info")));
        assert_eq!(action.allowable, ["On", "Off"]);
        let info = document(json!({"Parameters": [
            {"Name": "Delay"}, {"Name": "ResetType", "AllowableValues": ["On"]}]}));
        assert_eq!(info.parameter_values("ResetType"), ["On"]);
    }

    /// Documents with the right names and wrong values.
    fn nonsense() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
        ];
        let names = "Members|Actions|#A|target|@odata.id|Parameters|Name|AllowableValues|P";
        leaf.prop_recursive(4, 32, 4, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(names, inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn never_panics(body in nonsense()) {
            let document = document(body);
            prop_assert!(document.members().len() <= MOST_MEMBERS);
            let _ = document.action("#A", "P");
            let _ = document.parameter_values("P");
            let _ = (document.text("/Name"), document.link("/Members"), document.texts("/P"));
        }
    }
}
