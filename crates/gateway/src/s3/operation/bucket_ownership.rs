//! GetBucketOwnershipControls, PutBucketOwnershipControls,
//! DeleteBucketOwnershipControls: whose the objects are that others write.

use object::bucket::Ownership;
use object::mutation::ConfigChange;

use crate::s3::ask::Shared;
use crate::s3::error::{Code, Outcome};
use crate::s3::xml::Xml;
use crate::s3::{body, grants, permit};
use crate::step::Step;

const NAMES: [(&str, Ownership); 3] = [
    ("BucketOwnerEnforced", Ownership::BucketOwnerEnforced),
    ("BucketOwnerPreferred", Ownership::BucketOwnerPreferred),
    ("ObjectWriter", Ownership::ObjectWriter),
];

/// By name.
pub fn parse(name: &str) -> Option<Ownership> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, ownership)| *ownership)
}

/// Tells it.
pub fn get(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    let ownership = bucket.config.ownership.ok_or(Code::OwnershipControlsNotFoundError)?;
    let name = NAMES.iter().find(|(_, known)| *known == ownership).map_or("", |(name, _)| name);
    let document = Xml::document("OwnershipControls", |xml| {
        xml.element("Rule", |xml| xml.plain("ObjectOwnership", name));
    });
    ask.say(200).xml(document)
}

/// Says it.
pub fn put(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    Ok(body::xml(ask, move |ask, root| {
        let rule = root.child("Rule").filter(|_| root.name == "OwnershipControls");
        let name = rule.and_then(|rule| rule.text_of("ObjectOwnership"));
        let ownership = name.and_then(|name| parse(name.trim())).ok_or(Code::MalformedXML)?;
        if ownership == Ownership::BucketOwnerEnforced
            && grants::open_to_others(&bucket.config.grants, &bucket.owner)
        {
            return Err(Code::InvalidBucketAclWithObjectOwnership.into());
        }
        super::configure(ask, ConfigChange::Ownership(Some(ownership)), 200)
    }))
}

/// Takes it away.
pub fn delete(ask: &Shared) -> Outcome<Step> {
    permit::bucket(ask, &ask.gate.store.snapshot())?;
    super::configure(ask, ConfigChange::Ownership(None), 204)
}
