//! The table of operations: names, actions as policies call them, and what grants must
//! say. Every operation of the S3 API is in it, also those that are not done, so that
//! 501 can name them.

use object::access::Permission;

/// What grants may give the right to an operation, beside policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Anybody with an account.
    Account,
    /// Anybody at all; the operation looks itself.
    Nothing,
    /// The bucket's owner's right; grants never give it.
    Owner,
    /// A grant on the bucket.
    Bucket(Permission),
    /// A grant on the object.
    Object(Permission),
    /// The object's owner's right; grants never give it.
    ObjectOwner,
}

macro_rules! operations {
    ($($name:ident $action:literal $need:expr;)* ; refused: $($other:ident)*) => {
        /// An operation of S3, by its name in the API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the names are those of the S3 API reference")]
        pub enum Operation { $($name,)* $($other,)* }

        impl Operation {
            /// Those that are done.
            pub const DONE: &'static [Operation] = &[$(Operation::$name,)*];
            /// Those that answer 501 with their name.
            pub const REFUSED: &'static [Operation] = &[$(Operation::$other,)*];

            /// The names of all, by their numbers.
            pub const NAMES: &'static [&'static str] =
                &[$(stringify!($name),)* $(stringify!($other),)*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Operation::$name => stringify!($name),)*
                    $(Operation::$other => stringify!($other),)*
                }
            }
            /// As policies name the right to do it.
            pub const fn action(self) -> &'static str {
                match self { $(Operation::$name => $action,)* _ => "s3:None" }
            }
            /// What grants must say.
            pub const fn need(self) -> Need {
                match self { $(Operation::$name => $need,)* _ => Need::Owner }
            }
        }
    };
}

use Need::{Account, Bucket, Nothing, Object, ObjectOwner, Owner};
use Permission::{Read, ReadGrants, Write, WriteGrants};

