//! Certificates for listeners with TLS, and whether the kernel could encrypt.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

/// Why there is no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read or is no PEM.
    #[error("{0}: {1}")]
    File(String, String),
    /// The certificate and the key are of no use together.
    #[error("the certificate and its key do not serve: {0}")]
    Unusable(#[from] rustls::Error),
}

/// A server's configuration: TLS 1.2 and 1.3, HTTP/1.1, sessions resumed by tickets.
///
/// # Errors
/// When the files are not what they should be.
pub fn configuration(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let wrong = |path: &Path, error: rustls::pki_types::pem::Error| {
        TlsError::File(path.display().to_string(), error.to_string())
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(certificate, error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.ignore_client_order = true;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    Ok(Arc::new(config))
}

/// AES with 128 bits first: it is as far from being broken as any, and a third faster.
fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    let short = |suite: &rustls::SupportedCipherSuite| {
        format!("{:?}", suite.suite()).contains("AES_128_GCM")
    };
    // A stable sort: TLS 1.3 stays before 1.2.
    provider.cipher_suites.sort_by_key(|suite| {
        (suite.version().version != rustls::ProtocolVersion::TLSv1_3, !short(suite))
    });
    provider
}

/// Whether this kernel can encrypt for a socket (kTLS): content could go by sendfile(2)
/// then as it does without TLS.
pub fn kernel_encrypts() -> bool {
    let known = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_available_ulp");
    known.is_ok_and(|known| known.split_whitespace().any(|name| name == "tls"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_and_its_key_are_read_and_others_are_refused() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("made");
        let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("made");
        let name = format!("bedplate-tls-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).expect("a directory");
        let write = |name: &str, text: String| {
            let path = directory.join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let certificate = write("certificate", made.cert.pem());
        let key = write("key", made.signing_key.serialize_pem());
        let wrong = write("other", other.signing_key.serialize_pem());
        let usable = configuration(&certificate, &key).map(|_| ());
        let mismatch = configuration(&certificate, &wrong).map(|_| ());
        let missing = configuration(&directory.join("none"), &key).map(|_| ());
        std::fs::remove_dir_all(&directory).expect("removed");
        usable.expect("fine");
        let first = provider().cipher_suites[0].suite();
        assert_eq!(first, rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
        assert!(matches!(mismatch, Err(TlsError::Unusable(_))));
        assert!(matches!(missing, Err(TlsError::File(..))));
        // Whatever the answer is: it must not take a privilege to ask.
        let _ = kernel_encrypts();
    }
}
