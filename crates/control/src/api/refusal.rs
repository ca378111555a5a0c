//! How a refusal goes out: as a problem document (RFC 9457), whoever refuses.
//!
//! Handlers return [`Problem`]; what else can go wrong on the way (a path that
//! does not exist, a body that does not parse) becomes one too. The problem also
//! travels in the extensions of the response, so that [`super::observe`] can add
//! the request id, which only it knows.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use model::{ErrorCode, Problem};

/// A problem on its way out.
#[derive(Clone, Debug)]
pub struct Refusal(pub Problem);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl Refusal {
    /// A problem of a kind, with its detail and the usual next step.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self(Problem::new(code, detail))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        render(self.0)
    }
}

/// The response of a problem: status, headers that belong to the status, and the document.
pub(super) fn render(problem: Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // A problem is strings and numbers; it always serialises.
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    match status {
        StatusCode::UNAUTHORIZED => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    response.extensions_mut().insert(Refusal(problem));
    response
}

/// The problem that something inside is not as it must be. The cause goes to the
/// log and not to the caller.
pub(super) fn internal(cause: impl std::fmt::Display) -> Problem {
    tracing::error!(%cause, "a request met something that must not be");
    Problem::new(ErrorCode::Internal, "Bedplate's log says more under the id of this request.")
}
