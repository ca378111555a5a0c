//! Keys and signatures of Version 4.
//!
//! A signing key is made of a secret, a day, a region and a service by four HMACs; it
//! is kept per thread, ready to use, under the text of its credential scope. Comparing
//! is done by `ring`, in constant time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use model::Timestamp;
use ring::{digest, hmac};
use zeroize::Zeroizing;

use super::canonical::{self, Pairs};
use super::refusal::AuthError;
use super::{Settings, cut, pieces};
use crate::accounts::{AccessKey, Accounts, SessionError};
use crate::step::Head;

/// The one algorithm.
pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What ends every scope.
const END: &str = "aws4_request";
/// The longest credential: an access key's id, a day, a region, a service.
const CREDENTIAL_LONGEST: usize = 256;
/// Keys that a thread keeps.
const KEPT: usize = 1024;
/// How much of what was signed is told back on a mismatch.
const SHOWN: usize = 4096;

/// A credential, taken apart: `ID/20130524/us-east-1/s3/aws4_request`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Credential<'a> {
    pub whole: &'a str,
    pub id: &'a str,
    pub day: &'a str,
    pub region: &'a str,
    /// The day and all behind it.
    pub scope: &'a str,
}

impl<'a> Credential<'a> {
    /// Takes a credential apart. `fail` makes the error of the place it came from.
    pub fn parse(
        whole: &'a str,
        settings: &Settings,
        fail: fn(String) -> AuthError,
    ) -> Result<Self, AuthError> {
        let shape = || {
            fail(
                "the Credential is mal-formed; expecting \
                 \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\"."
                    .to_owned(),
            )
        };
        if whole.len() > CREDENTIAL_LONGEST {
            return Err(shape());
        }
        let (id, scope) = cut(whole, b'/').ok_or_else(shape)?;
        let mut parts = pieces(scope, b'/');
        let (Some(day), Some(region), Some(service), Some(end), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(shape());
        };
        if day.len() != 8 || !day.bytes().all(|byte| byte.is_ascii_digit()) || end != END {
            return Err(shape());
        }
        if service != "s3" {
            return Err(fail(format!(
                "incorrect service {service:?}. This endpoint belongs to \"s3\"."
            )));
        }
        if region.is_empty() || (settings.strict_region && region != &*settings.region) {
            let expected = &*settings.region;
            let said = format!("the region '{region}' is wrong; expecting '{expected}'");
            return Err(fail(said).with("Region", expected));
        }
        Ok(Self { whole, id, day, region, scope })
    }
}

/// A key that is ready to sign in its scope.
#[derive(Clone)]
pub(super) struct Ready {
    pub key: Arc<AccessKey>,
    pub signing: hmac::Key,
    pub session: bool,
}

struct Kept {
    state: (u64, u64),
    ready: Ready,
    /// The session's token and until when it is good.
    session: Option<(Box<str>, Timestamp)>,
}

/// What a thread uses again for each request.
#[derive(Default)]
struct Scratch {
    keys: HashMap<Box<str>, Kept>,
    canonical: Vec<u8>,
    text: Vec<u8>,
    pairs: Pairs,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

fn mac(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
}

/// The key of a scope.
fn derive(secret: &str, credential: &Credential<'_>) -> hmac::Key {
    let start = Zeroizing::new([b"AWS4", secret.as_bytes()].concat());
    let day = mac(&start, credential.day.as_bytes());
    let region = mac(day.as_ref(), credential.region.as_bytes());
    let service = mac(region.as_ref(), b"s3");
    let last = mac(service.as_ref(), END.as_bytes());
    hmac::Key::new(hmac::HMAC_SHA256, last.as_ref())
}

/// The key that signs under a credential.
pub(super) fn ready(
    credential: &Credential<'_>,
    token: Option<&str>,
    accounts: &Accounts,
    now: Timestamp,
) -> Result<Ready, AuthError> {
    let state = accounts.state();
    SCRATCH.with_borrow_mut(|scratch| {
        if let Some(kept) = scratch.keys.get(credential.whole)
            && kept.state == state
            && kept.session.as_ref().map(|(known, _)| &**known) == token
            && kept.session.as_ref().is_none_or(|(_, until)| now < *until)
        {
            return Ok(kept.ready.clone());
        }
        let (key, until) = find(credential.id, token, accounts, now)?;
        let signing = derive(key.secret.expose(), credential);
        let ready = Ready { key, signing, session: token.is_some() };
        let session = token.zip(until).map(|(token, until)| (token.into(), until));
        if scratch.keys.len() >= KEPT {
            scratch.keys.clear();
        }
        let kept = Kept { state, ready: ready.clone(), session };
        scratch.keys.insert(credential.whole.into(), kept);
        Ok(ready)
    })
}

/// The access key that a request names, and until when it is good.
pub(super) fn find(
    id: &str,
    token: Option<&str>,
    accounts: &Accounts,
    now: Timestamp,
) -> Result<(Arc<AccessKey>, Option<Timestamp>), AuthError> {
    let found = match token {
        None => {
            let snapshot = accounts.snapshot();
            let key = snapshot.key(id).ok_or_else(|| AuthError::unknown_key(id))?;
            (Arc::clone(key), None)
        }
        Some(token) => {
            let (key, until) = accounts.session_key(id, token, now).map_err(session_refused)?;
            (Arc::new(key), Some(until))
        }
    };
    if found.0.account.suspended {
        return Err(AuthError::new(403, "AccountProblem", "The account is suspended."));
    }
    Ok(found)
}

fn session_refused(error: SessionError) -> AuthError {
    match error {
        SessionError::Expired => {
            AuthError::new(400, "ExpiredToken", "The provided token has expired.")
        }
        SessionError::Invalid | SessionError::Gone => {
            let message = "The provided token is malformed or otherwise invalid.";
            AuthError::new(400, "InvalidToken", message)
        }
    }
}

/// What a signature of a request says.
pub(super) struct Claim<'a> {
    /// Lower-case names, joined by semicolons.
    pub signed: &'a str,
    /// The signature, 64 lower-case hexadecimal digits.
    pub signature: &'a str,
    /// The moment, as the request says it: `20130524T000000Z`.
    pub stamp: &'a str,
    /// What is said of the body: its hash, or one of the words that stand for it.
    pub payload: &'a str,
}

