//! TPM 2.0 attestation, both ends of it: pure Rust, no C, no async.
//!
//! A machine proves three things: that it has a genuine TPM (endorsement key and
//! its certificate), that a key which signs its quotes lives in that TPM
//! (credential activation), and what its firmware started (a fresh quote over the
//! PCRs, and the event log that leads to their values).
//!
//! On the machine ([`tpm`]):
//!
//! ```no_run
//! # fn main() -> Result<(), attest::tpm::TpmError> {
//! # let (challenge, csr): (model::agent::Challenge, Vec<u8>) = unimplemented!();
//! let mut tpm = attest::tpm::Tpm::new(attest::tpm::DeviceTransport::open()?);
//! let keys = tpm.keys()?; // into the agent's Hello
//! let credential = challenge.credential.as_ref().expect("a TPM was announced");
//! let secret = tpm.activate(credential)?; // into the agent's Proof
//! let binding = attest::binding(challenge.nonce.as_ref(), &csr);
//! let log = attest::tpm::read_event_log()?;
//! let quote = tpm.quote(&binding, &challenge.pcrs, log)?;
//! # Ok(())
//! # }
//! ```
//!
//! In the control plane, all pure functions (time and randomness are passed in):
//! [`check_endorsement_certificate`], [`make_credential`], [`pcrs_to_quote`],
//! [`judge`](judge()), and [`learn`] to make a policy of a verdict.

mod binding;
mod certificate;
mod credential;
mod digest;
pub mod eventlog;
mod judge;
mod policy;
mod public;
mod quoted;
mod refusal;
pub mod tpm;

pub use binding::binding;
pub use certificate::check_endorsement_certificate;
pub use credential::{check_secret, make_credential};
pub use judge::{Question, Rules, judge};
pub use policy::{DEFAULT_PCRS, learn, pcrs_to_quote};
pub use public::{check_attestation_key, check_endorsement_key, endorsement_digest};
pub use refusal::Refusal;

// Signatures, for those who call (the files follow):
//
// pub fn binding(nonce: &[u8], csr: &[u8]) -> [u8; 32];                // csr empty for a later re-attestation
// pub struct Refusal { pub code: model::attestation::RefusalCode, pub message: String }  // Error + Display
// pub fn make_credential(endorsement_public: &[u8], attestation_public: &[u8], secret: &[u8; 32],
//     entropy: &mut dyn FnMut(&mut [u8])) -> Result<model::agent::Credential, Refusal>;
// pub fn check_secret(secret: &[u8; 32], answer: Option<&[u8]>) -> Result<(), Refusal>; // ForeignTpm
// pub fn endorsement_digest(public: &[u8]) -> String;
// pub fn check_endorsement_certificate(certificate: &[u8], endorsement_public: &[u8], roots: &[String],
//     now: Timestamp) -> Result<(), Refusal>;
// pub fn check_endorsement_key(public: &[u8]) -> Result<(), Refusal>;  // also done by make_credential
// pub fn check_attestation_key(public: &[u8]) -> Result<(), Refusal>;  // also done by make_credential and judge
// pub struct Question<'a> { pub attestation: &'a [u8], pub nonce: &'a [u8], pub csr: &'a [u8], pub pcrs: &'a [u8] }
// pub struct Rules<'a> { pub name: &'a str, pub generation: u64, pub spec: &'a PolicySpec }
// impl<'a> From<&'a model::attestation::Policy> for Rules<'a>
// pub fn judge(quote: &model::agent::Quote, question: &Question<'_>, rules: &Rules<'_>, now: Timestamp) -> Verdict;
// pub const DEFAULT_PCRS: &[u8];
// pub fn pcrs_to_quote(policy: &PolicySpec) -> Vec<u8>;                // DEFAULT_PCRS and those of the policy
// pub fn learn(verdict: &Verdict) -> BTreeMap<u8, Vec<ExpectedEvent>>; // empty when the log was not proven
// tpm::DeviceTransport::open() -> Result<DeviceTransport, TpmError>    // /dev/tpmrm0, else /dev/tpm0; NoDevice when neither is there
// tpm::SocketTransport::unix(&Path) / ::tcp(SocketAddr) -> Result<SocketTransport, TpmError>
// tpm::Tpm::new(transport: T) -> Tpm<T>                                // Drop flushes what it made
// Tpm::keys(&mut self) -> Result<model::agent::TpmKeys, TpmError>
// Tpm::activate(&mut self, &Credential) -> Result<Zeroizing<Vec<u8>>, TpmError>
// Tpm::quote(&mut self, binding: &[u8; 32], pcrs: &[u8], event_log: Vec<u8>) -> Result<model::agent::Quote, TpmError>
// Tpm::read_pcrs(&mut self, &[u8]) -> Result<Vec<(u8, [u8; 32])>, TpmError>
// Tpm::about(&mut self) -> Result<tpm::About, TpmError>                // manufacturer, family, firmware
// tpm::read_event_log() -> Result<Vec<u8>, TpmError>                   // empty when the firmware left none
