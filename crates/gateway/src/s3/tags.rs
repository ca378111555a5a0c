//! Tags of buckets and objects: documents, the header `x-amz-tagging`, and what a tag
//! may be.

use super::error::{Code, Outcome};
use super::fields::decode_query;
use super::xml::{Element, Xml};

/// Tags.
pub type Tags = Vec<(Box<str>, Box<str>)>;

/// The most tags of an object.
pub const OBJECT_MOST: usize = 10;
/// The most tags of a bucket.
pub const BUCKET_MOST: usize = 50;

/// Checks tags, and puts them in order.
fn check(mut tags: Tags, most: usize) -> Outcome<Tags> {
    if tags.len() > most {
        let limit = if most == OBJECT_MOST {
            Code::InvalidTag.saying("Object tags cannot be greater than 10")
        } else {
            Code::InvalidTag.saying("Bucket tags cannot be greater than 50")
        };
        return Err(limit);
    }
    for (at, (name, value)) in tags.iter().enumerate() {
        if name.is_empty() || name.chars().count() > 128 {
            return Err(Code::InvalidTag.saying("The TagKey you have provided is invalid"));
        }
        if value.chars().count() > 256 {
            return Err(Code::InvalidTag.saying("The TagValue you have provided is invalid"));
        }
        if name.starts_with("aws:") {
            return Err(Code::InvalidTag.saying("System tags cannot be added/updated by requester"));
        }
        if tags[..at].iter().any(|(known, _)| known == name) {
            let text = "Cannot provide multiple Tags with the same key";
            return Err(Code::InvalidTag.saying(text));
        }
    }
    tags.sort();
    Ok(tags)
}

/// Reads the header: `name=value&…`, escaped.
///
/// # Errors
/// When there are too many, or one is none.
pub fn of_header(text: &str) -> Outcome<Tags> {
    let fields = decode_query(text)?;
    check(fields.iter().map(|(name, value)| (name.into(), value.into())).collect(), OBJECT_MOST)
}

/// Reads a document.
///
/// # Errors
/// When it is none, there are too many, or one is none.
pub fn of_document(root: &Element, most: usize) -> Outcome<Tags> {
    if root.name != "Tagging" {
        return Err(Code::MalformedXML.into());
    }
    of_set(root.child("TagSet").ok_or(Code::MalformedXML)?, most)
}

fn of_set(set: &Element, most: usize) -> Outcome<Tags> {
    let tags = set.all("Tag").map(|tag| {
        let name = tag.text_of("Key").ok_or(Code::MalformedXML)?;
        let value = tag.text_of("Value").ok_or(Code::MalformedXML)?;
        Ok((name.into(), value.into()))
    });
    check(tags.collect::<Outcome<Tags>>()?, most)
}

/// The document.
pub fn document(tags: &[(Box<str>, Box<str>)]) -> String {
    Xml::document("Tagging", |xml| {
        xml.element("TagSet", |xml| {
            for (name, value) in tags {
                xml.element("Tag", |xml| {
                    xml.leaf("Key", name);
                    xml.leaf("Value", value);
                });
            }
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_and_checked() {
        assert_eq!(
            of_header("a=1&b%20c").unwrap(),
            [("a".into(), "1".into()), ("b c".into(), "".into())]
        );
        assert_eq!(of_header("a=1&a=2").unwrap_err().code, Code::InvalidTag);
        assert_eq!(
            of_header(&format!("{}=1", "k".repeat(129))).unwrap_err().code,
            Code::InvalidTag
        );
        let many: String = (0..11).map(|number| format!("k{number}=v&")).collect();
        assert_eq!(of_header(&many).unwrap_err().code, Code::InvalidTag);
    }
}
