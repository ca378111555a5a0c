//! Values of headers and queries, read and written: dates, entity tags, ranges,
//! conditions, names of versions and uploads.

use model::Timestamp;
use object::condition::{Conditions, TagMatch};
use object::entry::{Sequence, Tag};
use object::mutation::{UploadId, Which};

use super::error::{Code, Outcome, invalid};
use super::fields::Fields;

/// Bytes as hexadecimal text.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// Hexadecimal text as bytes.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |at: u8| char::from(at).to_digit(16);
        *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    Some(bytes)
}

/// An entity tag with its quotes.
pub fn etag(tag: &Tag) -> String {
    match tag.parts {
        0 => format!("\"{}\"", hex(&tag.md5)),
        parts => format!("\"{}-{parts}\"", hex(&tag.md5)),
    }
}

/// One entity tag, with or without quotes.
pub fn parse_etag(text: &str) -> TagMatch {
    let text = text.trim();
    if text == "*" {
        return TagMatch::Any;
    }
    let text = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
    let (md5, parts) = text.split_once('-').unwrap_or((text, "0"));
    match (unhex(md5), parts.parse()) {
        (Some(md5), Ok(parts)) => TagMatch::Is(Tag { md5, parts }),
        _ => TagMatch::Foreign,
    }
}

fn etags(text: Option<&str>) -> Vec<TagMatch> {
    text.into_iter().flat_map(|text| text.split(',').map(parse_etag)).collect()
}

/// A version's name.
pub fn version_id(sequence: Sequence) -> String {
    format!("{:016x}", sequence.0)
}

/// A version's name, as it is told: `null` for the null version.
pub fn told_version(sequence: Sequence, null: bool) -> String {
    if null { "null".to_owned() } else { version_id(sequence) }
}

fn sequence(text: &str) -> Option<Sequence> {
    unhex::<8>(text).map(|bytes| Sequence(u64::from_be_bytes(bytes)))
}

/// Which version a query means.
///
/// # Errors
/// When it is no name of a version.
pub fn which(version: Option<&str>) -> Outcome<Option<Which>> {
    match version {
        None => Ok(None),
        Some("null") => Ok(Some(Which::Null)),
        Some(text) => match sequence(text) {
            Some(sequence) => Ok(Some(Which::At(sequence))),
            None => Err(invalid("versionId", text, "Invalid version id specified")),
        },
    }
}

/// An upload's name, as it is told.
pub fn upload_id(id: UploadId) -> String {
    version_id(id.0)
}

/// Which upload a name means.
///
/// # Errors
/// When it is no name of an upload.
pub fn parse_upload_id(text: &str) -> Outcome<UploadId> {
    sequence(text).map(UploadId).ok_or_else(|| Code::NoSuchUpload.into())
}

/// A moment as S3's documents write it: `2026-01-31T12:00:00.000Z`.
pub fn iso(at: Timestamp) -> String {
    crate::http::date::iso(at)
}

/// A moment as HTTP's headers write it.
pub fn http_date(at: Timestamp) -> String {
    crate::http::date::http_date(at)
}

/// A moment of ISO 8601: with an offset, or a day alone.
pub fn parse_iso(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let parsed = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })?;
    Some(Timestamp::from_micros(parsed.as_microsecond()))
}

/// A moment of HTTP, or of ISO 8601, which some clients send.
pub fn parse_date(text: &str) -> Option<Timestamp> {
    let parsed = jiff::fmt::rfc2822::parse(text.trim()).ok();
    parsed
        .map(|zoned| Timestamp::from_micros(zoned.timestamp().as_microsecond()))
        .or_else(|| parse_iso(text))
}

/// The conditions of a request. `prefix`: before the names (copies have
/// `x-amz-copy-source-`).
pub fn conditions(headers: &Fields, prefix: &str) -> Conditions {
    let get = |name: &str| headers.get(&format!("{prefix}{name}"));
    Conditions {
        matches: etags(get("if-match")),
        none_matches: etags(get("if-none-match")),
        modified_since: get("if-modified-since").and_then(parse_date),
        unmodified_since: get("if-unmodified-since").and_then(parse_date),
        modified_at: None,
        size: None,
    }
}

