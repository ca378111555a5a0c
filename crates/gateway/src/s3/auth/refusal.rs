//! Why a request is not let in, as the service says it.

use std::borrow::Cow;

use model::Timestamp;

use super::date;

/// A refusal: status, code and text of the answer, and further elements of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthError {
    /// The status of the answer.
    pub status: u16,
    /// The code.
    pub code: &'static str,
    /// The text.
    pub message: Cow<'static, str>,
    /// Further elements of the `Error` element, by name.
    pub details: Vec<(&'static str, String)>,
}

impl AuthError {
    /// A refusal without further elements.
    pub fn new(status: u16, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), details: Vec::new() }
    }
    /// With a further element.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.details.push((name, value.into()));
        self
    }
    pub(crate) fn denied(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(403, "AccessDenied", message)
    }
    pub(crate) fn argument(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, "InvalidArgument", message)
    }
    pub(crate) fn request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, "InvalidRequest", message)
    }
    pub(super) fn header(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, "AuthorizationHeaderMalformed", message)
    }
    pub(super) fn query(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, "AuthorizationQueryParametersError", message)
    }
    pub(super) fn unknown_key(id: &str) -> Self {
        let message = "The AWS Access Key Id you provided does not exist in our records.";
        Self::new(403, "InvalidAccessKeyId", message).with("AWSAccessKeyId", id)
    }
    pub(super) fn skewed(said: &str, now: Timestamp) -> Self {
        let message = "The difference between the request time and the current time is too large.";
        Self::new(403, "RequestTimeTooSkewed", message)
            .with("RequestTime", said)
            .with("ServerTime", date::iso(now))
            .with("MaxAllowedSkewMilliseconds", "900000")
    }
    pub(super) fn mismatch(id: &str, provided: &str) -> Self {
        let message = "The request signature we calculated does not match the signature you \
                       provided. Check your key and signing method.";
        Self::new(403, "SignatureDoesNotMatch", message)
            .with("AWSAccessKeyId", id)
            .with("SignatureProvided", provided)
    }
    pub(super) fn incomplete(message: &'static str) -> Self {
        Self::new(400, "IncompleteBody", message)
    }
}

impl std::fmt::Display for AuthError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for AuthError {}
