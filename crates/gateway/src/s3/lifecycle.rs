//! Lifecycle rules as documents, and the header that tells when a version will go.

use model::Timestamp;
use object::Reply;
use object::entry::{CLASSES, Version};
use object::lifecycle::{Expiration, Filter, FilterForm, Noncurrent, Rule, Transition};

use super::ask::Ask;
use super::error::{Code, Failure, Outcome};
use super::header::{http_date, iso, parse_iso};
use super::xml::{Element, Xml};

/// The most rules of a bucket.
const MOST: usize = 1000;
const DAY: i64 = 86_400_000_000;

fn malformed() -> Box<Failure> {
    Code::MalformedXML.into()
}

fn too_long() -> Box<Failure> {
    Code::InvalidArgument.saying("ID length should not exceed allowed limit of 255")
}

/// Reads a document.
///
/// # Errors
/// When the service would not take it.
pub fn of_document(root: &Element) -> Outcome<Vec<Rule>> {
    let known = ["LifecycleConfiguration", "BucketLifecycleConfiguration"];
    if !known.contains(&root.name.as_str()) {
        return Err(malformed());
    }
    let rules = root.all("Rule").map(rule).collect::<Outcome<Vec<_>>>()?;
    if rules.is_empty() || rules.len() > MOST {
        return Err(malformed());
    }
    for (at, rule) in rules.iter().enumerate() {
        if rules[..at].iter().any(|other| other.id == rule.id) {
            let message = "Rule ID must be unique. Found same ID for more than one rule";
            return Err(Code::InvalidArgument.saying(message));
        }
    }
    Ok(rules)
}

fn rule(element: &Element) -> Outcome<Rule> {
    let id = match element.text_of("ID").map(str::trim).filter(|id| !id.is_empty()) {
        Some(id) if id.len() > 255 => return Err(too_long()),
        Some(id) => id.into(),
        None => name_for(element),
    };
    let enabled = match element.text_of("Status").map(str::trim) {
        Some("Enabled") => true,
        Some("Disabled") => false,
        _ => return Err(malformed()),
    };
    let abort = element.child("AbortIncompleteMultipartUpload");
    let rule = Rule {
        id,
        enabled,
        filter: filter(element)?,
        expiration: element.child("Expiration").map(expiration).transpose()?,
        noncurrent: element.child("NoncurrentVersionExpiration").map(noncurrent).transpose()?,
        abort_upload_days: abort.map(|abort| days(abort, "DaysAfterInitiation")).transpose()?,
        transitions: element
            .all("Transition")
            .map(|one| transition(one, "Days"))
            .collect::<Outcome<_>>()?,
        noncurrent_transitions: element
            .all("NoncurrentVersionTransition")
            .map(|one| transition(one, "NoncurrentDays"))
            .collect::<Outcome<_>>()?,
    };
    let does = rule.expiration.is_some()
        || rule.noncurrent.is_some()
        || rule.abort_upload_days.is_some()
        || !rule.transitions.is_empty()
        || !rule.noncurrent_transitions.is_empty();
    if !does {
        let message = "At least one action needs to be specified in a rule";
        return Err(Code::InvalidRequest.saying(message));
    }
    Ok(rule)
}

/// A name for a rule that has none: of what it says, so that it stays the same.
fn name_for(element: &Element) -> Box<str> {
    let digest = ring::digest::digest(&ring::digest::SHA256, format!("{element:?}").as_bytes());
    super::header::hex(&digest.as_ref()[..18]).into()
}

fn filter(rule: &Element) -> Outcome<Filter> {
    let Some(element) = rule.child("Filter") else {
        let prefix = rule.text_of("Prefix").ok_or_else(malformed)?;
        return Ok(Filter { prefix: prefix.into(), ..Filter::default() });
    };
    if rule.child("Prefix").is_some() {
        return Err(malformed());
    }
    let (inside, form) = match element.child("And") {
        Some(and) => (and, FilterForm::All),
        None => (element, FilterForm::One),
    };
    if form == FilterForm::One && element.children.len() > 1 {
        return Err(malformed());
    }
    let size = |name| match inside.text_of(name) {
        None => Ok(None),
        Some(text) => text.trim().parse::<u64>().map(Some).map_err(|_| malformed()),
    };
    let tags = inside.all("Tag").map(|tag| match (tag.text_of("Key"), tag.text_of("Value")) {
        (Some(name), Some(value)) => Ok((name.into(), value.into())),
        _ => Err(malformed()),
    });
    Ok(Filter {
        prefix: inside.text_of("Prefix").unwrap_or("").into(),
        tags: tags.collect::<Outcome<_>>()?,
        longer_than: size("ObjectSizeGreaterThan")?,
        shorter_than: size("ObjectSizeLessThan")?,
        form,
    })
}

