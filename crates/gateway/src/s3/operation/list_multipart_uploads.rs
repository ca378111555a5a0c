//! ListMultipartUploads: a page of the uploads that have begun.

use object::entry::CLASSES;
use object::mutation::UploadId;
use object::query::{Line, ListUploads, Page, Upload};

use super::list_objects::{MOST, Written, prefixes};
use crate::checksum;
use crate::s3::ask::{Ask, Shared, elsewhere};
use crate::s3::error::Outcome;
use crate::s3::header::{iso, number, parse_upload_id, upload_id};
use crate::s3::xml::Xml;
use crate::s3::{checksums, grants, permit};
use crate::step::Step;

/// Carries it out.
pub fn run(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    Ok(elsewhere(ask, move |ask| {
        let query = &ask.query;
        let list = ListUploads {
            prefix: query.get("prefix").unwrap_or("").to_owned(),
            delimiter: query.filled("delimiter").map(str::to_owned),
            after: after(ask)?,
            limit: number(query, "max-uploads", MOST)?.unwrap_or(MOST) as usize,
        };
        let written = Written::of(ask)?;
        let page = match list.limit {
            0 => Page { lines: Vec::new(), next: None },
            _ => ask.gate.store.snapshot().uploads(bucket.id, &list)?,
        };
        let document = Xml::document("ListMultipartUploadsResult", |xml| {
            xml.leaf("Bucket", bucket.name.as_str());
            written.leaf(xml, "KeyMarker", query.get("key-marker").unwrap_or(""));
            xml.leaf("UploadIdMarker", query.get("upload-id-marker").unwrap_or(""));
            if let Some((key, upload)) = &page.next {
                written.leaf(xml, "NextKeyMarker", key);
                let upload = upload.map(upload_id).unwrap_or_default();
                xml.plain("NextUploadIdMarker", upload);
            }
            written.leaf(xml, "Prefix", &list.prefix);
            written.maybe(xml, "Delimiter", list.delimiter.as_deref());
            xml.plain("MaxUploads", list.limit);
            written.tell(xml);
            xml.plain("IsTruncated", page.next.is_some());
            for line in &page.lines {
                if let Line::Item(one) = line {
                    upload(ask, xml, written, one);
                }
            }
            prefixes(xml, written, &page.lines);
        });
        ask.say(200).xml(document)
    }))
}

fn after(ask: &Ask) -> Outcome<Option<(String, Option<UploadId>)>> {
    let Some(key) = ask.query.filled("key-marker") else { return Ok(None) };
    let upload = ask.query.filled("upload-id-marker").map(parse_upload_id).transpose()?;
    Ok(Some((key.to_owned(), upload)))
}

fn upload(ask: &Ask, xml: &mut Xml, written: Written, upload: &Upload) {
    xml.element("Upload", |xml| {
        written.leaf(xml, "Key", upload.key.as_str());
        xml.plain("UploadId", upload_id(upload.id));
        if let Some(owner) = &upload.attributes.owner {
            grants::owner(ask, xml, "Initiator", owner);
            grants::owner(ask, xml, "Owner", owner);
        }
        xml.plain("StorageClass", CLASSES.get(usize::from(upload.class)).unwrap_or(&CLASSES[0]));
        xml.plain("Initiated", iso(upload.begun));
        if let Some((algorithm, coverage)) = upload.checksum {
            xml.plain("ChecksumAlgorithm", checksum::name(algorithm));
            xml.plain("ChecksumType", checksums::coverage_name(coverage));
        }
    });
}
