//! GetBucketPolicy, PutBucketPolicy, DeleteBucketPolicy, GetBucketPolicyStatus.

use bytes::Bytes;
use object::access::{grants_are_public, policy_is_public};
use object::mutation::ConfigChange;

use crate::s3::ask::Shared;
use crate::s3::error::{Code, Outcome};
use crate::s3::xml::Xml;
use crate::s3::{body, permit, policy};
use crate::step::{Plan, Step};

/// Tells the document as it was given.
pub fn get(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    let policy = bucket.config.policy.as_ref().ok_or(Code::NoSuchBucketPolicy)?;
    let text = Bytes::copy_from_slice(policy.text.as_bytes());
    ask.say(200).header("Content-Type", "application/json").body(Plan::Bytes(text))
}

/// Replaces it.
pub fn put(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    Ok(body::document(ask, move |ask, bytes| {
        let text = std::str::from_utf8(&bytes).map_err(|_| Code::MalformedPolicy)?;
        let policy = policy::parse(text, bucket.name.as_str())?;
        let block = bucket.config.public_access_block;
        if block.is_some_and(|block| block.block_policy)
            && policy_is_public(&policy, policy::limits)
        {
            return Err(Code::AccessDenied.into());
        }
        super::configure(ask, ConfigChange::Policy(Some(policy)), 204)
    }))
}

/// Takes it away.
pub fn delete(ask: &Shared) -> Outcome<Step> {
    permit::bucket(ask, &ask.gate.store.snapshot())?;
    super::configure(ask, ConfigChange::Policy(None), 204)
}

/// Whether the bucket is public.
pub fn status(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    let config = &bucket.config;
    let by_policy =
        config.policy.as_ref().is_some_and(|policy| policy_is_public(policy, policy::limits));
    let public = by_policy || grants_are_public(&config.grants);
    let document = Xml::document("PolicyStatus", |xml| xml.plain("IsPublic", public));
    ask.say(200).xml(document)
}
