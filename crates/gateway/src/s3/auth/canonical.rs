//! The canonical form of a request that SigV4 signs, byte for byte.
//!
//! S3's rules: the path is percent-encoded once, per byte, slashes stay, nothing is
//! normalised; the query's names and values are encoded and sorted; header names are
//! lower-case, values have runs of blanks folded, and several values of a name are
//! joined by commas in the order they came.

use std::ops::Range;

use crate::step::Head;

/// Names and values of a query, as places in a buffer.
pub(super) type Pairs = Vec<(Range<usize>, Range<usize>)>;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// What stays as it is: letters, digits, `-`, `.`, `_`, `~`.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let at = byte as u8;
        plain[byte] = at.is_ascii_alphanumeric() || matches!(at, b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    plain
};

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|value| value as u8)
}

fn push(byte: u8, slash: bool, into: &mut Vec<u8>) {
    if PLAIN[usize::from(byte)] || (slash && byte == b'/') {
        into.push(byte);
    } else {
        let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
        into.extend_from_slice(&[b'%', HEX[high], HEX[low]]);
    }
}

/// Decodes and encodes anew. A per cent sign without two digits stands for itself.
fn encode(text: &str, path: bool, into: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        // Nearly everything stays as it is.
        let stays = |byte: &&u8| PLAIN[usize::from(**byte)] || (path && **byte == b'/');
        let run = bytes[at..].iter().take_while(stays).count();
        into.extend_from_slice(&bytes[at..at + run]);
        at += run;
        if at == bytes.len() {
            return;
        }
        let pair = || Some((digit(*bytes.get(at + 1)?)?, digit(*bytes.get(at + 2)?)?));
        match bytes[at] {
            b'%' if let Some((high, low)) = pair() => {
                push(high << 4 | low, path, into);
                at += 2;
            }
            b'+' if !path => push(b' ', false, into),
            byte => push(byte, path, into),
        }
        at += 1;
    }
}

/// The canonical path. An escaped slash becomes one: that is how S3 reads keys.
pub(super) fn path(path: &str, into: &mut Vec<u8>) {
    encode(path, true, into);
}

/// The canonical query, without the parameter that holds the signature itself.
pub(super) fn query(query: &str, raw: bool, pairs: &mut Pairs, into: &mut Vec<u8>) {
    if query.is_empty() {
        return;
    }
    // Encoded behind what is there, sorted by places, copied, and moved to the front.
    let start = into.len();
    pairs.clear();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name == "X-Amz-Signature" {
            continue;
        }
        let mut put = |text: &str| {
            let from = into.len();
            if raw {
                into.extend_from_slice(text.as_bytes())
            } else {
                encode(text, false, into)
            }
            from..into.len()
        };
        let name = put(name);
        pairs.push((name, put(value)));
    }
    pairs.sort_unstable_by(|a, b| {
        (&into[a.0.clone()], &into[a.1.clone()]).cmp(&(&into[b.0.clone()], &into[b.1.clone()]))
    });
    let sorted = into.len();
    for (at, (name, value)) in pairs.iter().enumerate() {
        if at > 0 {
            into.push(b'&');
        }
        into.extend_from_within(name.clone());
        into.push(b'=');
        into.extend_from_within(value.clone());
    }
    into.drain(start..sorted);
}

/// Appends a value without blanks around it, and with one space for each run of them.
pub(super) fn folded(value: &[u8], into: &mut Vec<u8>) {
    let value = value.trim_ascii();
    // Without a branch in it, so that many bytes are looked at together.
    let pairs = value.iter().zip(value.get(1..).unwrap_or_default());
    let runs = pairs.fold(false, |runs, (one, two)| runs | (*one == b' ' && *two == b' '));
    if !runs && !value.contains(&b'\t') {
        into.extend_from_slice(value);
        return;
    }
    let mut words =
        value.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    into.extend_from_slice(words.next().unwrap_or_default());
    for word in words {
        into.push(b' ');
        into.extend_from_slice(word);
    }
}

/// The names in a list of signed headers. As bytes: that is quicker, and every request has
/// some.
fn names(signed: &str) -> impl Iterator<Item = &[u8]> {
    signed.as_bytes().split(|byte| *byte == b';')
}

/// Which of a head's fields are signed: a bit for each.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Covered(u128);

/// Appends the canonical lines of these headers; the first name that is not there is
/// the error. Version 2 does not fold blanks inside values. Says which fields they are.
pub(super) fn headers<'s>(
    head: &Head<'_>,
    signed: &'s str,
    fold: bool,
    into: &mut Vec<u8>,
) -> Result<Covered, &'s str> {
    let (mut at, mut covered) = (0, 0);
    for name in names(signed) {
        let name = &signed[at..at + name.len()];
        at += name.len() + 1;
        into.extend_from_slice(name.as_bytes());
        into.push(b':');
        let mut found = false;
        for (number, (known, value)) in head.headers.iter().enumerate() {
            if known.len() == name.len() && known.eq_ignore_ascii_case(name) {
                covered |= bit(number);
                if found {
                    into.push(b',');
                }
                if fold {
                    folded(value, into);
                } else {
                    into.extend_from_slice(value.trim_ascii());
                }
                found = true;
            }
        }
        if !found {
            return Err(name);
        }
        into.push(b'\n');
    }
    Ok(Covered(covered))
}

/// Whether all is signed that must be: what [`unsigned`] says, sooner.
pub(super) fn all_signed(head: &Head<'_>, Covered(covered): Covered) -> bool {
    let mut host = false;
    for (number, (name, _)) in head.headers.iter().enumerate() {
        if covered & bit(number) != 0 {
            host |= name.eq_ignore_ascii_case("host");
        } else if is_amz(name) {
            return false;
        }
    }
    host
}

/// None for a field beyond those that a head may have.
fn bit(number: usize) -> u128 {
    u32::try_from(number).ok().and_then(|number| 1_u128.checked_shl(number)).unwrap_or(0)
}

fn is_amz(name: &str) -> bool {
    let begin = name.as_bytes().first_chunk::<6>();
    begin.is_some_and(|begin| begin.eq_ignore_ascii_case(b"x-amz-"))
}

/// The first header that must be signed and is not: `host` and all `x-amz-*`.
pub(super) fn unsigned<'h>(head: &Head<'h>, signed: &str) -> Option<&'h str> {
    let covered = |name: &str| {
        let name = name.as_bytes();
        names(signed).any(|known| known.len() == name.len() && known.eq_ignore_ascii_case(name))
    };
    if !covered("host") {
        return Some("host");
    }
    let mut names = head.headers.iter().map(|(name, _)| *name);
    names.find(|name| is_amz(name) && !covered(name))
}
