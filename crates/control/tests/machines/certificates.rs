//! The authority: what it certifies, what it refuses, and for how long.

use std::sync::Arc;

use control::identity::{ClientAuth, IdentityError, KeyProvider, Peer, tokens, verify_certificate};
use model::id::MachineId;
use model::identity::RoleIdentity;
use model::machine::SanitiseCertificate;
use model::{Encoded, ErrorCode, Secret};
use rcgen::{CertificateParams, KeyPair, SanType};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use uuid::Uuid;
use world::clock::ManualClock;
use world::{Clock as _, SystemClock, SystemEntropy};

use crate::agent::{Web, request, tls};
use crate::house::{Folder, House, authority};

fn machine() -> MachineId {
    MachineId::from_uuid(Uuid::from_u128(7))
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(SystemClock::default().now()))
}

fn peer_of(chain: &str) -> Peer {
    let leaf = CertificateDer::from_pem_slice(chain.as_bytes()).expect("PEM");
    Peer::of(&[leaf]).expect("a role of ours")
}

#[test]
fn the_authority_is_made_once_and_never_replaced() {
    let (folder, clock) = (Folder::new(), clock());
    let first = authority(folder.path(), clock.clone()).pem().to_owned();
    assert_eq!(authority(folder.path(), clock.clone()).pem(), first);
    std::fs::remove_file(folder.path().join("ca/ca.key")).expect("it was there");
    let names = control::identity::Names::default();
    let error = control::identity::Authority::open(folder.path(), &names, clock).err();
    assert!(matches!(error, Some(IdentityError::Damaged { .. })), "{error:?}");
}

#[test]
fn private_files_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    authority(folder.path(), clock());
    KeyProvider::open(folder.path()).expect("keys");
    tokens::bootstrap_admin(folder.path(), true, &mut SystemEntropy).expect("a token");
    for file in ["ca/ca.key", "ca/sanitise.key", "keys/k000001.key", "admin.token"] {
        let mode = std::fs::metadata(folder.path().join(file)).expect(file).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn of_a_signing_request_only_the_key_is_taken() {
    let (folder, clock) = (Folder::new(), clock());
    let authority = authority(folder.path(), clock.clone());
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["control".to_owned()]).expect("a name");
    let control = RoleIdentity::Control.to_string();
    params.subject_alt_names.push(SanType::URI(control.as_str().try_into().expect("ASCII")));
    let greedy = params.serialize_request(&key).expect("a request");
    let issued = authority
        .issue_agent(greedy.der(), Some(b"attestation key"), machine(), clock.now())
        .expect("its key is good");
    let peer = peer_of(&issued.chain);
    assert_eq!(peer.identity, RoleIdentity::Agent(machine()));
    assert_eq!(peer.certificate, issued.digest);
    assert_eq!(peer.expires, issued.expires);
    assert_eq!(peer.attestation.as_deref(), Some(b"attestation key".as_slice()));
}

#[test]
fn bad_signing_requests_are_refused() {
    let (folder, clock) = (Folder::new(), clock());
    let authority = authority(folder.path(), clock.clone());
    let (good, _) = request();
    let mut unsigned = good.clone();
    *unsigned.last_mut().expect("bytes") ^= 1;
    let trailing = [good.as_slice(), b"more"].concat();
    let other_curve = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key");
    let other_curve = CertificateParams::default().serialize_request(&other_curve).expect("one");
    let long = vec![0x30; 100_000];
    for bad in [unsigned, trailing, other_curve.der().to_vec(), long, Vec::new()] {
        let error = authority.issue_agent(&bad, None, machine(), clock.now()).err();
        assert!(matches!(error, Some(IdentityError::Request(_))), "{error:?}");
    }
}

proptest::proptest! {
    #[test]
    fn a_certificate_of_strangers_never_panics(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
    ) {
        proptest::prop_assert!(Peer::of(&[CertificateDer::from(bytes)]).is_err());
    }
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let house = House::new();
    let address = house.serve();
    let (csr, key) = request();
    let authority = &house.plane.authority;
    let issued =
        authority.issue_agent(&csr, None, machine(), house.clock.now()).expect("a good request");
    let web = || Web::new(address, authority.pem(), Some((&issued.chain, &key)));
    assert!(web().reaches("/v1/agent/orders").await, "it is good today");
    let open = web();
    assert!(open.reaches("/v1/agent/orders").await);
    house.clock.set(issued.expires + model::Duration::from_secs(2));
    assert!(!tls_shakes_hands(&house, address, &issued.chain, &key).await, "it has expired");
    // The connection that is still open was proven when the certificate was good.
    let response = open.get("/v1/agent/orders", None).await;
    let problem: model::Problem = response.json().await.expect("a problem");
    assert_eq!(problem.code, ErrorCode::Unauthenticated, "{problem}");
}

/// Whether the listener takes this certificate. The client does not check the
/// server's dates: it is the server's judgement that counts here.
async fn tls_shakes_hands(
    house: &House,
    address: std::net::SocketAddr,
    chain: &str,
    key: &KeyPair,
) -> bool {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut config = tls(house.plane.authority.pem(), Some((chain, key)));
    config.time_provider =
        house.plane.authority.client_config().expect("a configuration").time_provider.clone();
    let stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
    let Ok(mut stream) = connector.connect(name, stream).await else { return false };
    let request = b"GET /v1/agent/orders HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    if stream.write_all(request).await.is_err() {
        return false;
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.is_ok() && answer.starts_with(b"HTTP/1.1")
}

