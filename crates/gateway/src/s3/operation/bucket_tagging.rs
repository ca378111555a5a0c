//! GetBucketTagging, PutBucketTagging, DeleteBucketTagging.

use object::mutation::ConfigChange;

use crate::s3::ask::Shared;
use crate::s3::error::{Code, Outcome};
use crate::s3::{body, permit, tags};
use crate::step::Step;

/// Tells the tags.
pub fn get(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    if bucket.config.tags.is_empty() {
        return Err(Code::NoSuchTagSet.into());
    }
    ask.say(200).xml(tags::document(&bucket.config.tags))
}

/// Replaces the tags.
pub fn put(ask: &Shared) -> Outcome<Step> {
    permit::bucket(ask, &ask.gate.store.snapshot())?;
    Ok(body::xml(ask, |ask, root| {
        let tags = tags::of_document(&root, tags::BUCKET_MOST)?;
        super::configure(ask, ConfigChange::Tags(tags), 204)
    }))
}

/// Takes the tags away.
pub fn delete(ask: &Shared) -> Outcome<Step> {
    permit::bucket(ask, &ask.gate.store.snapshot())?;
    super::configure(ask, ConfigChange::Tags(Vec::new()), 204)
}
