//! The bytes of the image that a machine is being deployed with: of this one, for
//! this machine, as long as it is to write it.

use axum::body::Body;
use axum::extract::{Path, Request};
use axum::response::Response;
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, RANGE,
};
use http::{HeaderMap, StatusCode};
use model::agent::AgentCommand;
use model::id::ImageId;
use model::{ErrorCode, Problem};

use super::Agents;
use super::caller::{Caller, caller};
use super::orders::orders_of;
use crate::api::Refusal;
use crate::images::range::{Wanted, wanted};
use crate::plane::Plane;

/// `GET /v1/agent/images/{image}`, with one range (RFC 9110 section 14).
pub(super) async fn image(
    agents: Agents,
    Path(image): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let plane = &agents.plane;
    let caller = caller(plane, &request)?;
    let image = ordered(plane, &caller, &image)?;
    let open = plane.images.open_image(image)?;
    // The bytes of an image never change.
    let etag = format!("\"{image}\"");
    let (length, range) = (open.length(), asked_range(request.headers(), &etag));
    let (status, start, end) = match wanted(range, length) {
        Wanted::Whole => (StatusCode::OK, 0, length),
        Wanted::Part(start, end) => (StatusCode::PARTIAL_CONTENT, start, end),
        Wanted::Outside => {
            let response = Response::builder()
                .status(StatusCode::RANGE_NOT_SATISFIABLE)
                .header(CONTENT_RANGE, format!("bytes */{length}"));
            return Ok(response.body(Body::empty()).expect("a response of ours"));
        }
    };
    let mut response = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/octet-stream")
        .header(ACCEPT_RANGES, "bytes")
        .header(ETAG, &etag)
        .header(CONTENT_LENGTH, end - start);
    if status == StatusCode::PARTIAL_CONTENT {
        response = response.header(CONTENT_RANGE, format!("bytes {start}-{}/{length}", end - 1));
    }
    let body = Body::from_stream(open.read(start, end));
    Ok(response.body(body).expect("a response of ours"))
}

/// The range, unless it is bound to something else by `If-Range`.
fn asked_range<'a>(headers: &'a HeaderMap, etag: &str) -> Option<&'a str> {
    let same = headers.get(IF_RANGE).is_none_or(|condition| condition == etag);
    headers.get(RANGE).filter(|_| same)?.to_str().ok()
}

/// The image that was asked for, where the machine is to write it now.
fn ordered(plane: &Plane, caller: &Caller, asked: &str) -> Result<ImageId, Problem> {
    let forbidden = || {
        let detail = "the machine has no order to write this image";
        Problem::new(ErrorCode::Forbidden, detail).next("Ask for orders again.")
    };
    let image: ImageId = asked.parse().map_err(|_| forbidden())?;
    let orders = orders_of(&plane.leader.read(), caller.machine);
    let named = orders.iter().any(|order| match &order.command {
        AgentCommand::WriteImage { order } => {
            order.url.rsplit('/').next() == Some(image.to_string().as_str())
        }
        _ => false,
    });
    if named { Ok(image) } else { Err(forbidden()) }
}
