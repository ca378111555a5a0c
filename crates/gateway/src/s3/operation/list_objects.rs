//! ListObjects and ListObjectsV2: a page of the current versions of a bucket.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use object::entry::{Algorithm, CLASSES, Coverage};
use object::query::{Line, ListKeys, Listed, Page};

use crate::checksum as sums;
use crate::s3::ask::{Ask, Shared, elsewhere};
use crate::s3::error::{Outcome, invalid};
use crate::s3::fields::escape;
use crate::s3::header::{etag, iso, number};
use crate::s3::xml::Xml;
use crate::s3::{checksums, grants, permit};
use crate::step::Step;

/// The most of a page.
pub const MOST: u32 = 1000;

/// How names are written in a list.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    url: bool,
}

impl Written {
    /// What the query asks for.
    ///
    /// # Errors
    /// When it asks for another way than the one there is.
    pub fn of(ask: &Ask) -> Outcome<Self> {
        match ask.query.filled("encoding-type") {
            None => Ok(Self { url: false }),
            Some("url") => Ok(Self { url: true }),
            Some(other) => {
                Err(invalid("encoding-type", other, "Invalid Encoding Method specified in Request"))
            }
        }
    }

    /// A name.
    pub fn leaf(self, xml: &mut Xml, element: &str, name: &str) {
        if self.url {
            xml.leaf(element, &escape(name));
        } else {
            xml.leaf(element, name);
        }
    }

    /// A name, when there is one.
    pub fn maybe(self, xml: &mut Xml, element: &str, name: Option<&str>) {
        if let Some(name) = name {
            self.leaf(xml, element, name);
        }
    }

    /// Says how names are written.
    pub fn tell(self, xml: &mut Xml) {
        if self.url {
            xml.plain("EncodingType", "url");
        }
    }
}

struct Request {
    written: Written,
    list: ListKeys,
}

fn request(ask: &Ask, after: Option<String>) -> Outcome<Request> {
    let query = &ask.query;
    let limit = number(query, "max-keys", MOST)?.unwrap_or(MOST) as usize;
    let list = ListKeys {
        prefix: query.get("prefix").unwrap_or("").to_owned(),
        delimiter: query.filled("delimiter").map(str::to_owned),
        after,
        limit,
    };
    Ok(Request { written: Written::of(ask)?, list })
}

fn page(ask: &Ask, bucket: object::BucketId, list: &ListKeys) -> Outcome<Page<Listed, String>> {
    if list.limit == 0 {
        return Ok(Page { lines: Vec::new(), next: None });
    }
    Ok(ask.gate.store.snapshot().keys(bucket, list)?)
}

/// The first version of the list.
pub fn v1(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    Ok(elsewhere(ask, move |ask| {
        let marker = ask.query.filled("marker").map(str::to_owned);
        let Request { written, list } = request(ask, marker)?;
        let page = page(ask, bucket.id, &list)?;
        let document = Xml::document("ListBucketResult", |xml| {
            xml.leaf("Name", bucket.name.as_str());
            // Clients decode all of this list but the prefix.
            xml.leaf("Prefix", &list.prefix);
            written.leaf(xml, "Marker", ask.query.get("marker").unwrap_or(""));
            xml.plain("MaxKeys", list.limit);
            written.maybe(xml, "Delimiter", list.delimiter.as_deref());
            written.tell(xml);
            xml.plain("IsTruncated", page.next.is_some());
            if list.delimiter.is_some() {
                written.maybe(xml, "NextMarker", page.next.as_deref());
            }
            lines(ask, xml, written, &page.lines, true);
        });
        ask.say(200).xml(document)
    }))
}

/// The second version.
pub fn v2(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    Ok(elsewhere(ask, move |ask| {
        let query = &ask.query;
        let token = query.filled("continuation-token").map(open_token).transpose()?;
        let after = token.or_else(|| query.filled("start-after").map(str::to_owned));
        let Request { written, list } = request(ask, after)?;
        let page = page(ask, bucket.id, &list)?;
        let owners = query.get("fetch-owner") == Some("true");
        let document = Xml::document("ListBucketResult", |xml| {
            xml.leaf("Name", bucket.name.as_str());
            written.leaf(xml, "Prefix", &list.prefix);
            written.maybe(xml, "StartAfter", query.get("start-after"));
            xml.maybe("ContinuationToken", query.get("continuation-token"));
            xml.plain("KeyCount", page.lines.len());
            xml.plain("MaxKeys", list.limit);
            written.maybe(xml, "Delimiter", list.delimiter.as_deref());
            written.tell(xml);
            xml.plain("IsTruncated", page.next.is_some());
            if let Some(next) = &page.next {
                xml.plain("NextContinuationToken", BASE64.encode(next));
            }
            lines(ask, xml, written, &page.lines, owners);
        });
        ask.say(200).xml(document)
    }))
}

fn open_token(token: &str) -> Outcome<String> {
    let opened = BASE64.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let message = "The continuation token provided is incorrect";
    opened.ok_or_else(|| invalid("continuation-token", token, message))
}

fn lines(ask: &Ask, xml: &mut Xml, written: Written, lines: &[Line<Listed>], owners: bool) {
    for line in lines {
        if let Line::Item(listed) = line {
            xml.element("Contents", |xml| {
                written.leaf(xml, "Key", listed.key.as_str());
                facts(xml, listed);
                if let Some(owner) = listed.owner.as_ref().filter(|_| owners) {
                    grants::owner(ask, xml, "Owner", owner);
                }
            });
        }
    }
    prefixes(xml, written, lines);
}

/// The folded prefixes of a page.
pub fn prefixes<T>(xml: &mut Xml, written: Written, lines: &[Line<T>]) {
    for line in lines {
        if let Line::Prefix(prefix) = line {
            xml.element("CommonPrefixes", |xml| written.leaf(xml, "Prefix", prefix));
        }
    }
}

/// What a list says of a version.
pub fn facts(xml: &mut Xml, listed: &Listed) {
    let entry = &listed.entry;
    xml.plain("LastModified", iso(entry.modified));
    xml.leaf("ETag", &etag(&entry.tag));
    if let Some((algorithm, coverage)) = entry.checksum {
        checksum(xml, algorithm, coverage);
    }
    xml.plain("Size", entry.size);
    xml.plain("StorageClass", CLASSES.get(usize::from(entry.class)).unwrap_or(&CLASSES[0]));
}

fn checksum(xml: &mut Xml, algorithm: Algorithm, coverage: Coverage) {
    xml.plain("ChecksumAlgorithm", sums::name(algorithm));
    xml.plain("ChecksumType", checksums::coverage_name(coverage));
}