#[tokio::test]
async fn strangers_and_other_roles_are_refused() {
    let house = House::new();
    let address = house.serve();
    let pem = house.plane.authority.pem();
    // No certificate at all.
    let nobody = Web::new(address, pem, None).orders(0).await.expect_err("nobody");
    assert_eq!(nobody.code, ErrorCode::Unauthenticated);
    // The control plane's own: a good certificate of another role.
    let own = house.plane.authority.client_config().expect("a configuration");
    let client = reqwest::Client::builder()
        .use_preconfigured_tls(rustls::ClientConfig::clone(&own))
        .build()
        .expect("a client");
    let url = format!("https://{address}/v1/agent/orders");
    let response = client.get(url).send().await.expect("an answer");
    assert_eq!(response.status(), 403);
    // Of another authority, for the same name: not even a handshake.
    let elsewhere = Folder::new();
    let other = authority(elsewhere.path(), house.clock.clone());
    let (csr, key) = request();
    let foreign = other.issue_agent(&csr, None, machine(), house.clock.now()).expect("issued");
    assert!(!tls_shakes_hands(&house, address, &foreign.chain, &key).await);
    // Ours, for a machine that has no agent: it was let in on another boot.
    let id = house.enroll("one").await;
    let (csr, key) = request();
    let earlier = house.plane.authority.issue_agent(&csr, None, id, house.clock.now());
    let web = Web::new(address, pem, Some((&earlier.expect("issued").chain, &key)));
    let problem = web.orders(0).await.expect_err("no agent is expected");
    assert_eq!(problem.code, ErrorCode::Gone, "{problem}");
}

#[tokio::test]
async fn our_own_certificate_renews_itself() {
    let (folder, clock) = (Folder::new(), clock());
    let authority = authority(folder.path(), clock.clone());
    let server = authority.server_config(ClientAuth::Required).expect("a configuration");
    let client = authority.client_config().expect("a configuration");
    let mut seen = Vec::new();
    for hours in [0, 1, 13, 26, 200] {
        clock.set(clock.now() + model::Duration::from_secs(hours * 3600));
        let (near, far) = tokio::io::duplex(1 << 16);
        let accept = tokio_rustls::TlsAcceptor::from(server.clone()).accept(far);
        let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
        let connect = tokio_rustls::TlsConnector::from(client.clone()).connect(name, near);
        let (accepted, connected) = tokio::join!(accept, connect);
        let (accepted, connected) = (accepted.expect("good"), connected.expect("good"));
        let theirs = accepted.get_ref().1.peer_certificates().expect("it was required");
        let peer = Peer::of(theirs).expect("a role");
        assert_eq!(peer.identity, RoleIdentity::Control);
        assert!(peer.expires > clock.now());
        let ours = connected.get_ref().1.peer_certificates().expect("servers show theirs");
        seen.push(ours[0].to_vec());
    }
    assert_eq!(seen[0], seen[1], "one hour is no reason for a new one");
    assert!(seen[1] != seen[2] && seen[2] != seen[3] && seen[3] != seen[4]);
}

#[test]
fn sealed_secrets_open_under_any_key_and_only_unchanged() {
    let folder = Folder::new();
    let keys = KeyProvider::open(folder.path()).expect("keys");
    let secret = Secret::new("calvin");
    let old = keys.seal(&secret);
    let newer = keys.rotate().expect("a new key");
    let new = keys.seal(&secret);
    assert!(old.key != newer && new.key == newer, "the newest key seals");
    assert_ne!(old.ciphertext, keys.seal(&secret).ciphertext);
    // After a restart too.
    let keys = KeyProvider::open(folder.path()).expect("keys");
    for sealed in [&old, &new] {
        assert_eq!(keys.open_sealed(sealed).expect("it opens"), secret);
    }
    let mut changed = old.clone();
    changed.ciphertext.0[14] ^= 1;
    let mut moved = old.clone();
    moved.key = newer;
    let mut cut = old.clone();
    cut.ciphertext = Encoded(vec![1, 2, 3]);
    let mut unknown = old;
    unknown.key = "k999999".to_owned();
    for bad in [changed, moved, cut, unknown] {
        let error = keys.open_sealed(&bad).expect_err("it was changed");
        assert!(!error.to_string().contains("calvin"));
    }
}

#[test]
fn the_first_token_is_made_once() {
    let folder = Folder::new();
    let make = |empty| tokens::bootstrap_admin(folder.path(), empty, &mut SystemEntropy);
    let first = make(true).expect("room").expect("a token");
    assert!(first.fresh);
    // A crash before it was recorded: the same token again.
    let again = make(true).expect("room").expect("a token");
    assert!(!again.fresh && again.secret == first.secret);
    std::fs::remove_file(folder.path().join("admin.token")).expect("it was there");
    assert!(make(false).expect("room").is_none(), "others have tokens; none is made anew");
}

#[test]
fn a_changed_certificate_of_sanitising_does_not_verify() {
    let (folder, clock) = (Folder::new(), clock());
    let authority = authority(folder.path(), clock.clone());
    let mut certificate = SanitiseCertificate {
        machine: machine(),
        serial: "S1".to_owned(),
        at: clock.now(),
        operation: None,
        disks: Vec::new(),
        endorsement: None,
        signature: Encoded::default(),
    };
    authority.sign_certificate(&mut certificate).expect("signed");
    let public = authority.public_key().to_vec();
    assert!(verify_certificate(&public, &certificate));
    // As it comes back from the record, and after a restart.
    let text = serde_json::to_string(&certificate).expect("JSON");
    let back: SanitiseCertificate = serde_json::from_str(&text).expect("JSON");
    let again = crate::house::authority(folder.path(), clock);
    assert!(verify_certificate(again.public_key(), &back));
    certificate.serial = "S2".to_owned();
    assert!(!verify_certificate(&public, &certificate));
}
