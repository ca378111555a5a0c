//! GetObjectLegalHold and PutObjectLegalHold: a version stays, whatever the time.

use object::mutation::Amendment;

use crate::s3::ask::Shared;
use crate::s3::error::{Code, Outcome};
use crate::s3::xml::Xml;
use crate::s3::{body, permit};
use crate::step::Step;

/// Tells it.
pub fn get(ask: &Shared) -> Outcome<Step> {
    let (_, version) = permit::holdable(ask)?;
    let hold = version.attributes.legal_hold.ok_or(Code::NoSuchObjectLockConfiguration)?;
    let document = Xml::document("LegalHold", |xml| {
        xml.plain("Status", if hold { "ON" } else { "OFF" });
    });
    ask.say(200).xml(document)
}

/// Says it.
pub fn put(ask: &Shared) -> Outcome<Step> {
    let (bucket, _) = permit::holdable(ask)?;
    Ok(body::xml(ask, move |ask, root| {
        let hold = match root.text_of("Status").map(str::trim) {
            _ if root.name != "LegalHold" => return Err(Code::MalformedXML.into()),
            Some("ON") => true,
            Some("OFF") => false,
            _ => return Err(Code::MalformedXML.into()),
        };
        super::amend(ask, &bucket, Amendment::LegalHold(hold), 200)
    }))
}
