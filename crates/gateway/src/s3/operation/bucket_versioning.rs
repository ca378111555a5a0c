//! GetBucketVersioning and PutBucketVersioning.

use object::bucket::Versioning;
use object::mutation::ConfigChange;

use crate::s3::ask::Shared;
use crate::s3::error::{Code, Outcome};
use crate::s3::xml::Xml;
use crate::s3::{body, permit};
use crate::step::Step;

/// Tells whether versions are kept.
pub fn get(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    let status = match bucket.config.versioning {
        Versioning::Off => None,
        Versioning::On => Some("Enabled"),
        Versioning::Suspended => Some("Suspended"),
    };
    let document = Xml::document("VersioningConfiguration", |xml| xml.maybe("Status", status));
    ask.say(200).xml(document)
}

/// Says whether versions are kept.
pub fn put(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    Ok(body::xml(ask, move |ask, root| {
        let versioning = match root.text_of("Status").map(str::trim) {
            _ if root.name != "VersioningConfiguration" => return Err(Code::MalformedXML.into()),
            Some("Enabled") => Versioning::On,
            Some("Suspended") => Versioning::Suspended,
            _ => return Err(Code::IllegalVersioningConfigurationException.into()),
        };
        if versioning == Versioning::Suspended && bucket.config.lock.is_some() {
            return Err(Code::InvalidBucketState.saying(
                "An Object Lock configuration is present on this bucket, so the versioning \
                 state cannot be changed.",
            ));
        }
        super::configure(ask, ConfigChange::Versioning(versioning), 200)
    }))
}
