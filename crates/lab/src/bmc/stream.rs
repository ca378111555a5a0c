//! Events pushed to whoever listens: server-sent events with Redfish event objects
//! (DSP0266 section 13.5).

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::journal::Entry;
use super::service::Service;
use super::tree;

/// A comment is sent after this much silence, so that a dead line is noticed.
const SILENCE: Duration = Duration::from_secs(15);

/// The stream of events.
pub(super) fn events(service: &Arc<Service>) -> Response<Body> {
    let live = service.journal.follow();
    let greeting = Bytes::from_static(b": events\n\n");
    let pieces = stream::unfold((Some(greeting), live), |(greeting, mut live)| async move {
        if let Some(greeting) = greeting {
            return Some((Ok::<_, std::convert::Infallible>(greeting), (None, live)));
        }
        next(&mut live).await.map(|piece| (Ok(piece), (None, live)))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert("Cache-Control", HeaderValue::from_static("no-cache"));
    headers.insert("OData-Version", HeaderValue::from_static("4.0"));
    response
}

async fn next(live: &mut broadcast::Receiver<Entry>) -> Option<Bytes> {
    use broadcast::error::RecvError;
    loop {
        match tokio::time::timeout(SILENCE, live.recv()).await {
            Err(_) => return Some(Bytes::from_static(b": quiet\n\n")),
            Ok(Ok(entry)) => {
                return Some(format!("id: {}\ndata: {}\n\n", entry.id, event(&entry)).into());
            }
            // Who is too slow sees a gap in the numbers, and reads the log.
            Ok(Err(RecvError::Lagged(_))) => {}
            Ok(Err(RecvError::Closed)) => return None,
        }
    }
}

/// An entry as an event object.
fn event(entry: &Entry) -> Value {
    let (key, argument) = entry.what.message();
    json!({
        "@odata.type": tree::kind("Event"),
        "Id": entry.id.to_string(),
        "Name": "Lab event",
        "Events": [{
            "EventId": entry.id.to_string(),
            "MemberId": "0",
            "EventType": "Alert",
            "EventTimestamp": entry.at.to_string(),
            "MessageId": format!("{}.{key}", tree::REGISTRY),
            "Message": entry.what.text(),
            "MessageArgs": argument.into_iter().collect::<Vec<_>>(),
            "MessageSeverity": "OK",
            "OriginOfCondition": {"@odata.id": entry.what.origin()},
        }],
    })
}
