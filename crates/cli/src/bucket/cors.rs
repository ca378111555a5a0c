//! `bedplate bucket cors`: which web pages of other origins may use a bucket.

use std::path::PathBuf;

use clap::Args;
use client::objects::xml::escaped;

use super::document;
use crate::Failure;
use crate::gateway::reach::Reach;
use crate::session::Session;

/// What to say.
#[derive(Args, Debug)]
#[command(
    after_help = "What is said takes the place of all rules.\n\nExamples:\n  bedplate bucket cors data\n  bedplate bucket cors data --origin https://app.example --method GET --method PUT\n  bedplate bucket cors data --set cors.xml\n  bedplate bucket cors data --remove"
)]
pub struct Arguments {
    /// Which bucket
    bucket: String,
    /// An origin whose pages may use it; `*` stands for anything
    #[arg(long = "origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// A method that they may use [default: GET and HEAD]
    #[arg(long = "method", value_name = "METHOD", requires = "origins")]
    methods: Vec<String>,
    /// Set the rules in this file of XML; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["origins", "remove"])]
    set: Option<PathBuf>,
    /// Remove all rules
    #[arg(long, conflicts_with = "origins")]
    remove: bool,
}

/// Shows or changes it.
pub async fn run(session: &Session, reach: &Reach, arguments: Arguments) -> Result<(), Failure> {
    let objects = reach.connect(session)?;
    let bucket = arguments.bucket.clone();
    let about = (bucket.as_str(), "cors");
    if arguments.remove {
        let done = format!("no pages of other origins may use {bucket}");
        return document::remove(session, &objects, about, &done).await;
    }
    let rules = match &arguments.set {
        Some(path) => document::read(path)?,
        None if !arguments.origins.is_empty() => rules(&arguments).into_bytes(),
        None => {
            let none = format!("no pages of other origins may use {bucket}");
            return document::show(session, &objects, about, &none).await;
        }
    };
    document::set(session, &objects, about, rules, &format!("{bucket} has new rules")).await
}

fn rules(arguments: &Arguments) -> String {
    let usual = ["GET".to_owned(), "HEAD".to_owned()];
    let methods = match arguments.methods.as_slice() {
        [] => &usual[..],
        said => said,
    };
    let each = |name: &str, values: &[String]| -> String {
        values.iter().map(|value| format!("<{name}>{}</{name}>", escaped(value))).collect()
    };
    format!(
        "<CORSConfiguration><CORSRule>{}{}<AllowedHeader>*</AllowedHeader>\
         <ExposeHeader>ETag</ExposeHeader></CORSRule></CORSConfiguration>",
        each("AllowedOrigin", &arguments.origins),
        each("AllowedMethod", methods)
    )
}
