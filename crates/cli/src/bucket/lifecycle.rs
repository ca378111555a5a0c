//! `bedplate bucket lifecycle`: what is done with objects as they age.

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
    after_help = "Days begin at midnight UTC. One rule is said with these options; more, and rules by tag or size, in\na file of XML as S3 has it. What is said takes the place of all rules.\n\nExamples:\n  bedplate bucket lifecycle data\n  bedplate bucket lifecycle data --expire 30 --prefix logs/\n  bedplate bucket lifecycle data --expire-old 7 --abort-uploads 3\n  bedplate bucket lifecycle data --set rules.xml\n  bedplate bucket lifecycle data --remove"
)]
pub struct Arguments {
    /// Which bucket
    bucket: String,
    /// Delete objects after so many days
    #[arg(long, value_name = "DAYS")]
    expire: Option<u32>,
    /// Delete versions so many days after they were overwritten
    #[arg(long, value_name = "DAYS")]
    expire_old: Option<u32>,
    /// Give uploads up that are not finished after so many days
    #[arg(long, value_name = "DAYS")]
    abort_uploads: Option<u32>,
    /// Only keys that begin so
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,
    /// Set the rules in this file; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["expire", "expire_old", "abort_uploads", "remove"])]
    set: Option<PathBuf>,
    /// Remove all rules
    #[arg(long, conflicts_with_all = ["expire", "expire_old", "abort_uploads"])]
    remove: bool,
}

/// Shows or changes it.
pub async fn run(session: &Session, reach: &Reach, arguments: Arguments) -> Result<(), Failure> {
    let objects = reach.connect(session)?;
    let bucket = arguments.bucket.clone();
    let about = (bucket.as_str(), "lifecycle");
    if arguments.remove {
        let done = format!("{bucket} has no rules");
        return document::remove(session, &objects, about, &done).await;
    }
    let rules = match (&arguments.set, rule(&arguments)) {
        (Some(path), _) => document::read(path)?,
        (None, Some(rule)) => rule.into_bytes(),
        (None, None) => {
            let none = format!("{bucket} has no rules: nothing is done by age");
            return document::show(session, &objects, about, &none).await;
        }
    };
    document::set(session, &objects, about, rules, &format!("{bucket} has new rules")).await
}

/// The rule that the options say.
fn rule(arguments: &Arguments) -> Option<String> {
    let Arguments { expire, expire_old, abort_uploads, prefix, .. } = arguments;
    if expire.is_none() && expire_old.is_none() && abort_uploads.is_none() {
        return None;
    }
    let mut rule = format!(
        "<ID>bedplate</ID><Status>Enabled</Status><Filter><Prefix>{}</Prefix></Filter>",
        escaped(prefix)
    );
    if let Some(days) = expire {
        rule.push_str(&format!("<Expiration><Days>{days}</Days></Expiration>"));
    }
    if let Some(days) = expire_old {
        let days = format!("<NoncurrentDays>{days}</NoncurrentDays>");
        let whole = "NoncurrentVersionExpiration";
        rule.push_str(&format!("<{whole}>{days}</{whole}>"));
    }
    if let Some(days) = abort_uploads {
        let days = format!("<DaysAfterInitiation>{days}</DaysAfterInitiation>");
        let whole = "AbortIncompleteMultipartUpload";
        rule.push_str(&format!("<{whole}>{days}</{whole}>"));
    }
    Some(format!("<LifecycleConfiguration><Rule>{rule}</Rule></LifecycleConfiguration>"))
}
