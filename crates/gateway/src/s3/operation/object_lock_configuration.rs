//! GetObjectLockConfiguration and PutObjectLockConfiguration: how new objects of a
//! bucket are held.

use object::bucket::{DefaultRetention, Lock, Period, Versioning};
use object::entry::RetentionMode;
use object::mutation::ConfigChange;

use crate::s3::ask::Shared;
use crate::s3::error::{Code, Outcome};
use crate::s3::xml::{Element, Xml};
use crate::s3::{body, permit};
use crate::step::Step;

/// The longest default, in days and years.
const MOST_DAYS: i64 = 36_500;
const MOST_YEARS: i64 = 100;

/// A mode's name.
pub fn mode_name(mode: RetentionMode) -> &'static str {
    match mode {
        RetentionMode::Governance => "GOVERNANCE",
        RetentionMode::Compliance => "COMPLIANCE",
    }
}

/// A mode by its name.
pub fn mode(name: &str) -> Option<RetentionMode> {
    match name {
        "GOVERNANCE" => Some(RetentionMode::Governance),
        "COMPLIANCE" => Some(RetentionMode::Compliance),
        _ => None,
    }
}

/// Tells it.
pub fn get(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    let lock = bucket.config.lock.ok_or(Code::ObjectLockConfigurationNotFoundError)?;
    let document = Xml::document("ObjectLockConfiguration", |xml| {
        xml.plain("ObjectLockEnabled", "Enabled");
        if let Some(default) = lock.default {
            xml.element("Rule", |xml| {
                xml.element("DefaultRetention", |xml| {
                    xml.plain("Mode", mode_name(default.mode));
                    match default.period {
                        Period::Days(days) => xml.plain("Days", days),
                        Period::Years(years) => xml.plain("Years", years),
                    }
                });
            });
        }
    });
    ask.say(200).xml(document)
}

/// Says it.
pub fn put(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    Ok(body::xml(ask, move |ask, root| {
        let enabled = root.text_of("ObjectLockEnabled").is_none_or(|text| text == "Enabled");
        if root.name != "ObjectLockConfiguration" || !enabled {
            return Err(Code::MalformedXML.into());
        }
        let default = root.child("Rule").map(default).transpose()?;
        if bucket.config.lock.is_none() && bucket.config.versioning != Versioning::On {
            let text =
                "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration";
            return Err(Code::InvalidBucketState.saying(text));
        }
        super::configure(ask, ConfigChange::Lock(Lock { default }), 200)
    }))
}

fn default(rule: &Element) -> Outcome<DefaultRetention> {
    let default = rule.child("DefaultRetention").ok_or(Code::MalformedXML)?;
    let mode = default.text_of("Mode").and_then(mode).ok_or(Code::MalformedXML)?;
    let number = |name| match default.text_of(name) {
        None => Ok(None),
        Some(text) => text.trim().parse::<i64>().map(Some).map_err(|_| Code::MalformedXML),
    };
    let too_long = |what| {
        Code::InvalidRetentionPeriod.saying(format!("Default retention period must be a positive integer value and at most 100 years: {what}"))
    };
    let period = match (number("Days")?, number("Years")?) {
        (Some(days @ 1..=MOST_DAYS), None) => Period::Days(days as u32),
        (None, Some(years @ 1..=MOST_YEARS)) => Period::Years(years as u32),
        (Some(days), None) => return Err(too_long(days)),
        (None, Some(years)) => return Err(too_long(years)),
        _ => return Err(Code::MalformedXML.into()),
    };
    Ok(DefaultRetention { mode, period })
}
