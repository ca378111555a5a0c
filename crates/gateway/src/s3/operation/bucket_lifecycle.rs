//! GetBucketLifecycleConfiguration, PutBucketLifecycleConfiguration,
//! DeleteBucketLifecycle.

use object::mutation::ConfigChange;

use crate::s3::ask::Shared;
use crate::s3::error::{Code, Outcome};
use crate::s3::{body, lifecycle, permit};
use crate::step::Step;

/// Tells the rules.
pub fn get(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    if bucket.config.lifecycle.is_empty() {
        return Err(Code::NoSuchLifecycleConfiguration.into());
    }
    ask.say(200).xml(lifecycle::document(&bucket.config.lifecycle))
}

/// Replaces the rules.
pub fn put(ask: &Shared) -> Outcome<Step> {
    permit::bucket(ask, &ask.gate.store.snapshot())?;
    Ok(body::xml(ask, |ask, root| {
        let rules = lifecycle::of_document(&root)?;
        super::configure(ask, ConfigChange::Lifecycle(rules), 200)
    }))
}

/// Takes the rules away.
pub fn delete(ask: &Shared) -> Outcome<Step> {
    permit::bucket(ask, &ask.gate.store.snapshot())?;
    super::configure(ask, ConfigChange::Lifecycle(Vec::new()), 204)
}
