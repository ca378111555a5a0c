//! CopyObject: a new version from the content of another.

use object::bucket::Bucket;
use object::condition::Verdict;
use object::entry::{Tag, Version};
use object::mutation::{Mutation, Put, Reply, Which};
use object::store::Snapshot;
use object::{BucketName, Key};
use std::sync::Arc;

use crate::checksum::Expected;
use crate::s3::ask::{Ask, Shared, commit, elsewhere};
use crate::s3::auth::{CustomerKeyOf, Trailers};
use crate::s3::body::{MOST_BYTES, Sink, Stored};
use crate::s3::draft::{self, Draft};
use crate::s3::error::{Code, Failure, Outcome, invalid};
use crate::s3::fields::decode_path;
use crate::s3::header::{conditions, etag, iso, which, write_conditions};
use crate::s3::xml::Xml;
use crate::s3::{checksums, permit, reading, tags};
use crate::step::Step;

/// The source of a copy.
pub struct Source {
    /// Its bucket.
    pub bucket: Arc<Bucket>,
    /// The version.
    pub version: Version,
    /// It was named with a version.
    pub named: bool,
}

/// What a request names as its source: bucket, key, version.
fn named(ask: &Ask) -> Outcome<(String, Key, Option<Which>)> {
    let text = ask.header("x-amz-copy-source").unwrap_or("");
    let message = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey";
    let wrong = || invalid("x-amz-copy-source", text, message);
    let (path, version) = match text.split_once("?versionId=") {
        Some((path, version)) => (path, Some(version)),
        None => (text, None),
    };
    let path = decode_path(path)?;
    let (bucket, key) =
        path.strip_prefix('/').unwrap_or(&path).split_once('/').ok_or_else(wrong)?;
    let key = Key::new(key).map_err(|_| wrong())?;
    Ok((bucket.to_owned(), key, which(version)?))
}

/// Finds the source that a request names, checks that it may be read, and the
/// conditions on it.
///
/// # Errors
/// When it is not there, or may not be read, or a condition does not hold.
pub fn source(ask: &Ask, snapshot: &Snapshot<'_>) -> Outcome<Source> {
    let (bucket, key, which) = named(ask)?;
    let name = BucketName::new(&bucket).map_err(|_| Code::InvalidBucketName)?;
    let bucket = snapshot.bucket(&name).ok_or(Code::NoSuchBucket)?;
    if ask
        .header("x-amz-source-expected-bucket-owner")
        .is_some_and(|owner| *owner != *bucket.owner.0)
    {
        return Err(Code::AccessDenied.into());
    }
    let found = snapshot.version(bucket.id, &key, which.unwrap_or(Which::Current))?;
    let Some(version) = found else {
        permit::source_absent(ask, &bucket, &key)?;
        return Err(super::get_object::absent(ask, which));
    };
    permit::source(ask, &bucket, &version, which.is_some())?;
    if version.entry.delete_marker {
        let failure: Box<Failure> = match which {
            None => Code::NoSuchKey.into(),
            Some(_) => Code::InvalidRequest
                .saying("The source of a copy request may not specifically refer to a delete marker by version id."),
        };
        return Err(failure);
    }
    let judged = conditions(&ask.headers, "x-amz-copy-source-").judge_read(&version.entry);
    if judged != Verdict::Holds {
        return Err(Code::PreconditionFailed.into());
    }
    Ok(Source { bucket, version, named: which.is_some() })
}

/// Carries it out.
pub fn run(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::write(ask, &ask.gate.store.snapshot())?;
    ask.key()?;
    Ok(elsewhere(ask, move |ask| {
        let _pin = ask.gate.store.pin();
        let source = source(ask, &ask.gate.store.snapshot())?;
        let (draft, changed) = target(ask, &bucket, &source)?;
        refuse_itself(ask, &bucket, &source, changed)?;
        if source.version.entry.size > MOST_BYTES {
            return Err(Code::InvalidRequest.saying(
                "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120",
            ));
        }
        let opened = reading::key(ask, &source.version, CustomerKeyOf::CopySource)?;
        let kept = source.version.attributes.checksum.as_ref().map(|checksum| checksum.algorithm);
        let algorithm = checksums::wanted(&ask.headers)?.or(kept);
        let size = source.version.entry.size;
        let expected = algorithm.map_or_else(Expected::default, |one| Expected::default().or(one));
        let wanted = expected.wanted(true);
        let mut sink = Sink::new(&ask.gate, draft.key.as_ref(), wanted, Some(size));
        let range = 0..size;
        reading::copy(&ask.gate, &source.version, opened, range, &mut |bytes| sink.take(bytes))?;
        let stored = sink.verified(&expected, &Trailers::default())?;
        Ok(record(ask, &bucket, &source, draft, stored))
    }))
}

