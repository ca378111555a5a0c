//! Trust in a BMC's certificate: equality with a pin, instead of an authority.
//!
//! BMCs sign their own certificates, for names that nobody uses and for times
//! long past; no authority vouches for them. What can be held fast is that it is
//! the same one as at the first contact. The handshake still proves that the
//! other side has the private key.

use std::sync::{Arc, Mutex, MutexGuard};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use sha2::{Digest, Sha256};

/// The pin of one connection, and what was seen instead.
#[derive(Debug)]
pub(crate) struct Pin {
    provider: Arc<CryptoProvider>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// SHA-256 of the certificate that is trusted; set at first contact when absent.
    trusted: Option<String>,
    /// SHA-256 of another one that was shown last.
    strange: Option<String>,
}

impl Pin {
    /// A pin; with `None` the first certificate seen becomes it.
    pub(crate) fn new(trusted: Option<&str>) -> Arc<Self> {
        // People write digests with colons and in capitals.
        let digits = |pin: &str| pin.chars().filter(|c| *c != ':').collect::<String>();
        let trusted = trusted.map(|pin| digits(pin).to_lowercase());
        Arc::new(Self {
            provider: Arc::new(ring::default_provider()),
            state: Mutex::new(State { trusted, strange: None }),
        })
    }

    /// The TLS configuration that enforces it.
    pub(crate) fn tls(self: &Arc<Self>) -> ClientConfig {
        ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(self.clone())
            .with_no_client_auth()
    }

    /// The trusted certificate, once one is.
    pub(crate) fn trusted(&self) -> Option<String> {
        self.state().trusted.clone()
    }

    /// Another certificate that was refused since the last call.
    pub(crate) fn take_strange(&self) -> Option<String> {
        self.state().strange.take()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the pin")
    }
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = hexadecimal(&Sha256::digest(end_entity));
        let mut state = self.state();
        if *state.trusted.get_or_insert_with(|| shown.clone()) == shown {
            return Ok(ServerCertVerified::assertion());
        }
        state.strange = Some(shown);
        Err(rustls::CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
