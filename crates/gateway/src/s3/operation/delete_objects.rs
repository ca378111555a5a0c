//! DeleteObjects: up to 1,000 in one request, each decided by itself.

use object::bucket::Bucket;
use object::condition::Conditions;
use object::mutation::{Delete, Mutation, Refusal};
use object::{Key, Reply};

use crate::s3::ask::{Ask, Shared};
use crate::s3::error::{Code, Failure, Outcome};
use crate::s3::header::{parse_date, parse_etag, told_version, which};
use crate::s3::xml::{Element, Xml};
use crate::s3::{body, permit};
use crate::step::Step;

/// The most objects of a request.
const MOST: usize = 1000;

/// One of the objects, as the client named it, and what came of it before the store
/// was asked.
struct One {
    key: String,
    version: Option<String>,
    decided: Result<Delete, Box<Failure>>,
}

/// Carries it out.
pub fn run(ask: &Shared) -> Outcome<Step> {
    let bucket = ask.bucket(&ask.gate.store.snapshot())?;
    Ok(body::xml(ask, move |ask, root| {
        let objects: Vec<&Element> = root.all("Object").collect();
        if root.name != "Delete" || objects.is_empty() || objects.len() > MOST {
            return Err(Code::MalformedXML.into());
        }
        let quiet = root.text_of("Quiet").is_some_and(|text| text.trim() == "true");
        let bypass = permit::bypass(ask, &bucket)?;
        let mut ones = Vec::with_capacity(objects.len());
        for object in objects {
            ones.push(one(ask, &bucket, object, bypass)?);
        }
        let mutations = ones.iter().filter_map(|one| one.decided.as_ref().ok().cloned());
        let mutations: Vec<Mutation> = mutations.map(Mutation::Delete).collect();
        let ask = std::sync::Arc::clone(ask);
        let after = move |results: Vec<Result<Reply, Refusal>>| {
            ask.settle(answer(&ask, ones, results, quiet))
        };
        Ok(Step::Commits(mutations, Box::new(after)))
    }))
}

fn one(ask: &Ask, bucket: &Bucket, object: &Element, bypass: bool) -> Outcome<One> {
    let key = object.text_of("Key").ok_or(Code::MalformedXML)?.to_owned();
    let version = object.text_of("VersionId").map(str::trim).filter(|text| !text.is_empty());
    let decide = || {
        let name = Key::new(&key).map_err(|_| Code::KeyTooLongError)?;
        permit::delete_one(ask, bucket, &name, version.is_some())?;
        Ok(Delete {
            bucket: bucket.name.clone(),
            key: name,
            which: which(version)?,
            conditions: conditions(object)?,
            bypass,
            owner: ask.maker(),
        })
    };
    let decided = decide();
    Ok(One { version: version.map(str::to_owned), decided, key })
}

fn conditions(object: &Element) -> Outcome<Conditions> {
    let mut conditions = Conditions::default();
    if let Some(tag) = object.text_of("ETag") {
        conditions.matches.push(parse_etag(tag));
    }
    if let Some(text) = object.text_of("LastModifiedTime") {
        conditions.modified_at = Some(parse_date(text).ok_or(Code::MalformedXML)?);
    }
    if let Some(text) = object.text_of("Size") {
        conditions.size = Some(text.trim().parse().map_err(|_| Code::MalformedXML)?);
    }
    Ok(conditions)
}

fn answer(
    ask: &Ask,
    ones: Vec<One>,
    results: Vec<Result<Reply, Refusal>>,
    quiet: bool,
) -> Outcome<Step> {
    let mut results = results.into_iter();
    let document = Xml::document("DeleteResult", |xml| {
        for one in ones {
            let result = match one.decided {
                Err(failure) => Err(failure),
                Ok(_) => match results.next() {
                    Some(result) => result.map_err(Box::<Failure>::from),
                    None => Err(Code::InternalError.into()),
                },
            };
            match result {
                Ok(reply) if !quiet => deleted(xml, &one.key, one.version.as_deref(), &reply),
                Ok(_) => {}
                Err(failure) => xml.element("Error", |xml| {
                    xml.leaf("Key", &one.key);
                    xml.maybe("VersionId", one.version.as_deref());
                    xml.leaf("Code", failure.code.name());
                    xml.leaf("Message", &failure.message);
                }),
            }
        }
    });
    ask.say(200).xml(document)
}

fn deleted(xml: &mut Xml, key: &str, version: Option<&str>, reply: &Reply) {
    xml.element("Deleted", |xml| {
        xml.leaf("Key", key);
        xml.maybe("VersionId", version);
        if let Reply::Deleted { sequence, null, marker: true, versioned: true } = reply {
            xml.plain("DeleteMarker", true);
            if let Some(sequence) = sequence {
                xml.plain("DeleteMarkerVersionId", told_version(*sequence, *null));
            }
        }
    });
}
