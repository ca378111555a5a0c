//! The dialect S3: heads of requests in, steps out.
//!
//! Read in this order: [`route`] (which operation a request is), [`ask`] (what is known
//! of it), [`permit`] (whether it may be done), [`operation`] (each operation), then
//! what they share: [`body`] and [`reading`] (content in and out), [`draft`] (what is
//! kept of an object), [`error`], [`xml`].

pub mod ask;
pub mod auth;
mod body;
mod checksums;
pub mod cors;
mod draft;
pub mod error;
mod fields;
mod grants;
mod header;
mod keep;
mod lifecycle;
pub mod operation;
mod permit;
pub mod policy;
mod reading;
pub mod route;
pub mod table;
mod tags;
pub mod xml;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use model::Timestamp;
use world::SystemEntropy;
use world::entropy::Entropy as _;

pub use ask::{Gate, Settings};

use self::ask::Ask;
use self::auth::{Authenticated, Content, FormParser, Payload};
use self::error::{Code, Failure, Outcome};
use self::route::{Operation, Route, route};
use crate::checksum::Expected;
use crate::step::{Answer, Desk, Head, Peer, Service, Step, Stored};

/// The header that tells a request's name.
pub const REQUEST_ID: &str = "x-amz-request-id";
/// Told with every answer: which of the service's hosts it was.
pub const HOST_ID: &str = "bedplate";

/// The dialect.
pub struct S3 {
    gate: Arc<Gate>,
    /// Names of requests: a number that grows, mixed so that names look unlike.
    requests: AtomicU64,
    seed: u64,
}

impl S3 {
    /// The dialect in front of a store.
    pub fn new(gate: Gate) -> Self {
        let mut seed = [0; 8];
        SystemEntropy.fill(&mut seed);
        Self { gate: Arc::new(gate), requests: AtomicU64::new(0), seed: u64::from_le_bytes(seed) }
    }

    fn next_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let mixed = (number ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{mixed:016X}")
    }

    /// A request, up to knowing what it is and who asks.
    /// `sender`: who asks, when that was found out already.
    fn ask(
        &self,
        head: &Head<'_>,
        peer: &Peer,
        id: &str,
        sender: Option<Authenticated>,
    ) -> Result<Arc<Ask>, Box<Refused>> {
        let now = self.gate.clock.now();
        let refused = |failure, route: Option<&Route>| {
            let at = route.map(|route| (route.bucket.clone(), route.key.clone()));
            Box::new(Refused { failure, at: at.unwrap_or_default() })
        };
        let routed = route(head, &self.gate.settings.domains).map_err(|one| refused(one, None))?;
        let signed = match sender {
            Some(sender) => Ok(sender),
            None if routed.operation == Operation::PreflightObject => Ok(nobody()),
            None => auth::authenticate(head, &self.gate.accounts, &self.gate.settings.auth, now),
        };
        let signed = signed.map_err(|error| refused(error.into(), Some(&routed)))?;
        let at = (routed.bucket.clone(), routed.key.clone());
        self.asked(head, peer, id, now, routed, signed)
            .map(Arc::new)
            .map_err(|failure| Box::new(Refused { failure, at }))
    }

    /// Who sends a plain request; `None`: whoever it is, this is not how to serve it.
    fn sender(&self, head: &Head<'_>, plain: &keep::Plain<'_>) -> Option<Authenticated> {
        if !plain.signed {
            return Some(nobody());
        }
        let (gate, now) = (&self.gate, self.gate.clock.now());
        let sender = auth::authenticate(head, &gate.accounts, &gate.settings.auth, now).ok()?;
        // No content can be anything but what it should be, unless it comes in chunks.
        matches!(sender.payload, Payload::Unsigned | Payload::Whole(_)).then_some(sender)
    }

    fn asked(
        &self,
        head: &Head<'_>,
        peer: &Peer,
        id: &str,
        now: Timestamp,
        route: Route,
        mut signed: Authenticated,
    ) -> Outcome<Ask> {
        let Route { operation, bucket, key, query } = route;
        if key.len() > object::name::KEY_BYTES {
            let failure: Box<Failure> = Code::KeyTooLongError.into();
            return Err(failure
                .with("Size", key.len().to_string())
                .with("MaxSizeAllowed", object::name::KEY_BYTES.to_string()));
        }
        let form = match operation {
            Operation::PostObject => Some(FormParser::new(head)?),
            _ => None,
        };
        let headers = fields::of_headers(head);
        let payload = std::mem::replace(&mut signed.payload, Payload::Unsigned);
        let content = (Content::new(payload, head)?, expected(operation, head)?);
        let mut ask = Ask {
            gate: Arc::clone(&self.gate),
            operation,
            bucket,
            key,
            query,
            headers,
            framing: head.framing,
            bare: head.method == "HEAD",
            raw_query: head.query.to_owned(),
            sender: signed,
            now,
            id: id.to_owned(),
            peer: *peer,
            content: Mutex::new(Some(content)),
            form: Mutex::new(form),
            stored: std::sync::OnceLock::new(),
            cors: Vec::new(),
        };
        ask.cors = cross_origin(&ask, head)?;
        Ok(ask)
    }

