//! GetObjectTagging, PutObjectTagging, DeleteObjectTagging.

use object::mutation::Amendment;

use crate::s3::ask::Shared;
use crate::s3::error::Outcome;
use crate::s3::{body, permit, tags};
use crate::step::Step;

/// Tells the tags.
pub fn get(ask: &Shared) -> Outcome<Step> {
    let (bucket, version) = permit::version(ask, &ask.gate.store.snapshot())?;
    let say = ask.say(200).maybe("x-amz-version-id", super::get_object::told(&bucket, &version));
    say.xml(tags::document(&version.attributes.tags))
}

/// Replaces the tags.
pub fn put(ask: &Shared) -> Outcome<Step> {
    let (bucket, _) = permit::version(ask, &ask.gate.store.snapshot())?;
    Ok(body::xml(ask, move |ask, root| {
        let tags = tags::of_document(&root, tags::OBJECT_MOST)?;
        super::amend(ask, &bucket, Amendment::Tags(tags), 200)
    }))
}

/// Takes the tags away.
pub fn delete(ask: &Shared) -> Outcome<Step> {
    let (bucket, _) = permit::version(ask, &ask.gate.store.snapshot())?;
    super::amend(ask, &bucket, Amendment::Tags(Vec::new()), 204)
}
