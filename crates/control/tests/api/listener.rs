//! Over TLS, with the typed client: who is trusted, who is recognised, and how the
//! listener ends.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use client::{Client, ClientError, ClientSettings, Options};
use control::api;
use control::identity::ClientAuth;
use model::api::{CreateProject, CreateProjectRequest, ListMachines, UpdateMachine};
use model::id::MachineId;
use model::{ErrorCode, Secret};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::house::House;
use crate::seed;

/// Nothing here takes long; whoever waits for this has found a fault.
const PATIENCE: Duration = Duration::from_secs(60);

struct Served {
    house: House,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Served {
    async fn new() -> Self {
        let house = House::new().await;
        // Certificates are of real dates.
        house.clock.set(world::Clock::now(&world::SystemClock::default()));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let tls = house.plane.authority.server_config(ClientAuth::Optional).unwrap();
        let (stop, stopped) = oneshot::channel();
        let task = api::serve(listener, tls, house.router(), async move {
            let _ = stopped.await;
        })
        .unwrap();
        Self { house, address, stop, task }
    }

    fn client(&self, token: &str) -> Client {
        let url = format!("https://localhost:{}", self.address.port());
        let ca_pem = Some(self.house.plane.authority.pem().to_owned());
        Client::new(ClientSettings { url, ca_pem, token: Some(Secret::new(token)) }).unwrap()
    }
}

#[tokio::test]
async fn the_typed_client_reads_changes_and_watches() {
    let served = Served::new().await;
    let client = served.client("admin");
    assert!(client.health().await.unwrap().leader);
    assert_eq!(client.whoami().await.unwrap().name, "admin");
    let (machines, revision) = client.machines(&[]).await.unwrap();
    assert_eq!(machines.len(), seed::MACHINES.len());
    let mut watch = client.watch::<ListMachines>(revision, &[]);
    let request = CreateProjectRequest { name: "gamma".to_owned(), spec: Default::default() };
    client.call::<CreateProject>(&[], &[], &request, Options::default()).await.unwrap();
    let machine = client.machine("m-free").await.unwrap();
    let update = model::api::MachineUpdate {
        labels: [("a".to_owned(), "b".to_owned())].into(),
        ..Default::default()
    };
    let options = Options::at(machine.generation);
    client.call::<UpdateMachine>(&["m-free"], &[], &update, options.clone()).await.unwrap();
    let error = client.call::<UpdateMachine>(&["m-free"], &[], &update, options).await;
    assert_eq!(error.unwrap_err().problem().unwrap().code, ErrorCode::GenerationMismatch);
    let event = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap().unwrap();
    assert_eq!(event.name.as_deref(), Some("m-free"));
    assert_eq!(client.authority().await.unwrap(), served.house.plane.authority.pem());
    assert!(client.metrics().await.unwrap().contains("bedplate_watches 1"));
}

#[tokio::test]
async fn an_image_goes_up_over_tls() {
    let served = Served::new().await;
    let client = served.client("member");
    let request = model::api::CreateImageRequest {
        name: "debian".to_owned(),
        format: model::image::ImageFormat::Raw,
        compression: model::image::Compression::None,
        checksum: None,
        url: None,
        project: None,
        labels: Default::default(),
    };
    let none = Options::default();
    client.call::<model::api::CreateImage>(&[], &[], &request, none).await.unwrap();
    let path = served.house.plane.directory.join("upload");
    std::fs::write(&path, vec![7; 5 << 20]).unwrap();
    let image = client.upload_file("debian", &path, |_, _| {}).await.unwrap();
    assert!(image.status.ready);
    assert_eq!(image.status.size.0, 5 << 20);
}

#[tokio::test]
async fn only_our_own_authority_is_trusted() {
    let served = Served::new().await;
    let stranger = House::new().await;
    let url = format!("https://localhost:{}", served.address.port());
    let ca_pem = Some(stranger.plane.authority.pem().to_owned());
    let client = Client::new(ClientSettings { url, ca_pem, token: None }).unwrap();
    let error = client.health().await.unwrap_err();
    assert!(matches!(error, ClientError::Untrusted { .. }), "{error:?}");
}

/// GET over a connection with a client certificate: the status.
async fn get_with(served: &Served, chain: &str, key: &rcgen::KeyPair, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut roots = rustls::RootCertStore::empty();
    let ca = served.house.plane.authority.pem();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = tokio::net::TcpStream::connect(served.address).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let mut stream = connector.connect(name, stream).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply).await;
    String::from_utf8_lossy(&reply).to_string()
}

#[tokio::test]
async fn an_agent_is_known_by_its_certificate() {
    let served = Served::new().await;
    let authority = &served.house.plane.authority;
    let key = rcgen::KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
    let machine: MachineId = seed::machine_id(2);
    let now = served.house.plane.clock.now();
    let issued = authority.issue_agent(request.der(), None, machine, now).unwrap();
    let chain = issued.chain.clone();
    let reply = get_with(&served, &chain, &key, "/v1/self").await;
    // Known, and not for this: an agent has nothing to do with people's endpoints.
    assert!(reply.starts_with("HTTP/1.1 403"), "{reply}");
    assert!(reply.contains("the certificate has it not"), "{reply}");
    let reply = get_with(&served, &chain, &key, "/v1/health").await;
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
}

#[tokio::test]
async fn who_says_nothing_holds_nobody_up() {
    let served = Served::new().await;
    let silent: Vec<TcpStream> =
        (0..32).map(|_| TcpStream::connect(served.address).unwrap()).collect();
    let client = served.client("viewer");
    tokio::time::timeout(PATIENCE, client.health()).await.unwrap().unwrap();
    drop(silent);
}

#[tokio::test]
async fn the_listener_ends_with_what_is_open() {
    let served = Served::new().await;
    let client = served.client("viewer");
    let mut watch = client.watch::<ListMachines>(served.house.plane.leader.revision(), &[]);
    assert!(tokio::time::timeout(Duration::from_millis(300), watch.next()).await.is_err());
    client.health().await.unwrap();
    served.stop.send(()).unwrap();
    tokio::time::timeout(PATIENCE, served.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(served.address).is_err(), "nobody listens any more");
}
