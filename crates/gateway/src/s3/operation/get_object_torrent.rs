//! GetObjectTorrent: there are no torrents; the answer is that of the real service
//! where it has none.

use crate::s3::ask::Shared;
use crate::s3::error::{Code, Outcome};
use crate::s3::permit;
use crate::step::Step;

/// Carries it out.
pub fn run(ask: &Shared) -> Outcome<Step> {
    permit::version(ask, &ask.gate.store.snapshot())?;
    Err(Code::NoSuchKey.into())
}
