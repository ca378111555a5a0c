//! A machine: a server with a BMC, its life, and where in it the machine is.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attestation::Verdict;
use crate::bmc::{BmcAbilities, PowerState};
use crate::encoded::Encoded;
use crate::fleet::Hold;
use crate::id::{EffectId, MachineId, OperationId};
use crate::inventory::Inventory;
use crate::resource::Resource;
use crate::secret::Sealed;
use crate::time::Timestamp;

/// A machine.
pub type Machine = Resource<MachineId, MachineSpec, MachineStatus>;

/// What is wanted of a machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MachineSpec {
    /// How its BMC is reached; absent for a machine only seen on the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bmc: Option<BmcSpec>,
    /// In which rack it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// Attestation policy by name; `default` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The system it is to run; absent while nobody has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Deployment>,
    /// It takes no new instances, and those that it has are to leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Hold>,
    /// Nothing automatic may touch it: neither placement nor repair nor rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Hold>,
}

/// How a BMC is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BmcSpec {
    /// `https://host[:port]`; `http` only where it was asked for.
    pub address: String,
    /// The account.
    pub username: String,
    /// Its password, encrypted under the key provider.
    pub password: Sealed,
    /// SHA-256 of its TLS certificate, hexadecimal: pinned at enrolment; absent for `http`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

/// A system on a machine, for a tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Deployment {
    /// Whose.
    pub project: String,
    /// Image by name.
    pub image: String,
    /// What the system calls itself.
    pub hostname: String,
    /// SSH keys of the first user.
    pub ssh_keys: Vec<String>,
    /// cloud-init user data; made from the keys when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data: Option<String>,
    /// Which disk by name; the smallest that fits when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
    /// Start the system by kexec, without a second way through the firmware.
    #[serde(default)]
    pub kexec: bool,
}

/// Where a machine is in its life.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Lifecycle {
    /// Seen, not yet ours.
    #[default]
    Discovered,
    /// Its BMC is known and answers to us.
    Enrolled,
    /// Its parts are being read, first by the BMC and then from inside.
    Inspecting,
    /// It proves its firmware and its boot.
    Attesting,
    /// Its parts are worked and watched.
    Testing,
    /// Clean, proven, and free.
    Available,
    /// An image is being written and started.
    Deploying,
    /// It runs a tenant's system.
    Active,
    /// It is being taken back.
    Releasing,
    /// Its disks are being sanitised.
    Sanitising,
    /// A person works on it.
    Maintenance,
    /// It is not trusted or not well; the reason says why.
    Quarantined,
    /// It has left.
    Retired,
}

impl Lifecycle {
    /// All, in the order of a life.
    pub const ALL: [Lifecycle; 13] = [
        Lifecycle::Discovered,
        Lifecycle::Enrolled,
        Lifecycle::Inspecting,
        Lifecycle::Attesting,
        Lifecycle::Testing,
        Lifecycle::Available,
        Lifecycle::Deploying,
        Lifecycle::Active,
        Lifecycle::Releasing,
        Lifecycle::Sanitising,
        Lifecycle::Maintenance,
        Lifecycle::Quarantined,
        Lifecycle::Retired,
    ];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Lifecycle::Discovered => "discovered",
            Lifecycle::Enrolled => "enrolled",
            Lifecycle::Inspecting => "inspecting",
            Lifecycle::Attesting => "attesting",
            Lifecycle::Testing => "testing",
            Lifecycle::Available => "available",
            Lifecycle::Deploying => "deploying",
            Lifecycle::Active => "active",
            Lifecycle::Releasing => "releasing",
            Lifecycle::Sanitising => "sanitising",
            Lifecycle::Maintenance => "maintenance",
            Lifecycle::Quarantined => "quarantined",
            Lifecycle::Retired => "retired",
        }
    }

    /// Whether the machine stays here until somebody asks for something.
    pub const fn rests(self) -> bool {
        !matches!(
            self,
            Lifecycle::Enrolled
                | Lifecycle::Inspecting
                | Lifecycle::Attesting
                | Lifecycle::Testing
                | Lifecycle::Deploying
                | Lifecycle::Releasing
                | Lifecycle::Sanitising
        )
    }
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A step on the way through a state. Each has a deadline, evidence that it
/// happened, and a ladder of recovery; the crate `machine` holds them.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum StepKind {
    /// Read the parts and the power state from the BMC.
    ReadParts,
    /// Have the BMC point the next boot at our image.
    PointAtImage,
    /// Restart by the BMC. Evidence: boot progress seen after the request.
    Restart,
    /// Wait for the agent's hello and let it in. Evidence: the admission.
    AwaitAgent,
    /// Have the agent tell the parts.
    ReportParts,
    /// Have the agent quote, and judge the quote.
    Attest,
    /// Work the parts and watch.
    BurnIn,
    /// Write the image.
    WriteImage,
    /// Leave for the system on disk.
    BootDisk,
    /// Wait for the system. Evidence: it called home with its single-use token.
    AwaitSystem,
    /// Sanitise the disks. Evidence: a sample read back.
    Sanitise,
}

