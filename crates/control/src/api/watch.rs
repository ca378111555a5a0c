//! Watches: changes as they are recorded, one JSON event a line, from any revision
//! that is still kept. Whoever comes back with the last revision seen misses
//! nothing and sees nothing twice.
//!
//! Every 15 seconds without an event there is a blank line. When a watch cannot
//! go on, its last line is a problem document. It ends when the caller goes, or
//! when the caller's token is taken back or expires.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use tokio::sync::watch::Receiver;

use model::api::Endpoint;
use model::event::Event;
use model::{ErrorCode, Problem};

use super::incoming::Incoming;
use super::listener::Closing;
use super::metrics::Open;
use super::principal::Principal;
use super::scope::Scope;
use super::shown::{self, Sight};
use crate::plane::Plane;

/// A sign of life when nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Events taken at a time.
const BATCH: usize = 64;

/// Begins the watch that a request asks for: of one kind of thing, or of all.
pub fn begin<E: Endpoint>(
    incoming: &Incoming<E>,
    subject: Option<&'static str>,
) -> Result<Response, Problem> {
    let leader = &incoming.plane.leader;
    let changed = leader.changed();
    let after = incoming.query.from.unwrap_or_else(|| leader.revision());
    if after > leader.revision() {
        let detail =
            format!("revision {after} is not recorded yet: the newest is {}", leader.revision());
        return Err(Problem::new(ErrorCode::Gone, detail));
    }
    // What was pruned is told at once, with its status, and not in the stream.
    leader.events(after, 1)?;
    let watching = Watching {
        plane: incoming.plane.clone(),
        principal: incoming.principal.clone(),
        scope: incoming.scope(),
        subject,
        labels: incoming.query.labels.clone(),
        after,
        changed,
        closing: incoming.closing.clone(),
        out_of_sight: HashSet::new(),
        over: false,
        _open: incoming.plane.metrics.watch(),
    };
    let lines = stream::unfold(watching, |mut watching| async move {
        let bytes = watching.next().await?;
        Some((Ok::<_, std::convert::Infallible>(bytes), watching))
    });
    let mut response = Response::new(Body::from_stream(lines));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

struct Watching {
    plane: Arc<Plane>,
    principal: Principal,
    scope: Scope,
    subject: Option<&'static str>,
    labels: BTreeMap<String, String>,
    /// Everything up to here was looked at.
    after: u64,
    changed: Receiver<u64>,
    closing: Closing,
    /// Machines of which the caller has heard that they are out of sight.
    out_of_sight: HashSet<String>,
    over: bool,
    _open: Open,
}

impl Watching {
    /// The next bytes of the stream: lines, a heartbeat, or the end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        let heartbeat = tokio::time::sleep(HEARTBEAT);
        let mut heartbeat = std::pin::pin!(heartbeat);
        loop {
            if !self.still_good() {
                let detail = "the token was taken back or expired";
                return Some(self.end(Problem::new(ErrorCode::Unauthenticated, detail)));
            }
            match self.lines() {
                Ok(lines) if !lines.is_empty() => return Some(Bytes::from(lines)),
                Ok(_) => {}
                Err(problem) => return Some(self.end(problem)),
            }
            tokio::select! {
                moved = self.changed.wait_for(|newest| *newest > self.after) => {
                    // The leader has stopped; whoever watches comes back to the next one.
                    moved.ok()?;
                }
                // Whoever watches comes back to the next one here too.
                () = self.closing.wait() => return None,
                () = &mut heartbeat => return Some(Bytes::from_static(b"\n")),
            }
        }
    }

    /// The lines of the next events, none when there is nothing new to show.
    fn lines(&mut self) -> Result<Vec<u8>, Problem> {
        let newest = *self.changed.borrow_and_update();
        let mut lines = Vec::new();
        while lines.is_empty() && self.after < newest {
            let events = self.plane.leader.events(self.after, BATCH)?;
            let all = events.len() < BATCH;
            let plane = self.plane.clone();
            let nouns = plane.leader.read();
            for event in events {
                self.after = event.revision;
                if let Some(shown) = self.shown(&nouns, event) {
                    // An event is strings, numbers and JSON: it always serialises.
                    lines.extend(serde_json::to_vec(&shown).unwrap_or_default());
                    lines.push(b'\n');
                }
            }
            if all {
                self.after = self.after.max(newest);
            }
        }
        Ok(lines)
    }

    fn shown(&mut self, nouns: &crate::nouns::Nouns, event: Event) -> Option<Event> {
        if self.subject.is_some_and(|subject| event.subject != subject) {
            return None;
        }
        let (revision, at, id) = (event.revision, event.at, event.id.clone());
        let subject = event.subject.clone();
        let sight = shown::event(&self.scope, nouns, event);
        match sight {
            Sight::Shown(event) if selects(&self.labels, &event) => {
                self.out_of_sight.remove(&id);
                Some(*event)
            }
            Sight::Shown(_) if subject != "machine" => None,
            Sight::Never => None,
            // It may have been in sight: whoever keeps a list must drop it.
            Sight::Shown(_) | Sight::Hidden => {
                self.out_of_sight.insert(id.clone()).then(|| hidden(revision, at, id))
            }
        }
    }

    fn still_good(&self) -> bool {
        match &self.principal {
            Principal::Person(person) => {
                person.still_good(&self.plane.leader.read(), self.plane.clock.now())
            }
            _ => false,
        }
    }

    /// The last line.
    fn end(&mut self, problem: Problem) -> Bytes {
        self.over = true;
        let mut line = serde_json::to_vec(&problem).unwrap_or_default();
        line.push(b'\n');
        Bytes::from(line)
    }
}

/// What is told of a machine that went out of sight: no more than that.
fn hidden(revision: u64, at: model::Timestamp, id: String) -> Event {
    Event {
        revision,
        at,
        kind: "machine.hidden".to_owned(),
        subject: "machine".to_owned(),
        id,
        name: None,
        actor: String::new(),
        request: None,
        object: None,
    }
}

/// Whether an event's thing has the labels. One that is gone has none any more to go by.
pub fn selects(labels: &BTreeMap<String, String>, event: &Event) -> bool {
    let Some(object) = &event.object else {
        return true;
    };
    let of = |name: &String| object.get("labels")?.get(name)?.as_str();
    labels.iter().all(|(name, wanted)| of(name) == Some(wanted))
}
