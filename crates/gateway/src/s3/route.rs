//! Which operation a request is: by method, place (service, bucket, object), query and
//! headers.

use super::error::{Code, Failure, Outcome};
use super::fields::{Fields, decode_path, decode_query};
pub use super::table::{Need, Operation};
use crate::step::Head;

/// Where a request goes and what it is.
#[derive(Debug)]
pub struct Route {
    /// What it is.
    pub operation: Operation,
    /// The bucket's name as it came; empty for the service.
    pub bucket: String,
    /// The key; empty for the bucket.
    pub key: String,
    /// The query, decoded.
    pub query: Fields,
}

/// Finds out what a request is. `domains`: names under which buckets are hosts
/// (`BUCKET.DOMAIN`).
///
/// # Errors
/// When the path or query is no UTF-8, or nothing is meant by it.
pub fn route(head: &Head<'_>, domains: &[String]) -> Outcome<Route> {
    let query = decode_query(head.query)?;
    let (bucket, key) = place(head, domains)?;
    let operation = if bucket.is_empty() {
        service(head.method, &query)?
    } else if key.is_empty() {
        of_bucket(head, &query)?
    } else {
        of_object(head, &query)?
    };
    Ok(Route { operation, bucket, key, query })
}

/// Bucket and key.
fn place(head: &Head<'_>, domains: &[String]) -> Outcome<(String, String)> {
    let path = head.path.strip_prefix('/').unwrap_or(head.path);
    let host = head.header("host").unwrap_or("");
    let host = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let host = host.map_or(head.header("host").unwrap_or(""), |(host, _)| host);
    for domain in domains {
        let bucket = host.strip_suffix(domain.as_str()).and_then(|rest| rest.strip_suffix('.'));
        if let Some(bucket) = bucket.filter(|bucket| !bucket.is_empty()) {
            return Ok((bucket.to_owned(), decode_path(path)?));
        }
    }
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    Ok((decode_path(bucket)?, decode_path(key)?))
}

fn service(method: &str, query: &Fields) -> Outcome<Operation> {
    match method {
        "GET" if query.has("x-id") && query.get("x-id") == Some("ListDirectoryBuckets") => {
            Ok(Operation::ListDirectoryBuckets)
        }
        "GET" | "HEAD" => Ok(Operation::ListBuckets),
        "OPTIONS" => Ok(Operation::PreflightObject),
        _ => Err(not_allowed()),
    }
}

fn not_allowed() -> Box<Failure> {
    Code::MethodNotAllowed.into()
}

