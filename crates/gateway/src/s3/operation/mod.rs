//! The operations: one file each, or one for a document and its reading, writing and
//! deleting. The listing of this directory is the list of what there is.

pub mod abort_multipart_upload;
pub mod bucket_acl;
pub mod bucket_cors;
pub mod bucket_documents;
pub mod bucket_encryption;
pub mod bucket_lifecycle;
pub mod bucket_ownership;
pub mod bucket_policy;
pub mod bucket_tagging;
pub mod bucket_versioning;
pub mod complete_multipart_upload;
pub mod copy_object;
pub mod create_bucket;
pub mod create_multipart_upload;
pub mod delete_bucket;
pub mod delete_object;
pub mod delete_objects;
pub mod get_bucket_location;
pub mod get_object;
pub mod get_object_attributes;
pub mod get_object_torrent;
pub mod head_bucket;
pub mod list_buckets;
pub mod list_multipart_uploads;
pub mod list_object_versions;
pub mod list_objects;
pub mod list_parts;
pub mod object_acl;
pub mod object_legal_hold;
pub mod object_lock_configuration;
pub mod object_retention;
pub mod object_tagging;
pub mod post_object;
pub mod preflight;
pub mod public_access_block;
pub mod put_object;
pub mod upload_part;
pub mod upload_part_copy;

use object::bucket::Bucket;
use object::mutation::{Amendment, ConfigChange, Mutation, Reply, Which};
use object::query::Upload;
use object::store::Snapshot;
use object::{BucketId, Key};

use super::ask::{Ask, Shared, commit};
use super::error::{Code, Outcome};
use super::header::{parse_upload_id, told_version};
use super::route::Operation as Op;
use crate::step::Step;

/// Carries out a request.
///
/// # Errors
/// Why it is not done.
pub fn run(ask: &Shared) -> Outcome<Step> {
    match ask.operation {
        Op::ListBuckets => list_buckets::run(ask),
        Op::CreateBucket => create_bucket::run(ask),
        Op::HeadBucket => head_bucket::run(ask),
        Op::DeleteBucket => delete_bucket::run(ask),
        Op::GetBucketLocation => get_bucket_location::run(ask),
        Op::ListObjects => list_objects::v1(ask),
        Op::ListObjectsV2 => list_objects::v2(ask),
        Op::ListObjectVersions => list_object_versions::run(ask),
        Op::ListMultipartUploads => list_multipart_uploads::run(ask),
        Op::PreflightObject => preflight::run(ask),
        Op::PostObject => post_object::run(ask),
        Op::DeleteObjects => delete_objects::run(ask),
        Op::GetObject | Op::HeadObject => get_object::run(ask),
        Op::PutObject => put_object::run(ask),
        Op::CopyObject => copy_object::run(ask),
        Op::DeleteObject => delete_object::run(ask),
        Op::GetObjectAttributes => get_object_attributes::run(ask),
        Op::GetObjectAcl => object_acl::get(ask),
        Op::PutObjectAcl => object_acl::put(ask),
        Op::GetObjectTagging => object_tagging::get(ask),
        Op::PutObjectTagging => object_tagging::put(ask),
        Op::DeleteObjectTagging => object_tagging::delete(ask),
        Op::GetObjectRetention => object_retention::get(ask),
        Op::PutObjectRetention => object_retention::put(ask),
        Op::GetObjectLegalHold => object_legal_hold::get(ask),
        Op::PutObjectLegalHold => object_legal_hold::put(ask),
        Op::GetObjectTorrent => get_object_torrent::run(ask),
        Op::CreateMultipartUpload => create_multipart_upload::run(ask),
        Op::UploadPart => upload_part::run(ask),
        Op::UploadPartCopy => upload_part_copy::run(ask),
        Op::CompleteMultipartUpload => complete_multipart_upload::run(ask),
        Op::AbortMultipartUpload => abort_multipart_upload::run(ask),
        Op::ListParts => list_parts::run(ask),
        _ => configuration(ask),
    }
}

