//! Whether who asks may do it: the one place. Policies and grants are judged by the
//! engine ([`object::access`]); here is what S3 asks of it: actions, resources, and
//! whose grants count.

use std::sync::Arc;

use object::Key;
use object::access::{Decision, Permission, Principal, Request, Thing, allowed};
use object::bucket::{Bucket, Ownership};
use object::entry::Version;
use object::mutation::Which;
use object::store::Snapshot;

use super::ask::Ask;
use super::error::{Code, Outcome};
use super::policy::{self, Context};
use super::route::{Need, Operation};
use super::tags;
use crate::step::Head;

/// A question.
struct Question<'a> {
    action: &'a str,
    key: Option<&'a str>,
    thing: Thing<'a>,
    version: Option<&'a Version>,
    /// For which prefix a list would be.
    prefix: Option<&'a str>,
}

fn judge(ask: &Ask, bucket: &Bucket, question: &Question<'_>) -> Decision {
    let config = &bucket.config;
    // The owner of everything, and nothing that could deny it.
    if config.policy.is_none()
        && matches!(ask.caller(), Principal::Account { owner, .. } if owner == question.thing.owner)
    {
        return Decision::Allowed;
    }
    let headers: Vec<_> =
        ask.headers.iter().map(|(name, value)| (name, value.as_bytes())).collect();
    let head = Head {
        method: "",
        path: "",
        query: &ask.raw_query,
        headers: &headers,
        framing: ask.framing,
    };
    let request_tags = ask.headers.filled("x-amz-tagging").map(tags::of_header);
    let more = question.prefix.map(|prefix| ("s3:prefix", prefix.into()));
    let values = Context {
        head: &head,
        peer: &ask.peer,
        sender: &ask.sender,
        now: ask.now,
        existing_tags: question.version.map_or(&[], |version| &version.attributes.tags),
        request_tags: &request_tags.and_then(Result::ok).unwrap_or_default(),
        more: more.as_slice(),
    };
    decide(ask, bucket, question, &values)
}

fn decide(ask: &Ask, bucket: &Bucket, question: &Question<'_>, values: &Context<'_>) -> Decision {
    let config = &bucket.config;
    let name = bucket.name.as_str();
    let joined = question.key.map(|key| format!("{name}/{key}"));
    allowed(&Request {
        principal: ask.caller(),
        action: question.action,
        resource: joined.as_deref().unwrap_or(name),
        bucket_owner: &bucket.owner,
        policy: config.policy.as_ref(),
        block: config.public_access_block.unwrap_or_default(),
        ownership: config.ownership.unwrap_or(Ownership::ObjectWriter),
        thing: question.thing,
        values,
        limits: policy::limits,
    })
}

fn check(ask: &Ask, bucket: &Bucket, question: &Question<'_>) -> Outcome<()> {
    match judge(ask, bucket, question) {
        Decision::Allowed => Ok(()),
        Decision::Denied(_) => Err(Code::AccessDenied.into()),
    }
}

fn of_bucket(bucket: &Bucket, permission: Option<Permission>) -> Thing<'_> {
    Thing { owner: &bucket.owner, grants: &bucket.config.grants, permission }
}

fn of_version<'a>(
    bucket: &'a Bucket,
    version: &'a Version,
    permission: Option<Permission>,
) -> Thing<'a> {
    let attributes = &version.attributes;
    let owner = attributes.owner.as_ref().unwrap_or(&bucket.owner);
    Thing { owner, grants: &attributes.grants, permission }
}

/// Refuses who has no account.
///
/// # Errors
/// When nobody in particular asks.
pub fn account(ask: &Ask) -> Outcome<()> {
    ask.owner().map(|_| ())
}

/// The bucket, when this operation may be done on it.
///
/// # Errors
/// When it is not there, or may not.
pub fn bucket(ask: &Ask, snapshot: &Snapshot<'_>) -> Outcome<Arc<Bucket>> {
    let bucket = ask.bucket(snapshot)?;
    let permission = match ask.operation.need() {
        Need::Bucket(permission) => Some(permission),
        _ => None,
    };
    let key = (!ask.key.is_empty()).then_some(ask.key.as_str());
    let thing = of_bucket(&bucket, permission);
    let action = ask.operation.action();
    check(ask, &bucket, &Question { action, key, thing, version: None, prefix: None })?;
    Ok(bucket)
}

/// The bucket, when an object may be written there under the key that is asked for.
///
/// # Errors
/// When it is not there, or may not.
pub fn write(ask: &Ask, snapshot: &Snapshot<'_>) -> Outcome<Arc<Bucket>> {
    bucket(ask, snapshot)
}

/// The bucket, when the object that is asked for may be deleted there.
///
/// # Errors
/// When it is not there, or may not.
pub fn delete(ask: &Ask, snapshot: &Snapshot<'_>) -> Outcome<Arc<Bucket>> {
    let bucket = ask.bucket(snapshot)?;
    let key = ask.key()?;
    delete_one(ask, &bucket, &key, ask.query.has("versionId"))?;
    Ok(bucket)
}

