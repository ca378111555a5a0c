//! `bedplate openapi`: the API as an OpenAPI 3.1 document.

use clap::Args;
use client::Options;
use model::api::GetOpenapi;

use crate::Failure;
use crate::session::Session;

/// Nothing to say.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate openapi")]
pub struct Arguments {}

/// Prints it. It is JSON whatever is asked for.
pub async fn run(session: &Session, _: Arguments) -> Result<(), Failure> {
    let document = session.call::<GetOpenapi>(&[], &(), Options::default()).await?;
    session.print_json(&document)
}