/// The conditions of a write. Only those by tag are known there.
pub fn write_conditions(headers: &Fields) -> Conditions {
    let all = conditions(headers, "");
    Conditions { matches: all.matches, none_matches: all.none_matches, ..Conditions::default() }
}

/// A range that is asked for (RFC 9110, section 14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// From a byte, to a byte with it or to the end.
    From(u64, Option<u64>),
    /// So many at the end.
    Last(u64),
}

/// Reads a `Range`. Several ranges, other units and nonsense are as if there was none.
pub fn range(text: &str) -> Option<Range> {
    let (first, last) = text.trim().strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    match (first.is_empty(), last.is_empty()) {
        (true, true) => None,
        (true, false) => last.parse().ok().map(Range::Last),
        (false, true) => first.parse().ok().map(|first| Range::From(first, None)),
        (false, false) => {
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            (first <= last).then_some(Range::From(first, Some(last)))
        }
    }
}

impl Range {
    /// The bytes of a content of this length; none when it has none of them.
    pub fn of(self, size: u64) -> Option<std::ops::Range<u64>> {
        match self {
            Range::From(first, last) => {
                let end = last.map_or(size, |last| last.saturating_add(1).min(size));
                (first < size).then_some(first..end)
            }
            Range::Last(count) => (count > 0 && size > 0).then(|| size.saturating_sub(count)..size),
        }
    }
}

/// A number in a query, within bounds.
///
/// # Errors
/// When it is none, or is outside.
pub fn number(fields: &Fields, name: &'static str, most: u32) -> Outcome<Option<u32>> {
    match fields.filled(name) {
        None => Ok(None),
        Some(text) => match text.parse::<i64>() {
            Ok(number @ 0..=0x7fff_ffff) => {
                Ok(Some(u32::try_from(number).unwrap_or(most).min(most)))
            }
            Ok(_) => {
                Err(invalid(name, text, "Argument must be an integer between 0 and 2147483647"))
            }
            Err(_) => {
                Err(invalid(name, text, "Provided argument not an integer or within integer range"))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_and_written() {
        let tag = Tag { md5: [0xab; 16], parts: 3 };
        assert_eq!(parse_etag(&etag(&tag)), TagMatch::Is(tag));
        assert_eq!(parse_etag("*"), TagMatch::Any);
        assert_eq!(parse_etag("\"nonsense\""), TagMatch::Foreign);
        assert_eq!(parse_etag("\"é\""), TagMatch::Foreign);
    }

    #[test]
    fn versions_are_read_and_written() {
        assert_eq!(which(Some(&version_id(Sequence(77)))).unwrap(), Some(Which::At(Sequence(77))));
        assert_eq!(which(Some("null")).unwrap(), Some(Which::Null));
        assert_eq!(which(Some("x")).unwrap_err().code, Code::InvalidArgument);
        assert_eq!(parse_upload_id("nope").unwrap_err().code, Code::NoSuchUpload);
    }

    #[test]
    fn dates_are_read_and_written() {
        let at = Timestamp::from_micros(784_111_777_123_456);
        assert_eq!(iso(at), "1994-11-06T08:49:37.123Z");
        assert_eq!(parse_iso("1994-11-06T08:49:37.123456Z"), Some(at));
        assert_eq!(parse_iso("1994-11-06"), parse_iso("1994-11-06T00:00:00Z"));
        let second = Timestamp::from_micros(784_111_777_000_000);
        assert_eq!(parse_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(second));
        assert_eq!(parse_date("yesterday"), None);
    }

    #[test]
    fn ranges_are_cut_to_the_content() {
        assert_eq!(range("bytes=4-7").unwrap().of(100), Some(4..8));
        assert_eq!(range("bytes=4-").unwrap().of(6), Some(4..6));
        assert_eq!(range("bytes=-7").unwrap().of(5), Some(0..5));
        assert_eq!(range("bytes=5-7").unwrap().of(5), None);
        assert_eq!(range("bytes=-0").unwrap().of(5), None);
        assert_eq!(range("bytes=0-18446744073709551615").unwrap().of(5), Some(0..5));
        for nonsense in ["bytes=7-4", "items=1-2", "bytes=-", "bytes=1-2,4-5", "x"] {
            assert_eq!(range(nonsense), None, "{nonsense}");
        }
    }
}
