//! The bodies of requests and replies that are not resources of their own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attestation::PolicyMode;
use crate::fleet::{Amounts, InstanceTypeSpec, PlacementGroupSpec};
use crate::image::{Checksum, Compression, ImageFormat};
use crate::machine::{Lifecycle, Machine};
use crate::operation::{Operation, Settlement, StepRecord};
use crate::project::{Project, ProjectSpec, Role, Token};
use crate::secret::Secret;
use crate::time::{Duration, Timestamp};

/// Health of the control plane.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// `ok`.
    pub status: String,
    /// Version of the program.
    pub version: String,
    /// Whether this one leads.
    pub leader: bool,
    /// Newest revision recorded.
    pub revision: u64,
    /// The control plane's time.
    pub now: Timestamp,
}

/// Who calls.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Caller {
    /// Name of the token.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where; everywhere when absent.
    pub project: Option<String>,
}

/// A page of a list, in the order of ids (operations: newest first).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Give it as `page` for what comes next; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page: Option<String>,
    /// Watch from here to see what changes after this page.
    pub revision: u64,
}

/// Where to look for BMCs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Discover {
    /// `https://host[:port]`, a host, or an IPv4 range `10.0.0.10-40` or `10.0.0.0/28`.
    pub addresses: Vec<String>,
}

/// What was found.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Discovered {
    /// Machines that answered and were not known; they are `discovered` now.
    pub found: Vec<Machine>,
    /// Addresses that answered and were known.
    pub known: Vec<String>,
    /// Addresses that did not answer as a BMC, with why.
    pub silent: Vec<(String, String)>,
}

/// A machine to be taken in.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Enroll {
    /// Its name; a discovered machine of this name is taken in.
    pub name: String,
    /// Its BMC, `https://host[:port]`.
    pub bmc: String,
    /// Account on the BMC.
    pub username: String,
    /// Its password.
    #[serde(serialize_with = "crate::secret::send")]
    pub password: Secret,
    /// SHA-256 of the BMC's TLS certificate; pinned at the first contact when absent.
    #[serde(default)]
    pub certificate: Option<String>,
    /// In which rack it stands.
    #[serde(default)]
    pub rack: Option<String>,
    /// Attestation policy by name.
    #[serde(default)]
    pub policy: Option<String>,
    /// Labels.
    #[serde(default)]
    pub labels: std::collections::BTreeMap<String, String>,
}

/// New labels, rack and policy.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct MachineUpdate {
    /// All labels.
    #[serde(default)]
    pub labels: std::collections::BTreeMap<String, String>,
    /// Rack.
    #[serde(default)]
    pub rack: Option<String>,
    /// Attestation policy by name.
    #[serde(default)]
    pub policy: Option<String>,
}

/// A change of power.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PowerRequest {
    /// How.
    pub action: crate::bmc::PowerAction,
}

/// Out of service.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct QuarantineRequest {
    /// Why, for people.
    pub reason: String,
}

/// Out of the pool, by a person's decision.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SetAside {
    /// `maintenance` or `retired`.
    pub to: Lifecycle,
}

/// Why a machine is to be empty, or left alone.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct HoldRequest {
    /// Why, for people.
    pub reason: String,
}

/// A type of instances to be made.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CreateInstanceTypeRequest {
    /// Its name.
    pub name: String,
    /// How much an instance takes.
    pub spec: InstanceTypeSpec,
    /// Labels.
    #[serde(default)]
    pub labels: std::collections::BTreeMap<String, String>,
}

/// A placement group to be made.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CreatePlacementGroupRequest {
    /// Its name.
    pub name: String,
    /// Its rules.
    pub spec: PlacementGroupSpec,
}

/// An instance to be made.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CreateInstanceRequest {
    /// Its name.
    pub name: String,
    /// Whose.
    pub project: String,
    /// Its type by name.
    #[serde(rename = "type")]
    pub kind: String,
    /// The placement group that it belongs to, by name.
    #[serde(default)]
    pub group: Option<String>,
    /// When nothing has room: keep it, and place it when something has.
    #[serde(default)]
    pub wait_for_room: bool,
    /// Labels.
    #[serde(default)]
    pub labels: std::collections::BTreeMap<String, String>,
}

/// What placement is to explain: an instance, or one that is thought of.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct ExplainRequest {
    /// An instance, by name or id. Without it, the others say what is thought of.
    #[serde(default)]
    pub instance: Option<String>,
    /// A type by name.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// A project by name.
    #[serde(default)]
    pub project: Option<String>,
    /// A placement group by name.
    #[serde(default)]
    pub group: Option<String>,
}

/// A project with what its instances take.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ProjectDetail {
    /// The project.
    pub project: Project,
    /// What its instances take together.
    pub used: Amounts,
}

/// Where the time of a machine went.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Timeline {
    /// First moment.
    pub from: Timestamp,
    /// Last moment.
    pub to: Timestamp,
    /// Every second between the two, without gap or overlap.
    pub spans: Vec<TimelineSpan>,
}

/// A stretch of a machine's life.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TimelineSpan {
    /// State.
    pub lifecycle: Lifecycle,
    /// Step; absent while it rests.
    pub step: Option<crate::machine::StepKind>,
    /// From.
    pub from: Timestamp,
    /// How long.
    pub span: Duration,
    /// Tries of the step.
    pub attempts: u32,
    /// Evidence or fault.
    pub detail: String,
}

/// An image to be announced.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CreateImageRequest {
    /// Its name.
    pub name: String,
    /// Layout.
    pub format: ImageFormat,
    /// How it is packed.
    pub compression: Compression,
    /// Of the file as it is sent; without it the checksum is computed and kept.
    #[serde(default)]
    pub checksum: Option<Checksum>,
    /// Where the control plane fetches it; absent when the content is sent.
    #[serde(default)]
    pub url: Option<String>,
    /// Whose; everybody's when absent.
    #[serde(default)]
    pub project: Option<String>,
    /// Labels.
    #[serde(default)]
    pub labels: std::collections::BTreeMap<String, String>,
}

/// From which machine to learn.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LearnRequest {
    /// The golden machine, by name or id.
    pub machine: String,
    /// Enforce at once, or only keep.
    pub mode: PolicyMode,
}

/// An operation with its journal.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OperationDetail {
    /// The operation.
    pub operation: Operation,
    /// Its steps, in order.
    pub steps: Vec<StepRecord>,
}

/// How to settle an operation.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SettleRequest {
    /// Retry, skip or abandon.
    pub settlement: Settlement,
}

/// A project to be made.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CreateProjectRequest {
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub spec: ProjectSpec,
}

/// A token to be made.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CreateTokenRequest {
    /// For whom or what.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where; everywhere when absent.
    #[serde(default)]
    pub project: Option<String>,
    /// For how long; for ever when absent.
    #[serde(default)]
    pub ttl: Option<Duration>,
}

/// A new token.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct NewToken {
    /// What is kept of it.
    pub token: Token,
    /// The token itself. It is shown only here.
    pub secret: String,
}

/// Heard.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Acknowledged {
    /// `true`: nobody waits for this any more; stop working on it.
    #[serde(default)]
    pub stale: bool,
}

/// A system's call home.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct HomeCall {
    /// SSH host keys, one `type base64` each.
    #[serde(default)]
    pub host_keys: Vec<String>,
}
