//! Documents that are kept and told back: request payment, website, logging,
//! notification, acceleration. And replication, of which there is none.

use object::BucketName;
use object::Mutation;
use object::bucket::Bucket;
use object::mutation::ConfigChange;

use crate::s3::ask::{Ask, Shared, commit};
use crate::s3::error::{Code, Outcome};
use crate::s3::xml::{Element, Xml};
use crate::s3::{body, permit, xml};
use crate::step::Step;

/// A kind of document.
pub struct Kind {
    /// Under which name it is kept.
    name: &'static str,
    /// Its root.
    root: &'static str,
    /// What is told when there is none.
    none: fn() -> Outcome<String>,
    /// Whether the service would take it.
    check: fn(&Ask, &Element) -> Outcome<()>,
}

/// Who pays for requests.
pub const REQUEST_PAYMENT: Kind = Kind {
    name: "request-payment",
    root: "RequestPaymentConfiguration",
    none: || {
        let inside = |xml: &mut Xml| xml.plain("Payer", "BucketOwner");
        Ok(Xml::document("RequestPaymentConfiguration", inside))
    },
    check: |_, root| one_of(root, "Payer", &["BucketOwner", "Requester"]),
};

/// How a bucket is shown as a website.
pub const WEBSITE: Kind = Kind {
    name: "website",
    root: "WebsiteConfiguration",
    none: || Err(Code::NoSuchWebsiteConfiguration.into()),
    check: |_, root| {
        let index = root.child("IndexDocument").and_then(|index| index.text_of("Suffix"));
        let elsewhere = root.child("RedirectAllRequestsTo").and_then(|to| to.text_of("HostName"));
        let good = elsewhere.is_some()
            || index.is_some_and(|name| !name.is_empty() && !name.contains('/'));
        if good { Ok(()) } else { Err(Code::MalformedXML.into()) }
    },
};

/// Where accesses are logged.
pub const LOGGING: Kind = Kind {
    name: "logging",
    root: "BucketLoggingStatus",
    none: || Ok(Xml::document("BucketLoggingStatus", |_| {})),
    check: |ask, root| match root.child("LoggingEnabled") {
        None => Ok(()),
        Some(enabled) => {
            let target = enabled.text_of("TargetBucket").ok_or(Code::MalformedXML)?;
            enabled.text_of("TargetPrefix").ok_or(Code::MalformedXML)?;
            let name = BucketName::new(target).map_err(|_| Code::InvalidTargetBucketForLogging)?;
            let target = ask.gate.store.snapshot().bucket(&name);
            match target {
                Some(target) if target.owner == ask.owner()? => Ok(()),
                _ => Err(Code::InvalidTargetBucketForLogging.into()),
            }
        }
    },
};

/// Who is told of events. There is nobody to be told: only a document that names
/// nobody is taken, as the service refuses places that it cannot reach.
pub const NOTIFICATION: Kind = Kind {
    name: "notification",
    root: "NotificationConfiguration",
    none: || Ok(Xml::document("NotificationConfiguration", |_| {})),
    check: |_, root| match root.children.is_empty() {
        true => Ok(()),
        false => Err(Code::InvalidArgument
            .saying("Unable to validate the following destination configurations")),
    },
};

/// Acceleration.
pub const ACCELERATE: Kind = Kind {
    name: "accelerate",
    root: "AccelerateConfiguration",
    none: || Ok(Xml::document("AccelerateConfiguration", |_| {})),
    check: |_, root| one_of(root, "Status", &["Enabled", "Suspended"]),
};

fn one_of(root: &Element, name: &str, known: &[&str]) -> Outcome<()> {
    let said = root.text_of(name).map(str::trim);
    let good = said.is_some_and(|said| known.contains(&said));
    if good { Ok(()) } else { Err(Code::MalformedXML.into()) }
}

fn kept<'a>(bucket: &'a Bucket, kind: &Kind) -> Option<&'a str> {
    let found = bucket.config.documents.iter().find(|(name, _)| **name == *kind.name);
    found.map(|(_, text)| &**text)
}

/// Tells a document.
pub fn get(ask: &Shared, kind: &Kind) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    let text = match kept(&bucket, kind) {
        Some(text) => text.to_owned(),
        None => (kind.none)()?,
    };
    ask.say(200).xml(text)
}

/// Keeps a document.
pub fn put(ask: &Shared, kind: &'static Kind) -> Outcome<Step> {
    permit::bucket(ask, &ask.gate.store.snapshot())?;
    Ok(body::document(ask, |ask, bytes| {
        let root = xml::parse(&bytes).map_err(|_| Code::MalformedXML)?;
        if root.name != kind.root {
            return Err(Code::MalformedXML.into());
        }
        (kind.check)(ask, &root)?;
        let text = String::from_utf8(bytes).map_err(|_| Code::MalformedXML)?;
        let change = ConfigChange::Document(kind.name.into(), Some(text.into()));
        super::configure(ask, change, 200)
    }))
}

/// Takes a document away.
pub fn delete(ask: &Shared, kind: &'static Kind) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    let change = Box::new(ConfigChange::Document(kind.name.into(), None));
    let mutation = Mutation::Configure { name: bucket.name.clone(), change };
    Ok(commit(ask, mutation, |ask, _| ask.say(204).empty()))
}

/// There is no replication to tell of.
pub fn no_replication(ask: &Shared) -> Outcome<Step> {
    permit::bucket(ask, &ask.gate.store.snapshot())?;
    Err(Code::ReplicationConfigurationNotFoundError.into())
}

/// There is no replication to take away.
pub fn delete_replication(ask: &Shared) -> Outcome<Step> {
    permit::bucket(ask, &ask.gate.store.snapshot())?;
    ask.say(204).empty()
}