impl StepKind {
    /// All steps.
    pub const ALL: [StepKind; 11] = [
        StepKind::ReadParts,
        StepKind::PointAtImage,
        StepKind::Restart,
        StepKind::AwaitAgent,
        StepKind::ReportParts,
        StepKind::Attest,
        StepKind::BurnIn,
        StepKind::WriteImage,
        StepKind::BootDisk,
        StepKind::AwaitSystem,
        StepKind::Sanitise,
    ];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            StepKind::ReadParts => "read-parts",
            StepKind::PointAtImage => "point-at-image",
            StepKind::Restart => "restart",
            StepKind::AwaitAgent => "await-agent",
            StepKind::ReportParts => "report-parts",
            StepKind::Attest => "attest",
            StepKind::BurnIn => "burn-in",
            StepKind::WriteImage => "write-image",
            StepKind::BootDisk => "boot-disk",
            StepKind::AwaitSystem => "await-system",
            StepKind::Sanitise => "sanitise",
        }
    }
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The rungs of the ladder of recovery, in the order in which they are climbed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// The first try.
    First,
    /// Once more.
    Again,
    /// With a new session and nothing remembered.
    Reconnect,
    /// By another way to boot.
    OtherBoot,
    /// After a restart of the BMC.
    ResetBmc,
    /// After power off and on.
    PowerCycle,
}

impl Rung {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Rung::First => "first",
            Rung::Again => "again",
            Rung::Reconnect => "reconnect",
            Rung::OtherBoot => "other-boot",
            Rung::ResetBmc => "reset-bmc",
            Rung::PowerCycle => "power-cycle",
        }
    }
}

/// The step in progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepState {
    /// Which.
    pub kind: StepKind,
    /// Its number in the operation, from 0.
    pub index: u32,
    /// On which rung of the ladder.
    pub rung: Rung,
    /// How often it was tried, this time included.
    pub attempt: u32,
    /// When it first began.
    pub started: Timestamp,
    /// When this try began: evidence from before does not count.
    pub tried: Timestamp,
    /// When this try is given up.
    pub deadline: Timestamp,
    /// The effect that is out, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<EffectId>,
    /// Recovery that comes before the step itself on this rung, while it is out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<EffectId>,
    /// A pause before the next try ends here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_until: Option<Timestamp>,
    /// What went wrong at the tries before, oldest first; at most eight are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    /// What kind of fault the last one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ReasonCode>,
    /// For people: what the machine says it is doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

/// Progress of a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// `writing image`
    pub doing: String,
    /// Units done.
    pub done: u64,
    /// Units in all; 0 when unknown.
    pub total: u64,
}

/// Why a machine is where it is, for a machine that cannot go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// Stable.
    pub code: ReasonCode,
    /// What happened and why.
    pub message: String,
    /// What a person can do next.
    pub next: String,
    /// In which state and step it happened.
    pub lifecycle: Lifecycle,
    /// The step, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepKind>,
    /// What was seen, oldest first.
    #[serde(default)]
    pub evidence: Vec<String>,
}

/// Why a machine was quarantined, in stable words.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonCode {
    /// A person said so.
    Requested,
    /// Its BMC does not answer.
    BmcUnreachable,
    /// Its BMC refuses the password.
    BmcUnauthorised,
    /// Its BMC answers what makes no sense, or refuses what it must do.
    BmcUnfit,
    /// It was restarted and nothing was seen of it.
    NoBoot,
    /// It booted and its agent never spoke, or fell silent.
    NoAgent,
    /// It is not the machine that it was: another TPM, serial number or parts.
    IdentityChanged,
    /// Its firmware or boot is not what the policy allows.
    AttestationFailed,
    /// It has no TPM and its policy asks for one.
    NoTpm,
    /// A part failed its test.
    HardwareFailed,
    /// The image could not be written.
    ImageFailed,
    /// The system was written and never called home.
    NoSystem,
    /// A disk could not be sanitised, or data remained.
    SanitiseFailed,
}

