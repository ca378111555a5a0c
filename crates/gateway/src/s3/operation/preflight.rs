//! A browser's question whether a page of another origin may send a request (the Fetch
//! standard, CORS preflight). It was answered when the request began: all of the answer
//! is in its headers.

use crate::s3::ask::Shared;
use crate::s3::error::Outcome;
use crate::step::Step;

/// Carries it out.
pub fn run(ask: &Shared) -> Outcome<Step> {
    ask.say(200).empty()
}
