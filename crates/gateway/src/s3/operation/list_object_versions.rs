//! ListObjectVersions: a page of all versions and delete markers of a bucket.

use object::entry::Sequence;
use object::mutation::Which;
use object::query::{Line, ListVersions, Listed, Page};

use super::list_objects::{MOST, Written, facts, prefixes};
use crate::s3::ask::{Ask, Shared, elsewhere};
use crate::s3::error::{Outcome, invalid};
use crate::s3::header::{iso, number, told_version, version_id, which};
use crate::s3::xml::Xml;
use crate::s3::{grants, permit};
use crate::step::Step;

/// Carries it out.
pub fn run(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    Ok(elsewhere(ask, move |ask| {
        let query = &ask.query;
        let list = ListVersions {
            prefix: query.get("prefix").unwrap_or("").to_owned(),
            delimiter: query.filled("delimiter").map(str::to_owned),
            after: after(ask, bucket.id)?,
            limit: number(query, "max-keys", MOST)?.unwrap_or(MOST) as usize,
        };
        let written = Written::of(ask)?;
        let page = match list.limit {
            0 => Page { lines: Vec::new(), next: None },
            _ => ask.gate.store.snapshot().versions(bucket.id, &list)?,
        };
        let document = Xml::document("ListVersionsResult", |xml| {
            xml.leaf("Name", bucket.name.as_str());
            written.leaf(xml, "Prefix", &list.prefix);
            written.leaf(xml, "KeyMarker", query.get("key-marker").unwrap_or(""));
            xml.leaf("VersionIdMarker", query.get("version-id-marker").unwrap_or(""));
            xml.plain("MaxKeys", list.limit);
            written.maybe(xml, "Delimiter", list.delimiter.as_deref());
            written.tell(xml);
            xml.plain("IsTruncated", page.next.is_some());
            if let Some((key, version)) = &page.next {
                written.leaf(xml, "NextKeyMarker", key);
                if let Some(version) = version {
                    xml.plain("NextVersionIdMarker", last_version(&page, *version));
                }
            }
            for line in &page.lines {
                if let Line::Item(listed) = line {
                    version(ask, xml, written, listed);
                }
            }
            prefixes(xml, written, &page.lines);
        });
        ask.say(200).xml(document)
    }))
}

/// The name of the version that a page ends with.
fn last_version<N>(page: &Page<Listed, N>, sequence: Sequence) -> String {
    match page.lines.last() {
        Some(Line::Item(listed)) if listed.entry.sequence == sequence => {
            told_version(sequence, listed.entry.null)
        }
        _ => version_id(sequence),
    }
}

fn after(ask: &Ask, bucket: object::BucketId) -> Outcome<Option<(String, Option<Sequence>)>> {
    let query = &ask.query;
    let Some(key) = query.filled("key-marker") else {
        return match query.filled("version-id-marker") {
            None => Ok(None),
            Some(text) => Err(invalid(
                "version-id-marker",
                text,
                "A version-id marker cannot be specified without a key marker.",
            )),
        };
    };
    let version = match which(query.filled("version-id-marker"))? {
        None | Some(Which::Current) => None,
        Some(Which::At(sequence)) => Some(sequence),
        Some(Which::Null) => {
            let found = ask.gate.store.snapshot().entry(bucket, key, Which::Null)?;
            found.map(|entry| entry.sequence)
        }
    };
    Ok(Some((key.to_owned(), version)))
}

fn version(ask: &Ask, xml: &mut Xml, written: Written, listed: &Listed) {
    let entry = &listed.entry;
    let element = if entry.delete_marker { "DeleteMarker" } else { "Version" };
    xml.element(element, |xml| {
        written.leaf(xml, "Key", listed.key.as_str());
        xml.plain("VersionId", told_version(entry.sequence, entry.null));
        xml.plain("IsLatest", listed.latest);
        if entry.delete_marker {
            xml.plain("LastModified", iso(entry.modified));
        } else {
            facts(xml, listed);
        }
        if let Some(owner) = &listed.owner {
            grants::owner(ask, xml, "Owner", owner);
        }
    });
}
