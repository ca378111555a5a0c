//! What may change, what is said about it, and why it may be refused. The store's one
//! writer decides mutations one after the other, so a condition that held when it was
//! looked at holds when the change is recorded.

use model::Timestamp;
use thiserror::Error;

use crate::access::{Grant, PublicAccessBlock};
use crate::bucket::{Bucket, Config};
use crate::condition::Conditions;
use crate::entry::{Attributes, Body, Checksum, PartInfo, Retention, Sealing, Sequence, Tag};
use crate::name::{BucketName, Key, Owner};

/// Which version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The newest.
    Current,
    /// The one that was written while the bucket kept no versions.
    Null,
    /// This one.
    At(Sequence),
}

/// An upload's name: the sequence of the record that began it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(pub Sequence);

/// A change that is asked for.
#[derive(Clone, Debug)]
pub enum Mutation {
    /// A new bucket.
    CreateBucket { name: BucketName, owner: Owner, config: Box<Config> },
    /// A bucket goes. It must have no versions; its uploads go with it.
    DeleteBucket { name: BucketName },
    /// A part of a bucket's configuration is replaced.
    Configure { name: BucketName, change: Box<ConfigChange> },
    /// A new version, or a new null version.
    Put(Box<Put>),
    /// A version goes, or a delete marker comes.
    Delete(Delete),
    /// A version's attributes change; its body and its sequence stay.
    Amend { bucket: BucketName, key: Key, which: Which, change: Box<Amendment> },
    /// An upload in parts begins.
    CreateUpload {
        bucket: BucketName,
        key: Key,
        attributes: Box<Attributes>,
        class: u8,
        checksum: Option<(crate::entry::Algorithm, crate::entry::Coverage)>,
    },
    /// A part comes. It replaces the one with its number.
    PutPart { bucket: BucketName, key: Key, upload: UploadId, part: Box<PartInfo>, body: Body },
    /// The parts become a version. The bodies move; nothing is copied.
    CompleteUpload(Box<Complete>),
    /// An upload is given up.
    AbortUpload { bucket: BucketName, key: Key, upload: UploadId },
}

/// A new version.
#[derive(Clone, Debug)]
pub struct Put {
    /// Where to.
    pub bucket: BucketName,
    /// Under which key.
    pub key: Key,
    /// The content's length, as clients see it.
    pub size: u64,
    /// Its tag.
    pub tag: Tag,
    /// An index into [`crate::entry::CLASSES`].
    pub class: u8,
    /// What else is to be kept. The bucket's default retention is put in by the store.
    pub attributes: Attributes,
    /// The content.
    pub body: Body,
    /// What must hold of the version that is current now.
    pub conditions: Conditions,
}

/// Something to be deleted.
#[derive(Clone, Debug)]
pub struct Delete {
    /// Where.
    pub bucket: BucketName,
    /// Which key.
    pub key: Key,
    /// `None`: as a user means it (a marker when versions are kept). `Some`: this
    /// version, for good.
    pub which: Option<Which>,
    /// What must hold of it.
    pub conditions: Conditions,
    /// Retention in governance mode does not hold it.
    pub bypass: bool,
    /// Whose a delete marker will be.
    pub owner: Owner,
}

/// The parts that become a version.
#[derive(Clone, Debug)]
pub struct Complete {
    /// Where.
    pub bucket: BucketName,
    /// Under which key.
    pub key: Key,
    /// From which upload.
    pub upload: UploadId,
    /// In this order: number, its MD5, its checksum when the client says it.
    pub parts: Vec<(u16, [u8; 16], Option<Checksum>)>,
    /// The whole's checksum, when the client says it.
    pub checksum: Option<Checksum>,
    /// The whole's length, when the client says it.
    pub size: Option<u64>,
    /// No part but the last may be shorter than this (S3: 5 MiB).
    pub least: u64,
    /// What must hold of the version that is current now.
    pub conditions: Conditions,
}

/// A change of a version's attributes.
#[derive(Clone, Debug)]
pub enum Amendment {
    /// All tags.
    Tags(Vec<(Box<str>, Box<str>)>),
    /// All grants.
    Grants(Vec<Grant>),
    /// Until when it stays. `bypass`: a shorter one in governance mode is allowed.
    Retention { retention: Option<Retention>, bypass: bool },
    /// It stays, whatever the time.
    LegalHold(bool),
    /// Its class of storage.
    Class(u8),
}

