//! Version 2, for old clients, where a setting allows it. It signs less (no body, few
//! headers) with SHA-1; modern regions of the real service refuse it, and so do we
//! when the setting is off.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use model::Timestamp;
use ring::hmac;

use super::presigned::{parameter, unescape};
use super::refusal::AuthError;
use super::signing;
use super::{Authenticated, Scheme, Settings, canonical, content, date};
use crate::accounts::{AccessKey, Accounts};
use crate::step::Head;

/// Parameters of the query that are part of what is signed.
const SUBRESOURCES: [&str; 39] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "defaultObjectAcl",
    "delete",
    "encryption",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "retention",
    "select",
    "select-type",
    "storageClass",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
];

pub(super) fn refused() -> AuthError {
    AuthError::request(
        "The authorization mechanism you have provided is not supported. Please use \
         AWS4-HMAC-SHA256.",
    )
}

/// Whether a text has this signature (base64 of an HMAC-SHA1).
pub(super) fn matches(key: &AccessKey, text: &[u8], signature: &str) -> bool {
    let secret = key.secret.expose().as_bytes();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let signature = BASE64.decode(signature.trim());
    signature.is_ok_and(|signature| hmac::verify(&key, text, &signature).is_ok())
}

/// Whether a request has this signature. Clients sign a bucket alone with a slash behind
/// it, whether they send that or not.
fn signed(key: &AccessKey, head: &Head<'_>, date: &str, signature: &str) -> bool {
    let alone = head.path.len() > 1 && !head.path[1..].contains('/');
    let slashed = format!("{}/", head.path);
    let with_slash = Head { path: &slashed, ..*head };
    matches(key, &text(head, date), signature)
        || (alone && matches(key, &text(&with_slash, date), signature))
}

/// What is signed. `date`: what stands in the place of the date.
fn text(head: &Head<'_>, date: &str) -> Vec<u8> {
    let mut text = Vec::with_capacity(256);
    let first = [
        head.method,
        head.header("content-md5").unwrap_or(""),
        head.header("content-type").unwrap_or(""),
        date,
    ];
    for line in first {
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }
    let mut names: Vec<String> =
        head.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.retain(|name| name.starts_with("x-amz-"));
    names.sort_unstable();
    names.dedup();
    if !names.is_empty() {
        // Every name was just seen in the head.
        let _ = canonical::headers(head, &names.join(";"), false, &mut text);
    }
    text.extend_from_slice(head.path.as_bytes());
    let pairs = head
        .query
        .split('&')
        .map(|pair| pair.split_once('=').map_or((pair, None), |(a, b)| (a, Some(b))));
    let is_part = |name: &str| SUBRESOURCES.contains(&name) || name == "website";
    let mut parts: Vec<_> = pairs.filter(|(name, _)| is_part(name)).collect();
    parts.sort_unstable();
    for (at, (name, value)) in parts.into_iter().enumerate() {
        text.push(if at == 0 { b'?' } else { b'&' });
        text.extend_from_slice(name.as_bytes());
        if let Some(value) = value {
            text.push(b'=');
            text.extend_from_slice(unescape(value).as_bytes());
        }
    }
    text
}

fn accepted(
    head: &Head<'_>,
    key: Arc<AccessKey>,
    scheme: Scheme,
    age: model::Duration,
) -> Result<Authenticated, AuthError> {
    let payload = match head.header("x-amz-content-sha256") {
        None => content::unsaid(head),
        Some(said) => content::unsigned_payload(said)?,
    };
    let session = head.header("x-amz-security-token").is_some();
    Ok(Authenticated { key: Some(key), scheme, version: 2, session, age, payload })
}

/// `Authorization: AWS ID:SIGNATURE`.
pub(super) fn in_header(
    head: &Head<'_>,
    rest: &str,
    accounts: &Accounts,
    settings: &Settings,
    now: Timestamp,
) -> Result<Authenticated, AuthError> {
    if !settings.version_2 {
        return Err(refused());
    }
    let shape = || {
        AuthError::argument(
            "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature",
        )
        .with("ArgumentName", "Authorization")
    };
    let (id, signature) = rest.trim().split_once(':').ok_or_else(shape)?;
    let in_amz = head.header("x-amz-date");
    let said = in_amz.or_else(|| head.header("date"));
    let at = said.and_then(|said| date::http(said).or_else(|| date::basic(said)));
    let at = at.filter(|at| at.micros() >= 0).ok_or_else(|| {
        AuthError::denied("AWS authentication requires a valid Date or x-amz-date header")
    })?;
    if (at.micros() - now.micros()).abs() > date::SKEW {
        return Err(AuthError::skewed(said.unwrap_or(""), now));
    }
    let token = head.header("x-amz-security-token");
    let (key, _) = signing::find(id, token, accounts, now)?;
    let date = if in_amz.is_some() { "" } else { said.unwrap_or("") };
    if !signed(&key, head, date, signature) {
        let text = text(head, date);
        let shown = String::from_utf8_lossy(&text[..text.len().min(4096)]).into_owned();
        return Err(AuthError::mismatch(id, signature).with("StringToSign", shown));
    }
    accepted(head, key, Scheme::Header, now.since(at))
}

/// `?AWSAccessKeyId=…&Expires=…&Signature=…`.
pub(super) fn in_query(
    head: &Head<'_>,
    accounts: &Accounts,
    settings: &Settings,
    now: Timestamp,
) -> Result<Authenticated, AuthError> {
    if !settings.version_2 {
        return Err(refused());
    }
    let needed = |name| {
        parameter(head.query, name).ok_or_else(|| {
            AuthError::denied(
                "Query-string authentication requires the Signature, Expires and \
                 AWSAccessKeyId parameters",
            )
        })
    };
    let (id, signature) = (needed("AWSAccessKeyId")?, needed("Signature")?);
    let said = needed("Expires")?;
    let shape =
        || AuthError::denied(format!("Invalid date (should be seconds since epoch): {said}"));
    let expires: i64 = said.parse().map_err(|_| shape())?;
    let until = expires.checked_mul(1_000_000).map(Timestamp::from_micros).ok_or_else(shape)?;
    if now >= until {
        return Err(AuthError::denied("Request has expired")
            .with("Expires", date::iso(until))
            .with("ServerTime", date::iso(now)));
    }
    let token = head.header("x-amz-security-token");
    let (key, _) = signing::find(&id, token, accounts, now)?;
    if !signed(&key, head, &said, &signature) {
        return Err(AuthError::mismatch(&id, &signature));
    }
    accepted(head, key, Scheme::Query, model::Duration::ZERO)
}
