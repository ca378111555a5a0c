//! What is kept of a bucket.

use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::access::{Grant, Policy, PublicAccessBlock};
use crate::entry::{Retention, RetentionMode};
use crate::lifecycle::Rule;
use crate::name::{BucketId, BucketName, Owner};

/// Whether a bucket keeps what was overwritten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Versioning {
    /// It never has.
    #[default]
    Off,
    /// Every write makes a version.
    On,
    /// It did: older versions stay, new writes replace the null version.
    Suspended,
}

/// Whose the objects are that others write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ownership {
    /// The bucket's owner's; grants have no effect.
    BucketOwnerEnforced,
    /// The bucket's owner's when the writer says so.
    BucketOwnerPreferred,
    /// The writer's.
    #[default]
    ObjectWriter,
}

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its number.
    pub id: BucketId,
    /// Its name.
    pub name: BucketName,
    /// Whose it is.
    pub owner: Owner,
    /// When it was made.
    pub created: Timestamp,
    /// What its owner says about it.
    pub config: Config,
}

/// What a bucket's owner may say about it. Each part is replaced as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Whether it keeps versions.
    pub versioning: Versioning,
    /// Who may do what by grants.
    pub grants: Vec<Grant>,
    /// Who may do what by policy.
    pub policy: Option<Policy>,
    /// What of it must never be public.
    pub public_access_block: Option<PublicAccessBlock>,
    /// Whose others' objects are.
    pub ownership: Option<Ownership>,
    /// What is done with objects as they age.
    pub lifecycle: Vec<Rule>,
    /// Which web pages of other origins may use it.
    pub cors: Vec<CorsRule>,
    /// Tags.
    pub tags: Vec<(Box<str>, Box<str>)>,
    /// Objects can be held. Once on it stays.
    pub lock: Option<Lock>,
    /// New objects are encrypted unless they say otherwise.
    pub encryption: Option<Encryption>,
    /// The most bytes that its objects may have together.
    pub quota_bytes: Option<u64>,
    /// Documents that a dialect keeps and tells back, by name (S3: `website`,
    /// `logging`, `notification`, `request-payment`, `accelerate`, …).
    pub documents: Vec<(Box<str>, Box<str>)>,
}

/// Holding of objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// How new objects are held when they say nothing.
    pub default: Option<DefaultRetention>,
}

/// How new objects are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultRetention {
    /// Who may undo it.
    pub mode: RetentionMode,
    /// How long.
    pub period: Period,
}

/// A span of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Period {
    /// Days.
    Days(u32),
    /// Years.
    Years(u32),
}

impl DefaultRetention {
    /// The retention of an object that is written now.
    pub fn from(self, now: Timestamp) -> Retention {
        let days = match self.period {
            Period::Days(days) => i64::from(days),
            Period::Years(years) => i64::from(years) * 365,
        };
        let until = Timestamp::from_micros(now.micros() + days * 86_400_000_000);
        Retention { mode: self.mode, until }
    }
}

/// How new objects are encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// As in [`crate::entry::Sealing::Ours`].
    pub scheme: Box<str>,
    /// As in [`crate::entry::Sealing::Ours`].
    pub key_name: Option<Box<str>>,
    /// Told back.
    pub bucket_key: bool,
}

/// Which pages of other origins may use a bucket (the Fetch standard, CORS protocol).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorsRule {
    /// The rule's name.
    pub id: Option<Box<str>>,
    /// Origins, with at most one `*` each.
    pub origins: Vec<Box<str>>,
    /// Methods.
    pub methods: Vec<Box<str>>,
    /// Request headers that may be sent, with at most one `*` each.
    pub headers: Vec<Box<str>>,
    /// Response headers that scripts may see.
    pub exposed: Vec<Box<str>>,
    /// How long a browser may remember the answer, in seconds.
    pub max_age: Option<u32>,
}