/// Whether this object may be deleted.
///
/// # Errors
/// When it may not.
pub fn delete_one(ask: &Ask, bucket: &Bucket, key: &Key, version: bool) -> Outcome<()> {
    let action = if version { "s3:DeleteObjectVersion" } else { "s3:DeleteObject" };
    let thing = of_bucket(bucket, Some(Permission::Write));
    check(
        ask,
        bucket,
        &Question { action, key: Some(key.as_str()), thing, version: None, prefix: None },
    )
}

/// Whether retention in governance mode is to be passed over, and may be.
///
/// # Errors
/// When it is to be, and may not.
pub fn bypass(ask: &Ask, bucket: &Bucket) -> Outcome<bool> {
    let asked = ask.header("x-amz-bypass-governance-retention");
    if !asked.is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        return Ok(false);
    }
    let action = "s3:BypassGovernanceRetention";
    let thing = of_bucket(bucket, None);
    let key = (!ask.key.is_empty()).then_some(ask.key.as_str());
    Ok(judge(ask, bucket, &Question { action, key, thing, version: None, prefix: None })
        .is_allowed())
}

/// The action on an object, which is another one when a version is named.
fn versioned(operation: Operation, named: bool) -> &'static str {
    if !named {
        return operation.action();
    }
    match operation {
        Operation::GetObject | Operation::HeadObject => "s3:GetObjectVersion",
        Operation::GetObjectAttributes => "s3:GetObjectVersionAttributes",
        Operation::GetObjectAcl => "s3:GetObjectVersionAcl",
        Operation::PutObjectAcl => "s3:PutObjectVersionAcl",
        Operation::GetObjectTagging => "s3:GetObjectVersionTagging",
        Operation::PutObjectTagging => "s3:PutObjectVersionTagging",
        Operation::DeleteObjectTagging => "s3:DeleteObjectVersionTagging",
        Operation::GetObjectTorrent => "s3:GetObjectVersionTorrent",
        other => other.action(),
    }
}

/// Whether this operation may be done on a version.
///
/// # Errors
/// When it may not.
pub fn object(ask: &Ask, bucket: &Bucket, version: Option<&Version>) -> Outcome<()> {
    let action = versioned(ask.operation, ask.query.has("versionId"));
    let thing = match (ask.operation.need(), version) {
        (Need::Object(permission), Some(version)) => of_version(bucket, version, Some(permission)),
        (Need::ObjectOwner, Some(version)) => of_version(bucket, version, None),
        (Need::Bucket(permission), _) => of_bucket(bucket, Some(permission)),
        _ => of_bucket(bucket, None),
    };
    check(ask, bucket, &Question { action, key: Some(&ask.key), thing, version, prefix: None })
}

/// Who may list a bucket may know that something is not there; others may not.
///
/// # Errors
/// When they may not.
pub fn absent(ask: &Ask, bucket: &Bucket, key: &str) -> Outcome<()> {
    let thing = of_bucket(bucket, Some(Permission::Read));
    let (action, prefix) = ("s3:ListBucket", Some(key));
    check(ask, bucket, &Question { action, key: None, thing, version: None, prefix })
}

/// The version that is asked for, when this operation may be done on it. No delete
/// marker.
///
/// # Errors
/// When it is not there, or may not.
pub fn version(ask: &Ask, snapshot: &Snapshot<'_>) -> Outcome<(Arc<Bucket>, Version)> {
    let bucket = ask.bucket(snapshot)?;
    let which = ask.which()?;
    let found = snapshot.version(bucket.id, &ask.key()?, which.unwrap_or(Which::Current))?;
    let Some(version) = found else {
        absent(ask, &bucket, &ask.key)?;
        return Err(super::operation::get_object::absent(ask, which));
    };
    object(ask, &bucket, Some(&version))?;
    if version.entry.delete_marker {
        return Err(super::operation::get_object::marker(&version, which));
    }
    Ok((bucket, version))
}

/// The version that is meant, in a bucket whose versions can be held.
///
/// # Errors
/// When the bucket has no lock, the version is not there, or it may not be known.
pub fn holdable(ask: &Ask) -> Outcome<(Arc<Bucket>, Version)> {
    let snapshot = ask.gate.store.snapshot();
    super::draft::lockable(&*ask.bucket(&snapshot)?)?;
    version(ask, &snapshot)
}

/// Whether the source of a copy may be read.
///
/// # Errors
/// When it may not.
pub fn source(ask: &Ask, bucket: &Bucket, version: &Version, named: bool) -> Outcome<()> {
    let action = versioned(Operation::GetObject, named);
    let thing = of_version(bucket, version, Some(Permission::Read));
    let key = Some(version.key.as_str());
    check(ask, bucket, &Question { action, key, thing, version: Some(version), prefix: None })
}

/// Who may not list the bucket of a source does not learn that the source is not
/// there.
///
/// # Errors
/// When they may not.
pub fn source_absent(ask: &Ask, bucket: &Bucket, key: &Key) -> Outcome<()> {
    absent(ask, bucket, key.as_str())
}
