//! The words between the control plane and the agent that runs on a machine
//! (the ramdisk's `deploy`). The agent speaks first, proves who it is, and then
//! takes commands over mTLS; every message is hostile until it has been parsed
//! and judged.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::encoded::Encoded;
use crate::id::{EffectId, MachineId, SessionId};
use crate::image::{Checksum, Compression, ImageFormat};
use crate::inventory::Inventory;
use crate::machine::SanitiseMethod;
use crate::time::{Duration, Timestamp};
use crate::unit::Bytes;

/// The agent's first words, over TLS that proves only the control plane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hello {
    /// SMBIOS UUID, lower case with dashes.
    pub uuid: String,
    /// Chassis serial number.
    pub serial: String,
    /// Hardware addresses of all interfaces, lower case with colons.
    pub macs: Vec<String>,
    /// Version of the agent.
    pub version: String,
    /// Certificate signing request (PKCS#10, DER) for a key made on this boot.
    pub csr: Encoded,
    /// The TPM's keys; absent when the machine has no TPM.
    pub tpm: Option<TpmKeys>,
}

/// Public parts of the keys of a TPM 2.0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TpmKeys {
    /// Endorsement key, `TPMT_PUBLIC` (RSA 2048, template L-1 of the TCG EK credential profile).
    pub endorsement: Encoded,
    /// Its certificate (X.509, DER), when the TPM holds one.
    pub endorsement_certificate: Option<Encoded>,
    /// Attestation key, `TPMT_PUBLIC` (restricted signing, ECDSA P-256 or RSASSA 2048 with SHA-256).
    pub attestation: Encoded,
}

/// What the agent must answer to be let in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Challenge {
    /// Names this exchange in the next message.
    pub session: SessionId,
    /// For `TPM2_ActivateCredential`; absent for a machine without a TPM.
    pub credential: Option<Credential>,
    /// Fresh; goes into the quote together with the CSR.
    pub nonce: Encoded,
    /// PCRs of the SHA-256 bank to quote.
    pub pcrs: Vec<u8>,
}

/// A secret that only the right TPM can open (TPM 2.0 part 1, section 24).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Credential {
    /// `TPM2B_ID_OBJECT` with its size field.
    pub blob: Encoded,
    /// `TPM2B_ENCRYPTED_SECRET` with its size field.
    pub secret: Encoded,
}

/// The agent's answer to a [`Challenge`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Proof {
    /// Of the challenge.
    pub session: SessionId,
    /// The secret that the TPM opened.
    pub secret: Option<Encoded>,
    /// A quote whose qualifying data is `attest::binding` of nonce and CSR.
    pub quote: Option<Quote>,
}

/// A quote with what is needed to judge it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quote {
    /// `TPMS_ATTEST`.
    pub attest: Encoded,
    /// `TPMT_SIGNATURE`.
    pub signature: Encoded,
    /// PCR index and SHA-256 value, in the order of the selection.
    pub pcrs: Vec<(u8, Encoded)>,
    /// The firmware's event log (TCG PC Client, crypto agile).
    pub event_log: Encoded,
}

/// The agent is let in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Admission {
    /// Which machine it runs on.
    pub machine: MachineId,
    /// Certificate chain (PEM) for the key of the CSR; its name is the machine's id.
    pub certificate: String,
    /// After this the agent asks anew.
    pub expires: Timestamp,
    /// The control plane's time, for a machine whose clock is wrong.
    pub now: Timestamp,
}

/// A command, as it is delivered. The agent dedups by `id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentOrder {
    /// The effect that this is.
    pub id: EffectId,
    /// The machine's count of effects; the agent refuses one older than the newest seen.
    pub sequence: u64,
    /// What to do.
    pub command: AgentCommand,
}

