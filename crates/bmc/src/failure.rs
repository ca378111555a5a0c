//! Why a request failed, sorted into the kinds that call for different answers.
//!
//! The status of the reply is kept beside the kind, because the verbs decide by
//! it: a 412 is answered with a fresh etag, a 400 with a smaller request.

use model::bmc::{BmcFailure, BmcFailureKind};
use serde_json::Value;

use crate::quirks;

/// The longest text of a BMC that we pass on, in characters.
pub(crate) const TEXT_MOST: usize = 400;

/// A failure with what the verbs need to go on.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) kind: BmcFailureKind,
    /// Status of the reply, where there was one.
    pub(crate) status: Option<u16>,
    pub(crate) message: String,
}

pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(kind: BmcFailureKind, message: impl Into<String>) -> Self {
        Self { kind, status: None, message: message.into() }
    }
    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(BmcFailureKind::Unsupported, message)
    }
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(BmcFailureKind::Malformed, message)
    }
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(BmcFailureKind::Unreachable, message)
    }
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(BmcFailureKind::Refused, message)
    }

    /// A reply that is no success. `what` names the request: `GET /redfish/v1`.
    pub(crate) fn of_status(status: u16, what: &str, body: Option<&Value>) -> Self {
        let said = body.and_then(said);
        let kind = if body.is_some_and(quirks::says_busy) && status != 401 && status != 403 {
            BmcFailureKind::Busy
        } else {
            kind_of(status)
        };
        let message = match said {
            Some(said) => format!("{what}: {status}: {said}"),
            None => format!("{what}: {status}"),
        };
        Self { kind, status: Some(status), message }
    }

    /// Whether the BMC understood and said no to this very request, so that a
    /// smaller or differently put one may pass.
    pub(crate) fn is_about_the_request(&self) -> bool {
        matches!(self.kind, BmcFailureKind::Refused | BmcFailureKind::Unsupported)
            || self.status == Some(500)
    }

    /// Whether the path leads nowhere (any more).
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.status, Some(404 | 410))
    }
}

impl From<Failure> for BmcFailure {
    fn from(failure: Failure) -> Self {
        BmcFailure { kind: failure.kind, message: failure.message }
    }
}

fn kind_of(status: u16) -> BmcFailureKind {
    match status {
        401 | 403 => BmcFailureKind::Unauthorised,
        404 | 405 | 410 | 501 => BmcFailureKind::Unsupported,
        408 | 429 | 500 | 502..=504 => BmcFailureKind::Busy,
        400..=499 => BmcFailureKind::Refused,
        _ => BmcFailureKind::Malformed,
    }
}

/// What the BMC says about an error (DSP0266 section 8.6), bounded.
fn said(body: &Value) -> Option<String> {
    let error = body.get("error")?;
    let extended = error.get("@Message.ExtendedInfo").and_then(Value::as_array);
    let messages = extended
        .into_iter()
        .flatten()
        .take(3)
        .filter_map(|entry| entry.get("Message").or_else(|| entry.get("MessageId")))
        .filter_map(Value::as_str)
        .collect::<Vec<_>>();
    let text = if messages.is_empty() {
        error.get("message").and_then(Value::as_str)?.to_owned()
    } else {
        messages.join("; ")
    };
    Some(clean(&text, TEXT_MOST)).filter(|text| !text.is_empty())
}

/// A foreign text made fit to show: no control characters, trimmed, bounded.
pub(crate) fn clean(text: &str, most: usize) -> String {
    let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let cut: String = printable.skip_while(|c| c.is_whitespace()).take(most).collect();
    cut.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn statuses_are_sorted() {
        let kind = |status| Failure::of_status(status, "GET /", None).kind;
        assert_eq!(kind(401), BmcFailureKind::Unauthorised);
        assert_eq!(kind(503), BmcFailureKind::Busy);
        assert_eq!(kind(405), BmcFailureKind::Unsupported);
        assert_eq!(kind(400), BmcFailureKind::Refused);
        assert_eq!(kind(301), BmcFailureKind::Malformed);
    }

    #[test]
    fn a_conflict_that_only_means_later_is_busy() {
        let body = json!({"error": {"@Message.ExtendedInfo": [
            {"MessageId": "Base.1.8.ResourceInUse", "Message": "In use."}]}});
        let failure = Failure::of_status(400, "PATCH /x", Some(&body));
        assert_eq!(failure.kind, BmcFailureKind::Busy);
        assert_eq!(failure.message, "PATCH /x: 400: In use.");
    }

    proptest! {
        #[test]
        fn texts_stay_bounded_and_printable(text in "\\PC{0,600}|[\\x00-\\x7f]{0,600}") {
            let body = json!({"error": {"message": text}});
            if let Some(said) = said(&body) {
                prop_assert!(said.chars().count() <= TEXT_MOST);
                prop_assert!(!said.chars().any(char::is_control));
            }
        }
    }
}
