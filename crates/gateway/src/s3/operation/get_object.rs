//! GetObject and HeadObject: a version's content, or a range or part of it, with
//! everything that is kept of it.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use object::bucket::{Bucket, Versioning};
use object::condition::Verdict;
use object::entry::{CLASSES, INLINE_BYTES, Retention, Version};
use object::mutation::Which;
use object::store::Pin;

use super::object_lock_configuration::mode_name;
use crate::s3::ask::{Ask, Say, Shared, elsewhere};
use crate::s3::auth::CustomerKeyOf;
use crate::s3::error::{Code, Failure, Outcome, invalid};
use crate::s3::header::{conditions, etag, http_date, iso, range, told_version, version_id};
use crate::s3::{checksums, draft, lifecycle, permit, reading};
use crate::sealing::BodyKey;
use crate::step::{Plan, Step, Stored};

/// Beyond the content: head and attributes of a record.
const INLINE_MOST: u32 = INLINE_BYTES as u32 + 8 * 1024;

/// A version that was found, and what is needed to tell it.
struct Found {
    bucket: std::sync::Arc<Bucket>,
    version: Version,
    body: Option<Bytes>,
    pin: Pin,
}

/// Carries it out. With `ask.bare` it is HeadObject.
pub fn run(ask: &Shared) -> Outcome<Step> {
    let found = find(ask)?;
    check_conditions(ask, &found)?;
    if let Some(scheme) = ask.headers.get("x-amz-server-side-encryption") {
        let message = "x-amz-server-side-encryption header is not supported for this operation.";
        return Err(invalid("x-amz-server-side-encryption", scheme, message));
    }
    let (range, partial) = wanted(ask, &found.version)?;
    let key = reading::key(ask, &found.version, CustomerKeyOf::Object)?;
    let mut say = ask.say(if partial { 206 } else { 200 });
    say = facts(ask, say, &found);
    if partial {
        let size = found.version.entry.size;
        say = say.header("Content-Range", content_range(&range, size));
    }
    say = overrides(ask, say, &found.version)?;
    if ask.bare {
        return say.body(Plan::Length(range.end - range.start));
    }
    content(ask, say, found, key, range)
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1))
}

fn find(ask: &Shared) -> Outcome<Found> {
    let pin = ask.gate.store.pin();
    let snapshot = ask.gate.store.snapshot();
    let bucket = ask.bucket(&snapshot)?;
    let which = ask.which()?;
    let key = ask.key()?;
    let at = which.unwrap_or(Which::Current);
    let found = if ask.bare {
        snapshot.version(bucket.id, &key, at)?.map(|version| (version, None))
    } else {
        snapshot.version_and_body(bucket.id, &key, at, INLINE_MOST)?
    };
    let Some((version, body)) = found else {
        permit::absent(ask, &bucket, &ask.key)?;
        return Err(absent(ask, which));
    };
    permit::object(ask, &bucket, Some(&version))?;
    if version.entry.delete_marker {
        return Err(marker(&version, which));
    }
    Ok(Found { bucket, version, body, pin })
}

/// Nothing is there.
pub fn absent(ask: &Ask, which: Option<Which>) -> Box<Failure> {
    let failure: Box<Failure> = match which {
        None | Some(Which::Current) => {
            let failure: Box<Failure> = Code::NoSuchKey.into();
            failure.header("x-amz-delete-marker", "false")
        }
        Some(_) => Code::NoSuchVersion.into(),
    };
    failure.with("Key", ask.key.clone())
}

/// What is there is a delete marker.
pub fn marker(version: &Version, which: Option<Which>) -> Box<Failure> {
    let id = told_version(version.entry.sequence, version.entry.null);
    let failure: Box<Failure> = match which {
        None | Some(Which::Current) => Code::NoSuchKey.into(),
        Some(_) => {
            let failure: Box<Failure> = Code::MethodNotAllowed.into();
            failure.header("Allow", "DELETE")
        }
    };
    failure
        .with("Key", version.key.as_str())
        .header("x-amz-delete-marker", "true")
        .header("x-amz-version-id", id)
        .header("Last-Modified", http_date(version.entry.modified))
}

