//! What is said to an object gateway beside its dialects: orders of administrators, a
//! line of JSON each over the socket in its directory, and what it leaves there for
//! clients of the same user.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::secret::send;
use crate::{Bytes, Duration, Secret, Timestamp};

/// The socket of a gateway's directory at which administrators ask. Whoever may use it
/// may ask: the gateway's user.
pub const GATEWAY_SOCKET: &str = "admin.sock";
/// What a gateway leaves in its directory for clients on the same host: [`GatewayAccess`].
pub const GATEWAY_ACCESS: &str = "access.json";
/// No line is longer.
pub const GATEWAY_LINE: usize = 4 << 20;

/// How a gateway is reached by who owns its directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GatewayAccess {
    /// `http://host:port`.
    pub endpoint: String,
    /// The region that it tells clients.
    pub region: String,
    /// The first access key's id.
    pub access_key: String,
    /// Its secret.
    #[serde(serialize_with = "send")]
    pub secret_key: Secret,
    /// Where administrators find metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<String>,
}

/// What an administrator asks of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GatewayOrder {
    /// How it is: answered with [`GatewayStatus`].
    Status,
    /// All access keys: a list of [`GatewayKey`].
    Keys,
    /// A new access key, answered with [`GatewaySecret`].
    KeyCreate {
        /// The account's name. A new account is made where there is none of this name.
        account: String,
        /// The project whose quota a new account uses.
        #[serde(default)]
        project: Option<String>,
    },
    /// An access key goes, and the sessions that were made of it.
    KeyRemove {
        /// Its id.
        id: String,
    },
    /// Short credentials, answered with [`GatewaySecret`].
    Session {
        /// Of which access key.
        id: String,
        /// How long they are good.
        span: Duration,
    },
    /// All projects: a list of [`GatewayProject`].
    Projects,
    /// What a project may have.
    ProjectQuota {
        /// Its name.
        project: String,
        /// The most bytes; no limit when absent.
        #[serde(default)]
        bytes: Option<Bytes>,
        /// The most objects, with their versions; no limit when absent.
        #[serde(default)]
        objects: Option<u64>,
    },
    /// What a bucket holds and may hold: answered with [`GatewayBucket`].
    Bucket {
        /// Its name.
        bucket: String,
    },
    /// What a bucket may hold: answered with [`GatewayBucket`].
    BucketQuota {
        /// Its name.
        bucket: String,
        /// The most bytes; no limit when absent.
        #[serde(default)]
        bytes: Option<Bytes>,
    },
}

/// What a gateway answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GatewayReply {
    /// It was done; what was asked for.
    Ok(Value),
    /// It was not.
    Error(GatewayProblem),
}

/// Why a gateway does not do what an administrator asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayProblem {
    /// A stable word.
    pub code: String,
    /// What is wrong.
    pub what: String,
    /// What to do next.
    pub next: String,
}

/// How a gateway is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayStatus {
    /// The program's version.
    pub version: String,
    /// Its time.
    pub now: Timestamp,
    /// The process.
    pub process: u32,
    /// Buckets.
    pub buckets: u64,
    /// Bytes that the file system has left.
    pub free: Bytes,
    /// Bytes of the log of changes, and those of them that count.
    pub log: Bytes,
    /// See `log`.
    pub log_live: Bytes,
    /// Bytes of large bodies.
    pub bodies: Bytes,
    /// Things found damaged.
    pub damaged: Vec<String>,
    /// Why it takes no changes, when it does not.
    pub refuses: Option<String>,
    /// The most files that the process may have open.
    pub files: u64,
}

/// An access key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayKey {
    /// Its id.
    pub id: String,
    /// The account's name.
    pub account: String,
    /// The account's stable id: who owns.
    pub owner: String,
    /// Whose quota the account uses.
    pub project: Option<String>,
    /// Its requests are refused.
    pub suspended: bool,
}

/// Credentials, told once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GatewaySecret {
    /// The access key's id.
    pub access_key: String,
    /// The secret.
    #[serde(serialize_with = "send")]
    pub secret_key: Secret,
    /// What goes along with every request, for short credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<String>,
    /// Until when they are good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// What a project holds and may hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayProject {
    /// Its name.
    pub project: String,
    /// Its accounts' names.
    pub accounts: Vec<String>,
    /// Bytes of its accounts' buckets.
    pub bytes: Bytes,
    /// Objects there, with their versions.
    pub objects: u64,
    /// The most bytes.
    pub bytes_quota: Option<Bytes>,
    /// The most objects.
    pub objects_quota: Option<u64>,
}

/// What a bucket holds and may hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayBucket {
    /// Its name.
    pub bucket: String,
    /// Who owns it.
    pub owner: String,
    /// Whose quota it uses, beside its own.
    pub project: Option<String>,
    /// Bytes of its objects.
    pub bytes: Bytes,
    /// Objects, with their versions and delete markers.
    pub objects: u64,
    /// Uploads that have begun.
    pub uploads: u64,
    /// The most bytes.
    pub bytes_quota: Option<Bytes>,
}