    fn refused(&self, head: &Head<'_>, id: &str, refused: Refused) -> Answer {
        let Refused { failure, at: (bucket, key) } = refused;
        let resource =
            if key.is_empty() { format!("/{bucket}") } else { format!("/{bucket}/{key}") };
        failure.answer(&resource, id, head.method == "HEAD")
    }
}

/// Why a request is not even begun, and what it was about.
struct Refused {
    failure: Box<Failure>,
    at: (String, String),
}

fn nobody() -> Authenticated {
    Authenticated {
        key: None,
        scheme: auth::Scheme::Anonymous,
        version: 0,
        session: false,
        age: model::Duration::ZERO,
        payload: Payload::Unsigned,
    }
}

/// What the content's digests must be. A completed upload's header is about the object.
fn expected(operation: Operation, head: &Head<'_>) -> Outcome<Expected> {
    let about_content = matches!(head.method, "PUT" | "POST")
        && operation != Operation::CompleteMultipartUpload
        && operation != Operation::PostObject;
    if about_content { Ok(Expected::from_head(head)?) } else { Ok(Expected::default()) }
}

/// Headers that let a page of another origin see the answer.
///
/// # Errors
/// When the request is a question whether a page may, and it may not.
fn cross_origin(ask: &Ask, head: &Head<'_>) -> Outcome<cors::Headers> {
    let question = ask.operation == Operation::PreflightObject;
    if !question && !ask.headers.has("origin") {
        return Ok(cors::Headers::new());
    }
    let name = ask.bucket_name().ok();
    let bucket = name.and_then(|name| ask.gate.store.snapshot().bucket(&name));
    let rules = bucket.as_ref().map_or(&[][..], |bucket| &bucket.config.cors);
    if question { Ok(cors::preflight(head, rules)?) } else { Ok(cors::actual(head, rules)) }
}

impl Service for S3 {
    fn begin(&self, head: &Head<'_>, peer: &Peer) -> Step {
        let id = self.next_id();
        match self.ask(head, peer, &id, None) {
            Ok(ask) => ask.settle(operation::run(&ask)),
            Err(refused) => Step::Answer(self.refused(head, &id, *refused)),
        }
    }

    fn begin_at(&self, head: &Head<'_>, peer: &Peer, desk: &mut dyn Desk) -> Step {
        let sender = keep::Plain::of(head).and_then(|plain| {
            let sender = self.sender(head, &plain)?;
            Some((plain.name(sender.principal()), sender))
        });
        let (name, sender) = match sender {
            Some((name, sender)) => (name, Some(sender)),
            None => (None, None),
        };
        if let Some(account) = sender.as_ref().and_then(Authenticated::account) {
            desk.asks(keep::number(&account.owner), &account.name);
        }
        if let Some(name) = &name
            && desk.kept(name).is_some_and(|proof| keep::holds(&self.gate.store, proof))
        {
            desk.does(Operation::GetObject as u8);
            return Step::Kept;
        }
        let id = self.next_id();
        let known = sender.is_some();
        match self.ask(head, peer, &id, sender) {
            Ok(ask) => {
                desk.does(ask.operation as u8);
                if let Some(account) = ask.sender.account().filter(|_| !known) {
                    desk.asks(keep::number(&account.owner), &account.name);
                }
                keep::run(&ask, name.as_ref())
            }
            Err(refused) => Step::Answer(self.refused(head, &id, *refused)),
        }
    }

    fn fetch(&self, stored: &Stored, into: &mut Vec<u8>) -> bool {
        let store = &self.gate.store;
        let Ok(file) = store.segment(stored.segment) else { return false };
        let from = into.len();
        into.resize(from + stored.length as usize, 0);
        let content = &mut into[from..];
        let there = file.read_now(stored.offset, content).unwrap_or(false);
        let good = there && object::store::crc32c(content) == stored.sum;
        if !good {
            into.truncate(from);
        }
        good
    }

    fn request_id(&self) -> Option<&'static str> {
        Some(REQUEST_ID)
    }

    fn operations(&self) -> &'static [&'static str] {
        Operation::NAMES
    }

    fn refuse(&self, status: u16, why: &str) -> Answer {
        let code = match status {
            408 => Code::RequestTimeout,
            411 => Code::MissingContentLength,
            431 => Code::RequestHeaderSectionTooLarge,
            500..=599 => Code::ServiceUnavailable,
            _ => Code::BadRequest,
        };
        let mut answer = code.saying(why.to_owned()).answer("", &self.next_id(), false);
        answer.status = status;
        Answer { close: true, ..answer }
    }
}
