//! When certificates are good, by looking at them.

use std::sync::Arc;
use std::time::Duration;

use client::ClientSettings;
use model::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// How long the listener may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// When a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// From.
    pub not_before: Timestamp,
    /// To.
    pub not_after: Timestamp,
}

/// When the certificate of the listener is good. `None` when it is not trusted
/// (the connection itself says why), cannot be reached, or has none.
pub async fn of_listener(settings: &ClientSettings) -> Option<Life> {
    let (host, port) = place(&settings.url)?;
    let mut roots = RootCertStore::empty();
    let pem = settings.ca_pem.as_deref()?;
    roots.add_parsable_certificates(
        CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok),
    );
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.clone()).ok()?;
    let connect = async {
        let stream = TcpStream::connect((host.as_str(), port)).await.ok()?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
        let chain = stream.get_ref().1.peer_certificates()?;
        life(chain.first()?)
    };
    tokio::time::timeout(PATIENCE, connect).await.ok()?
}

/// When the CA itself is good.
pub fn of_authority(pem: &str) -> Option<Life> {
    let certificate = CertificateDer::pem_slice_iter(pem.as_bytes()).next()?.ok()?;
    life(&certificate)
}

fn life(certificate: &CertificateDer<'_>) -> Option<Life> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let validity = certificate.validity();
    let moment = |secs: i64| secs.checked_mul(1_000_000).map(Timestamp::from_micros);
    Some(Life {
        not_before: moment(validity.not_before.timestamp())?,
        not_after: moment(validity.not_after.timestamp())?,
    })
}

/// Host and port of an `https` address.
pub fn place(url: &str) -> Option<(String, u16)> {
    let rest = url.strip_prefix("https://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        let port = after.strip_prefix(':').map_or(Some(443), |port| port.parse().ok())?;
        return Some((host.to_owned(), port));
    }
    match authority.rsplit_once(':') {
        Some((host, port)) => Some((host.to_owned(), port.parse().ok()?)),
        None => Some((authority.to_owned(), 443)),
    }
}
