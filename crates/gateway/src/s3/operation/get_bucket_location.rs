//! GetBucketLocation: the region; the first region of the service has no name here.

use crate::s3::ask::Shared;
use crate::s3::error::Outcome;
use crate::s3::permit;
use crate::s3::xml::Xml;
use crate::step::Step;

/// Carries it out.
pub fn run(ask: &Shared) -> Outcome<Step> {
    permit::bucket(ask, &ask.gate.store.snapshot())?;
    let region = ask.gate.settings.region();
    let named = if region == "us-east-1" { "" } else { region };
    ask.say(200).xml(Xml::text_document("LocationConstraint", named))
}
