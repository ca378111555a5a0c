//! What surrounds every request: its id, its span and line in the log, its
//! metrics, and the id in its problem when it has one.
//!
//! A handler that panics is a bug; whoever asked gets a problem with the id under
//! which the log has it, and the connection goes on.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue};
use model::id::RequestId;
use model::project::Permission;
use tracing::Instrument as _;
use world::SystemEntropy;

use super::principal::Principal;
use super::refusal::{Refusal, internal, render};
use super::table::{Row, mutates, row};
use crate::plane::Plane;

/// The header with the id of a request, in both directions.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the request, in its extensions.
#[derive(Clone, Debug)]
pub struct RequestName(pub String);

/// The middleware.
pub async fn observe(
    State(plane): State<Arc<Plane>>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = given(request.headers()).unwrap_or_else(|| new(&plane));
    request.extensions_mut().insert(RequestName(id.clone()));
    let info = match row(&request) {
        Row::Endpoint(info) => Some(info),
        _ => None,
    };
    let endpoint = info.map_or("none", |info| info.name);
    let began = tokio::time::Instant::now();
    let span = tracing::info_span!("request", id, endpoint);
    let running = AssertUnwindSafe(next.run(request).instrument(span.clone())).catch_unwind();
    let mut response = running.await.unwrap_or_else(|_| {
        span.in_scope(|| Refusal(internal("the handler panicked")).into_response())
    });
    let _entered = span.enter();
    if let Some(Refusal(mut problem)) = response.extensions_mut().remove() {
        plane.metrics.refusal(problem.code);
        problem.request = Some(id.clone());
        response = named(response, problem);
    }
    // An id that was accepted or made here is always a header value.
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let (status, took) = (response.status().as_u16(), began.elapsed());
    plane.metrics.request(endpoint, status, took);
    let actor = response.extensions().get::<Principal>().map(Principal::actor);
    let micros = took.as_micros() as u64;
    // Agents at work report each second; what changed by it is in the record.
    let told = info.is_some_and(|info| mutates(info) && info.permission != Permission::Agent);
    match told || status >= 500 {
        true => tracing::info!(status, actor, micros, "answered"),
        false => tracing::debug!(status, actor, micros, "answered"),
    }
    response
}

/// The same refusal with the id of its request in it. What else the response
/// carries stays.
fn named(refused: Response, problem: model::Problem) -> Response {
    let (mut parts, _) = refused.into_parts();
    let (fresh, body) = render(problem).into_parts();
    parts.headers.remove(http::header::CONTENT_LENGTH);
    parts.headers.extend(fresh.headers);
    parts.status = fresh.status;
    Response::from_parts(parts, body)
}

/// The id that the caller gave, where it is a sane one.
fn given(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(REQUEST_ID)?.to_str().ok()?;
    let sane = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let whole = (1..=64).contains(&text.len()) && text.bytes().all(sane);
    whole.then(|| text.to_owned())
}

fn new(plane: &Plane) -> String {
    let id: RequestId = world::entropy::new_id(plane.clock.now(), &mut SystemEntropy);
    id.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sane_id_is_taken_over() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, value.parse().unwrap());
            given(&headers)
        };
        assert_eq!(of("build-17.a_b").as_deref(), Some("build-17.a_b"));
        for value in ["", "a b", "a\"b", &"x".repeat(65)] {
            assert_eq!(of(value), None, "{value}");
        }
    }
}
