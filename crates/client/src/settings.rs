//! How a client is set up: where Bedplate is, whom to trust, who asks.

use std::sync::Arc;

use model::Secret;
use reqwest::Url;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::ClientError;

/// Where Linux distributions keep the certificates of public authorities.
const SYSTEM_ROOTS: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Where Bedplate is, whom to trust, and who asks.
#[derive(Clone, Debug, Default)]
pub struct ClientSettings {
    /// `https://host:port`; `http` only to this machine itself.
    pub url: String,
    /// The certificate of Bedplate's CA (PEM), and then no other is trusted. Those
    /// of the system when absent.
    pub ca_pem: Option<String>,
    /// The token of who asks; a few endpoints need none.
    pub token: Option<Secret>,
}

/// The base of all addresses: with a path that ends in `/`, without anything after it.
pub fn base(text: &str) -> Result<Url, ClientError> {
    let wrong = |why: &str| ClientError::Settings(format!("the address `{text}` {why}"));
    let mut url = Url::parse(text).map_err(|_| wrong("is not a URL: write https://host:port"))?;
    let host = url.host_str().ok_or_else(|| wrong("names no host"))?;
    let own = host == "localhost"
        || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    match url.scheme() {
        "https" => {}
        "http" if own => {}
        _ => return Err(wrong("must begin with https://: a token would be there for all to read")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("must not hold a password: give a token"));
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// TLS that trusts one CA, or those of the system.
pub fn tls(ca_pem: Option<&str>) -> Result<ClientConfig, ClientError> {
    let settings = |why: String| ClientError::Settings(why);
    let mut roots = RootCertStore::empty();
    match ca_pem {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate = certificate
                    .map_err(|error| settings(format!("the CA's certificate: {error}")))?;
                roots
                    .add(certificate)
                    .map_err(|error| settings(format!("the CA's certificate: {error}")))?;
            }
            if roots.is_empty() {
                return Err(settings("the CA's file holds no certificate (PEM)".to_owned()));
            }
        }
        None => add_system_roots(&mut roots),
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| settings(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

/// Those of the first file that there is. Without any, no certificate is trusted,
/// and the error of the connection says so.
fn add_system_roots(roots: &mut RootCertStore) {
    let pem = SYSTEM_ROOTS.iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default();
    let certificates = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok);
    roots.add_parsable_certificates(certificates);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_that_keeps_a_token_safe_is_taken() {
        for good in ["https://bp.example:7443", "http://127.0.0.1:1", "http://[::1]:1/x"] {
            assert!(base(good).is_ok(), "{good}");
        }
        for bad in ["bp.example", "http://bp.example", "ftp://127.0.0.1", "https://u:p@h", ""] {
            assert!(matches!(base(bad), Err(ClientError::Settings(_))), "{bad}");
        }
        assert_eq!(base("https://h/a?b#c").unwrap().as_str(), "https://h/a/");
    }

    #[test]
    fn a_ca_file_without_a_certificate_is_refused() {
        for pem in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(matches!(tls(Some(pem)), Err(ClientError::Settings(_))));
        }
    }
}
