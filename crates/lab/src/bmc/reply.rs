//! Answers: resources with their etag, and errors in the words of Redfish's Base
//! registry (DSP0266 section 8.6).

use axum::body::Body;
use hyper::header::{
    ALLOW, CONTENT_TYPE, ETAG, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::tree;

/// Properties that change by themselves: they are no reason to refuse a change.
const VOLATILE: [&str; 6] =
    ["PowerState", "BootProgress", "Reading", "DateTime", "ReadingCelsius", "PowerConsumedWatts"];

/// Something refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: StatusCode,
    /// Key in the Base registry.
    pub key: &'static str,
    pub message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, key: &'static str, message: impl Into<String>) -> Self {
        Self { status, key, message: message.into() }
    }

    pub(super) fn missing(path: &str) -> Self {
        let message = format!("The resource at the URI '{path}' was not found.");
        Self::new(StatusCode::NOT_FOUND, "ResourceMissingAtURI", message)
    }

    pub(super) fn unauthorised() -> Self {
        let message = "There is no valid session established with the implementation.";
        Self::new(StatusCode::UNAUTHORIZED, "NoValidSession", message)
    }

    pub(super) fn bad_value(property: &str, value: &Value) -> Self {
        let message =
            format!("The value '{value}' for the property {property} is not an acceptable one.");
        Self::new(StatusCode::BAD_REQUEST, "PropertyValueNotInList", message)
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    pub(super) fn busy() -> Self {
        let message = "The service is temporarily unavailable. Retry in 1 seconds.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceTemporarilyUnavailable", message)
    }

    pub(super) fn answer(&self) -> Response<Body> {
        let id = format!("Base.1.18.{}", self.key);
        let information = json!({
            "@odata.type": tree::kind("Message"),
            "MessageId": id, "Message": self.message, "MessageSeverity": "Critical",
            "Resolution": "None",
        });
        let error = json!({"error": {
            "code": id, "message": self.message, "@Message.ExtendedInfo": [information],
        }});
        let mut response = json_answer(self.status, &error);
        let headers = response.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                let realm = HeaderValue::from_static("Basic realm=\"Bedplate lab BMC\"");
                headers.insert(WWW_AUTHENTICATE, realm);
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

/// A resource with its etag.
pub(super) fn resource(status: StatusCode, value: &Value, allow: &'static str) -> Response<Body> {
    let mut response = json_answer(status, value);
    let headers = response.headers_mut();
    if let Ok(etag) = HeaderValue::from_str(&etag(value)) {
        headers.insert(ETAG, etag);
    }
    headers.insert(ALLOW, HeaderValue::from_static(allow));
    if let Some(id) = value["@odata.id"].as_str()
        && status == StatusCode::CREATED
        && let Ok(location) = HeaderValue::from_str(id)
    {
        headers.insert(LOCATION, location);
    }
    response
}

/// Done, with nothing to say.
pub(super) fn done() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    common(&mut response);
    response
}

/// JSON as it is.
pub(super) fn json_answer(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, json);
    common(&mut response);
    response
}

fn common(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    headers.insert("OData-Version", HeaderValue::from_static("4.0"));
    headers.insert("Cache-Control", HeaderValue::from_static("no-cache"));
}

/// A weak etag over all that does not change by itself.
pub(super) fn etag(value: &Value) -> String {
    let mut steady = value.clone();
    if let Some(fields) = steady.as_object_mut() {
        fields.retain(|name, _| !VOLATILE.contains(&name.as_str()));
    }
    let digest = Sha256::digest(steady.to_string().as_bytes());
    let short: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("W/\"{short}\"")
}

/// Whether a header with etags names this one (RFC 9110 section 13.1).
pub(super) fn names(header: &str, etag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    header.trim() == "*" || header.split(',').any(|tag| bare(tag) == bare(etag))
}