/// Sub-resources of buckets, and what GET, PUT and DELETE of them are.
type Sub = (&'static str, Option<Operation>, Option<Operation>, Option<Operation>);

use Operation as Op;

const SUBS: &[Sub] = &[
    ("abac", Some(Op::GetBucketAbac), Some(Op::PutBucketAbac), None),
    (
        "accelerate",
        Some(Op::GetBucketAccelerateConfiguration),
        Some(Op::PutBucketAccelerateConfiguration),
        None,
    ),
    ("acl", Some(Op::GetBucketAcl), Some(Op::PutBucketAcl), None),
    (
        "analytics",
        Some(Op::GetBucketAnalyticsConfiguration),
        Some(Op::PutBucketAnalyticsConfiguration),
        Some(Op::DeleteBucketAnalyticsConfiguration),
    ),
    ("cors", Some(Op::GetBucketCors), Some(Op::PutBucketCors), Some(Op::DeleteBucketCors)),
    (
        "encryption",
        Some(Op::GetBucketEncryption),
        Some(Op::PutBucketEncryption),
        Some(Op::DeleteBucketEncryption),
    ),
    (
        "intelligent-tiering",
        Some(Op::GetBucketIntelligentTieringConfiguration),
        Some(Op::PutBucketIntelligentTieringConfiguration),
        Some(Op::DeleteBucketIntelligentTieringConfiguration),
    ),
    (
        "inventory",
        Some(Op::GetBucketInventoryConfiguration),
        Some(Op::PutBucketInventoryConfiguration),
        Some(Op::DeleteBucketInventoryConfiguration),
    ),
    (
        "lifecycle",
        Some(Op::GetBucketLifecycleConfiguration),
        Some(Op::PutBucketLifecycleConfiguration),
        Some(Op::DeleteBucketLifecycle),
    ),
    ("location", Some(Op::GetBucketLocation), None, None),
    ("logging", Some(Op::GetBucketLogging), Some(Op::PutBucketLogging), None),
    (
        "metadataConfiguration",
        Some(Op::GetBucketMetadataConfiguration),
        None,
        Some(Op::DeleteBucketMetadataConfiguration),
    ),
    (
        "metadataInventoryTable",
        None,
        Some(Op::UpdateBucketMetadataInventoryTableConfiguration),
        None,
    ),
    ("metadataJournalTable", None, Some(Op::UpdateBucketMetadataJournalTableConfiguration), None),
    (
        "metadataTable",
        Some(Op::GetBucketMetadataTableConfiguration),
        None,
        Some(Op::DeleteBucketMetadataTableConfiguration),
    ),
    (
        "metrics",
        Some(Op::GetBucketMetricsConfiguration),
        Some(Op::PutBucketMetricsConfiguration),
        Some(Op::DeleteBucketMetricsConfiguration),
    ),
    (
        "notification",
        Some(Op::GetBucketNotificationConfiguration),
        Some(Op::PutBucketNotificationConfiguration),
        None,
    ),
    (
        "object-lock",
        Some(Op::GetObjectLockConfiguration),
        Some(Op::PutObjectLockConfiguration),
        None,
    ),
    (
        "ownershipControls",
        Some(Op::GetBucketOwnershipControls),
        Some(Op::PutBucketOwnershipControls),
        Some(Op::DeleteBucketOwnershipControls),
    ),
    ("policy", Some(Op::GetBucketPolicy), Some(Op::PutBucketPolicy), Some(Op::DeleteBucketPolicy)),
    ("policyStatus", Some(Op::GetBucketPolicyStatus), None, None),
    (
        "publicAccessBlock",
        Some(Op::GetPublicAccessBlock),
        Some(Op::PutPublicAccessBlock),
        Some(Op::DeletePublicAccessBlock),
    ),
    (
        "replication",
        Some(Op::GetBucketReplication),
        Some(Op::PutBucketReplication),
        Some(Op::DeleteBucketReplication),
    ),
    ("requestPayment", Some(Op::GetBucketRequestPayment), Some(Op::PutBucketRequestPayment), None),
    ("session", Some(Op::CreateSession), None, None),
    (
        "tagging",
        Some(Op::GetBucketTagging),
        Some(Op::PutBucketTagging),
        Some(Op::DeleteBucketTagging),
    ),
    ("uploads", Some(Op::ListMultipartUploads), None, None),
    ("versioning", Some(Op::GetBucketVersioning), Some(Op::PutBucketVersioning), None),
    ("versions", Some(Op::ListObjectVersions), None, None),
    (
        "website",
        Some(Op::GetBucketWebsite),
        Some(Op::PutBucketWebsite),
        Some(Op::DeleteBucketWebsite),
    ),
];

fn of_bucket(head: &Head<'_>, query: &Fields) -> Outcome<Operation> {
    if let Some((name, get, put, delete)) = SUBS.iter().find(|(name, ..)| query.has(name)) {
        let found = match head.method {
            "GET" => *get,
            "PUT" => *put,
            "DELETE" => *delete,
            "POST" => match *name {
                "metadataConfiguration" => Some(Op::CreateBucketMetadataConfiguration),
                "metadataTable" => Some(Op::CreateBucketMetadataTableConfiguration),
                _ => None,
            },
            _ => None,
        };
        let found = found.map(|operation| if query.has("id") { operation } else { all(operation) });
        return found.ok_or_else(not_allowed);
    }
    match head.method {
        "GET" if query.get("list-type") == Some("2") => Ok(Op::ListObjectsV2),
        "GET" => Ok(Op::ListObjects),
        "HEAD" => Ok(Op::HeadBucket),
        "PUT" => Ok(Op::CreateBucket),
        "DELETE" => Ok(Op::DeleteBucket),
        "POST" if query.has("delete") => Ok(Op::DeleteObjects),
        "POST" if form(head) => Ok(Op::PostObject),
        "OPTIONS" => Ok(Op::PreflightObject),
        _ => Err(not_allowed()),
    }
}

/// Without an `id`, some are lists.
fn all(operation: Operation) -> Operation {
    match operation {
        Op::GetBucketAnalyticsConfiguration => Op::ListBucketAnalyticsConfigurations,
        Op::GetBucketIntelligentTieringConfiguration => {
            Op::ListBucketIntelligentTieringConfigurations
        }
        Op::GetBucketInventoryConfiguration => Op::ListBucketInventoryConfigurations,
        Op::GetBucketMetricsConfiguration => Op::ListBucketMetricsConfigurations,
        other => other,
    }
}

fn form(head: &Head<'_>) -> bool {
    let kind = head.header("content-type").unwrap_or("");
    kind.get(..19).is_some_and(|kind| kind.eq_ignore_ascii_case("multipart/form-data"))
}

fn of_object(head: &Head<'_>, query: &Fields) -> Outcome<Operation> {
    let copies = head.header("x-amz-copy-source").is_some();
    let found = match head.method {
        "GET" => match () {
            () if query.has("acl") => Op::GetObjectAcl,
            () if query.has("attributes") => Op::GetObjectAttributes,
            () if query.has("legal-hold") => Op::GetObjectLegalHold,
            () if query.has("retention") => Op::GetObjectRetention,
            () if query.has("tagging") => Op::GetObjectTagging,
            () if query.has("torrent") => Op::GetObjectTorrent,
            () if query.has("uploadId") => Op::ListParts,
            () => Op::GetObject,
        },
        "HEAD" => Op::HeadObject,
        "PUT" => match () {
            () if query.has("acl") => Op::PutObjectAcl,
            () if query.has("legal-hold") => Op::PutObjectLegalHold,
            () if query.has("retention") => Op::PutObjectRetention,
            () if query.has("tagging") => Op::PutObjectTagging,
            () if query.has("encryption") => Op::UpdateObjectEncryption,
            () if query.has("renameObject") => Op::RenameObject,
            () if query.has("uploadId") && copies => Op::UploadPartCopy,
            () if query.has("uploadId") => Op::UploadPart,
            () if copies => Op::CopyObject,
            () => Op::PutObject,
        },
        "POST" => match () {
            () if query.has("uploads") => Op::CreateMultipartUpload,
            () if query.has("uploadId") => Op::CompleteMultipartUpload,
            () if query.has("restore") => Op::RestoreObject,
            () if query.has("select") => Op::SelectObjectContent,
            () => return Err(not_allowed()),
        },
        "DELETE" => match () {
            () if query.has("tagging") => Op::DeleteObjectTagging,
            () if query.has("uploadId") => Op::AbortMultipartUpload,
            () => Op::DeleteObject,
        },
        "OPTIONS" => Op::PreflightObject,
        _ => return Err(not_allowed()),
    };
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::Framing;

    fn routed(method: &str, target: &str, headers: &[(&str, &[u8])]) -> Outcome<Route> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let head = Head { method, path, query, headers, framing: Framing::None };
        route(&head, &["s3.example".to_owned()])
    }

    fn operation(method: &str, target: &str) -> Operation {
        routed(method, target, &[]).unwrap().operation
    }

    #[test]
    fn operations_are_told_by_method_place_and_query() {
        assert_eq!(operation("GET", "/"), Op::ListBuckets);
        assert_eq!(operation("GET", "/b"), Op::ListObjects);
        assert_eq!(operation("GET", "/b/?list-type=2&prefix=a"), Op::ListObjectsV2);
        assert_eq!(operation("PUT", "/b?acl"), Op::PutBucketAcl);
        assert_eq!(operation("GET", "/b/k"), Op::GetObject);
        assert_eq!(operation("GET", "/b/k?uploadId=x"), Op::ListParts);
        assert_eq!(operation("PUT", "/b/k?partNumber=1&uploadId=x"), Op::UploadPart);
        assert_eq!(operation("POST", "/b/k?uploads"), Op::CreateMultipartUpload);
        assert_eq!(operation("POST", "/b?delete"), Op::DeleteObjects);
        assert_eq!(operation("GET", "/b?metrics"), Op::ListBucketMetricsConfigurations);
        assert_eq!(operation("GET", "/b?metrics&id=1"), Op::GetBucketMetricsConfiguration);
        assert_eq!(operation("POST", "/b/k?select&select-type=2"), Op::SelectObjectContent);
        let copy: &[(&str, &[u8])] = &[("X-Amz-Copy-Source", b"/a/b")];
        assert_eq!(routed("PUT", "/b/k", copy).unwrap().operation, Op::CopyObject);
        let part = routed("PUT", "/b/k?partNumber=1&uploadId=x", copy).unwrap();
        assert_eq!(part.operation, Op::UploadPartCopy);
        assert!(routed("PATCH", "/b/k", &[]).is_err());
        assert!(routed("POST", "/", &[]).is_err());
    }

    #[test]
    fn buckets_are_the_first_segment_or_the_host() {
        let path = routed("GET", "/b/a%2Fb//c+d%20e", &[]).unwrap();
        assert_eq!((path.bucket.as_str(), path.key.as_str()), ("b", "a/b//c+d e"));
        let host = routed("GET", "/k/l", &[("host", b"my.b.s3.example:8000")]).unwrap();
        assert_eq!((host.bucket.as_str(), host.key.as_str()), ("my.b", "k/l"));
        let plain = routed("GET", "/b", &[("host", b"s3.example")]).unwrap();
        assert_eq!(plain.bucket, "b");
    }

    #[test]
    fn keys_that_are_no_text_are_refused() {
        assert_eq!(routed("GET", "/b/%ae%8a-", &[]).unwrap_err().code, Code::InvalidURI);
        assert_eq!(routed("GET", "/b/%zz", &[]).unwrap_err().code, Code::InvalidURI);
    }

    #[test]
    fn no_operation_is_both_done_and_refused() {
        for operation in Operation::DONE {
            assert!(!Operation::REFUSED.contains(operation));
            assert_ne!(operation.action(), "");
        }
    }

    /// The table in the documentation is the table here.
    #[test]
    fn the_documentation_lists_every_operation() {
        let text = include_str!("../../../../docs/s3-operations.md");
        for operation in Operation::DONE.iter().filter(|one| **one != Op::PreflightObject) {
            assert!(text.contains(&format!("| {} | yes |", operation.name())), "{operation:?}");
        }
        for operation in Operation::REFUSED {
            assert!(text.contains(&format!("| {} | 501 |", operation.name())), "{operation:?}");
        }
        let rows = text.lines().filter(|line| line.contains("| yes |") || line.contains("| 501 |"));
        assert_eq!(rows.count(), Operation::DONE.len() + Operation::REFUSED.len() - 1);
    }
}
