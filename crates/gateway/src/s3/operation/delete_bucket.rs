//! DeleteBucket: an empty one.

use object::Mutation;

use crate::s3::ask::{Shared, commit};
use crate::s3::error::Outcome;
use crate::s3::permit;
use crate::step::Step;

/// Carries it out.
pub fn run(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    let mutation = Mutation::DeleteBucket { name: bucket.name.clone() };
    Ok(commit(ask, mutation, |ask, _| ask.say(204).empty()))
}