impl ReasonCode {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            ReasonCode::Requested => "requested",
            ReasonCode::BmcUnreachable => "bmc-unreachable",
            ReasonCode::BmcUnauthorised => "bmc-unauthorised",
            ReasonCode::BmcUnfit => "bmc-unfit",
            ReasonCode::NoBoot => "no-boot",
            ReasonCode::NoAgent => "no-agent",
            ReasonCode::IdentityChanged => "identity-changed",
            ReasonCode::AttestationFailed => "attestation-failed",
            ReasonCode::NoTpm => "no-tpm",
            ReasonCode::HardwareFailed => "hardware-failed",
            ReasonCode::ImageFailed => "image-failed",
            ReasonCode::NoSystem => "no-system",
            ReasonCode::SanitiseFailed => "sanitise-failed",
        }
    }
}

/// What is known of a machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MachineStatus {
    /// Where it is in its life.
    pub lifecycle: Lifecycle,
    /// Since when.
    pub since: Timestamp,
    /// Why it cannot go on, when it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Count of effects asked for it: the fence of each.
    pub sequence: u64,
    /// The operation that moves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
    /// The step in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepState>,
    /// How often the way through this state was begun anew.
    #[serde(default)]
    pub detours: u32,
    /// Power, as last seen.
    #[serde(default)]
    pub power: PowerState,
    /// What its BMC can do.
    #[serde(default)]
    pub abilities: BmcAbilities,
    /// What its BMC says it is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts_by_bmc: Option<Box<Inventory>>,
    /// What its own agent says it is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Box<Inventory>>,
    /// Where its BMC answered, for a machine that was discovered by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<String>,
    /// Hardware addresses by which it is known on the network.
    #[serde(default)]
    pub macs: Vec<String>,
    /// SHA-256 of its endorsement key, hexadecimal; fixed when it is first let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endorsement: Option<String>,
    /// The nonce of the quote that is out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<Encoded>,
    /// The last judgement of its firmware and boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<Verdict>,
    /// How it may boot from us, while it may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<BootPermit>,
    /// The road by which it last booted from us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub road: Option<BootRoad>,
    /// The agent that runs on it, while one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentPresence>,
    /// The system that it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemPresence>,
    /// The last certificate of its disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<SanitiseCertificate>,
}

/// Leave to boot from us: one machine, one boot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BootPermit {
    /// The secret part of the address, hexadecimal.
    pub token: String,
    /// By which road.
    pub road: BootRoad,
    /// When it was given.
    pub issued: Timestamp,
    /// First sign of life after that: a DHCP request or a fetch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Timestamp>,
    /// When the image had been fetched whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched: Option<Timestamp>,
}

/// The roads by which our image reaches a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BootRoad {
    /// UEFI HTTP boot of an address set by the BMC.
    Http,
    /// The BMC's virtual drive.
    Media,
    /// PXE, with the address from DHCP.
    Pxe,
}

/// An agent that was let in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentPresence {
    /// When.
    pub admitted: Timestamp,
    /// SHA-256 of its certificate, hexadecimal: commands go to this one only.
    pub certificate: String,
    /// Version.
    pub version: String,
}

/// A tenant's system.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SystemPresence {
    /// SHA-256 of the single-use token with which it calls home, hexadecimal.
    pub token_digest: String,
    /// When it called home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called_home: Option<Timestamp>,
    /// The address that it called from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Its SSH host keys, as it told them.
    #[serde(default)]
    pub host_keys: Vec<String>,
}

/// How a disk is sanitised, best first (NIST SP 800-88 rev. 1).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum SanitiseMethod {
    /// Purge: the device destroys its own key.
    CryptoErase,
    /// Purge: the device erases every block.
    BlockErase,
    /// Clear: every block was overwritten by us.
    Overwrite,
}

impl fmt::Display for SanitiseMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            SanitiseMethod::CryptoErase => "crypto-erase",
            SanitiseMethod::BlockErase => "block-erase",
            SanitiseMethod::Overwrite => "overwrite",
        })
    }
}

/// That a machine's disks were sanitised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SanitiseCertificate {
    /// Which machine.
    pub machine: MachineId,
    /// Chassis serial number.
    pub serial: String,
    /// When it ended.
    pub at: Timestamp,
    /// In which operation.
    pub operation: Option<OperationId>,
    /// Disk by disk.
    pub disks: Vec<crate::agent::SanitisedDisk>,
    /// SHA-256 of the TPM's endorsement key, hexadecimal: on which machine the agent ran.
    pub endorsement: Option<String>,
    /// Signature (ECDSA P-256, ASN.1) by the control plane's certificate key over the
    /// JSON of this record without this field; empty until signed.
    #[serde(default)]
    pub signature: Encoded,
}
