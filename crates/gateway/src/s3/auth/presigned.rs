//! Version 4 in the query: a request that was signed beforehand, for a time.

use std::borrow::Cow;

use model::Timestamp;

use super::refusal::AuthError;
use super::signing::{self, ALGORITHM, Claim, Credential};
use super::{Authenticated, Scheme, Settings, content, date};
use crate::accounts::Accounts;
use crate::step::Head;

/// A week, in seconds.
const LONGEST: i64 = 7 * 24 * 60 * 60;

/// Which version of a signature is in a query.
pub(super) fn version(query: &str) -> Option<u8> {
    if query.is_empty() {
        return None;
    }
    let mut names = query.split('&').map(|pair| pair.split_once('=').map_or(pair, |pair| pair.0));
    names.find_map(|name| match name {
        "X-Amz-Algorithm" | "X-Amz-Signature" | "X-Amz-Credential" => Some(4),
        "Signature" | "AWSAccessKeyId" => Some(2),
        _ => None,
    })
}

/// Undoes percent escapes. A plus sign is a space.
pub(crate) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digit = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let (byte, skip) = match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => ((high << 4 | low) as u8, 2),
            (b'+', ..) => (b' ', 0),
            _ => (*first, 0),
        };
        bytes.push(byte);
        rest = &after[skip..];
    }
    String::from_utf8(bytes).map_or_else(|_| Cow::Borrowed(text), Cow::Owned)
}

/// The value of a parameter of a query, unescaped.
pub(crate) fn parameter<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    query.split('&').find_map(|pair| {
        let (known, value) = pair.split_once('=').unwrap_or((pair, ""));
        (known == name).then(|| unescape(value))
    })
}

fn needed<'q>(query: &'q str, name: &str) -> Result<Cow<'q, str>, AuthError> {
    parameter(query, name).ok_or_else(|| {
        AuthError::query(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, \
             X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and \
             X-Amz-Expires parameters.",
        )
    })
}

/// Checks that a request is neither from the future nor too old.
fn in_time(query: &str, at: Timestamp, now: Timestamp) -> Result<(), AuthError> {
    let said = needed(query, "X-Amz-Expires")?;
    let seconds: i64 =
        said.parse().map_err(|_| AuthError::query("X-Amz-Expires should be a number"))?;
    let refuse = |why| Err(AuthError { status: 403, ..AuthError::query(why) });
    // The code is the real service's; the status is what its conformance suite wants.
    if seconds < 0 {
        return refuse("X-Amz-Expires must be non-negative");
    }
    if seconds > LONGEST {
        return refuse(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given \
             X-Amz-Expires must be less than 604800 seconds",
        );
    }
    if at.micros() - now.micros() > date::SKEW {
        return Err(AuthError::denied("Request is not valid yet"));
    }
    let until = Timestamp::from_micros(at.micros() + seconds * 1_000_000);
    if now >= until {
        return Err(AuthError::denied("Request has expired")
            .with("X-Amz-Expires", said)
            .with("Expires", date::iso(until))
            .with("ServerTime", date::iso(now)));
    }
    Ok(())
}

pub(super) fn authenticate(
    head: &Head<'_>,
    accounts: &Accounts,
    settings: &Settings,
    now: Timestamp,
) -> Result<Authenticated, AuthError> {
    let query = head.query;
    if needed(query, "X-Amz-Algorithm")? != ALGORITHM {
        return Err(AuthError::query("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\""));
    }
    let whole = needed(query, "X-Amz-Credential")?;
    let credential = Credential::parse(&whole, settings, |why| {
        AuthError::query(format!("Error parsing the X-Amz-Credential parameter; {why}"))
    })?;
    let stamp = needed(query, "X-Amz-Date")?;
    let shape = "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"";
    let at = date::basic(&stamp).ok_or_else(|| AuthError::query(shape))?;
    if !stamp.starts_with(credential.day) {
        return Err(AuthError::query("Invalid credential date. It is not the same as X-Amz-Date."));
    }
    let signed = needed(query, "X-Amz-SignedHeaders")?;
    let signature = needed(query, "X-Amz-Signature")?;
    let token = parameter(query, "X-Amz-Security-Token");
    let token = token.as_deref().or_else(|| head.header("x-amz-security-token"));
    let ready = signing::ready(&credential, token, accounts, now)?;
    in_time(query, at, now)?;
    let in_query = parameter(query, "X-Amz-Content-Sha256");
    let said = head.header("x-amz-content-sha256").or(in_query.as_deref());
    let payload = said.unwrap_or(content::UNSIGNED);
    let claim = Claim { signed: &signed, signature: &signature, stamp: &stamp, payload };
    signing::verify(head, &credential, &claim, &ready)?;
    let payload = match said {
        None => content::unsaid(head),
        Some(said) => content::payload(said, &claim, &credential, &ready.signing)?,
    };
    Ok(Authenticated {
        key: Some(ready.key),
        scheme: Scheme::Query,
        version: 4,
        session: ready.session,
        age: now.since(at),
        payload,
    })
}
