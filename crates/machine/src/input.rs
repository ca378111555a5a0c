//! What can happen to a machine, and why something asked of it may be refused.

use model::agent::AgentReport;
use model::attestation::Verdict;
use model::bmc::{PowerAction, PowerState};
use model::effect::Outcome;
use model::id::EffectId;
use model::machine::{AgentPresence, Deployment, Lifecycle, SanitiseCertificate};
use model::operation::Settlement;
use model::sighting::Sighting;

/// Something that happens to a machine.
#[derive(Clone, Debug)]
pub enum Input {
    /// Take it in: from discovered to available.
    Enroll,
    /// Install a system.
    Deploy(Box<Deployment>),
    /// Take it back.
    Release,
    /// Bring it back from quarantine or maintenance.
    Recover,
    /// Put it out of service; the words say why.
    Quarantine(String),
    /// To maintenance, or retired.
    SetAside(Lifecycle),
    /// Settle the operation that needs attention.
    Settle(Settlement),
    /// Change the power of a machine that rests.
    Power(PowerAction),
    /// A sign of life from the network.
    Sighted(Sighting),
    /// Its agent proved itself.
    Admitted {
        /// Certificate and version.
        presence: AgentPresence,
        /// SHA-256 of the endorsement key; absent without a TPM.
        endorsement: Option<String>,
        /// Hardware addresses that it told.
        macs: Vec<String>,
        /// Serial number that it told.
        serial: String,
    },
    /// News from its agent.
    Reported {
        /// SHA-256 of the certificate that it came with.
        certificate: String,
        /// The news.
        report: AgentReport,
        /// The judgement of the quote in it.
        verdict: Option<Box<Verdict>>,
        /// The signed certificate for the sanitised disks in it.
        sanitised: Option<Box<SanitiseCertificate>>,
    },
    /// An effect on its BMC ended.
    Settled {
        /// Which.
        effect: EffectId,
        /// How.
        outcome: Outcome,
    },
    /// Its BMC told of its power.
    PowerSeen(PowerState),
    /// Its system called home.
    CalledHome {
        /// From where.
        address: String,
        /// SSH host keys.
        host_keys: Vec<String>,
    },
    /// Time has passed: look at the deadline.
    Due,
}

/// Why something was not done. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The machine is in a state that forbids it.
    State {
        /// What was asked.
        asked: &'static str,
        /// The state it is in.
        lifecycle: Lifecycle,
        /// The states that allow it.
        allowed: &'static [Lifecycle],
    },
    /// Something that it needs is missing or does not fit, in words.
    Unfit(String),
    /// The step may not be skipped: safety hangs on it.
    NotSkippable(&'static str),
}
