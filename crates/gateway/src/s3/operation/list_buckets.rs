//! ListBuckets: the buckets of who asks, by name, in pages when that is asked for.

use crate::s3::ask::{Shared, elsewhere};
use crate::s3::error::Outcome;
use crate::s3::grants;
use crate::s3::header::{iso, number};
use crate::s3::xml::Xml;
use crate::step::Step;

/// The most of a page.
const MOST: u32 = 10_000;

/// Carries it out.
pub fn run(ask: &Shared) -> Outcome<Step> {
    Ok(elsewhere(ask, |ask| {
        // Nobody in particular has no buckets.
        let owner = ask.maker();
        let query = &ask.query;
        let most = number(query, "max-buckets", MOST)?.unwrap_or(MOST).max(1) as usize;
        let prefix = query.get("prefix").unwrap_or("");
        let after = query.filled("continuation-token");
        let mut buckets = ask.gate.store.snapshot().buckets(Some(&owner));
        buckets.retain(|one| one.name.as_str().starts_with(prefix));
        buckets.retain(|one| after.is_none_or(|after| one.name.as_str() > after));
        let more = buckets.len() > most;
        buckets.truncate(most);
        let document = Xml::document("ListAllMyBucketsResult", |xml| {
            grants::owner(ask, xml, "Owner", &owner);
            xml.element("Buckets", |xml| {
                for bucket in &buckets {
                    xml.element("Bucket", |xml| {
                        xml.leaf("Name", bucket.name.as_str());
                        xml.plain("CreationDate", iso(bucket.created));
                        if query.has("max-buckets") {
                            xml.leaf("BucketRegion", ask.gate.settings.region());
                        }
                    });
                }
            });
            if let Some(last) = buckets.last().filter(|_| more) {
                xml.leaf("ContinuationToken", last.name.as_str());
            }
            xml.maybe("Prefix", query.filled("prefix"));
        });
        ask.say(200).xml(document)
    }))
}
