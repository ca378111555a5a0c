//! The table of API endpoints. Each is defined once, here: method, path,
//! permission, request and reply. The router, the typed client, the OpenAPI
//! document, the authorisation tests and the list of CLI verbs derive from it.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::agent::{Admission, AgentOrder, AgentReport, Challenge, Hello, Proof};
use crate::attestation::{Policy, PolicyMode, PolicySpec};
use crate::image::{Checksum, Compression, Image, ImageFormat};
use crate::machine::{Deployment, Lifecycle, Machine};
use crate::operation::{Operation, Settlement, StepRecord};
use crate::project::{Permission, Project, ProjectSpec, Role, Token};
use crate::secret::Secret;
use crate::time::{Duration, Timestamp};

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// Read.
    Get,
    /// Make, or ask for work.
    Post,
    /// Replace.
    Put,
    /// Remove.
    Delete,
}

impl Method {
    /// As on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        }
    }
}

/// How the reply comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One JSON document, 200.
    Document,
    /// A resource was made, 201.
    Created,
    /// An operation was begun, 202.
    Accepted,
    /// Bytes or text, not JSON.
    Bytes,
}

/// One endpoint.
pub trait Endpoint: Send + Sync + 'static {
    /// Body of the request; `()` for none.
    type Request: Serialize + DeserializeOwned + JsonSchema + Send;
    /// Body of the reply; `()` for bytes.
    type Reply: Serialize + DeserializeOwned + JsonSchema + Send;
    /// The row of the table.
    const INFO: EndpointInfo;
}

/// A row of the table.
#[derive(Clone, Copy)]
pub struct EndpointInfo {
    /// Name of the operation in the OpenAPI document, lower camel case.
    pub name: &'static str,
    /// Method.
    pub method: Method,
    /// Path with `{parameters}`.
    pub path: &'static str,
    /// What the caller must be allowed.
    pub permission: Permission,
    /// How the reply comes.
    pub shape: Shape,
    /// One line for people.
    pub summary: &'static str,
    /// Query parameters by name, with one line each.
    pub query: &'static [(&'static str, &'static str)],
    /// Schema of the request.
    pub request: fn(&mut SchemaGenerator) -> Schema,
    /// Schema of the reply.
    pub reply: fn(&mut SchemaGenerator) -> Schema,
    /// Whether there is a request body.
    pub has_request: bool,
}

const PAGED: &[(&str, &str)] = &[
    ("limit", "At most this many, 1 to 1000; 100 when absent."),
    ("page", "The `next_page` of the page before."),
    ("label", "Only those with this label, `key=value`; may be repeated."),
];
const WATCHED: &[(&str, &str)] = &[
    ("limit", "At most this many, 1 to 1000; 100 when absent."),
    ("page", "The `next_page` of the page before."),
    ("label", "Only those with this label, `key=value`; may be repeated."),
    ("watch", "`true`: stream changes, one event a line, after those that `from` names."),
    ("from", "With `watch`: the revision after which to begin."),
];
const DRY: &[(&str, &str)] = &[("dry_run", "`true`: say what would happen, and do nothing.")];
const NONE: &[(&str, &str)] = &[];
const WAIT: &[(&str, &str)] = &[("wait", "Seconds to wait for it to end, at most 60.")];
const FOLLOW: &[(&str, &str)] = &[("follow", "`true`: go on with what comes.")];

