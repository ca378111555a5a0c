//! CompleteMultipartUpload: the parts become a version.

use object::Reply;
use object::bucket::{Bucket, Versioning};
use object::condition::TagMatch;
use object::entry::{Checksum, Coverage, Version};
use object::mutation::{Complete, Mutation, Which};

use super::upload_part;
use crate::s3::ask::{Ask, Shared, commit};
use crate::s3::error::{Code, Failure, Outcome, invalid};
use crate::s3::header::{etag, parse_etag, write_conditions};
use crate::s3::xml::{self, Element, Xml};
use crate::s3::{body, checksums, permit};
use crate::step::Step;

/// No part but the last may be shorter.
const LEAST: u64 = 5 << 20;
/// The most parts.
const MOST: usize = 10_000;

/// Number, MD5, and checksum when it is said.
type Named = (u16, [u8; 16], Option<Checksum>);

/// Carries it out.
pub fn run(ask: &Shared) -> Outcome<Step> {
    let snapshot = ask.gate.store.snapshot();
    let bucket = permit::write(ask, &snapshot)?;
    Ok(body::document(ask, move |ask, bytes| {
        let upload = super::upload(ask, &ask.gate.store.snapshot(), bucket.id);
        let root = xml::parse(&bytes).map_err(|_| Code::MalformedXML)?;
        if root.name != "CompleteMultipartUpload" {
            return Err(Code::MalformedXML.into());
        }
        let parts = root.all("Part").map(part).collect::<Outcome<Vec<_>>>();
        let (key, upload) = match upload {
            Ok(found) => found,
            Err(failure) => return completed(ask, &bucket, &parts.unwrap_or_default(), failure),
        };
        let parts = parts?;
        upload_part::seal(ask, upload.attributes.sealing.as_ref())?;
        if parts.is_empty() || parts.len() > MOST {
            return Err(Code::MalformedXML.into());
        }
        let complete = Complete {
            bucket: bucket.name.clone(),
            key,
            upload: upload.id,
            parts,
            checksum: said(ask)?,
            size: size(ask)?,
            least: LEAST,
            conditions: write_conditions(&ask.headers),
        };
        Ok(commit(ask, Mutation::CompleteUpload(Box::new(complete)), |ask, reply| {
            told(ask, &reply)
        }))
    }))
}

/// The upload is not there. When the object is there that it made, this request was
/// sent before, and its answer did not arrive: it is told again.
fn completed(ask: &Ask, bucket: &Bucket, parts: &[Named], failure: Box<Failure>) -> Outcome<Step> {
    let version = ask.gate.store.snapshot().version(bucket.id, &ask.key()?, Which::Current)?;
    let Some(version) = version.filter(|version| made_of(version, parts)) else {
        return Err(failure);
    };
    let Version { entry, attributes, .. } = version;
    let reply = Reply::Put {
        sequence: entry.sequence,
        null: entry.null,
        versioned: bucket.config.versioning != Versioning::Off,
        tag: entry.tag,
        modified: entry.modified,
        checksum: attributes.checksum,
        sealing: attributes.sealing,
        size: entry.size,
    };
    told(ask, &reply)
}

fn made_of(version: &Version, parts: &[Named]) -> bool {
    let there = version.attributes.parts.iter().map(|part| (part.number, part.md5));
    !parts.is_empty() && there.eq(parts.iter().map(|(number, md5, _)| (*number, *md5)))
}

fn told(ask: &Ask, reply: &Reply) -> Outcome<Step> {
    let Reply::Put { tag, checksum, .. } = reply else { return Err(Code::InternalError.into()) };
    let host = ask.header("host").unwrap_or("");
    let document = Xml::document("CompleteMultipartUploadResult", |xml| {
        let scheme = if ask.peer.tls { "https" } else { "http" };
        xml.leaf("Location", &format!("{scheme}://{host}/{}/{}", ask.bucket, ask.key));
        xml.leaf("Bucket", &ask.bucket);
        xml.leaf("Key", &ask.key);
        xml.leaf("ETag", &etag(tag));
        checksums::leaves(xml, checksum.as_ref(), usize::from(tag.parts));
    });
    super::put_object::told(ask, ask.say(200), reply)?.xml(document)
}

fn part(element: &Element) -> Outcome<Named> {
    let number = element.text_of("PartNumber").and_then(|text| text.trim().parse().ok());
    let number: u16 = number.ok_or(Code::MalformedXML)?;
    let tag = element.text_of("ETag").ok_or(Code::MalformedXML)?;
    let md5 = match parse_etag(tag) {
        TagMatch::Is(tag) if tag.parts == 0 => tag.md5,
        _ => return Err(Code::InvalidPart.into()),
    };
    Ok((number, md5, checksums::said_in(element)?))
}

/// The whole's checksum, as the client says it.
fn said(ask: &Ask) -> Outcome<Option<Checksum>> {
    let mut said = checksums::said(&ask.headers)?;
    if let Some(said) = &mut said {
        match ask.header("x-amz-checksum-type") {
            Some("FULL_OBJECT") => said.coverage = Coverage::Whole,
            Some("COMPOSITE") => said.coverage = Coverage::Composite,
            _ => {}
        }
    }
    Ok(said)
}

fn size(ask: &Ask) -> Outcome<Option<u64>> {
    let name = "x-amz-mp-object-size";
    match ask.header(name) {
        None => Ok(None),
        Some(text) => match text.parse() {
            Ok(size) => Ok(Some(size)),
            Err(_) => Err(invalid(name, text, "Value for x-amz-mp-object-size header is invalid.")),
        },
    }
}
