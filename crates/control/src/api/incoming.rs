//! A request, read and bounded: what every handler gets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts as _, RawPathParams, Request};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use model::api::Endpoint;
use model::{ErrorCode, Problem};

use super::listener::Closing;
use super::observe::RequestName;
use super::principal::Principal;
use super::query::Query;
use super::refusal::internal;
use super::table::mutates;
use crate::cell::{Ask, Call, Idempotency};
use crate::identity::KeyProvider;
use crate::leader::Answer;
use crate::plane::Plane;

/// The key by which a repeated request is known.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The largest document that is taken, in bytes. A learnt policy has some 100 KiB.
pub const LARGEST: usize = 1 << 20;
/// How long a document may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the caller says of the generation that it has seen (`If-Match`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// Nothing.
    Absent,
    /// Any, as long as it exists.
    Any,
    /// This one.
    Generation(u64),
}

/// A request to an endpoint.
pub struct Incoming<E: Endpoint> {
    /// The control plane.
    pub plane: Arc<Plane>,
    /// Who asks. They may: that was judged before.
    pub principal: Principal,
    /// The id of the request.
    pub request: String,
    /// The parameters of the path.
    pub path: BTreeMap<String, String>,
    /// The parameters of the query.
    pub query: Query,
    /// The document.
    pub body: E::Request,
    /// The bytes of an upload; nothing otherwise.
    pub content: Body,
    /// Tells when the listener ends.
    pub closing: Closing,
    /// `If-Match`.
    pub generation: Match,
    /// `Idempotency-Key`, with the digest of the request.
    pub idempotency: Option<Idempotency>,
}

impl<E: Endpoint> Incoming<E> {
    /// Reads a request: path, query, headers and, unless it is an upload, the body.
    pub async fn read(plane: Arc<Plane>, request: Request, upload: bool) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let path = path(&mut parts).await?;
        let query = Query::parse(parts.uri.query(), &E::INFO)?;
        let generation = if_match(&parts.headers)?;
        let (bytes, content) = match upload {
            true => (Bytes::new(), body),
            false if mutates(&E::INFO) => (document(&parts.headers, body).await?, Body::empty()),
            false => (Bytes::new(), Body::empty()),
        };
        let Some(principal) = parts.extensions.remove::<Principal>() else {
            return Err(internal("a request came past the authorisation"));
        };
        let idempotency = idempotency(&parts, &bytes, &principal, &plane.keys)?;
        let closing = parts.extensions.remove::<Closing>().unwrap_or_default();
        let request = parts.extensions.remove::<RequestName>().map(|name| name.0);
        Ok(Self {
            plane,
            principal,
            request: request.unwrap_or_default(),
            path,
            query,
            body: parse::<E>(&bytes, upload)?,
            content,
            closing,
            generation,
            idempotency,
        })
    }

    /// A parameter of the path.
    pub fn parameter(&self, name: &str) -> &str {
        let value = self.path.get(name);
        value.expect("a handler asks for the parameters that its path has")
    }

    /// Refuses a change of spec that does not say which generation it changes.
    pub fn needs_generation(&self, now: u64) -> Result<(), Problem> {
        match self.generation {
            Match::Absent if !self.repeats() => {
                let detail = format!("{} needs If-Match; the etag is \"{now}\" now", E::INFO.name);
                Err(Problem::new(ErrorCode::PreconditionRequired, detail))
            }
            _ => Ok(()),
        }
    }

    /// Whether a request came with this key before. Then what it is about may have
    /// changed or gone by that very request, and the reply is there all the same.
    pub fn repeats(&self) -> bool {
        let key = self.idempotency.as_ref().map(|it| &it.key);
        key.is_some_and(|key| self.plane.leader.read().idempotent.contains_key(key))
    }

    /// What a request is about, or `nothing` where it is gone and the request a
    /// repeated one: the cell looks at the key first.
    pub fn target<T>(&self, found: Result<T, Problem>, nothing: T) -> Result<T, Problem> {
        match found {
            Err(_) if self.repeats() => Ok(nothing),
            found => found,
        }
    }

    /// Asks the leader in the name of the caller and on the caller's terms. It is
    /// durable when this returns, unless it is a dry run.
    ///
    /// It borrows nothing of the request: that holds a stream, which no two
    /// threads may look at.
    pub fn ask(&self, call: Call) -> impl Future<Output = Result<Answer, Problem>> + Send + use<E> {
        let dry_run = self.query.dry_run;
        let ask = Ask {
            actor: self.principal.actor(),
            request: Some(self.request.clone()),
            // A dry run leaves nothing behind, and no key either.
            idempotency: self.idempotency.clone().filter(|_| !dry_run),
            generation: match self.generation {
                Match::Generation(generation) => Some(generation),
                Match::Any | Match::Absent => None,
            },
            dry_run,
            call,
        };
        let leader = self.plane.leader.clone();
        async move { leader.ask(ask).await }
    }
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(ErrorCode::InvalidRequest, detail)
}