macro_rules! endpoints {
    ($($(#[doc = $summary:literal])+ $endpoint:ident $name:literal: $method:ident $path:literal, $permission:ident, $shape:ident, $query:ident, $request:ty => $reply:ty;)*) => {
        $(
            $(#[doc = $summary])+
            pub enum $endpoint {}
            impl Endpoint for $endpoint {
                type Request = $request;
                type Reply = $reply;
                const INFO: EndpointInfo = EndpointInfo {
                    name: $name,
                    method: Method::$method,
                    path: $path,
                    permission: Permission::$permission,
                    shape: Shape::$shape,
                    summary: concat!($($summary),+),
                    query: $query,
                    request: |generator| generator.subschema_for::<$request>(),
                    reply: |generator| generator.subschema_for::<$reply>(),
                    has_request: size_of::<$request>() > 0,
                };
            }
        )*
        /// Every endpoint, in the order of the document.
        pub const ENDPOINTS: &[EndpointInfo] = &[$(<$endpoint as Endpoint>::INFO,)*];
    };
}

endpoints! {
    /// Whether the control plane is well.
    GetHealth "getHealth": Get "/v1/health", Open, Document, NONE, () => Health;
    /// This document.
    GetOpenapi "getOpenapi": Get "/v1/openapi.json", Open, Document, NONE, () => serde_json::Value;
    /// The certificate of the CA that every role trusts (PEM).
    GetAuthority "getAuthority": Get "/v1/ca.pem", Open, Bytes, NONE, () => ();
    /// Prometheus metrics.
    GetMetrics "getMetrics": Get "/metrics", Read, Bytes, NONE, () => ();
    /// Who the token speaks for.
    GetSelf "getSelf": Get "/v1/self", Read, Document, NONE, () => Caller;

    /// List machines, or watch them.
    ListMachines "listMachines": Get "/v1/machines", Read, Document, WATCHED, () => Page<Machine>;
    /// Look for BMCs at addresses; each that answers becomes a discovered machine.
    DiscoverMachines "discoverMachines": Post "/v1/machines:discover", Operate, Document, DRY, Discover => Discovered;
    /// Take a machine in: from its BMC's address and account to available.
    EnrollMachine "enrollMachine": Post "/v1/machines", Operate, Accepted, DRY, Enroll => Operation;
    /// Show a machine.
    GetMachine "getMachine": Get "/v1/machines/{machine}", Read, Document, NONE, () => Machine;
    /// Change labels, rack and policy of a machine.
    UpdateMachine "updateMachine": Put "/v1/machines/{machine}", Operate, Document, DRY, MachineUpdate => Machine;
    /// Remove a machine that is retired or was only discovered.
    RemoveMachine "removeMachine": Delete "/v1/machines/{machine}", Operate, Document, DRY, () => Machine;
    /// Switch a machine on or off, or restart it.
    PowerMachine "powerMachine": Post "/v1/machines/{machine}/power", Use, Document, DRY, PowerRequest => Machine;
    /// Install an image on an available machine.
    DeployMachine "deployMachine": Post "/v1/machines/{machine}/deploy", Use, Accepted, DRY, Deployment => Operation;
    /// Take a machine back: sanitise its disks and make it available.
    ReleaseMachine "releaseMachine": Post "/v1/machines/{machine}/release", Use, Accepted, DRY, () => Operation;
    /// Put a machine out of service, with a reason.
    QuarantineMachine "quarantineMachine": Post "/v1/machines/{machine}/quarantine", Operate, Document, DRY, QuarantineRequest => Machine;
    /// Hand a resting machine to a person, or take note that it left for good.
    SetAsideMachine "setAsideMachine": Post "/v1/machines/{machine}/set-aside", Operate, Document, DRY, SetAside => Machine;
    /// Bring a quarantined or maintained machine back, sanitised and proven.
    RecoverMachine "recoverMachine": Post "/v1/machines/{machine}/recover", Operate, Accepted, DRY, () => Operation;
    /// Every second of a machine's life by step.
    GetTimeline "getTimeline": Get "/v1/machines/{machine}/timeline", Read, Document, NONE, () => Timeline;
    /// The serial console, from the first byte that is kept.
    GetConsole "getConsole": Get "/v1/machines/{machine}/console", Use, Bytes, FOLLOW, () => ();
    /// The signed certificate of the last sanitising.
    GetCertificate "getCertificate": Get "/v1/machines/{machine}/certificate", Read, Document, NONE, () => crate::machine::SanitiseCertificate;

    /// List images, or watch them.
    ListImages "listImages": Get "/v1/images", Read, Document, WATCHED, () => Page<Image>;
    /// Announce an image; then put its content, or give an address to fetch it from.
    CreateImage "createImage": Post "/v1/images", Use, Created, DRY, CreateImageRequest => Image;
    /// Send the content of an image; it is ready when its checksum is right.
    PutImageContent "putImageContent": Put "/v1/images/{image}/content", Use, Document, NONE, () => Image;
    /// Show an image.
    GetImage "getImage": Get "/v1/images/{image}", Read, Document, NONE, () => Image;
    /// Remove an image that nothing is being deployed from.
    RemoveImage "removeImage": Delete "/v1/images/{image}", Use, Document, DRY, () => Image;

    /// List attestation policies.
    ListPolicies "listPolicies": Get "/v1/attestation-policies", Read, Document, PAGED, () => Page<Policy>;
    /// Show an attestation policy.
    GetPolicy "getPolicy": Get "/v1/attestation-policies/{policy}", Read, Document, NONE, () => Policy;
    /// Change an attestation policy.
    UpdatePolicy "updatePolicy": Put "/v1/attestation-policies/{policy}", Operate, Document, DRY, PolicySpec => Policy;
    /// Learn a policy from the last quote of a machine, and enforce it.
    LearnPolicy "learnPolicy": Post "/v1/attestation-policies/{policy}/learn", Operate, Document, DRY, LearnRequest => Policy;

    /// List operations, newest first, or watch them.
    ListOperations "listOperations": Get "/v1/operations", Read, Document, WATCHED, () => Page<Operation>;
    /// Show an operation with its steps; with `wait`, when it has ended.
    GetOperation "getOperation": Get "/v1/operations/{operation}", Read, Document, WAIT, () => OperationDetail;
    /// Settle an operation that needs attention: retry, skip or abandon.
    SettleOperation "settleOperation": Post "/v1/operations/{operation}/settle", Operate, Document, DRY, SettleRequest => Operation;

    /// List events, or watch all of them.
    ListEvents "listEvents": Get "/v1/events", Read, Document, WATCHED, () => Page<crate::event::Event>;

    /// List projects.
    ListProjects "listProjects": Get "/v1/projects", Read, Document, PAGED, () => Page<Project>;
    /// Make a project.
    CreateProject "createProject": Post "/v1/projects", Administer, Created, DRY, CreateProjectRequest => Project;
    /// Remove an empty project.
    RemoveProject "removeProject": Delete "/v1/projects/{project}", Administer, Document, DRY, () => Project;
    /// List tokens; never their secrets.
    ListTokens "listTokens": Get "/v1/tokens", Administer, Document, PAGED, () => Page<Token>;
    /// Make a token; its secret is in this reply and nowhere else.
    CreateToken "createToken": Post "/v1/tokens", Administer, Created, DRY, CreateTokenRequest => NewToken;
    /// Take a token back.
    RemoveToken "removeToken": Delete "/v1/tokens/{token}", Administer, Document, DRY, () => Token;

    /// A machine's agent says hello.
    AgentHello "agentHello": Post "/v1/agent/hello", Open, Document, NONE, Hello => Challenge;
    /// A machine's agent proves its TPM and is let in.
    AgentProve "agentProve": Post "/v1/agent/prove", Open, Document, NONE, Proof => Admission;
    /// The commands of the machine whose certificate asks; waits for some.
    AgentOrders "agentOrders": Get "/v1/agent/orders", Agent, Document, WAIT, () => Vec<AgentOrder>;
    /// News of a command.
    AgentNewsPosted "agentNews": Post "/v1/agent/reports", Agent, Document, NONE, AgentReport => Acknowledged;
    /// The bytes of an image, with ranges, for the machine that is being deployed with it.
    AgentImage "agentImage": Get "/v1/agent/images/{image}", Agent, Bytes, NONE, () => ();
    /// A deployed system calls home, once, with its token.
    CallHome "callHome": Post "/v1/systems/{token}/home", Open, Document, NONE, HomeCall => Acknowledged;
}

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
