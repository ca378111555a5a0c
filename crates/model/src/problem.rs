//! Errors as people and programs meet them: problem documents (RFC 9457) with a
//! stable code, what happened, why, and what to do next.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A problem document, `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// `urn:bedplate:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// What kind of problem, in a few words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// Stable code.
    pub code: ErrorCode,
    /// What happened and why, this time.
    pub detail: String,
    /// What to do next.
    pub next: String,
    /// Of the request, for the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

impl Problem {
    /// A problem of a kind, with its detail and the usual next step.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:bedplate:problem:{}", code.name()),
            title: code.title().to_owned(),
            status: code.status(),
            code,
            detail: detail.into(),
            next: code.next().to_owned(),
            request: None,
        }
    }
    /// The same with another next step.
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.title, self.detail, self.code.name())
    }
}

impl std::error::Error for Problem {}

macro_rules! codes {
    ($($code:ident = $name:literal, $status:literal, $title:literal, $next:literal;)*) => {
        /// Stable codes of problems.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum ErrorCode {
            $(#[doc = $title] $code,)*
        }
        impl ErrorCode {
            /// All codes.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$code,)*];
            /// The word for it.
            pub const fn name(self) -> &'static str {
                match self { $(ErrorCode::$code => $name,)* }
            }
            /// HTTP status.
            pub const fn status(self) -> u16 {
                match self { $(ErrorCode::$code => $status,)* }
            }
            /// In a few words.
            pub const fn title(self) -> &'static str {
                match self { $(ErrorCode::$code => $title,)* }
            }
            /// What to do next, where nothing better is known.
            pub const fn next(self) -> &'static str {
                match self { $(ErrorCode::$code => $next,)* }
            }
        }
    };
}

codes! {
    InvalidRequest = "invalid-request", 400, "The request cannot be understood", "Correct the field that the detail names and send it again.";
    Unauthenticated = "unauthenticated", 401, "Nobody knows who asks", "Give a token with --token or BEDPLATE_TOKEN; `bedplate token create` makes one.";
    Forbidden = "forbidden", 403, "The role does not include this", "Ask an administrator for a role that includes the permission that the detail names.";
    NotFound = "not-found", 404, "There is no such thing", "List what there is, and check the name and the project.";
    UnknownPath = "unknown-path", 404, "There is no such endpoint", "See /v1/openapi.json for the endpoints.";
    MethodNotAllowed = "method-not-allowed", 405, "This method is not for this path", "See /v1/openapi.json for the methods of this path.";
    Conflict = "conflict", 409, "It is in a state that forbids this", "Look at its state, wait for what is going on, and try again.";
    NameTaken = "name-taken", 409, "The name is taken", "Choose another name.";
    KeyReused = "key-reused", 409, "The idempotency key was used for another request", "Use a new Idempotency-Key for a new request.";
    NoRoom = "no-room", 409, "No host has room for it", "`bedplate placement explain` says what removed how many hosts.";
    QuotaExceeded = "quota-exceeded", 409, "The project's quota is used up", "Remove what is not needed, or ask an administrator for a larger quota.";
    Gone = "gone", 410, "That is over", "Begin anew: list, and watch from the revision of the list.";
    GenerationMismatch = "generation-mismatch", 412, "It changed since you read it", "Read it again, decide again, and send the new etag with If-Match.";
    TooLarge = "too-large", 413, "The request is too large", "Send less at a time; the detail says how much is allowed.";
    ChecksumMismatch = "checksum-mismatch", 422, "The bytes are not those of the checksum", "Fetch the file again and compare its SHA-256 with the publisher's.";
    ImageUnreadable = "image-unreadable", 422, "The image cannot be read", "Check format and compression; `qemu-img check` and `zstd -t` tell more.";
    PreconditionRequired = "precondition-required", 428, "A change of spec needs If-Match", "Read the resource and send its etag with If-Match.";
    TooManyRequests = "too-many-requests", 429, "Too many requests at once", "Wait a moment and send it again.";
    Internal = "internal", 500, "Something went wrong inside", "Send it again; if it stays, give the request id and the log to whoever runs Bedplate.";
    NotLeader = "not-leader", 503, "Another control plane leads", "Send it to the leader that the detail names, or wait for a take-over.";
    Unavailable = "unavailable", 503, "It cannot be done right now", "Wait a moment and send it again.";
    StorageFull = "storage-full", 507, "The disk is full", "Free room under the data directory; nothing was lost.";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
