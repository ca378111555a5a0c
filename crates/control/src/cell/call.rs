//! What can be asked of the cell, and what it answers. One enum, so that every
//! way to change anything can be listed, logged, stored and replayed.

use serde::{Deserialize, Serialize};

use model::agent::AgentReport;
use model::api::{CreateInstanceRequest, CreateInstanceTypeRequest, CreatePlacementGroupRequest};
use model::attestation::{Policy, PolicyMode, PolicySpec, Verdict};
use model::bmc::PowerAction;
use model::effect::Outcome;
use model::fleet::{Host, HostSpec, Instance, InstanceType, PlacementGroup};
use model::id::{EffectId, ImageId, InstanceId, MachineId, OperationId};
use model::image::{Checksum, Image, ImageSpec};
use model::machine::{AgentPresence, BmcSpec, Deployment, Lifecycle, Machine, SanitiseCertificate};
use model::operation::{Operation, Settlement};
use model::project::{Project, ProjectSpec, Token, TokenSpec};
use model::sighting::Sighting;
use model::{Bytes, Timestamp};

/// Something asked, with who asks and on what terms.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ask {
    /// A token's name, `machine:<id>`, or `bedplate`.
    pub actor: String,
    /// The request that it came with, for the audit.
    #[serde(default)]
    pub request: Option<String>,
    /// The caller's `Idempotency-Key` and a digest of the request that it came with.
    #[serde(default)]
    pub idempotency: Option<Idempotency>,
    /// Refuse unless the resource is of this generation (`If-Match`).
    #[serde(default)]
    pub generation: Option<u64>,
    /// Say what would happen, and do nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// What.
    pub call: Call,
}

/// An idempotency key, bound to one request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Idempotency {
    /// The key, with the actor before it: one caller's keys are not another's.
    pub key: String,
    /// SHA-256 of method, path, query and body, hexadecimal.
    pub digest: String,
}

impl Ask {
    /// Something that Bedplate itself, a machine or a timer brings.
    pub fn from(actor: impl Into<String>, call: Call) -> Self {
        Self {
            actor: actor.into(),
            request: None,
            idempotency: None,
            generation: None,
            dry_run: false,
            call,
        }
    }
}

