//! A CA of the test's own, and TLS on both sides of it.

use std::sync::Arc;
use std::time::Duration;

use deploy::image::source::Access;
use deploy::link::trust::Trust;
use deploy::settings::Patience;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, IsCa,
    KeyPair,
};
use rustls::pki_types::{CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::sync::watch;

pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self { issuer: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for the key of a CSR.
    pub fn sign(&self, csr: &[u8]) -> String {
        let csr = CertificateSigningRequestDer::from(csr.to_vec());
        let request = CertificateSigningRequestParams::from_der(&csr).unwrap();
        request.signed_by(&self.issuer).unwrap().pem()
    }

    /// TLS of a server on 127.0.0.1 that takes clients with and without certificates.
    pub fn server(&self) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build().unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Arc::new(config)
    }

    /// What an image is fetched with.
    pub fn access(&self) -> Access {
        let trust = Trust::new(&self.pem()).unwrap();
        let (_, config) = watch::channel(trust.anonymous());
        Access { trust, config, patience: hasty() }
    }
}

/// Tests do not wait long.
pub fn hasty() -> Patience {
    Patience {
        first: Duration::from_millis(2),
        most: Duration::from_millis(20),
        stall: Duration::from_secs(5),
        give_up: Duration::from_secs(1),
    }
}
