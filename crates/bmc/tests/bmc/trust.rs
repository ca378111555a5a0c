//! Trust: certificates are pinned at the first contact and held fast ever after.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::serve::Listener;
use bedplate_bmc::{Endpoint, connect_with, probe_with};
use model::Secret;
use model::bmc::{BmcCommand, BmcFailureKind};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::fake::{Fake, Instead, PASSWORD};
use crate::{kind, limits, run};

/// A listener with a certificate of its own making.
struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.tcp.accept().await else { continue };
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

async fn start_tls(fake: &Fake) -> (String, tokio::task::JoinHandle<()>) {
    let made = rcgen::generate_simple_self_signed(["bmc.invalid".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let listener = TlsListener { tcp, acceptor: TlsAcceptor::from(Arc::new(config)) };
    let router = fake.router();
    let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address.to_string(), task)
}

fn endpoint(address: &str, certificate: Option<&str>) -> Endpoint {
    Endpoint {
        address: address.to_owned(),
        username: "admin".to_owned(),
        password: Secret::new(PASSWORD),
        certificate: certificate.map(str::to_owned),
    }
}

#[tokio::test]
async fn a_certificate_is_pinned_and_another_is_refused() {
    let (first, second) = (Fake::new(), Fake::new());
    let (first_address, first_task) = start_tls(&first).await;
    let (second_address, second_task) = start_tls(&second).await;
    let seen = probe_with(&first_address, limits()).await.unwrap();
    assert_eq!(seen.address, format!("https://{first_address}"));
    assert_eq!((seen.vendor.as_str(), seen.version.as_str()), ("Fake", "1.8.0"));
    let pin = seen.certificate.expect("there is one with TLS");
    assert_eq!(pin.len(), 64);

    let mut pinned = connect_with(endpoint(&first_address, Some(&pin)), limits()).unwrap();
    run(&mut pinned, BmcCommand::ReadPower).await.unwrap();
    let mut trusting = connect_with(endpoint(&first_address, None), limits()).unwrap();
    run(&mut trusting, BmcCommand::ReadPower).await.unwrap();
    assert_eq!(trusting.certificate(), Some(pin.clone()));

    let mut fooled = connect_with(endpoint(&second_address, Some(&pin)), limits()).unwrap();
    let failure = run(&mut fooled, BmcCommand::ReadPower).await.unwrap_err();
    assert_eq!(failure.kind, BmcFailureKind::Refused);
    assert!(failure.message.contains(&pin), "{failure}");
    assert!(second.state().log.is_empty(), "the password went nowhere");
    first_task.abort();
    second_task.abort();
}

#[tokio::test]
async fn probes_tell_bmcs_from_other_things() {
    let fake = Fake::new();
    let running = fake.start().await;
    let seen = probe_with(&running.url(), limits()).await.unwrap();
    assert_eq!((seen.product.as_str(), seen.certificate), ("Fake BMC", None));
    assert_eq!(fake.count("POST"), 0, "a stranger sends no password");

    fake.send("/redfish/v1", Instead::Json(serde_json::json!({"hello": 1})));
    let failure = probe_with(&running.url(), limits()).await.unwrap_err();
    assert_eq!(failure.kind, BmcFailureKind::Malformed);
    fake.send("/redfish/v1", Instead::Hang);
    let hasty = bedplate_bmc::Limits { probe: std::time::Duration::from_millis(200), ..limits() };
    let failure = probe_with(&running.url(), hasty).await.unwrap_err();
    assert_eq!(failure.kind, BmcFailureKind::Unreachable);

    // Plain HTTP where TLS was asked for, and an address that is none.
    let plain = running.address.to_string();
    assert_eq!(probe_with(&plain, limits()).await.unwrap_err().kind, BmcFailureKind::Unreachable);
    assert_eq!(probe_with("ftp://x", limits()).await.unwrap_err().kind, BmcFailureKind::Refused);
    let none = connect_with(endpoint("https://x/path", None), limits()).err().unwrap();
    assert_eq!(none.kind, BmcFailureKind::Refused);
    let mut unsafe_address = connect_with(endpoint(&plain, None), limits()).unwrap();
    assert_eq!(
        kind(run(&mut unsafe_address, BmcCommand::ReadPower).await),
        BmcFailureKind::Unreachable
    );
}
