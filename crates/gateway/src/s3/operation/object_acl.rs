//! GetObjectAcl and PutObjectAcl.

use object::bucket::Ownership;
use object::mutation::Amendment;

use crate::s3::ask::Shared;
use crate::s3::error::{Code, Outcome};
use crate::s3::{body, grants, permit, xml};
use crate::step::Step;

/// Tells the grants.
pub fn get(ask: &Shared) -> Outcome<Step> {
    let (bucket, version) = permit::version(ask, &ask.gate.store.snapshot())?;
    let owner = version.attributes.owner.as_ref().unwrap_or(&bucket.owner);
    let say = ask.say(200).maybe("x-amz-version-id", super::get_object::told(&bucket, &version));
    say.xml(grants::document(ask, owner, &version.attributes.grants))
}

/// Replaces the grants: by a header or a document.
pub fn put(ask: &Shared) -> Outcome<Step> {
    let (bucket, version) = permit::version(ask, &ask.gate.store.snapshot())?;
    Ok(body::document(ask, move |ask, bytes| {
        let owner = version.attributes.owner.clone().unwrap_or_else(|| bucket.owner.clone());
        let said = grants::of_headers(ask, &ask.headers, &owner, Some(&bucket.owner))?;
        let empty = bytes.iter().all(u8::is_ascii_whitespace);
        let new = match (said, empty) {
            (Some(_), false) => return Err(Code::UnexpectedContent.into()),
            (Some(said), true) => said,
            (None, true) => return Err(Code::MissingSecurityHeader.into()),
            (None, false) => {
                let root = xml::parse(&bytes).map_err(|_| Code::MalformedACLError)?;
                grants::of_document(ask, &root, &owner)?
            }
        };
        if bucket.config.ownership == Some(Ownership::BucketOwnerEnforced) {
            return Err(Code::AccessControlListNotSupported.into());
        }
        grants::check_block(bucket.config.public_access_block.as_ref(), &new)?;
        super::amend(ask, &bucket, Amendment::Grants(new), 200)
    }))
}