/// Checks the signature of a request.
pub(super) fn verify(
    head: &Head<'_>,
    credential: &Credential<'_>,
    claim: &Claim<'_>,
    ready: &Ready,
) -> Result<(), AuthError> {
    SCRATCH.with_borrow_mut(|scratch| {
        if attempt(head, credential, claim, ready, scratch, false)? {
            return Ok(());
        }
        // Clients differ in what they escape: what was sent, as it was sent, is as good.
        let shown = [shown(&scratch.text), shown(&scratch.canonical)];
        if attempt(head, credential, claim, ready, scratch, true)? {
            return Ok(());
        }
        let [text, canonical] = shown;
        Err(AuthError::mismatch(credential.id, claim.signature)
            .with("StringToSign", text)
            .with("CanonicalRequest", canonical))
    })
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).into_owned()
}

fn attempt(
    head: &Head<'_>,
    credential: &Credential<'_>,
    claim: &Claim<'_>,
    ready: &Ready,
    scratch: &mut Scratch,
    raw: bool,
) -> Result<bool, AuthError> {
    let Scratch { canonical, text, pairs, .. } = scratch;
    canonical.clear();
    canonical.extend_from_slice(head.method.as_bytes());
    canonical.push(b'\n');
    if raw {
        canonical.extend_from_slice(head.path.as_bytes());
    } else {
        canonical::path(head.path, canonical);
    }
    canonical.push(b'\n');
    canonical::query(head.query, raw, pairs, canonical);
    canonical.push(b'\n');
    let covered = canonical::headers(head, claim.signed, true, canonical);
    if !covered.is_ok_and(|covered| canonical::all_signed(head, covered)) {
        refuse_fields(head, credential, claim)?;
    }
    for piece in ["\n", claim.signed, "\n", claim.payload] {
        canonical.extend_from_slice(piece.as_bytes());
    }
    text.clear();
    for piece in [ALGORITHM, "\n", claim.stamp, "\n", credential.scope, "\n"] {
        text.extend_from_slice(piece.as_bytes());
    }
    hexadecimal(digest::digest(&digest::SHA256, canonical).as_ref(), text);
    Ok(matches(&ready.signing, text, claim.signature))
}

/// Fields that are signed and not there, or there and not signed.
fn refuse_fields(
    head: &Head<'_>,
    credential: &Credential<'_>,
    claim: &Claim<'_>,
) -> Result<(), AuthError> {
    if let Some(name) = canonical::unsigned(head, claim.signed) {
        let message = "There were headers present in the request which were not signed";
        return Err(AuthError::denied(message).with("HeadersNotSigned", name.to_ascii_lowercase()));
    }
    if let Err(name) = canonical::headers(head, claim.signed, true, &mut Vec::new()) {
        let message = format!("The signed header {name:?} is not in the request.");
        return Err(AuthError::mismatch(credential.id, claim.signature).with("Reason", message));
    }
    Ok(())
}

/// Whether a text has this signature (64 lower-case hexadecimal digits).
pub(super) fn matches(key: &hmac::Key, text: &[u8], signature: &str) -> bool {
    hash(signature).is_some_and(|signature| hmac::verify(key, text, &signature).is_ok())
}

/// Appends bytes as lower-case hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8], into: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let at = into.len();
    into.resize(at + 2 * bytes.len(), 0);
    for (pair, byte) in into[at..].chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// 32 bytes out of 64 lower-case hexadecimal digits.
pub(super) fn hash(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let digits = text.as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}
