//! The BMC's end of the wire: TLS with a self-signed certificate, HTTP/1.1 inside.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::error::{LabError, file};

use super::service::Service;

/// Connections at a time; the next waits.
const CONNECTIONS_MAX: usize = 128;
/// A greeting takes two round trips; whoever takes longer is not a client.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// Certificate and key.
pub(super) struct Identity {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Identity {
    /// The one in a directory, or a new one.
    pub(super) fn load(dir: &Path) -> Result<Self, LabError> {
        let (certificate, key) = (dir.join("certificate.der"), dir.join("key.der"));
        if let (Ok(certificate), Ok(key)) = (fs::read(&certificate), fs::read(&key)) {
            return Ok(Self { certificate, key });
        }
        let identity = Self::make()?;
        super::write_private(&key, &identity.key)?;
        fs::write(&certificate, &identity.certificate).map_err(file(&certificate))?;
        Ok(identity)
    }

    fn make() -> Result<Self, LabError> {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = KeyPair::generate().and_then(|key| {
            let mut parameters = CertificateParams::new(names)?;
            let mut name = DistinguishedName::new();
            name.push(DnType::CommonName, "Bedplate lab BMC");
            parameters.distinguished_name = name;
            let certificate = parameters.self_signed(&key)?;
            Ok(Self { certificate: certificate.der().to_vec(), key: key.serialize_der() })
        });
        made.map_err(|error| bad(&error))
    }

    /// SHA-256 of the certificate, hexadecimal.
    pub(super) fn digest(&self) -> String {
        Sha256::digest(&self.certificate).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn acceptor(&self) -> Result<TlsAcceptor, LabError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.clone()));
        let chain = vec![CertificateDer::from(self.certificate.clone())];
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| bad(&error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn bad(error: &dyn std::fmt::Display) -> LabError {
    LabError::Certificate { doing: "prepare the BMC's certificate".into(), why: error.to_string() }
}

/// Serves until it is stopped.
pub(super) async fn serve(listener: TcpListener, acceptor: TlsAcceptor, service: Arc<Service>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Connections end with the listener.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, for instance: it passes.
                tracing::warn!(%error, "a BMC cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (acceptor, service) = (acceptor.clone(), Arc::clone(&service));
        connections.spawn(async move {
            connection(stream, acceptor, service).await;
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, service: Arc<Service>) {
    let _ = stream.set_nodelay(true);
    let greeted = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await;
    let Ok(Ok(stream)) = greeted else { return };
    let answer = service_fn(move |request: hyper::Request<Incoming>| {
        let service = Arc::clone(&service);
        async move { Ok::<_, std::convert::Infallible>(service.answer(request.map(Body::new)).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(120))
        .serve_connection(TokioIo::new(stream), answer)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to a BMC broke");
    }
}
