//! The control plane's own certificate, which renews itself: a handshake that
//! finds it half used up has it made anew. There is no task that could be late
//! or die, and a control plane that nobody talks to renews nothing.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use model::Timestamp;
use rcgen::{Issuer, KeyPair};
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use world::Clock;

use super::issue::{self, CONTROL_SPAN};
use super::{IdentityError, Names};

/// A certificate with its key that is made anew before it expires.
pub(super) struct Renewed {
    issuer: Arc<Issuer<'static, KeyPair>>,
    authority_pem: Arc<str>,
    names: Names,
    clock: Arc<dyn Clock>,
    // A std mutex: held for the microseconds of a look, and once a day for those of
    // a new key. Handshakes that meet it meanwhile want that same certificate.
    current: Mutex<Current>,
}

struct Current {
    certified: Arc<CertifiedKey>,
    renew_at: Timestamp,
}

impl Renewed {
    /// Makes the first.
    pub(super) fn new(
        issuer: Arc<Issuer<'static, KeyPair>>,
        authority_pem: Arc<str>,
        names: Names,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, IdentityError> {
        let now = clock.now();
        let current = Mutex::new(make(&issuer, &authority_pem, &names, now)?);
        Ok(Self { issuer, authority_pem, names, clock, current })
    }

    /// The one to show now.
    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        let now = self.clock.now();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= current.renew_at {
            match make(&self.issuer, &self.authority_pem, &self.names, now) {
                Ok(newer) => *current = newer,
                // The old one counts for half its span yet; the next handshake tries again.
                Err(error) => tracing::error!(%error, "our own certificate was not renewed"),
            }
        }
        current.certified.clone()
    }
}

fn make(
    issuer: &Issuer<'static, KeyPair>,
    authority_pem: &str,
    names: &Names,
    now: Timestamp,
) -> Result<Current, IdentityError> {
    let key = KeyPair::generate()?;
    let leaf = issue::control(&key, names, issuer, now)?;
    let authority = CertificateDer::from_pem_slice(authority_pem.as_bytes())
        .map_err(|error| IdentityError::Making(error.to_string()))?;
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signing = rustls::crypto::ring::sign::any_ecdsa_type(&der)
        .map_err(|error| IdentityError::Making(error.to_string()))?;
    let certified = CertifiedKey::new(vec![leaf.der().clone(), authority], signing);
    Ok(Current { certified: Arc::new(certified), renew_at: now + CONTROL_SPAN.percent(50) })
}

impl fmt::Debug for Renewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renewed")
    }
}

impl ResolvesServerCert for Renewed {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certified())
    }
}

impl ResolvesClientCert for Renewed {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.certified())
    }
    fn has_certs(&self) -> bool {
        true
    }
}
