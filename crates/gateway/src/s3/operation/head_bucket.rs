//! HeadBucket: whether a bucket is there and may be used.

use crate::s3::ask::Shared;
use crate::s3::error::Outcome;
use crate::s3::permit;
use crate::step::Step;

/// Carries it out.
pub fn run(ask: &Shared) -> Outcome<Step> {
    let snapshot = ask.gate.store.snapshot();
    permit::bucket(ask, &snapshot)?;
    ask.say(200).header("x-amz-bucket-region", ask.gate.settings.region().to_owned()).empty()
}
