//! What a BMC tells by itself: server-sent events (DSP0266 section 13.6.2).

use futures_util::{StreamExt, stream};
use model::bmc::BmcFailure;
use reqwest::header::ACCEPT;
use reqwest::{Method, Response};
use serde_json::Value;

use crate::document::Document;
use crate::failure::{Failure, Outcome, TEXT_MOST, clean};
use crate::redfish::Redfish;
use crate::wire::Request;
use crate::{BmcEvent, EventStream};

/// The longest event, in bytes. What is longer ends the stream.
const EVENT_MOST: usize = 256 << 10;

/// The most events that one message carries on.
const BATCH_MOST: usize = 256;

impl Redfish {
    pub(crate) async fn open_events(&mut self) -> Outcome<Option<EventStream>> {
        let Some(service) = self.layout().await?.event_service.clone() else { return Ok(None) };
        let service = match self.wire.get(&service).await {
            Ok(service) => service,
            Err(failure) if failure.is_gone() => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let Some(path) = stream_path(&service) else { return Ok(None) };
        let mut request = Request::new(Method::GET, &path, None);
        request.headers.push((ACCEPT, "text/event-stream".to_owned()));
        let response = self.wire.open(&request).await?;
        Ok(Some(events_of(response)))
    }
}

/// Where events are streamed, when they are.
pub(crate) fn stream_path(service: &Document) -> Option<String> {
    let enabled = service.body.get("ServiceEnabled").and_then(Value::as_bool);
    let path = service.body.get("ServerSentEventUri").and_then(Value::as_str)?;
    (enabled != Some(false) && !path.is_empty()).then(|| path.to_owned())
}

fn events_of(response: Response) -> EventStream {
    let parser = Parser::default();
    let batches = stream::unfold(Some((response, parser)), |state| async move {
        let (mut response, mut parser) = state?;
        match response.chunk().await {
            Ok(Some(chunk)) => match parser.take_in(&chunk) {
                Ok(events) => Some((events, Some((response, parser)))),
                Err(failure) => Some((vec![Err(failure.into())], None)),
            },
            Ok(None) => None,
            Err(error) => {
                let text = clean(&error.to_string(), TEXT_MOST);
                Some((vec![Err(Failure::unreachable(text).into())], None))
            }
        }
    });
    batches.flat_map(stream::iter).boxed()
}

/// Lines of server-sent events (WHATWG HTML section 9.2.6), put together.
#[derive(Default)]
struct Parser {
    line: Vec<u8>,
    data: Vec<u8>,
}

impl Parser {
    /// Takes bytes in and gives the events that they complete.
    fn take_in(&mut self, bytes: &[u8]) -> Outcome<Vec<Result<BmcEvent, BmcFailure>>> {
        let mut events = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
            } else if let Some(data) = self.end_line() {
                events.extend(parse(&data));
            }
            if self.line.len() + self.data.len() > EVENT_MOST {
                return Err(Failure::malformed(format!(
                    "an event of more than {EVENT_MOST} bytes"
                )));
            }
        }
        Ok(events)
    }

    /// Ends a line; an empty one ends the event.
    fn end_line(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if line.is_empty() {
            return Some(std::mem::take(&mut self.data)).filter(|data| !data.is_empty());
        }
        if let Some(data) = line.strip_prefix(b"data:") {
            self.data.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
            self.data.push(b'\n');
        }
        None
    }
}

/// The events of one message (DSP0268, Event).
fn parse(data: &[u8]) -> Vec<Result<BmcEvent, BmcFailure>> {
    let message: Value = match serde_json::from_slice(data) {
        Ok(message) => message,
        Err(error) => return vec![Err(Failure::malformed(format!("an event: {error}")).into())],
    };
    let records = message.get("Events").and_then(Value::as_array);
    records.into_iter().flatten().take(BATCH_MOST).map(|record| Ok(event_of(record))).collect()
}

fn event_of(record: &Value) -> BmcEvent {
    let text = |name: &str, most| {
        record.get(name).and_then(Value::as_str).map(|text| clean(text, most)).unwrap_or_default()
    };
    let severity = text("MessageSeverity", 32);
    let origin = record.pointer("/OriginOfCondition/@odata.id").and_then(Value::as_str);
    BmcEvent {
        id: text("EventId", 64),
        message_id: text("MessageId", 128),
        message: text("Message", TEXT_MOST),
        severity: if severity.is_empty() { text("Severity", 32) } else { severity },
        origin: origin.map(|path| clean(path, 256)).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn events_arrive_in_whatever_pieces() {
        let text = b": hello\r\nid: 1\r\ndata: {\"Events\":[{\"EventId\":\"7\",\r\n\
            data: \"MessageId\":\"Base.1.0.Ok\",\"Severity\":\"OK\"}]}\r\n\r\ndata: {\n\n";
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for piece in text.chunks(3) {
            events.extend(parser.take_in(piece).unwrap());
        }
        assert_eq!(events.len(), 2);
        let first = events[0].as_ref().unwrap();
        assert_eq!((first.id.as_str(), first.message_id.as_str()), ("7", "Base.1.0.Ok"));
        assert!(events[1].is_err());
    }

    #[test]
    fn an_endless_event_ends_the_stream() {
        let mut parser = Parser::default();
        assert!(parser.take_in(&vec![b'x'; EVENT_MOST + 1]).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Parser::default().take_in(&bytes);
        }
    }
}