operations! {
    ListBuckets "s3:ListAllMyBuckets" Account;
    CreateBucket "s3:CreateBucket" Account;
    HeadBucket "s3:ListBucket" Bucket(Read);
    DeleteBucket "s3:DeleteBucket" Owner;
    GetBucketLocation "s3:GetBucketLocation" Owner;
    ListObjects "s3:ListBucket" Bucket(Read);
    ListObjectsV2 "s3:ListBucket" Bucket(Read);
    ListObjectVersions "s3:ListBucketVersions" Bucket(Read);
    ListMultipartUploads "s3:ListBucketMultipartUploads" Bucket(Read);
    GetBucketVersioning "s3:GetBucketVersioning" Owner;
    PutBucketVersioning "s3:PutBucketVersioning" Owner;
    GetBucketAcl "s3:GetBucketAcl" Bucket(ReadGrants);
    PutBucketAcl "s3:PutBucketAcl" Bucket(WriteGrants);
    GetBucketPolicy "s3:GetBucketPolicy" Owner;
    PutBucketPolicy "s3:PutBucketPolicy" Owner;
    DeleteBucketPolicy "s3:DeleteBucketPolicy" Owner;
    GetBucketPolicyStatus "s3:GetBucketPolicyStatus" Owner;
    GetBucketOwnershipControls "s3:GetBucketOwnershipControls" Owner;
    PutBucketOwnershipControls "s3:PutBucketOwnershipControls" Owner;
    DeleteBucketOwnershipControls "s3:PutBucketOwnershipControls" Owner;
    GetPublicAccessBlock "s3:GetBucketPublicAccessBlock" Owner;
    PutPublicAccessBlock "s3:PutBucketPublicAccessBlock" Owner;
    DeletePublicAccessBlock "s3:PutBucketPublicAccessBlock" Owner;
    GetBucketTagging "s3:GetBucketTagging" Owner;
    PutBucketTagging "s3:PutBucketTagging" Owner;
    DeleteBucketTagging "s3:PutBucketTagging" Owner;
    GetBucketCors "s3:GetBucketCORS" Owner;
    PutBucketCors "s3:PutBucketCORS" Owner;
    DeleteBucketCors "s3:PutBucketCORS" Owner;
    GetBucketLifecycleConfiguration "s3:GetLifecycleConfiguration" Owner;
    PutBucketLifecycleConfiguration "s3:PutLifecycleConfiguration" Owner;
    DeleteBucketLifecycle "s3:PutLifecycleConfiguration" Owner;
    GetBucketEncryption "s3:GetEncryptionConfiguration" Owner;
    PutBucketEncryption "s3:PutEncryptionConfiguration" Owner;
    DeleteBucketEncryption "s3:PutEncryptionConfiguration" Owner;
    GetObjectLockConfiguration "s3:GetBucketObjectLockConfiguration" Owner;
    PutObjectLockConfiguration "s3:PutBucketObjectLockConfiguration" Owner;
    GetBucketRequestPayment "s3:GetBucketRequestPayment" Owner;
    PutBucketRequestPayment "s3:PutBucketRequestPayment" Owner;
    GetBucketWebsite "s3:GetBucketWebsite" Owner;
    PutBucketWebsite "s3:PutBucketWebsite" Owner;
    DeleteBucketWebsite "s3:DeleteBucketWebsite" Owner;
    GetBucketLogging "s3:GetBucketLogging" Owner;
    PutBucketLogging "s3:PutBucketLogging" Owner;
    GetBucketNotificationConfiguration "s3:GetBucketNotification" Owner;
    PutBucketNotificationConfiguration "s3:PutBucketNotification" Owner;
    GetBucketAccelerateConfiguration "s3:GetAccelerateConfiguration" Owner;
    PutBucketAccelerateConfiguration "s3:PutAccelerateConfiguration" Owner;
    GetBucketReplication "s3:GetReplicationConfiguration" Owner;
    DeleteBucketReplication "s3:PutReplicationConfiguration" Owner;
    DeleteObjects "s3:DeleteObject" Nothing;
    PostObject "s3:PutObject" Bucket(Write);
    PreflightObject "s3:None" Nothing;
    GetObject "s3:GetObject" Object(Read);
    HeadObject "s3:GetObject" Object(Read);
    PutObject "s3:PutObject" Bucket(Write);
    CopyObject "s3:PutObject" Bucket(Write);
    DeleteObject "s3:DeleteObject" Bucket(Write);
    GetObjectAttributes "s3:GetObjectAttributes" Object(Read);
    GetObjectAcl "s3:GetObjectAcl" Object(ReadGrants);
    PutObjectAcl "s3:PutObjectAcl" Object(WriteGrants);
    GetObjectTagging "s3:GetObjectTagging" ObjectOwner;
    PutObjectTagging "s3:PutObjectTagging" ObjectOwner;
    DeleteObjectTagging "s3:DeleteObjectTagging" ObjectOwner;
    GetObjectRetention "s3:GetObjectRetention" Owner;
    PutObjectRetention "s3:PutObjectRetention" Owner;
    GetObjectLegalHold "s3:GetObjectLegalHold" Owner;
    PutObjectLegalHold "s3:PutObjectLegalHold" Owner;
    GetObjectTorrent "s3:GetObjectTorrent" Object(Read);
    CreateMultipartUpload "s3:PutObject" Bucket(Write);
    UploadPart "s3:PutObject" Bucket(Write);
    UploadPartCopy "s3:PutObject" Bucket(Write);
    CompleteMultipartUpload "s3:PutObject" Bucket(Write);
    AbortMultipartUpload "s3:AbortMultipartUpload" Bucket(Write);
    ListParts "s3:ListMultipartUploadParts" Bucket(Read);
    ;
    refused:
    CreateSession
    ListDirectoryBuckets
    RestoreObject
    SelectObjectContent
    RenameObject
    UpdateObjectEncryption
    WriteGetObjectResponse
    PutBucketReplication
    GetBucketAbac
    PutBucketAbac
    GetBucketAnalyticsConfiguration
    ListBucketAnalyticsConfigurations
    PutBucketAnalyticsConfiguration
    DeleteBucketAnalyticsConfiguration
    GetBucketIntelligentTieringConfiguration
    ListBucketIntelligentTieringConfigurations
    PutBucketIntelligentTieringConfiguration
    DeleteBucketIntelligentTieringConfiguration
    GetBucketInventoryConfiguration
    ListBucketInventoryConfigurations
    PutBucketInventoryConfiguration
    DeleteBucketInventoryConfiguration
    GetBucketMetricsConfiguration
    ListBucketMetricsConfigurations
    PutBucketMetricsConfiguration
    DeleteBucketMetricsConfiguration
    GetBucketMetadataConfiguration
    CreateBucketMetadataConfiguration
    DeleteBucketMetadataConfiguration
    GetBucketMetadataTableConfiguration
    CreateBucketMetadataTableConfiguration
    DeleteBucketMetadataTableConfiguration
    UpdateBucketMetadataInventoryTableConfiguration
    UpdateBucketMetadataJournalTableConfiguration
}
