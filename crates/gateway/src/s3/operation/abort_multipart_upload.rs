//! AbortMultipartUpload: an upload in parts is given up.

use object::mutation::Mutation;

use crate::s3::ask::{Shared, commit};
use crate::s3::error::Outcome;
use crate::s3::permit;
use crate::step::Step;

/// Carries it out.
pub fn run(ask: &Shared) -> Outcome<Step> {
    let snapshot = ask.gate.store.snapshot();
    let bucket = permit::write(ask, &snapshot)?;
    let (key, upload) = super::upload(ask, &snapshot, bucket.id)?;
    let mutation = Mutation::AbortUpload { bucket: bucket.name.clone(), key, upload: upload.id };
    Ok(commit(ask, mutation, |ask, _| ask.say(204).empty()))
}
