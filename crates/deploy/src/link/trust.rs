//! Whom the agent trusts and who it is: the TLS settings. Only the control
//! plane's own CA counts.
//!
//! A machine whose clock was never set cannot judge validity in time. When a
//! genuine certificate is "not valid yet", the clock is certainly behind, and
//! the agent's calendar moves forward to the certificate's beginning. It never
//! moves back: an expired certificate stays refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use thiserror::Error;

use crate::kernel::clock;

/// Why no TLS settings can be made.
#[derive(Debug, Error)]
pub enum TrustError {
    /// The CA of the control file.
    #[error("the control plane's CA cannot be read: {0}")]
    Authority(String),
    /// What the control plane sent.
    #[error("the certificate that the control plane sent cannot be used: {0}")]
    Certificate(String),
}

/// The time by which certificates are judged.
#[derive(Debug, Default)]
pub struct Calendar {
    not_before: AtomicU64,
}

impl Calendar {
    /// A genuine certificate begins then: it is at least so late.
    fn at_least(&self, seconds: u64) {
        self.not_before.fetch_max(seconds, Ordering::Relaxed);
    }

    /// Learns from a failed handshake; `true` when another try may go better.
    pub fn learn(&self, error: &rustls::Error) -> bool {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext {
                not_before,
                ..
            }) => {
                self.at_least(not_before.as_secs() + 1);
                true
            }
            _ => false,
        }
    }
}

impl TimeProvider for Calendar {
    fn current_time(&self) -> Option<UnixTime> {
        let clock = u64::try_from(clock::now().micros() / 1_000_000).unwrap_or(0);
        let seconds = clock.max(self.not_before.load(Ordering::Relaxed));
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// The CA with the calendar.
#[derive(Clone, Debug)]
pub struct Trust {
    roots: Arc<RootCertStore>,
    /// For learning from failed handshakes.
    pub calendar: Arc<Calendar>,
}

impl Trust {
    /// Trusts these certificates (PEM) and no others.
    pub fn new(authority: &str) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            let certificate = certificate.map_err(|e| TrustError::Authority(e.to_string()))?;
            roots.add(certificate).map_err(|e| TrustError::Authority(e.to_string()))?;
        }
        if roots.is_empty() {
            return Err(TrustError::Authority("there is no certificate in it".to_owned()));
        }
        Ok(Self { roots: Arc::new(roots), calendar: Arc::default() })
    }

    /// TLS that proves only the control plane.
    pub fn anonymous(&self) -> Arc<ClientConfig> {
        let mut config = self.builder().with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// TLS that proves us too: the chain (PEM) for a PKCS#8 key.
    pub fn proven(&self, chain: &str, key: &[u8]) -> Result<Arc<ClientConfig>, TrustError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| TrustError::Certificate(error.to_string()))?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_vec()));
        let mut config = self
            .builder()
            .with_client_auth_cert(chain, key)
            .map_err(|error| TrustError::Certificate(error.to_string()))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn builder(&self) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ClientConfig::builder_with_details(provider, self.calendar.clone())
            .with_safe_default_protocol_versions()
            .expect("ring has what TLS 1.2 and 1.3 need")
            .with_root_certificates(self.roots.clone())
    }
}