fn check_conditions(ask: &Ask, found: &Found) -> Outcome<()> {
    let entry = &found.version.entry;
    match conditions(&ask.headers, "").judge_read(entry) {
        Verdict::Holds => Ok(()),
        Verdict::NotModified => {
            let failure: Box<Failure> = Code::NotModified.into();
            let failure = failure
                .header("ETag", etag(&entry.tag))
                .header("Last-Modified", http_date(entry.modified));
            Err(
                match found
                    .version
                    .attributes
                    .headers
                    .iter()
                    .find(|(name, _)| **name == *"cache-control")
                {
                    Some((_, value)) => failure.header("Cache-Control", value.to_string()),
                    None => failure,
                },
            )
        }
        Verdict::Failed | Verdict::Missing => Err(Code::PreconditionFailed.into()),
    }
}

/// Which bytes are wanted, and whether that is said as a part of the whole.
fn wanted(ask: &Ask, version: &Version) -> Outcome<(Range<u64>, bool)> {
    let size = version.entry.size;
    if let Some(text) = ask.query.get("partNumber") {
        return part(text, version).map(|range| (range, true));
    }
    let asked = ask.header("range").and_then(range).filter(|_| if_range(ask, version));
    match asked {
        None => Ok((0..size, false)),
        Some(asked) => match asked.of(size) {
            Some(range) => Ok((range, true)),
            None => {
                let failure: Box<Failure> = Code::InvalidRange.into();
                Err(failure
                    .with("RangeRequested", ask.header("range").unwrap_or(""))
                    .with("ActualObjectSize", size.to_string())
                    .header("Content-Range", format!("bytes */{size}")))
            }
        },
    }
}

/// `If-Range`: the range is of the version that the client has (RFC 9110, 13.1.5).
fn if_range(ask: &Ask, version: &Version) -> bool {
    match ask.header("if-range") {
        None => true,
        Some(text) if text.contains('"') => text.trim() == etag(&version.entry.tag),
        Some(text) => text.trim() == http_date(version.entry.modified),
    }
}

fn part(text: &str, version: &Version) -> Outcome<Range<u64>> {
    let number = text.parse::<u16>().ok().filter(|number| (1..=10_000).contains(number));
    let message = "Part number must be an integer between 1 and 10000, inclusive";
    let number = number.ok_or_else(|| invalid("partNumber", text, message))?;
    let parts = &version.attributes.parts;
    if parts.is_empty() {
        return match number {
            1 => Ok(0..version.entry.size),
            _ => Err(Code::InvalidPart.into()),
        };
    }
    let mut begin = 0;
    for (at, part) in parts.iter().enumerate() {
        // Clients count the parts of what is there, whatever their numbers were.
        if at + 1 == usize::from(number) {
            return Ok(begin..begin + part.size);
        }
        begin += part.size;
    }
    Err(Code::InvalidPart.into())
}

/// Everything that is told of a version.
fn facts(ask: &Ask, mut say: Say, found: &Found) -> Say {
    let (version, bucket) = (&found.version, &found.bucket);
    let (entry, attributes) = (&version.entry, &version.attributes);
    say = say
        .header("Last-Modified", http_date(entry.modified))
        .header("ETag", etag(&entry.tag))
        .header("Accept-Ranges", "bytes");
    for (name, value) in &attributes.metadata {
        say = say.header(format!("x-amz-meta-{name}"), value.to_string());
    }
    if bucket.config.versioning != Versioning::Off {
        say = say.header("x-amz-version-id", told_version(entry.sequence, entry.null));
    }
    if entry.class != 0 {
        say = say.maybe("x-amz-storage-class", CLASSES.get(usize::from(entry.class)).copied());
    }
    for (name, value) in draft::told_sealing(attributes.sealing.as_ref()) {
        say = say.header(name, value);
    }
    if !attributes.tags.is_empty() {
        say = say.header("x-amz-tagging-count", attributes.tags.len().to_string());
    }
    if let Some(Retention { mode, until }) = attributes.retention {
        say = say
            .header("x-amz-object-lock-mode", mode_name(mode))
            .header("x-amz-object-lock-retain-until-date", iso(until));
    }
    if let Some(hold) = attributes.legal_hold {
        say = say.header("x-amz-object-lock-legal-hold", if hold { "ON" } else { "OFF" });
    }
    if ask.query.has("partNumber") && !attributes.parts.is_empty() {
        say = say.header("x-amz-mp-parts-count", attributes.parts.len().to_string());
    }
    let expires = lifecycle::expires(&bucket.config.lifecycle, version);
    checksum(ask, say, version).maybe("x-amz-expiration", expires)
}

