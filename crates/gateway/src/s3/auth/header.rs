//! Version 4 in the `Authorization` header.

use std::cell::RefCell;
use std::ops::Range;

use model::Timestamp;

use super::refusal::AuthError;
use super::signing::{self, Claim, Credential};
use super::{Authenticated, Scheme, Settings, content, cut, date, pieces};
use crate::accounts::Accounts;
use crate::step::Head;

/// `Credential=…, SignedHeaders=…, Signature=…`, in any order, with or without blanks.
fn parts(rest: &str) -> Result<[&str; 3], AuthError> {
    let names = ["Credential", "SignedHeaders", "Signature"];
    let mut found = [None; 3];
    for part in pieces(rest, b',') {
        let pair = cut(part.trim_ascii(), b'=');
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

/// A header, taken apart.
struct Parts<'a> {
    credential: Credential<'a>,
    signed: &'a str,
    signature: &'a str,
}

/// A header up to its signature, as it came last on this thread, and where its parts are.
/// Clients say the same in each request, but for the signature.
struct Recent {
    text: Box<str>,
    settings: Settings,
    credential: [Range<usize>; 5],
    signed: Range<usize>,
}

thread_local! {
    static RECENT: RefCell<Option<Recent>> = const { RefCell::new(None) };
}

/// Digits of a signature.
const DIGITS: usize = 64;

impl Recent {
    /// What is to be remembered of a header; none when its signature is not at its end.
    fn of(rest: &str, parts: &Parts<'_>, settings: &Settings) -> Option<Self> {
        let text = rest.strip_suffix(parts.signature).filter(|_| is_signature(parts.signature))?;
        let place = |part: &str| {
            let from = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
            (from + part.len() <= text.len()).then(|| from..from + part.len())
        };
        let Credential { whole, id, day, region, scope } = parts.credential;
        let [whole, id, day, region, scope] = [whole, id, day, region, scope].map(place);
        Some(Self {
            text: text.into(),
            settings: settings.clone(),
            credential: [whole?, id?, day?, region?, scope?],
            signed: place(parts.signed)?,
        })
    }

    /// The parts of a header that differs in its signature only.
    fn parts<'a>(&self, rest: &'a str, settings: &Settings) -> Option<Parts<'a>> {
        let signature = rest.strip_prefix(&*self.text).filter(|text| is_signature(text))?;
        let [whole, id, day, region, scope] = self.credential.clone().map(|place| &rest[place]);
        let credential = Credential { whole, id, day, region, scope };
        let signed = &rest[self.signed.clone()];
        (self.settings == *settings).then_some(Parts { credential, signed, signature })
    }
}

/// What looks like a signature, and like nothing else that a header may end with.
fn is_signature(text: &str) -> bool {
    // Without a branch in it, so that many bytes are looked at together.
    let digits =
        text.bytes().fold(true, |all, byte| all & matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    digits && text.len() == DIGITS
}

fn taken_apart<'a>(rest: &'a str, settings: &Settings) -> Result<Parts<'a>, AuthError> {
    RECENT.with_borrow_mut(|recent| {
        if let Some(parts) = recent.as_ref().and_then(|recent| recent.parts(rest, settings)) {
            return Ok(parts);
        }
        let [credential, signed, signature] = parts(rest)?;
        let credential = Credential::parse(credential, settings, |why| {
            AuthError::header(format!("The authorization header is malformed; {why}"))
        })?;
        let parts = Parts { credential, signed, signature };
        *recent = Recent::of(rest, &parts, settings);
        Ok(parts)
    })
}

/// The first value of a name, when that is there; and when it is text.
type Value<'h> = Option<Option<&'h str>>;

/// What a head says about its signature, found in one pass.
#[derive(Default)]
struct Said<'h> {
    amz_date: Value<'h>,
    date: Value<'h>,
    content: Value<'h>,
    token: Value<'h>,
}

impl<'h> Said<'h> {
    fn of(head: &Head<'h>) -> Self {
        let mut said = Self::default();
        for (name, value) in head.headers {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            let place = match name.len() {
                4 if is("date") => &mut said.date,
                10 if is("x-amz-date") => &mut said.amz_date,
                20 if is("x-amz-content-sha256") => &mut said.content,
                20 if is("x-amz-security-token") => &mut said.token,
                _ => continue,
            };
            place.get_or_insert_with(|| std::str::from_utf8(value).ok());
        }
        said
    }
}

/// The moment that a request says it is from: as it says it, and what is meant. Must be
/// of `x-amz-date`, or of `Date` where that is not there.
fn moment<'h>(said: &Said<'h>, now: Timestamp) -> Result<(&'h str, Timestamp), AuthError> {
    let missing =
        || AuthError::denied("AWS authentication requires a valid Date or x-amz-date header");
    let said = said.amz_date.flatten().or(said.date.flatten()).ok_or_else(missing)?;
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
    let Parts { credential, signed, signature } = taken_apart(rest, settings)?;
    let fields = Said::of(head);
    let Some(said) = fields.content.flatten() else {
        let message = "Missing required header for this request: x-amz-content-sha256";
        return Err(AuthError::request(message));
    };
    let ready = signing::ready(&credential, fields.token.flatten(), accounts, now)?;
    let (stamp, at) = moment(&fields, now)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(rest: &str, settings: &Settings) -> Result<[String; 7], String> {
        let told = |parts: Parts<'_>| {
            let Credential { whole, id, day, region, scope } = parts.credential;
            [whole, id, day, region, scope, parts.signed, parts.signature].map(str::to_owned)
        };
        taken_apart(rest, settings).map(told).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn a_header_means_the_same_whatever_came_before_it() {
        let (one, other) = ("a".repeat(DIGITS), "0b".repeat(DIGITS / 2));
        let credential = "Credential=KEY/20130524/us-east-1/s3/aws4_request";
        let begin = format!("{credential}, SignedHeaders=host;x-amz-date, Signature=");
        let strict = Settings { strict_region: true, region: "eu".into(), ..Settings::default() };
        let texts = [
            format!("{begin}{one}"),
            format!("{begin}{other}"),
            format!("{begin} {other} "),
            format!("{begin}{}", &one[1..]),
            format!("{begin}{}", one.to_uppercase()),
            format!("{begin}{},Signature={}", &one[..20], &one[..33]),
            format!("{begin}{one},Signature={one}"),
            format!("Signature={one},{credential},SignedHeaders=host"),
            format!("{credential},SignedHeaders={one},Signature={one}"),
            format!("{credential}, SignedHeaders=host;x-amz-date"),
            String::new(),
        ];
        let fresh = |text: &str, settings: &Settings| {
            RECENT.with_borrow_mut(|recent| *recent = None);
            seen(text, settings)
        };
        for settings in [Settings::default(), strict] {
            for text in &texts {
                let wanted = fresh(text, &settings);
                for before in &texts {
                    for known in [&Settings::default(), &settings] {
                        let _ = fresh(before, known);
                        assert_eq!(seen(text, &settings), wanted, "{before} then {text}");
                    }
                }
            }
        }
        assert!(fresh(&texts[0], &Settings::default()).is_ok());
    }
}
