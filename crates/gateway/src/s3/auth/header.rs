//! Version 4 in the `Authorization` header.

use model::Timestamp;

use super::refusal::AuthError;
use super::signing::{self, Claim, Credential};
use super::{Authenticated, Scheme, Settings, content, date};
use crate::accounts::Accounts;
use crate::step::Head;

/// `Credential=…, SignedHeaders=…, Signature=…`, in any order, with or without blanks.
fn parts(rest: &str) -> Result<[&str; 3], AuthError> {
    let names = ["Credential", "SignedHeaders", "Signature"];
    let mut found = [None; 3];
    for part in rest.split(',') {
        let pair = part.trim_ascii().split_once('=');
        let place =
            pair.and_then(|(name, _)| names.iter().position(|known| *known == name.trim_ascii()));
        let (Some((_, value)), Some(place)) = (pair, place) else {
            return Err(AuthError::header("The authorization header is malformed."));
        };
        if found[place].replace(value.trim_ascii()).is_some() {
            return Err(AuthError::header(format!("{} is there twice.", names[place])));
        }
    }
    let missing = |name: &str| {
        let needed = "The authorization header requires three components: Credential, \
                      SignedHeaders, and Signature.";
        AuthError::header(format!("{needed} {name} is missing."))
    };
    let [credential, signed, signature] = found;
    Ok([
        credential.ok_or_else(|| missing(names[0]))?,
        signed.ok_or_else(|| missing(names[1]))?,
        signature.ok_or_else(|| missing(names[2]))?,
    ])
}

/// The moment that a request says it is from: as it says it, and what is meant. Must be
/// of `x-amz-date`, or of `Date` where that is not there.
fn moment<'h>(head: &Head<'h>, now: Timestamp) -> Result<(&'h str, Timestamp), AuthError> {
    let missing =
        || AuthError::denied("AWS authentication requires a valid Date or x-amz-date header");
    let said = head.header("x-amz-date").or_else(|| head.header("date")).ok_or_else(missing)?;
    let at = date::basic(said).or_else(|| date::http(said)).ok_or_else(missing)?;
    if (at.micros() - now.micros()).abs() > date::SKEW {
        return Err(AuthError::skewed(said, now));
    }
    Ok((said, at))
}

pub(super) fn authenticate(
    head: &Head<'_>,
    rest: &str,
    accounts: &Accounts,
    settings: &Settings,
    now: Timestamp,
) -> Result<Authenticated, AuthError> {
    let [credential, signed, signature] = parts(rest)?;
    let credential = Credential::parse(credential, settings, |why| {
        AuthError::header(format!("The authorization header is malformed; {why}"))
    })?;
    let Some(said) = head.header("x-amz-content-sha256") else {
        let message = "Missing required header for this request: x-amz-content-sha256";
        return Err(AuthError::request(message));
    };
    let ready = signing::ready(&credential, head.header("x-amz-security-token"), accounts, now)?;
    let (stamp, at) = moment(head, now)?;
    // A request that has only `Date` signs the moment in the form of scopes.
    let basic;
    let stamp = if stamp.len() == 16 {
        stamp
    } else {
        basic = date::iso(at).replace(['-', ':'], "");
        &basic
    };
    if !stamp.starts_with(credential.day) {
        return Err(AuthError::header(format!(
            "The authorization header is malformed; Invalid credential date \"{}\". This date \
             is not the same as X-Amz-Date: \"{}\".",
            credential.day,
            &stamp[..8]
        )));
    }
    let claim = Claim { signed, signature, stamp, payload: said };
    signing::verify(head, &credential, &claim, &ready)?;
    let payload = content::payload(said, &claim, &credential, &ready.signing)?;
    Ok(Authenticated {
        key: Some(ready.key),
        scheme: Scheme::Header,
        version: 4,
        session: ready.session,
        age: now.since(at),
        payload,
    })
}
