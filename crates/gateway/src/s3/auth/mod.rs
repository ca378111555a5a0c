//! Who sent a request, and how its body must be checked: Signature Version 4 in the
//! `Authorization` header, in the query (presigned) and in forms; Version 2 only where
//! a setting allows it.
//!
//! Read in this order: this file, `canonical` and `signing` (what is signed, with
//! which key), `header` and `presigned`, `content` and `chunked` (bodies), `form`.

mod canonical;
mod chunked;
mod content;
mod customer;
mod date;
mod form;
mod header;
mod multipart;
mod postpolicy;
mod presigned;
mod refusal;
mod signing;
mod v2;

use std::sync::Arc;

use model::Timestamp;
use object::access::Principal;

use crate::accounts::{AccessKey, Account, Accounts};
use crate::step::Head;

pub use chunked::Trailers;
pub use content::{Content, Payload};
pub use customer::{CustomerKeyOf, customer_key, customer_key_by};
pub use form::{Upload, authorise};
pub use multipart::{Event, Fields, FormParser};
pub(crate) use presigned::{parameter, unescape};
pub use refusal::AuthError;

/// The pieces of a text between these characters. By bytes: what `str` does for long texts
/// takes longer for the short ones of a head.
fn pieces(text: &str, at: u8) -> impl Iterator<Item = &str> {
    assert!(at.is_ascii(), "a byte that is a character");
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let (piece, more) = match cut(rest?, at) {
            Some((piece, more)) => (piece, Some(more)),
            None => (rest?, None),
        };
        rest = more;
        Some(piece)
    })
}

/// What is before and behind the first of these characters.
fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let place = text.as_bytes().iter().position(|byte| *byte == at)?;
    Some((&text[..place], &text[place + 1..]))
}

/// What the operator decides about signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The region that this is.
    pub region: Box<str>,
    /// Signatures for another region are refused, and told this one's name.
    pub strict_region: bool,
    /// Signature Version 2 is accepted (old clients; weak: SHA-1, no limit of age for
    /// presigned requests). Off by default.
    pub version_2: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { region: "us-east-1".into(), strict_region: false, version_2: false }
    }
}

/// How a request was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// It was not.
    Anonymous,
    /// In the header.
    Header,
    /// In the query.
    Query,
    /// In a form.
    Form,
}

impl Scheme {
    /// As the condition key `s3:authType` says it.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Scheme::Anonymous => None,
            Scheme::Header => Some("REST-HEADER"),
            Scheme::Query => Some("REST-QUERY-STRING"),
            Scheme::Form => Some("POST"),
        }
    }
}

/// A request whose sender is known, or known to be nobody in particular.
#[derive(Debug)]
pub struct Authenticated {
    /// With which key; `None` for nobody in particular.
    pub key: Option<Arc<AccessKey>>,
    /// How it was signed.
    pub scheme: Scheme,
    /// The version of the signature: 4, 2, or 0 without one.
    pub version: u8,
    /// The credentials are a session's.
    pub session: bool,
    /// How old the signature is.
    pub age: model::Duration,
    /// How the body must be checked.
    pub payload: Payload,
}

static ANONYMOUS: Principal = Principal::Anonymous;

impl Authenticated {
    /// Who asks.
    pub fn principal(&self) -> &Principal {
        self.key.as_ref().map_or(&ANONYMOUS, |key| &key.principal)
    }
    /// Whose account it is.
    pub fn account(&self) -> Option<&Arc<Account>> {
        self.key.as_ref().map(|key| &key.account)
    }
}

/// Finds out who sent a request.
///
/// # Errors
/// What to answer when the signature is not right, too old or of an unknown kind.
/// A request without any signature is no error: it is anonymous.
pub fn authenticate(
    head: &Head<'_>,
    accounts: &Accounts,
    settings: &Settings,
    now: Timestamp,
) -> Result<Authenticated, AuthError> {
    let mut fields =
        head.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let authorization = fields.next().map(|(_, value)| *value);
    if fields.next().is_some() {
        return Err(AuthError::argument("There is more than one Authorization header."));
    }
    let in_query = presigned::version(head.query);
    let Some(authorization) = authorization else {
        return match in_query {
            Some(4) => presigned::authenticate(head, accounts, settings, now),
            Some(_) => v2::in_query(head, accounts, settings, now),
            None => anonymous(head),
        };
    };
    if in_query.is_some() {
        return Err(AuthError::argument(
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, \
             Signature query string parameter or the Authorization header should be specified",
        ));
    }
    let malformed = || AuthError::header("The authorization header is malformed.");
    let text = std::str::from_utf8(authorization).map_err(|_| malformed())?.trim();
    let blank = text.as_bytes().iter().position(|byte| matches!(byte, b' ' | b'\t'));
    match blank.map(|at| (&text[..at], &text[at + 1..])) {
        None if text.is_empty() => Err(AuthError::denied("Access Denied")),
        Some((signing::ALGORITHM, rest)) => {
            header::authenticate(head, rest, accounts, settings, now)
        }
        Some(("AWS", rest)) => v2::in_header(head, rest, accounts, settings, now),
        _ => Err(AuthError::argument("Unsupported Authorization Type")
            .with("ArgumentName", "Authorization")
            .with("ArgumentValue", text.chars().take(256).collect::<String>())),
    }
}

fn anonymous(head: &Head<'_>) -> Result<Authenticated, AuthError> {
    let payload = match head.header("x-amz-content-sha256") {
        None => content::unsaid(head),
        Some(said) => content::unsigned_payload(said)?,
    };
    Ok(Authenticated {
        key: None,
        scheme: Scheme::Anonymous,
        version: 0,
        session: false,
        age: model::Duration::ZERO,
        payload,
    })
}

/// A moment as people and errors write it: `2013-05-24T00:00:00Z`.
pub(crate) fn date_text(at: Timestamp) -> String {
    date::iso(at)
}

#[cfg(test)]
mod tests;