/// What is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Call {
    /// BMCs answered at addresses that were looked at.
    Discovered {
        /// Address, and what the BMC says it belongs to.
        found: Vec<FoundBmc>,
    },
    /// Take a machine in.
    Enroll {
        /// Its name.
        name: String,
        /// Its BMC, with the password already sealed.
        bmc: BmcSpec,
        /// Rack.
        rack: Option<String>,
        /// Attestation policy by name.
        policy: Option<String>,
        /// Labels.
        labels: std::collections::BTreeMap<String, String>,
    },
    /// Change labels, rack and policy.
    UpdateMachine {
        /// Which.
        machine: MachineId,
        /// New values.
        update: model::api::MachineUpdate,
    },
    /// Remove a machine that is retired or was only discovered.
    RemoveMachine {
        /// Which.
        machine: MachineId,
    },
    /// Change its power.
    Power {
        /// Which.
        machine: MachineId,
        /// How.
        action: PowerAction,
    },
    /// Install an image.
    Deploy {
        /// On which.
        machine: MachineId,
        /// What.
        deployment: Deployment,
    },
    /// Take it back.
    Release {
        /// Which.
        machine: MachineId,
    },
    /// Put it out of service.
    Quarantine {
        /// Which.
        machine: MachineId,
        /// Why.
        reason: String,
    },
    /// To maintenance, or retired.
    SetAside {
        /// Which.
        machine: MachineId,
        /// Whereto.
        to: Lifecycle,
    },
    /// Bring it back.
    Recover {
        /// Which.
        machine: MachineId,
    },
    /// Settle an operation that needs attention.
    Settle {
        /// Which.
        operation: OperationId,
        /// How.
        settlement: Settlement,
    },

    /// Announce an image.
    CreateImage {
        /// Its name.
        name: String,
        /// What it is.
        spec: ImageSpec,
        /// The checksum that it must have, where one was given.
        checksum: Option<Checksum>,
        /// Labels.
        labels: std::collections::BTreeMap<String, String>,
    },
    /// Every byte of an image is here and checked.
    ImageReady {
        /// Which.
        image: ImageId,
        /// Of the file as it is stored.
        checksum: Checksum,
        /// Size as it is stored.
        stored: Bytes,
        /// Size on disk, unpacked.
        size: Bytes,
    },
    /// Remove an image.
    RemoveImage {
        /// Which.
        image: ImageId,
    },

    /// Change a policy, or make it when there is none of that name.
    UpdatePolicy {
        /// Its name.
        policy: String,
        /// The whole of it.
        spec: PolicySpec,
    },
    /// Learn a policy from a machine's last verdict.
    LearnPolicy {
        /// Its name.
        policy: String,
        /// The golden machine.
        machine: MachineId,
        /// Enforce, or keep.
        mode: PolicyMode,
    },

    /// Empty a machine, or leave it alone, or neither any more.
    Hold {
        /// Which.
        machine: MachineId,
        /// What of it.
        what: HoldKind,
        /// Why; absent to end it.
        reason: Option<String>,
    },
    /// Offer a machine to instances.
    OfferHost {
        /// Which.
        machine: MachineId,
        /// What of it.
        spec: HostSpec,
    },
    /// Take the offer back.
    WithdrawHost {
        /// Of which machine.
        machine: MachineId,
    },
    /// Make a type of instances.
    CreateInstanceType(Box<CreateInstanceTypeRequest>),
    /// Remove a type that no instance has.
    RemoveInstanceType {
        /// Its name.
        name: String,
    },
    /// Make a placement group.
    CreatePlacementGroup(Box<CreatePlacementGroupRequest>),
    /// Remove a placement group without members.
    RemovePlacementGroup {
        /// Its name.
        name: String,
    },
    /// Make an instance and place it.
    CreateInstance(Box<CreateInstanceRequest>),
    /// Remove an instance.
    RemoveInstance {
        /// Which.
        instance: InstanceId,
    },
    /// Place an instance that waits, or another time one that is on a closed host.
    PlaceInstance {
        /// Which.
        instance: InstanceId,
    },
    /// Have less important instances wait, so that one that waits has room.
    MakeRoom {
        /// For which.
        instance: InstanceId,
    },

    /// Change a project's description and quota.
    UpdateProject {
        /// Its name.
        project: String,
        /// The whole of it.
        spec: ProjectSpec,
    },
    /// Make a project.
    CreateProject {
        /// Its name.
        name: String,
        /// What it is for.
        spec: ProjectSpec,
    },
    /// Remove an empty project.
    RemoveProject {
        /// Its name.
        project: String,
    },
    /// Keep a token's digest.
    CreateToken {
        /// Its name.
        name: String,
        /// Whom it speaks for.
        spec: TokenSpec,
        /// SHA-256 of the secret, hexadecimal.
        digest: String,
    },
    /// Take a token back.
    RemoveToken {
        /// Its name.
        token: String,
    },

    /// A sign of life from the network; unproven.
    Sighted {
        /// What was seen.
        sighting: Sighting,
    },
    /// An agent proved its TPM and is to be let in.
    Admit {
        /// On which machine.
        machine: MachineId,
        /// Its certificate and version.
        presence: AgentPresence,
        /// SHA-256 of the endorsement key; absent without a TPM.
        endorsement: Option<String>,
        /// Hardware addresses that it told.
        macs: Vec<String>,
        /// Serial number that it told.
        serial: String,
    },
    /// News from an agent that was let in.
    Reported {
        /// On which machine.
        machine: MachineId,
        /// SHA-256 of the certificate that it came with.
        certificate: String,
        /// The news.
        report: AgentReport,
        /// The judgement of the quote that it holds, where it holds one.
        verdict: Option<Box<Verdict>>,
        /// The certificate, signed, where the report says that disks were sanitised.
        sanitised: Option<Box<SanitiseCertificate>>,
    },
    /// A BMC effect ended.
    Settled {
        /// Which.
        effect: EffectId,
        /// How.
        outcome: Outcome,
    },
    /// A BMC told of a change of power by itself.
    PowerSeen {
        /// Which.
        machine: MachineId,
        /// The state.
        power: model::bmc::PowerState,
    },
    /// A deployed system called home.
    CalledHome {
        /// SHA-256 of the token, hexadecimal.
        token_digest: String,
        /// From where.
        address: String,
        /// SSH host keys.
        host_keys: Vec<String>,
    },
    /// Do not keep these operations any longer, as far as they have ended.
    Forget {
        /// Which.
        operations: Vec<OperationId>,
    },
    /// Time has passed for this machine: look at its deadline.
    Due {
        /// Which.
        machine: MachineId,
    },
}

/// What is held of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HoldKind {
    /// It takes no new instances and is emptied.
    Drain,
    /// Nothing automatic touches it.
    Lock,
}

/// A BMC that answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FoundBmc {
    /// `https://host[:port]`.
    pub address: String,
    /// SHA-256 of its TLS certificate.
    pub certificate: Option<String>,
    /// UUID that its service root tells.
    pub uuid: Option<String>,
    /// Product that its service root tells.
    pub product: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// Nothing to tell; `stale` when nobody waited for it.
    Heard {
        /// Nobody waits for it any more.
        stale: bool,
    },
    /// A machine, as it is now.
    Machine(Box<Machine>),
    /// Machines that were made.
    Machines(Vec<Machine>),
    /// An operation, as it is now.
    Operation(Box<Operation>),
    /// An image.
    Image(Box<Image>),
    /// A policy.
    Policy(Box<Policy>),
    /// A project.
    Project(Box<Project>),
    /// A token.
    Token(Box<Token>),
    /// A type of instances.
    InstanceType(Box<InstanceType>),
    /// A placement group.
    PlacementGroup(Box<PlacementGroup>),
    /// A host.
    Host(Box<Host>),
    /// An instance.
    Instance(Box<Instance>),
}

/// A moment by which the cell wants to be asked again about a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// When.
    pub at: Timestamp,
    /// About which machine.
    pub machine: MachineId,
}
