//! GetObjectRetention and PutObjectRetention: until when a version is held.

use object::entry::Retention;
use object::mutation::Amendment;

use super::object_lock_configuration::{mode, mode_name};
use crate::s3::ask::Shared;
use crate::s3::error::{Code, Outcome};
use crate::s3::header::{iso, parse_iso};
use crate::s3::xml::Xml;
use crate::s3::{body, permit};
use crate::step::Step;

/// Tells it.
pub fn get(ask: &Shared) -> Outcome<Step> {
    let (_, version) = permit::holdable(ask)?;
    let retention = version.attributes.retention.ok_or(Code::NoSuchObjectLockConfiguration)?;
    let document = Xml::document("Retention", |xml| {
        xml.plain("Mode", mode_name(retention.mode));
        xml.plain("RetainUntilDate", iso(retention.until));
    });
    ask.say(200).xml(document)
}

/// Says it.
pub fn put(ask: &Shared) -> Outcome<Step> {
    let (bucket, _) = permit::holdable(ask)?;
    Ok(body::xml(ask, move |ask, root| {
        if root.name != "Retention" {
            return Err(Code::MalformedXML.into());
        }
        let retention = match (root.text_of("Mode"), root.text_of("RetainUntilDate")) {
            (None, None) => None,
            (Some(said), Some(until)) => {
                let mode = mode(said.trim()).ok_or(Code::MalformedXML)?;
                let until = parse_iso(until).ok_or(Code::MalformedXML)?;
                if until <= ask.now {
                    let message = "The retain until date must be in the future!";
                    return Err(Code::InvalidArgument.saying(message));
                }
                Some(Retention { mode, until })
            }
            _ => return Err(Code::MalformedXML.into()),
        };
        let bypass = permit::bypass(ask, &bucket)?;
        super::amend(ask, &bucket, Amendment::Retention { retention, bypass }, 200)
    }))
}