/// A change of a bucket's configuration.
#[derive(Clone, Debug)]
pub enum ConfigChange {
    /// Versions are kept from now on.
    Versioning(crate::bucket::Versioning),
    /// All grants.
    Grants(Vec<Grant>),
    /// The policy.
    Policy(Option<crate::access::Policy>),
    /// The block of public access.
    PublicAccessBlock(Option<PublicAccessBlock>),
    /// Whose others' objects are.
    Ownership(Option<crate::bucket::Ownership>),
    /// All rules.
    Lifecycle(Vec<crate::lifecycle::Rule>),
    /// All rules.
    Cors(Vec<crate::bucket::CorsRule>),
    /// All tags.
    Tags(Vec<(Box<str>, Box<str>)>),
    /// Holding. Needs versions.
    Lock(crate::bucket::Lock),
    /// Encryption of new objects.
    Encryption(Option<crate::bucket::Encryption>),
    /// The most bytes.
    Quota(Option<u64>),
    /// A dialect's document, by name.
    Document(Box<str>, Option<Box<str>>),
}

/// What was done. Said only when it is durable.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The bucket, as it is now.
    Bucket(Box<Bucket>),
    /// The bucket is gone.
    BucketGone,
    /// A version was written.
    Put {
        /// Its sequence.
        sequence: Sequence,
        /// It is the null version.
        null: bool,
        /// The bucket keeps versions or did: its name is worth telling.
        versioned: bool,
        /// Its tag.
        tag: Tag,
        /// When.
        modified: Timestamp,
        /// Its checksum.
        checksum: Option<Checksum>,
        /// How it is encrypted.
        sealing: Option<Sealing>,
        /// Its length.
        size: u64,
    },
    /// Something was deleted, or was not there.
    Deleted {
        /// The version that went or the marker that came; none when nothing was there.
        sequence: Option<Sequence>,
        /// It is the null version.
        null: bool,
        /// A marker came, or the version that went was one.
        marker: bool,
        /// The bucket keeps versions or did.
        versioned: bool,
    },
    /// A version was amended.
    Amended { sequence: Sequence, null: bool },
    /// An upload began.
    Upload(UploadId),
    /// A part came.
    Part { md5: [u8; 16], checksum: Option<Checksum> },
    /// An upload was given up.
    Aborted,
}

/// Why a change was not made. Nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// There is no such bucket.
    #[error("the bucket is not there")]
    NoBucket,
    /// There is one already: whose it is.
    #[error("the bucket is there already")]
    BucketExists(Owner),
    /// There is something in it.
    #[error("the bucket is not empty")]
    NotEmpty,
    /// There is no such key.
    #[error("the object is not there")]
    NoKey,
    /// There is no such version.
    #[error("the version is not there")]
    NoVersion,
    /// The version is a delete marker.
    #[error("the version is a delete marker")]
    Marker(Sequence),
    /// There is no such upload.
    #[error("the upload is not there: it was finished or given up, or never begun")]
    NoUpload,
    /// A part is not there, or is another than the one that is meant.
    #[error("part {0} is not there, or is not the one that is meant")]
    InvalidPart(u16),
    /// Parts must come in ascending order.
    #[error("parts must be listed in ascending order")]
    PartOrder,
    /// A part is too short.
    #[error("part {0} is shorter than a part may be that is not the last")]
    PartTooShort(u16),
    /// No parts.
    #[error("an object is put together from at least one part")]
    NoParts,
    /// A condition does not hold.
    #[error("a condition does not hold")]
    Failed,
    /// It is held.
    #[error("the version is held: by its retention or a legal hold")]
    Held,
    /// The bucket has no lock.
    #[error("the bucket was made without the holding of objects")]
    NoLock,
    /// The state of the bucket does not allow it.
    #[error("the bucket's state does not allow it: {0}")]
    BucketState(&'static str),
    /// The checksum is not that of the content.
    #[error("the checksum is not that of the content")]
    Checksum,
    /// The whole's length is not what was said.
    #[error("{counted} bytes are there, and {said} were said")]
    Length {
        /// What the client says.
        said: u64,
        /// The sum of the parts.
        counted: u64,
    },
    /// More than the bucket may have.
    #[error("the bucket's quota is used up")]
    Quota,
    /// The medium is full.
    #[error("no space is left")]
    Full,
    /// The medium fails. The store takes no more changes.
    #[error("the medium fails: {0}")]
    Medium(String),
}
