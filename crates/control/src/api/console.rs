//! The serial console of a machine, as its BMC has it.

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use model::api::GetConsole;

use super::incoming::Incoming;
use super::route::{Answered, Outcome, Routes};

/// The endpoint of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.add::<GetConsole, _, _>(console)
}

async fn console(incoming: Incoming<GetConsole>) -> Outcome<GetConsole> {
    let machine = incoming.own_machine()?.id;
    let follow = incoming.query.follow;
    let bytes = crate::carriers::console(&incoming.plane, machine, follow).await?;
    let mut response = Response::new(Body::from_stream(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(Answered::raw(response))
}
