//! Being let in: say hello with a key made on the spot, prove the TPM, get a
//! certificate for that key.

use std::sync::Arc;
use std::time::Duration;

use model::agent::{Admission, AgentFailure, Challenge, Hello, Proof};
use model::{Encoded, api};
use rcgen::{CertificateParams, KeyPair};
use rustls::ClientConfig;
use thiserror::Error;

use super::https::{Line, LinkError, Origin};
use super::trust::{Trust, TrustError};
use crate::inventory;
use crate::network::interfaces;
use crate::settings::Roots;
use crate::tpm::Chip;

/// Judging a proof takes the control plane a moment.
const WAIT: Duration = Duration::from_secs(30);

/// Why the agent was not let in.
#[derive(Debug, Error)]
pub enum AdmissionError {
    /// The exchange failed.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The certificate that came cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// No key or CSR could be made.
    #[error("cannot make a key: {0}")]
    Key(#[from] rcgen::Error),
    /// The TPM failed.
    #[error("the TPM failed: {}", .0.message)]
    Tpm(AgentFailure),
}

impl From<AgentFailure> for AdmissionError {
    fn from(failure: AgentFailure) -> Self {
        Self::Tpm(failure)
    }
}

/// Let in.
#[derive(Debug)]
pub struct Admitted {
    /// What the control plane said.
    pub admission: Admission,
    /// TLS settings that prove us.
    pub config: Arc<ClientConfig>,
}

/// Hello, challenge, proof, admission.
pub async fn admit(
    origin: &Origin,
    trust: &Trust,
    chip: &Chip,
    roots: &Roots,
) -> Result<Admitted, AdmissionError> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let csr = CertificateParams::default().serialize_request(&key)?.der().to_vec();
    let mut line = Line::new(origin.clone(), trust.anonymous(), trust.clone());
    let hello = hello(roots, chip, csr.clone()).await?;
    let challenge =
        line.call::<api::AgentHello>(api_path::<api::AgentHello>(), &hello, WAIT).await?;
    let proof = prove(chip, challenge, csr, hello.tpm.is_some()).await?;
    let admission =
        line.call::<api::AgentProve>(api_path::<api::AgentProve>(), &proof, WAIT).await?;
    let config = trust.proven(&admission.certificate, &key.serialize_der())?;
    Ok(Admitted { admission, config })
}

/// The path of an endpoint without parameters.
pub const fn api_path<E: api::Endpoint>() -> &'static str {
    E::INFO.path
}

async fn hello(roots: &Roots, chip: &Chip, csr: Vec<u8>) -> Result<Hello, AdmissionError> {
    let tables = inventory::firmware_tables(roots);
    Ok(Hello {
        uuid: tables.system.uuid,
        serial: tables.system.serial,
        macs: interfaces::list(roots).into_iter().map(|nic| nic.mac).collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        csr: Encoded(csr),
        tpm: chip.keys().await?,
    })
}

async fn prove(
    chip: &Chip,
    challenge: Challenge,
    csr: Vec<u8>,
    has_tpm: bool,
) -> Result<Proof, AdmissionError> {
    let secret = match challenge.credential {
        Some(credential) => Some(chip.activate(credential).await?),
        None => None,
    };
    let quote = match has_tpm {
        true => Some(chip.quote(challenge.nonce, csr, challenge.pcrs).await?),
        false => None,
    };
    Ok(Proof { session: challenge.session, secret, quote })
}
