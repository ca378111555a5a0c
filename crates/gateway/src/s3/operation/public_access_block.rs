//! GetPublicAccessBlock, PutPublicAccessBlock, DeletePublicAccessBlock.

use object::access::PublicAccessBlock;
use object::mutation::ConfigChange;

use crate::s3::ask::Shared;
use crate::s3::error::{Code, Outcome};
use crate::s3::xml::Xml;
use crate::s3::{body, permit};
use crate::step::Step;

/// Tells it.
pub fn get(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    let block = bucket.config.public_access_block;
    let block = block.ok_or(Code::NoSuchPublicAccessBlockConfiguration)?;
    let document = Xml::document("PublicAccessBlockConfiguration", |xml| {
        xml.plain("BlockPublicAcls", block.block_grants);
        xml.plain("IgnorePublicAcls", block.ignore_grants);
        xml.plain("BlockPublicPolicy", block.block_policy);
        xml.plain("RestrictPublicBuckets", block.restrict_policy);
    });
    ask.say(200).xml(document)
}

/// Says it.
pub fn put(ask: &Shared) -> Outcome<Step> {
    permit::bucket(ask, &ask.gate.store.snapshot())?;
    Ok(body::xml(ask, |ask, root| {
        if root.name != "PublicAccessBlockConfiguration" {
            return Err(Code::MalformedXML.into());
        }
        let truth = |name| match root.text_of(name).map(|text| text.trim().to_ascii_lowercase()) {
            None => Ok(false),
            Some(text) if text == "true" => Ok(true),
            Some(text) if text == "false" => Ok(false),
            Some(_) => Err(Code::MalformedXML),
        };
        let block = PublicAccessBlock {
            block_grants: truth("BlockPublicAcls")?,
            ignore_grants: truth("IgnorePublicAcls")?,
            block_policy: truth("BlockPublicPolicy")?,
            restrict_policy: truth("RestrictPublicBuckets")?,
        };
        super::configure(ask, ConfigChange::PublicAccessBlock(Some(block)), 200)
    }))
}

/// Takes it away.
pub fn delete(ask: &Shared) -> Outcome<Step> {
    permit::bucket(ask, &ask.gate.store.snapshot())?;
    super::configure(ask, ConfigChange::PublicAccessBlock(None), 204)
}