/// A number of days, at least one.
fn days(element: &Element, name: &str) -> Outcome<u32> {
    let text = element.text_of(name).ok_or_else(malformed)?;
    match text.trim().parse::<i64>() {
        Ok(days @ 1..=0x7fff_ffff) => Ok(days as u32),
        Ok(_) => Err(Code::InvalidArgument
            .saying(format!("'{name}' for the action must be a positive integer"))),
        Err(_) => Err(malformed()),
    }
}

/// The beginning of a day.
fn date(text: &str) -> Outcome<Timestamp> {
    let at = parse_iso(text).ok_or_else(malformed)?;
    if at.micros() % DAY != 0 {
        return Err(Code::InvalidArgument.saying("'Date' must be at midnight GMT"));
    }
    Ok(at)
}

fn expiration(element: &Element) -> Outcome<Expiration> {
    let marker = element.text_of("ExpiredObjectDeleteMarker").map(str::trim);
    match (element.child("Days"), element.text_of("Date"), marker) {
        (Some(_), None, None) => days(element, "Days").map(Expiration::Days),
        (None, Some(text), None) => date(text).map(Expiration::Date),
        (None, None, Some("true")) => Ok(Expiration::LoneMarkers),
        _ => Err(malformed()),
    }
}

fn noncurrent(element: &Element) -> Outcome<Noncurrent> {
    let keep = match element.child("NewerNoncurrentVersions") {
        None => None,
        Some(_) => Some(days(element, "NewerNoncurrentVersions")?),
    };
    Ok(Noncurrent { days: days(element, "NoncurrentDays")?, keep })
}

fn transition(element: &Element, name: &str) -> Outcome<Transition> {
    let class = element.text_of("StorageClass").map(str::trim).ok_or_else(malformed)?;
    let class = CLASSES.iter().position(|known| *known == class).ok_or_else(malformed)?;
    let when = match (element.text_of(name), element.text_of("Date")) {
        (Some(text), None) => {
            let days: u32 = text.trim().parse().map_err(|_| malformed())?;
            Expiration::Days(days)
        }
        (None, Some(text)) if name == "Days" => Expiration::Date(date(text)?),
        _ => return Err(malformed()),
    };
    Ok(Transition { when, class: class as u8 })
}

/// The document.
pub fn document(rules: &[Rule]) -> String {
    Xml::document("LifecycleConfiguration", |xml| {
        for rule in rules {
            xml.element("Rule", |xml| tell(xml, rule));
        }
    })
}

fn tell(xml: &mut Xml, rule: &Rule) {
    xml.leaf("ID", &rule.id);
    tell_filter(xml, &rule.filter);
    xml.plain("Status", if rule.enabled { "Enabled" } else { "Disabled" });
    if let Some(expiration) = rule.expiration {
        xml.element("Expiration", |xml| match expiration {
            Expiration::Days(days) => xml.plain("Days", days),
            Expiration::Date(at) => xml.plain("Date", iso(at)),
            Expiration::LoneMarkers => xml.plain("ExpiredObjectDeleteMarker", true),
        });
    }
    if let Some(Noncurrent { days, keep }) = rule.noncurrent {
        xml.element("NoncurrentVersionExpiration", |xml| {
            xml.plain("NoncurrentDays", days);
            if let Some(keep) = keep {
                xml.plain("NewerNoncurrentVersions", keep);
            }
        });
    }
    tell_transitions(xml, "Transition", "Days", &rule.transitions);
    let later = &rule.noncurrent_transitions;
    tell_transitions(xml, "NoncurrentVersionTransition", "NoncurrentDays", later);
    if let Some(days) = rule.abort_upload_days {
        xml.element("AbortIncompleteMultipartUpload", |xml| {
            xml.plain("DaysAfterInitiation", days);
        });
    }
}

fn tell_transitions(xml: &mut Xml, name: &str, days_name: &str, transitions: &[Transition]) {
    for Transition { when, class } in transitions {
        xml.element(name, |xml| {
            match when {
                Expiration::Days(days) => xml.plain(days_name, days),
                Expiration::Date(at) => xml.plain("Date", iso(*at)),
                Expiration::LoneMarkers => {}
            }
            xml.plain("StorageClass", CLASSES.get(usize::from(*class)).unwrap_or(&CLASSES[0]));
        });
    }
}

fn tell_filter(xml: &mut Xml, filter: &Filter) {
    let inside = |xml: &mut Xml| {
        if !filter.prefix.is_empty() || filter.form == FilterForm::All {
            xml.leaf("Prefix", &filter.prefix);
        }
        for (name, value) in &filter.tags {
            xml.element("Tag", |xml| {
                xml.leaf("Key", name);
                xml.leaf("Value", value);
            });
        }
        if let Some(size) = filter.longer_than {
            xml.plain("ObjectSizeGreaterThan", size);
        }
        if let Some(size) = filter.shorter_than {
            xml.plain("ObjectSizeLessThan", size);
        }
    };
    match filter.form {
        FilterForm::Prefix => xml.leaf("Prefix", &filter.prefix),
        FilterForm::One => xml.element("Filter", inside),
        FilterForm::All => xml.element("Filter", |xml| xml.element("And", inside)),
    }
}

