//! TPM 2.0 attestation, both ends of it: pure Rust, no C, no async.
//!
//! A machine proves three things: that it has a genuine TPM (endorsement key and
//! its certificate), that a key which signs its quotes lives in that TPM
//! (credential activation), and what its firmware started (a fresh quote over the
//! PCRs, and the event log that leads to their values).
//!
//! On the machine ([`tpm`]):
//!
//! ```
//! # use model::agent::Challenge;
//! # fn prove(challenge: &Challenge, csr: &[u8]) -> Result<(), attest::tpm::TpmError> {
//! let mut tpm = attest::tpm::Tpm::new(attest::tpm::DeviceTransport::open()?);
//! let keys = tpm.keys()?; // into the agent's Hello
//! let credential = challenge.credential.as_ref().expect("a TPM was announced");
//! let secret = tpm.activate(credential)?; // into the agent's Proof, with the quote
//! let binding = attest::binding(challenge.nonce.as_ref(), csr);
//! let log = attest::tpm::read_event_log()?;
//! let quote = tpm.quote(&binding, &challenge.pcrs, log)?;
//! # Ok(())
//! # }
//! ```
//!
//! In the control plane, all pure functions (time and randomness are passed in):
//! [`check_endorsement`] and [`make_credential`] for the challenge, with
//! [`pcrs_to_quote`]; [`check_secret`] and [`judge`](judge()) for the proof; and
//! [`learn`] to make a policy of a verdict.

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
pub use certificate::{check_endorsement, check_endorsement_certificate};
pub use credential::{check_secret, make_credential};
pub use judge::{Question, Rules, judge};
pub use policy::{DEFAULT_PCRS, learn, pcrs_to_quote};
pub use public::{check_attestation_key, check_endorsement_key, endorsement_digest};
pub use refusal::Refusal;