/// What the agent can do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub enum AgentCommand {
    /// Tell what the machine is made of.
    Report,
    /// Quote the PCRs afresh.
    Quote {
        /// Fresh.
        nonce: Encoded,
        /// PCRs of the SHA-256 bank.
        pcrs: Vec<u8>,
    },
    /// Work processors, memory and disks for a while and watch for faults. Disks are only read.
    BurnIn {
        /// How long in all.
        span: Duration,
    },
    /// Write an image to a disk, while it downloads.
    WriteImage {
        /// What and where to.
        order: Box<WriteImage>,
    },
    /// Sanitise every disk of the machine.
    Sanitise {
        /// How; the agent reports what each disk really allowed.
        method: SanitiseMethod,
        /// Fraction of each disk that is read back, per million.
        sample_ppm: u32,
    },
    /// Leave for the system on disk: set the boot order, and restart or kexec.
    BootDisk {
        /// Skip the firmware where that is safe.
        kexec: bool,
    },
    /// Switch the machine off.
    PowerOff,
}

/// An image to be written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WriteImage {
    /// Where the agent fetches it, with its client certificate.
    pub url: String,
    /// Of the file as it is fetched.
    pub checksum: Checksum,
    /// Layout.
    pub format: ImageFormat,
    /// How it is packed.
    pub compression: Compression,
    /// Size on disk, unpacked.
    pub size: Bytes,
    /// Which disk by name; the smallest that fits when absent.
    pub disk: Option<String>,
    /// Grow the last partition (and tell the system to grow its file system).
    pub grow: bool,
    /// cloud-init NoCloud files (`meta-data`, `user-data`, `network-config`), written
    /// to a small file system with the label `CIDATA`.
    pub seed: Vec<SeedFile>,
}

/// A file of the cloud-init seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeedFile {
    /// File name.
    pub name: String,
    /// Content.
    pub content: String,
}

/// What the agent found or did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum AgentFact {
    /// The parts.
    Inventory {
        /// As the machine itself sees them.
        inventory: Box<Inventory>,
    },
    /// A fresh quote.
    Quoted {
        /// To be judged.
        quote: Box<Quote>,
    },
    /// The burn-in ended.
    BurnedIn {
        /// One line a test.
        results: Vec<BurnInResult>,
    },
    /// The image is on disk, read back and synchronised.
    ImageWritten {
        /// Which disk.
        disk: String,
        /// Bytes written (holes are not).
        written: Bytes,
        /// Of the file as it was fetched.
        checksum: Checksum,
    },
    /// The disks are sanitised.
    Sanitised {
        /// One entry a disk.
        disks: Vec<SanitisedDisk>,
    },
    /// On its way; the connection ends now.
    Leaving,
}

/// One test of the burn-in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BurnInResult {
    /// `cpu`, `memory`, `disk nvme0n1`.
    pub test: String,
    /// Whether it passed.
    pub passed: bool,
    /// A measured figure or the fault, in words.
    pub detail: String,
}

/// One disk after sanitising.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SanitisedDisk {
    /// Name in the ramdisk.
    pub disk: String,
    /// Model.
    pub model: String,
    /// Serial number.
    pub serial: String,
    /// Capacity.
    pub size: Bytes,
    /// What was really done.
    pub method: SanitiseMethod,
    /// Bytes read back.
    pub sampled: Bytes,
    /// Bytes among them that were not as expected. More than 0 is a failure.
    pub residue: Bytes,
}

/// Why the agent could not do as asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentFailure {
    /// What kind of failure.
    pub kind: AgentFailureKind,
    /// In words.
    pub message: String,
}

/// The kinds of failure that call for different answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AgentFailureKind {
    /// The network failed in the middle; again may help.
    Network,
    /// The bytes are not those of the checksum.
    Checksum,
    /// A disk failed, is too small or is missing.
    Disk,
    /// The TPM failed.
    Tpm,
    /// A test of the burn-in did not pass, or data remained after sanitising.
    Hardware,
    /// The order makes no sense here.
    Refused,
}

/// What the agent tells while it works, and at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentReport {
    /// Of the order.
    pub id: EffectId,
    /// How far.
    pub news: AgentNews,
}

/// How far an order has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "news", rename_all = "kebab-case")]
pub enum AgentNews {
    /// Still at it.
    Progress {
        /// For people: `writing image`.
        doing: String,
        /// Units done.
        done: u64,
        /// Units in all; 0 when unknown.
        total: u64,
    },
    /// Done.
    Done {
        /// What came of it.
        fact: AgentFact,
    },
    /// Given up.
    Failed {
        /// Why.
        failure: AgentFailure,
    },
}
