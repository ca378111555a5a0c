//! GetBucketCors, PutBucketCors, DeleteBucketCors.

use object::bucket::CorsRule;
use object::mutation::ConfigChange;

use crate::s3::ask::Shared;
use crate::s3::error::{Code, Outcome};
use crate::s3::xml::{Element, Xml};
use crate::s3::{body, permit};
use crate::step::Step;

/// The most rules.
const MOST: usize = 100;
const METHODS: [&str; 5] = ["GET", "PUT", "HEAD", "POST", "DELETE"];

/// Tells the rules.
pub fn get(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    if bucket.config.cors.is_empty() {
        return Err(Code::NoSuchCORSConfiguration.into());
    }
    let document = Xml::document("CORSConfiguration", |xml| {
        for rule in &bucket.config.cors {
            xml.element("CORSRule", |xml| tell(xml, rule));
        }
    });
    ask.say(200).xml(document)
}

fn tell(xml: &mut Xml, rule: &CorsRule) {
    let lists = [
        ("AllowedHeader", &rule.headers),
        ("AllowedMethod", &rule.methods),
        ("AllowedOrigin", &rule.origins),
        ("ExposeHeader", &rule.exposed),
    ];
    xml.maybe("ID", rule.id.as_deref());
    for (name, values) in lists {
        for value in values {
            xml.leaf(name, value);
        }
    }
    if let Some(seconds) = rule.max_age {
        xml.plain("MaxAgeSeconds", seconds);
    }
}

/// Replaces the rules.
pub fn put(ask: &Shared) -> Outcome<Step> {
    permit::bucket(ask, &ask.gate.store.snapshot())?;
    Ok(body::xml(ask, |ask, root| {
        let rules: Vec<_> = root.all("CORSRule").map(rule).collect::<Outcome<_>>()?;
        if root.name != "CORSConfiguration" || rules.is_empty() || rules.len() > MOST {
            return Err(Code::MalformedXML.into());
        }
        super::configure(ask, ConfigChange::Cors(rules), 200)
    }))
}

fn rule(element: &Element) -> Outcome<CorsRule> {
    let list =
        |name| element.all(name).map(|one| one.text.trim().into()).collect::<Vec<Box<str>>>();
    let max_age = match element.text_of("MaxAgeSeconds") {
        None => None,
        Some(text) => Some(text.trim().parse().map_err(|_| Code::MalformedXML)?),
    };
    let rule = CorsRule {
        id: element.text_of("ID").map(Into::into),
        origins: list("AllowedOrigin"),
        methods: list("AllowedMethod"),
        headers: list("AllowedHeader"),
        exposed: list("ExposeHeader"),
        max_age,
    };
    if rule.origins.is_empty() || rule.methods.is_empty() {
        return Err(Code::MalformedXML.into());
    }
    if let Some(other) = rule.methods.iter().find(|method| !METHODS.contains(&&***method)) {
        return Err(Code::InvalidRequest.saying(format!(
            "Found unsupported HTTP method in CORS config. Unsupported method is {other}"
        )));
    }
    if let Some(wild) = rule.origins.iter().find(|origin| origin.matches('*').count() > 1) {
        let text = format!("AllowedOrigin \"{wild}\" can not have more than one wildcard.");
        return Err(Code::InvalidRequest.saying(text));
    }
    if let Some(wild) = rule.headers.iter().find(|header| header.matches('*').count() > 1) {
        let text = format!("AllowedHeader \"{wild}\" can not have more than one wildcard.");
        return Err(Code::InvalidRequest.saying(text));
    }
    Ok(rule)
}

/// Takes the rules away.
pub fn delete(ask: &Shared) -> Outcome<Step> {
    permit::bucket(ask, &ask.gate.store.snapshot())?;
    super::configure(ask, ConfigChange::Cors(Vec::new()), 204)
}