/// The checksum of the whole or of the part that is asked for.
fn checksum(ask: &Ask, say: Say, version: &Version) -> Say {
    let wanted =
        ask.header("range").is_none() && ask.header("x-amz-checksum-mode") == Some("ENABLED");
    let Some(whole) = version.attributes.checksum.as_ref().filter(|_| wanted) else {
        return say;
    };
    let parts = &version.attributes.parts;
    let number = ask.query.get("partNumber").and_then(|text| text.parse::<usize>().ok());
    let told = match number.filter(|_| !parts.is_empty()) {
        None => Some(checksums::header(whole, parts.len())),
        Some(number) => {
            let part = parts.get(number.wrapping_sub(1));
            part.and_then(|part| part.checksum.as_ref()).map(|one| checksums::header(one, 0))
        }
    };
    let Some((name, value)) = told else { return say };
    say.header(name, value).header("x-amz-checksum-type", checksums::coverage_name(whole.coverage))
}

/// Kept headers, or what the query wants instead of them.
fn overrides(ask: &Ask, mut say: Say, version: &Version) -> Outcome<Say> {
    const NAMES: [(&str, &str, &str); 7] = [
        ("content-type", "response-content-type", "Content-Type"),
        ("content-language", "response-content-language", "Content-Language"),
        ("expires", "response-expires", "Expires"),
        ("cache-control", "response-cache-control", "Cache-Control"),
        ("content-disposition", "response-content-disposition", "Content-Disposition"),
        ("content-encoding", "response-content-encoding", "Content-Encoding"),
        ("x-amz-website-redirect-location", "", "x-amz-website-redirect-location"),
    ];
    let anonymous = ask.sender.account().is_none();
    for (kept, query, name) in NAMES {
        let wanted = ask.query.filled(query);
        if wanted.is_some() && anonymous {
            return Err(Code::InvalidRequest.saying(
                "Request specific response headers cannot be used for anonymous GET requests.",
            ));
        }
        let kept = version.attributes.headers.iter().find(|(known, _)| **known == *kept);
        let value: Option<Cow<'static, str>> = match (wanted, kept) {
            (Some(wanted), _) => Some(printable(wanted).into()),
            (None, Some((_, value))) => Some(value.to_string().into()),
            (None, None) if kept.is_none() && name == "Content-Type" => {
                Some("binary/octet-stream".into())
            }
            (None, None) => None,
        };
        say = say.maybe(name, value);
    }
    Ok(say)
}

/// A header cannot hold control characters.
fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).collect()
}

fn content(
    ask: &Shared,
    say: Say,
    found: Found,
    key: Option<BodyKey>,
    range: Range<u64>,
) -> Outcome<Step> {
    if range.is_empty() {
        return say.body(Plan::Bytes(Bytes::new()));
    }
    let Found { version, body, pin, .. } = found;
    if let Some(body) = body {
        keep_place(ask, &version, key.is_some(), &range);
        let bytes = reading::from_memory(&version, key, range, &body)?;
        return say.body(Plan::Bytes(bytes));
    }
    if reading::is_verified(&ask.gate, &version) {
        return say.body(reading::from_files(&ask.gate, &version, key, range, pin)?);
    }
    Ok(elsewhere(ask, move |ask| {
        let plan = reading::from_files(&ask.gate, &version, key, range, pin)?;
        say.body(plan)
    }))
}

/// Remembers where the whole of an object lies that is neither sealed nor in parts: its
/// next reader need not look for it.
fn keep_place(ask: &Ask, version: &Version, sealed: bool, range: &Range<u64>) {
    let entry = &version.entry;
    let [extent] = version.extents.as_slice() else { return };
    let [sum] = extent.sums.as_slice() else { return };
    let whole = *range == (0..entry.size) && extent.length == entry.size;
    let (Ok(length), false, true, 0) =
        (u32::try_from(extent.length), sealed, whole, entry.tag.parts)
    else {
        return;
    };
    let _ = ask.stored.set(Stored {
        segment: extent.segment,
        offset: extent.offset,
        length,
        sum: *sum,
        md5: entry.tag.md5,
        modified: entry.modified.micros().div_euclid(1_000_000),
    });
}

/// The name of a version, when its bucket keeps versions.
pub fn told(bucket: &Bucket, version: &Version) -> Option<String> {
    let entry = &version.entry;
    match bucket.config.versioning {
        Versioning::Off => None,
        _ if entry.null => Some("null".to_owned()),
        _ => Some(version_id(entry.sequence)),
    }
}
