//! The same by TLS.

use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};

use super::fixture::{Client, FILE, House, content};

type Stream = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

fn house() -> (House, Arc<rustls::ClientConfig>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("made");
    let certificate = CertificateDer::from(made.cert.der().to_vec());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let server = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("a configuration");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).expect("a root");
    let client =
        rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    (House::with(|settings| settings.tls = Some(Arc::new(server))), Arc::new(client))
}

fn connect(house: &House, config: &Arc<rustls::ClientConfig>) -> Client<Stream> {
    let name = ServerName::try_from("localhost").expect("a name");
    let tls = rustls::ClientConnection::new(config.clone(), name).expect("a client");
    let socket = TcpStream::connect(house.address).expect("a connection");
    socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).expect("a timeout");
    Client::over(rustls::StreamOwned::new(tls, socket))
}

#[test]
fn everything_goes_by_tls_as_well() {
    let (house, config) = house();
    let mut client = connect(&house, &config);
    assert_eq!(client.get("/hello").body, b"hello");
    let all = content(FILE);
    for length in [0, 1, 65_536, 65_537, 1_000_000, FILE] {
        assert!(client.get(&format!("/file/{length}")).body == all[..length], "{length}");
    }
    assert!(client.get("/large").body == content(1 << 20));
    let opened: Vec<u8> = all[..300_000].iter().map(|byte| !byte).collect();
    assert!(client.get("/sealed/300000").body == opened);
    let sum: u64 = all[..2_000_000].iter().map(|byte| u64::from(*byte)).sum();
    let answered = client.put("/sum", &all[..2_000_000]);
    assert_eq!(answered.body, format!("2000000 {sum}").as_bytes());
    assert_eq!(client.get("/kept/a").body, client.get("/kept/a").body);
    assert_eq!(client.get("/elsewhere").body, b"elsewhere");
}

#[test]
fn what_is_no_tls_is_cut() {
    let (house, config) = house();
    let mut plain = house.connect();
    plain.send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut alert = Vec::new();
    let _ = std::io::Read::read_to_end(&mut plain.socket, &mut alert);
    assert!(!alert.starts_with(b"HTTP"));
    assert_eq!(connect(&house, &config).get("/hello").body, b"hello");
    assert_eq!(house.begun(), 1);
}
