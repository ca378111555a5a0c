//! The table of API endpoints. Each is defined once, here: method, path,
//! permission, request and reply. The router, the typed client, the OpenAPI
//! document, the authorisation tests and the list of CLI verbs derive from it.

mod bodies;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::agent::{Admission, AgentOrder, AgentReport, Challenge, Hello, Proof};
use crate::attestation::{Policy, PolicySpec};
use crate::fleet::{
    Capacity, FleetStatus, Host, HostSpec, Instance, InstanceType, PlacementExplanation,
    PlacementGroup,
};
use crate::image::Image;
use crate::machine::{Deployment, Machine};
use crate::operation::Operation;
use crate::project::{Permission, Project, ProjectSpec, Token};

pub use bodies::*;

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

    /// Empty a machine: it takes no new instances, and those that it has are moved.
    DrainMachine "drainMachine": Post "/v1/machines/{machine}/drain", Operate, Document, DRY, HoldRequest => Machine;
    /// Let a drained machine take instances again.
    UndrainMachine "undrainMachine": Post "/v1/machines/{machine}/undrain", Operate, Document, DRY, () => Machine;
    /// Keep everything automatic off a machine: placement, repair and rollouts.
    LockMachine "lockMachine": Post "/v1/machines/{machine}/lock", Operate, Document, DRY, HoldRequest => Machine;
    /// Give a locked machine back.
    UnlockMachine "unlockMachine": Post "/v1/machines/{machine}/unlock", Operate, Document, DRY, () => Machine;

    /// The fleet at a glance.
    GetFleet "getFleet": Get "/v1/fleet", Read, Document, NONE, () => FleetStatus;
    /// List hosts: machines that take instances.
    ListHosts "listHosts": Get "/v1/hosts", Read, Document, PAGED, () => Page<Host>;
    /// Offer an active machine to instances, or change the offer while it has none.
    OfferHost "offerHost": Put "/v1/machines/{machine}/host", Operate, Document, DRY, HostSpec => Host;
    /// Take the offer back; the machine must have no instances.
    WithdrawHost "withdrawHost": Delete "/v1/machines/{machine}/host", Operate, Document, DRY, () => Host;
    /// List types of instances.
    ListInstanceTypes "listInstanceTypes": Get "/v1/instance-types", Read, Document, PAGED, () => Page<InstanceType>;
    /// Make a type of instances.
    CreateInstanceType "createInstanceType": Post "/v1/instance-types", Operate, Created, DRY, CreateInstanceTypeRequest => InstanceType;
    /// Remove a type that no instance has.
    RemoveInstanceType "removeInstanceType": Delete "/v1/instance-types/{type}", Operate, Document, DRY, () => InstanceType;
    /// How many more instances of a type fit.
    GetCapacity "getCapacity": Get "/v1/instance-types/{type}/capacity", Read, Document, NONE, () => Capacity;
    /// List placement groups.
    ListPlacementGroups "listPlacementGroups": Get "/v1/placement-groups", Read, Document, PAGED, () => Page<PlacementGroup>;
    /// Make a placement group: instances that keep apart, or together.
    CreatePlacementGroup "createPlacementGroup": Post "/v1/placement-groups", Use, Created, DRY, CreatePlacementGroupRequest => PlacementGroup;
    /// Remove a placement group without members.
    RemovePlacementGroup "removePlacementGroup": Delete "/v1/placement-groups/{group}", Use, Document, DRY, () => PlacementGroup;
    /// List instances, or watch them.
    ListInstances "listInstances": Get "/v1/instances", Read, Document, WATCHED, () => Page<Instance>;
    /// Make an instance and place it.
    CreateInstance "createInstance": Post "/v1/instances", Use, Created, DRY, CreateInstanceRequest => Instance;
    /// Show an instance.
    GetInstance "getInstance": Get "/v1/instances/{instance}", Read, Document, NONE, () => Instance;
    /// Remove an instance and give its room back.
    RemoveInstance "removeInstance": Delete "/v1/instances/{instance}", Use, Document, DRY, () => Instance;
    /// Say which constraint removes how many hosts for an instance, or for one that is thought of.
    ExplainPlacement "explainPlacement": Post "/v1/placements:explain", Use, Document, NONE, ExplainRequest => PlacementExplanation;

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
    /// Show a project with what it takes of its quota.
    GetProject "getProject": Get "/v1/projects/{project}", Read, Document, NONE, () => ProjectDetail;
    /// Change a project's description and quota.
    UpdateProject "updateProject": Put "/v1/projects/{project}", Administer, Document, DRY, ProjectSpec => Project;
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
