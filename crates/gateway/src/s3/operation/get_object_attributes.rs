//! GetObjectAttributes: what is known of a version, without its content.

use object::entry::{CLASSES, PartInfo, Version};

use crate::s3::ask::{Ask, Shared};
use crate::s3::auth::CustomerKeyOf;
use crate::s3::error::{Outcome, invalid};
use crate::s3::header::{etag, http_date};
use crate::s3::xml::Xml;
use crate::s3::{checksums, permit, reading};
use crate::step::Step;

const KNOWN: [&str; 5] = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"];
/// The most parts of a page.
const MOST: usize = 1000;

/// Carries it out.
pub fn run(ask: &Shared) -> Outcome<Step> {
    let (bucket, version) = permit::version(ask, &ask.gate.store.snapshot())?;
    reading::key(ask, &version, CustomerKeyOf::Object)?;
    let wanted = wanted(ask)?;
    let page = page(ask)?;
    let entry = &version.entry;
    let parts = usize::from(entry.tag.parts);
    let document = Xml::document("GetObjectAttributesResponse", |xml| {
        for name in wanted {
            match name {
                "ETag" => xml.leaf("ETag", etag(&entry.tag).trim_matches('"')),
                "Checksum" => {
                    if let Some(checksum) = &version.attributes.checksum {
                        xml.element("Checksum", |xml| {
                            checksums::leaves(xml, Some(checksum), parts)
                        });
                    }
                }
                "ObjectParts" if parts > 0 => {
                    xml.element("ObjectParts", |xml| tell_parts(xml, &version, page));
                }
                "StorageClass" => {
                    let class = CLASSES.get(usize::from(entry.class)).unwrap_or(&CLASSES[0]);
                    xml.plain("StorageClass", class);
                }
                "ObjectSize" => xml.plain("ObjectSize", entry.size),
                _ => {}
            }
        }
    });
    ask.say(200)
        .header("Last-Modified", http_date(entry.modified))
        .maybe("x-amz-version-id", super::get_object::told(&bucket, &version))
        .xml(document)
}

/// The names that are asked for, in the order of the schema.
fn wanted(ask: &Ask) -> Outcome<Vec<&'static str>> {
    let name = "x-amz-object-attributes";
    let mut asked = Vec::new();
    for (_, value) in ask.headers.iter().filter(|(known, _)| *known == name) {
        for one in value.split(',').map(str::trim) {
            let known = KNOWN.iter().find(|known| **known == one);
            asked.push(
                *known.ok_or_else(|| invalid(name, one, "Invalid attribute name specified."))?,
            );
        }
    }
    if asked.is_empty() {
        let message = "The x-amz-object-attributes header specifying the attributes to be \
                       retrieved is either missing or empty";
        return Err(invalid(name, "", message));
    }
    Ok(KNOWN.iter().copied().filter(|known| asked.contains(known)).collect())
}

/// After which part, and how many.
fn page(ask: &Ask) -> Outcome<(u16, usize)> {
    let number = |name: &'static str, most: usize| match ask.header(name) {
        None => Ok(None),
        Some(text) => match text.parse::<usize>() {
            Ok(number) => Ok(Some(number.min(most))),
            Err(_) => Err(invalid(name, text, "Argument must be an integer")),
        },
    };
    let after = number("x-amz-part-number-marker", 10_000)?.unwrap_or(0);
    Ok((after as u16, number("x-amz-max-parts", MOST)?.unwrap_or(MOST)))
}

fn tell_parts(xml: &mut Xml, version: &Version, (after, most): (u16, usize)) {
    let all = &version.attributes.parts;
    let left: Vec<&PartInfo> = all.iter().filter(|part| part.number > after).collect();
    let page = &left[..left.len().min(most)];
    xml.plain("PartsCount", all.len());
    xml.plain("PartNumberMarker", after);
    if let Some(last) = page.last() {
        xml.plain("NextPartNumberMarker", last.number);
    }
    xml.plain("MaxParts", most);
    xml.plain("IsTruncated", page.len() < left.len());
    for part in page {
        xml.element("Part", |xml| {
            xml.plain("PartNumber", part.number);
            xml.plain("Size", part.size);
            checksums::leaf(xml, part.checksum.as_ref());
        });
    }
}