fn fits(filter: &Filter, key: &str, size: u64, tags: &[(Box<str>, Box<str>)]) -> bool {
    key.starts_with(&*filter.prefix)
        && filter.tags.iter().all(|wanted| tags.contains(wanted))
        && filter.longer_than.is_none_or(|least| size > least)
        && filter.shorter_than.is_none_or(|most| size < most)
}

/// When a current version will go, as the header says it.
fn header(rules: &[Rule], modified: Timestamp, fits: impl Fn(&Filter) -> bool) -> Option<String> {
    let due = |rule: &Rule| match rule.expiration? {
        Expiration::Days(days) => {
            // The day after that many days are over.
            let end = modified.micros() + (i64::from(days) + 1) * DAY;
            Some(Timestamp::from_micros(end.div_euclid(DAY) * DAY))
        }
        Expiration::Date(at) => Some(at),
        Expiration::LoneMarkers => None,
    };
    let rules = rules.iter().filter(|rule| rule.enabled && fits(&rule.filter));
    let (at, rule) =
        rules.filter_map(|rule| due(rule).map(|at| (at, rule))).min_by_key(|(at, _)| *at)?;
    Some(format!(
        "expiry-date=\"{}\", rule-id=\"{}\"",
        http_date(at),
        super::fields::escape(&rule.id)
    ))
}

/// When this current version will go.
pub fn expires(rules: &[Rule], version: &Version) -> Option<String> {
    if rules.is_empty() {
        return None;
    }
    let entry = &version.entry;
    header(rules, entry.modified, |filter| {
        fits(filter, version.key.as_str(), entry.size, &version.attributes.tags)
    })
}

/// When the version will go that was written just now.
pub fn expires_of_reply(ask: &Ask, reply: &Reply) -> Option<String> {
    let Reply::Put { modified, size, .. } = reply else { return None };
    let bucket = ask.gate.store.snapshot().bucket(&ask.bucket_name().ok()?)?;
    if bucket.config.lifecycle.is_empty() {
        return None;
    }
    let tags = ask.header("x-amz-tagging").and_then(|text| super::tags::of_header(text).ok());
    let tags = tags.unwrap_or_default();
    header(&bucket.config.lifecycle, *modified, |filter| fits(filter, &ask.key, *size, &tags))
}

#[cfg(test)]
mod tests {
    use super::super::xml::parse;
    use super::*;

    fn read(rules: &str) -> Outcome<Vec<Rule>> {
        let text = format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>");
        of_document(&parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn rules_are_read_and_told_alike() {
        let rules = "<Rule><ID>a</ID><Filter><And><Prefix>p/</Prefix><Tag><Key>k</Key>\
                     <Value>v</Value></Tag></And></Filter><Status>Enabled</Status>\
                     <Expiration><Days>3</Days></Expiration></Rule><Rule><ID>b</ID><Prefix></Prefix>\
                     <Status>Disabled</Status><NoncurrentVersionExpiration><NoncurrentDays>1\
                     </NoncurrentDays></NoncurrentVersionExpiration></Rule>";
        let read = read(rules).unwrap();
        assert_eq!(of_document(&parse(document(&read).as_bytes()).unwrap()).unwrap(), read);
    }

    #[test]
    fn what_the_service_refuses_is_refused() {
        let rule =
            |inside: &str| read(&format!("<Rule><Prefix/>{inside}</Rule>")).map_err(|f| f.code);
        let days = "<Expiration><Days>1</Days></Expiration>";
        assert_eq!(rule(&format!("<Status>enabled</Status>{days}")), Err(Code::MalformedXML));
        assert_eq!(rule("<Status>Enabled</Status>"), Err(Code::InvalidRequest));
        let zero = "<Status>Enabled</Status><Expiration><Days>0</Days></Expiration>";
        assert_eq!(rule(zero), Err(Code::InvalidArgument));
        let long = format!("<ID>{}</ID><Status>Enabled</Status>{days}", "x".repeat(256));
        assert_eq!(rule(&long), Err(Code::InvalidArgument));
    }

    #[test]
    fn a_version_goes_at_the_next_midnight_after_its_days() {
        let rules = read(
            "<Rule><ID>r</ID><Prefix>a</Prefix><Status>Enabled</Status>\
                          <Expiration><Days>1</Days></Expiration></Rule>",
        )
        .unwrap();
        let at = Timestamp::from_micros(784_111_777_000_000);
        let found = header(&rules, at, |filter| fits(filter, "abc", 1, &[]));
        let expected = "expiry-date=\"Tue, 08 Nov 1994 00:00:00 GMT\", rule-id=\"r\"";
        assert_eq!(found.as_deref(), Some(expected));
        assert_eq!(header(&rules, at, |filter| fits(filter, "b", 1, &[])), None);
    }
}
