//! The serial console over HTTP, as BMCs offer it by other means: everything kept,
//! then as it comes; and typing.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Limited};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use crate::console::Console;

use super::reply::{self, Refusal};
use super::service::Service;

/// The most that is typed at a time.
const TYPED_MAX: usize = 64 << 10;

/// `GET /console/1` gives what is kept, with `?follow=true` also what comes;
/// `POST /console/1` types the body.
pub(super) async fn answer(
    service: &Arc<Service>,
    request: Request<Body>,
) -> Result<Response<Body>, Refusal> {
    let console = service.hardware.console().clone();
    match *request.method() {
        Method::GET => {
            let query = request.uri().query().unwrap_or_default();
            Ok(listen(console, query.split('&').any(|pair| pair == "follow=true")))
        }
        Method::POST => {
            let body = Limited::new(request.into_body(), TYPED_MAX).collect().await;
            let typed = body.map_err(|error| {
                Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLarge", error.to_string())
            })?;
            if console.send(typed.to_bytes()) {
                return Ok(reply::done());
            }
            let message = "The machine is off, or does not read what is typed.";
            Err(Refusal::new(StatusCode::CONFLICT, "ResourceInStandby", message))
        }
        _ => {
            let message = "The console is read by GET and typed into by POST.";
            Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "OperationNotAllowed", message))
        }
    }
}

fn listen(console: Console, follow: bool) -> Response<Body> {
    let pieces = stream::unfold((console, 0), move |(console, from)| async move {
        let (bytes, next) = console.read(from);
        let (bytes, next) = match bytes.is_empty() {
            true if follow => console.follow(from).await,
            true => return None,
            false => (bytes, next),
        };
        Some((Ok::<Bytes, std::convert::Infallible>(bytes), (console, next)))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let plain = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
