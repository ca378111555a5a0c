//! ListParts: a page of the parts of an upload.

use object::entry::CLASSES;
use object::query::{Line, Page, Part};

use crate::checksum;
use crate::s3::ask::{Shared, elsewhere};
use crate::s3::error::{Code, Outcome};
use crate::s3::header::{hex, iso, number, upload_id};
use crate::s3::xml::Xml;
use crate::s3::{checksums, grants, permit};
use crate::step::Step;

/// The most of a page.
const MOST: u32 = 1000;

/// Carries it out.
pub fn run(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    Ok(elsewhere(ask, move |ask| {
        let query = &ask.query;
        let most = number(query, "max-parts", MOST)?.unwrap_or(MOST) as usize;
        let after = number(query, "part-number-marker", u32::from(u16::MAX))?.unwrap_or(0);
        let after = u16::try_from(after).unwrap_or(u16::MAX);
        let snapshot = ask.gate.store.snapshot();
        let (_, upload) = super::upload(ask, &snapshot, bucket.id)?;
        let page = match most {
            0 => Page { lines: Vec::new(), next: None },
            _ => snapshot.parts(upload.id, after, most)?,
        };
        let owner = upload.attributes.owner.as_ref().ok_or(Code::InternalError)?;
        let document = Xml::document("ListPartsResult", |xml| {
            xml.leaf("Bucket", bucket.name.as_str());
            xml.leaf("Key", upload.key.as_str());
            xml.plain("UploadId", upload_id(upload.id));
            xml.plain("PartNumberMarker", after);
            if let Some(next) = page.next {
                xml.plain("NextPartNumberMarker", next);
            }
            xml.plain("MaxParts", most);
            xml.plain("IsTruncated", page.next.is_some());
            if let Some((algorithm, coverage)) = upload.checksum {
                xml.plain("ChecksumAlgorithm", checksum::name(algorithm));
                xml.plain("ChecksumType", checksums::coverage_name(coverage));
            }
            for line in &page.lines {
                if let Line::Item(one) = line {
                    part(xml, one);
                }
            }
            grants::owner(ask, xml, "Initiator", owner);
            grants::owner(ask, xml, "Owner", owner);
            let class = CLASSES.get(usize::from(upload.class)).unwrap_or(&CLASSES[0]);
            xml.plain("StorageClass", class);
        });
        ask.say(200).xml(document)
    }))
}

fn part(xml: &mut Xml, part: &Part) {
    xml.element("Part", |xml| {
        xml.plain("PartNumber", part.info.number);
        xml.plain("LastModified", iso(part.modified));
        xml.leaf("ETag", &format!("\"{}\"", hex(&part.info.md5)));
        xml.plain("Size", part.info.size);
        checksums::leaf(xml, part.info.checksum.as_ref());
    });
}
