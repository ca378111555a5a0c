//! Our own certificate authority: an ECDSA P-256 key in `DIR/ca/ca.key` and its
//! certificate in `DIR/ca/ca.pem`, made at the first start. It certifies the roles
//! of Bedplate and nobody else.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use model::Timestamp;
use model::id::MachineId;
use rcgen::{Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use world::Clock;

use super::durable::{PRIVATE, PUBLIC, make_private_directory, read_text, write_whole};
use super::issue::{self, AgentCertificate};
use super::renewed::Renewed;
use super::{IdentityError, sanitised};

/// The names by which the control plane is reached.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Host names.
    pub dns: Vec<String>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
}

/// Signs the certificates of roles, and those of sanitised machines.
pub struct Authority {
    pub(super) issuer: Arc<Issuer<'static, KeyPair>>,
    pub(super) pem: Arc<str>,
    pub(super) roots: Arc<RootCertStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) own: Arc<Renewed>,
    pub(super) sanitising: KeyPair,
}

impl Authority {
    /// Reads the authority from `DIR/ca`, or makes it there at the first start. A
    /// certificate without its key (or one that is not of that key) is an error,
    /// never a reason for a new authority: every role trusts the old one.
    pub fn open(
        directory: &Path,
        names: &Names,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, IdentityError> {
        let directory = directory.join("ca");
        make_private_directory(&directory)?;
        let now = clock.now();
        let (key, pem) = authority_files(&directory, now)?;
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| {
            IdentityError::damaged(&directory.join("ca.pem"), error.to_string())
        })?;
        let mut roots = RootCertStore::empty();
        roots.add(der).map_err(|error| {
            IdentityError::damaged(&directory.join("ca.pem"), error.to_string())
        })?;
        let pem: Arc<str> = pem.into();
        let issuer = Arc::new(Issuer::from_ca_cert_pem(&pem, key)?);
        let own = Renewed::new(issuer.clone(), pem.clone(), names.clone(), clock.clone())?;
        let sanitising = sanitised::open_key(&directory)?;
        let own = Arc::new(own);
        Ok(Self { issuer, pem, roots: Arc::new(roots), clock, own, sanitising })
    }

    /// The authority's certificate (PEM), which every role trusts.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Certifies the key of an agent's signing request (PKCS#10, DER) for the agent
    /// on this machine. Of the request, which is hostile, only the key is taken.
    /// `attestation` is the attestation key that the agent has proven (`TPMT_PUBLIC`);
    /// the certificate carries it, and so it is there whenever a quote is to be judged.
    pub fn issue_agent(
        &self,
        request: &[u8],
        attestation: Option<&[u8]>,
        machine: MachineId,
        now: Timestamp,
    ) -> Result<AgentCertificate, IdentityError> {
        let (leaf, expires) = issue::agent(request, attestation, machine, &self.issuer, now)?;
        Ok(issue::described(&leaf, &self.pem, expires))
    }
}

/// Reads key and certificate, or makes what is missing. The key comes first: a
/// crash between the two leaves a key that has signed nothing yet.
fn authority_files(directory: &Path, now: Timestamp) -> Result<(KeyPair, String), IdentityError> {
    let (key_path, pem_path) = (directory.join("ca.key"), directory.join("ca.pem"));
    let pem = read_text(&pem_path)?;
    let key = match read_text(&key_path)? {
        Some(text) => KeyPair::from_pem(&text)
            .map_err(|error| IdentityError::damaged(&key_path, error.to_string()))?,
        None if pem.is_some() => {
            return Err(IdentityError::damaged(&key_path, "it is missing beside ca.pem"));
        }
        None => {
            let key = KeyPair::generate()?;
            write_whole(&key_path, key.serialize_pem().as_bytes(), PRIVATE)?;
            key
        }
    };
    let pem = match pem {
        Some(pem) => pem,
        None => {
            let pem = issue::authority(&key, now)?.pem();
            write_whole(&pem_path, pem.as_bytes(), PUBLIC)?;
            pem
        }
    };
    if !is_of_key(&pem, &key) {
        return Err(IdentityError::damaged(&pem_path, "it is not of the key in ca.key"));
    }
    Ok((key, pem))
}

fn is_of_key(pem: &str, key: &KeyPair) -> bool {
    let Ok(der) = CertificateDer::from_pem_slice(pem.as_bytes()) else { return false };
    x509_parser::parse_x509_certificate(&der).is_ok_and(|(_, parsed)| {
        parsed.public_key().subject_public_key.data.as_ref() == key.public_key_raw()
    })
}
