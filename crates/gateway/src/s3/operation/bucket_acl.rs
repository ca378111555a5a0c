//! GetBucketAcl and PutBucketAcl.

use object::bucket::Ownership;
use object::mutation::ConfigChange;

use crate::s3::ask::Shared;
use crate::s3::error::{Code, Outcome};
use crate::s3::{body, grants, permit, xml};
use crate::step::Step;

/// Tells the grants.
pub fn get(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    ask.say(200).xml(grants::document(ask, &bucket.owner, &bucket.config.grants))
}

/// Replaces the grants: by a header or a document.
pub fn put(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    Ok(body::document(ask, move |ask, bytes| {
        let config = &bucket.config;
        let said = grants::of_headers(ask, &ask.headers, &bucket.owner, None)?;
        let empty = bytes.iter().all(u8::is_ascii_whitespace);
        let new = match (said, empty) {
            (Some(_), false) => return Err(Code::UnexpectedContent.into()),
            (Some(said), true) => said,
            (None, true) => {
                return Err(Code::MissingSecurityHeader
                    .saying("Your request was missing a required header"));
            }
            (None, false) => {
                let root = xml::parse(&bytes).map_err(|_| Code::MalformedACLError)?;
                grants::of_document(ask, &root, &bucket.owner)?
            }
        };
        if config.ownership == Some(Ownership::BucketOwnerEnforced) {
            return Err(Code::AccessControlListNotSupported.into());
        }
        grants::check_block(config.public_access_block.as_ref(), &new)?;
        super::configure(ask, ConfigChange::Grants(new), 200)
    }))
}