fn record(ask: &Shared, bucket: &Bucket, source: &Source, draft: Draft, stored: Stored) -> Step {
    let Stored { body, size, md5, checksum, .. } = stored;
    let mut attributes = draft.attributes;
    attributes.checksum = checksum;
    let put = Put {
        bucket: bucket.name.clone(),
        key: Key::new(&ask.key).expect("it was checked when the request began"),
        size,
        tag: Tag { md5, parts: 0 },
        class: draft.class,
        attributes,
        body,
        conditions: write_conditions(&ask.headers),
    };
    let from = super::get_object::told(&source.bucket, &source.version);
    commit(ask, Mutation::Put(Box::new(put)), move |ask, reply| {
        let Reply::Put { tag, modified, checksum, .. } = &reply else {
            return Err(Code::InternalError.into());
        };
        let document = Xml::document("CopyObjectResult", |xml| {
            xml.plain("LastModified", iso(*modified));
            xml.leaf("ETag", &etag(tag));
            checksums::leaves(xml, checksum.as_ref(), 0);
        });
        let say = ask.say(200).maybe("x-amz-copy-source-version-id", from);
        super::put_object::told(ask, say, &reply)?.xml(document)
    })
}

/// What the new version will be, and whether that differs from the source.
fn target(ask: &Ask, bucket: &Bucket, source: &Source) -> Outcome<(Draft, bool)> {
    let mut draft = Draft::of(ask, &ask.headers, bucket)?;
    let from = &source.version;
    let replaces = match ask.header("x-amz-metadata-directive") {
        None | Some("COPY") => false,
        Some("REPLACE") => true,
        Some(other) => {
            return Err(invalid("x-amz-metadata-directive", other, "Unknown metadata directive."));
        }
    };
    if !replaces {
        let location = "x-amz-website-redirect-location";
        let moved = ask.header(location).map(|value| (location.into(), value.into()));
        draft.attributes.headers = from.attributes.headers.clone();
        draft.attributes.headers.retain(|(name, _)| **name != *location);
        draft.attributes.headers.extend(moved);
        draft.attributes.metadata = from.attributes.metadata.clone();
    }
    let tags = match ask.header("x-amz-tagging-directive") {
        None | Some("COPY") => from.attributes.tags.clone(),
        Some("REPLACE") => {
            ask.header("x-amz-tagging").map(tags::of_header).transpose()?.unwrap_or_default()
        }
        Some(other) => {
            return Err(invalid("x-amz-tagging-directive", other, "Unknown tagging directive."));
        }
    };
    draft.attributes.tags = tags;
    let class = draft::class(&ask.headers)?;
    let changed = replaces
        || class.is_some_and(|class| class != from.entry.class)
        || ask.header("x-amz-website-redirect-location").is_some()
        || ask.header("x-amz-tagging-directive") == Some("REPLACE")
        || draft.attributes.sealing.is_some()
        || from.attributes.sealing.is_some();
    Ok((draft, changed))
}

fn refuse_itself(ask: &Ask, bucket: &Bucket, source: &Source, changed: bool) -> Outcome<()> {
    let same = bucket.id == source.bucket.id && source.version.key.as_str() == ask.key;
    if same && !changed && !source.named {
        return Err(Code::InvalidRequest.saying(
            "This copy request is illegal because it is trying to copy an object to itself \
             without changing the object's metadata, storage class, website redirect location \
             or encryption attributes.",
        ));
    }
    Ok(())
}