async fn path(parts: &mut Parts) -> Result<BTreeMap<String, String>, Problem> {
    let params = RawPathParams::from_request_parts(parts, &())
        .await
        .map_err(|_| invalid("a part of the path is not UTF-8"))?;
    Ok(params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// The whole body, within the bounds of size and time.
async fn document(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = format!("a request has at most {LARGEST} bytes");
        Problem::new(ErrorCode::TooLarge, detail)
    };
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|text| text.parse::<u64>().ok()).is_some_and(|n| n > LARGEST as u64) {
        return Err(too_large());
    }
    let whole = tokio::time::timeout(PATIENCE, Limited::new(body, LARGEST).collect()).await;
    match whole {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(invalid("the body broke off")),
        Err(_) => Err(invalid(format!("the body took longer than {} s", PATIENCE.as_secs()))),
    }
}

/// The document of a body. Where the endpoint takes none, nothing, `null` and `{}` are all right.
fn parse<E: Endpoint>(bytes: &[u8], upload: bool) -> Result<E::Request, Problem> {
    let bytes = bytes.trim_ascii();
    let text = match (E::INFO.has_request, bytes) {
        (false, b"" | b"{}" | b"null") => b"null",
        (false, _) if !upload => {
            return Err(invalid(format!("{} takes no body", E::INFO.name)));
        }
        (true, b"") => return Err(invalid(format!("{} needs a JSON document", E::INFO.name))),
        (_, bytes) => bytes,
    };
    serde_json::from_slice(text).map_err(|error| invalid(format!("the body: {error}")))
}

/// `If-Match` (RFC 9110 section 13.1.1): one strong etag of ours, or `*`.
fn if_match(headers: &HeaderMap) -> Result<Match, Problem> {
    let mut values = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = values.next() else {
        return Ok(Match::Absent);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" && values.next().is_none() {
        return Ok(Match::Any);
    }
    let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let generation = digits.and_then(|digits| digits.parse().ok());
    match (generation, values.next()) {
        (Some(generation), None) => Ok(Match::Generation(generation)),
        _ => Err(invalid("If-Match must be one etag as it was received, such as \"17\", or *")),
    }
}

/// `Idempotency-Key`, bound to who asks and what is asked. The body may hold a
/// password, so what is kept of it can only be compared by us.
fn idempotency(
    parts: &Parts,
    body: &[u8],
    principal: &Principal,
    keys: &KeyProvider,
) -> Result<Option<Idempotency>, Problem> {
    let Some(value) = parts.headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default();
    if !(1..=255).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid("Idempotency-Key must be 1 to 255 visible ASCII characters"));
    }
    let mut message = Vec::new();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    for part in [parts.method.as_str().as_bytes(), target.as_bytes(), body] {
        message.extend((part.len() as u64).to_le_bytes());
        message.extend(part);
    }
    let key = format!("{}/{key}", principal.actor());
    Ok(Some(Idempotency { key, digest: keys.fingerprint(&message) }))
}

#[cfg(test)]
mod tests {
    use model::api::{PowerMachine, ReleaseMachine};

    use super::*;

    fn of(values: &[&str]) -> Result<Match, Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_MATCH, value.parse().unwrap());
        }
        if_match(&headers)
    }

    #[test]
    fn if_match_is_one_strong_etag() {
        assert_eq!(of(&[]), Ok(Match::Absent));
        assert_eq!(of(&["*"]), Ok(Match::Any));
        assert_eq!(of(&["\"17\""]), Ok(Match::Generation(17)));
        for values in [&["17"][..], &["W/\"17\""], &["\"1\", \"2\""], &["\"1\"", "\"2\""], &[""]] {
            assert!(of(values).is_err(), "{values:?}");
        }
    }

    #[test]
    fn a_body_is_there_where_the_table_says_so() {
        for body in ["", " ", "{}", "null"] {
            assert!(parse::<ReleaseMachine>(body.as_bytes(), false).is_ok(), "{body}");
        }
        assert!(parse::<ReleaseMachine>(b"{\"force\":true}", false).is_err());
        assert!(parse::<PowerMachine>(b"{\"action\":\"on\"}", false).is_ok());
        for body in ["", "{}", "{\"action\":\"up\"}", "{\"action\":\"on\"} x", "\u{0}"] {
            let problem = parse::<PowerMachine>(body.as_bytes(), false).err().unwrap();
            assert_eq!(problem.code, ErrorCode::InvalidRequest, "{body}");
        }
    }
}