/// What is said about a bucket.
fn configuration(ask: &Shared) -> Outcome<Step> {
    match ask.operation {
        Op::GetBucketVersioning => bucket_versioning::get(ask),
        Op::PutBucketVersioning => bucket_versioning::put(ask),
        Op::GetBucketAcl => bucket_acl::get(ask),
        Op::PutBucketAcl => bucket_acl::put(ask),
        Op::GetBucketPolicy => bucket_policy::get(ask),
        Op::PutBucketPolicy => bucket_policy::put(ask),
        Op::DeleteBucketPolicy => bucket_policy::delete(ask),
        Op::GetBucketPolicyStatus => bucket_policy::status(ask),
        Op::GetBucketOwnershipControls => bucket_ownership::get(ask),
        Op::PutBucketOwnershipControls => bucket_ownership::put(ask),
        Op::DeleteBucketOwnershipControls => bucket_ownership::delete(ask),
        Op::GetPublicAccessBlock => public_access_block::get(ask),
        Op::PutPublicAccessBlock => public_access_block::put(ask),
        Op::DeletePublicAccessBlock => public_access_block::delete(ask),
        Op::GetBucketTagging => bucket_tagging::get(ask),
        Op::PutBucketTagging => bucket_tagging::put(ask),
        Op::DeleteBucketTagging => bucket_tagging::delete(ask),
        Op::GetBucketCors => bucket_cors::get(ask),
        Op::PutBucketCors => bucket_cors::put(ask),
        Op::DeleteBucketCors => bucket_cors::delete(ask),
        Op::GetBucketLifecycleConfiguration => bucket_lifecycle::get(ask),
        Op::PutBucketLifecycleConfiguration => bucket_lifecycle::put(ask),
        Op::DeleteBucketLifecycle => bucket_lifecycle::delete(ask),
        Op::GetBucketEncryption => bucket_encryption::get(ask),
        Op::PutBucketEncryption => bucket_encryption::put(ask),
        Op::DeleteBucketEncryption => bucket_encryption::delete(ask),
        Op::GetObjectLockConfiguration => object_lock_configuration::get(ask),
        Op::PutObjectLockConfiguration => object_lock_configuration::put(ask),
        _ => document(ask),
    }
}

/// Documents that are kept, and what is not done.
fn document(ask: &Shared) -> Outcome<Step> {
    use bucket_documents as documents;
    match ask.operation {
        Op::GetBucketRequestPayment => documents::get(ask, &documents::REQUEST_PAYMENT),
        Op::PutBucketRequestPayment => documents::put(ask, &documents::REQUEST_PAYMENT),
        Op::GetBucketWebsite => documents::get(ask, &documents::WEBSITE),
        Op::PutBucketWebsite => documents::put(ask, &documents::WEBSITE),
        Op::DeleteBucketWebsite => documents::delete(ask, &documents::WEBSITE),
        Op::GetBucketLogging => documents::get(ask, &documents::LOGGING),
        Op::PutBucketLogging => documents::put(ask, &documents::LOGGING),
        Op::GetBucketNotificationConfiguration => documents::get(ask, &documents::NOTIFICATION),
        Op::PutBucketNotificationConfiguration => documents::put(ask, &documents::NOTIFICATION),
        Op::GetBucketAccelerateConfiguration => documents::get(ask, &documents::ACCELERATE),
        Op::PutBucketAccelerateConfiguration => documents::put(ask, &documents::ACCELERATE),
        Op::GetBucketReplication => documents::no_replication(ask),
        Op::DeleteBucketReplication => documents::delete_replication(ask),
        other => Err(Code::NotImplemented
            .saying(format!("{} is not implemented", other.name()))
            .with("Operation", other.name())),
    }
}

/// Replaces a part of the bucket's configuration.
fn configure(ask: &Shared, change: ConfigChange, status: u16) -> Outcome<Step> {
    let mutation = Mutation::Configure { name: ask.bucket_name()?, change: Box::new(change) };
    Ok(commit(ask, mutation, move |ask, _| ask.say(status).empty()))
}

/// Changes the attributes of the version that is asked for.
fn amend(ask: &Shared, bucket: &Bucket, change: Amendment, status: u16) -> Outcome<Step> {
    let which = ask.which()?.unwrap_or(Which::Current);
    let versioned = bucket.config.versioning != object::bucket::Versioning::Off;
    let (bucket, key, change) = (bucket.name.clone(), ask.key()?, Box::new(change));
    let mutation = Mutation::Amend { bucket, key, which, change };
    Ok(commit(ask, mutation, move |ask, reply| {
        let id = match reply {
            Reply::Amended { sequence, null } if versioned => Some(told_version(sequence, null)),
            _ => None,
        };
        ask.say(status).maybe("x-amz-version-id", id).empty()
    }))
}

/// The upload that is asked for, and its key.
fn upload(ask: &Ask, snapshot: &Snapshot<'_>, bucket: BucketId) -> Outcome<(Key, Upload)> {
    let key = ask.key()?;
    let id = parse_upload_id(ask.query.get("uploadId").unwrap_or(""))?;
    let upload = snapshot.upload(bucket, &key, id)?.ok_or(Code::NoSuchUpload)?;
    Ok((key, upload))
}
