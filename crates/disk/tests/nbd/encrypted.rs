//! TLS, with clients that use another library for it.

use std::path::Path;

use bedplate_disk::nbd::{Rules, ServerTls};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rcgen::{Issuer, KeyUsagePurpose};

use crate::server::{Disk, Server};
use crate::tool::{self, Folder};

/// An authority, a server's certificate and a client's, as files where clients look.
struct Certificates {
    folder: Folder,
    authority: String,
    chain: String,
    key: String,
}

fn leaf(
    issuer: &Issuer<'_, KeyPair>,
    name: &str,
    purpose: ExtendedKeyUsagePurpose,
) -> (String, String) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    params.distinguished_name.push(DnType::CommonName, name);
    // GnuTLS, as QEMU uses it, wants both.
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![purpose];
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, issuer).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

fn certificates() -> Certificates {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "test authority");
    let authority_key = KeyPair::generate().expect("a key");
    let authority = params.self_signed(&authority_key).expect("a certificate").pem();
    let issuer = Issuer::new(params, authority_key);
    let (chain, key) = leaf(&issuer, "localhost", ExtendedKeyUsagePurpose::ServerAuth);
    let (client, client_key) = leaf(&issuer, "client", ExtendedKeyUsagePurpose::ClientAuth);
    let folder = Folder::new();
    for (with, files) in [
        (
            "all",
            &[
                ("ca-cert.pem", &authority),
                ("client-cert.pem", &client),
                ("client-key.pem", &client_key),
            ][..],
        ),
        ("anonymous", &[("ca-cert.pem", &authority)][..]),
    ] {
        std::fs::create_dir(folder.path(with)).expect("a folder");
        for (name, pem) in files {
            std::fs::write(Path::new(&folder.path(with)).join(name), pem).expect("written");
        }
    }
    Certificates { folder, authority, chain, key }
}

impl Certificates {
    fn server(&self, clients: bool, required: bool) -> Server {
        let authority = clients.then_some(self.authority.as_bytes());
        let tls = ServerTls::from_pem(self.chain.as_bytes(), self.key.as_bytes(), authority);
        let tls = Some(tls.expect("certificates that go together"));
        let rules = Rules { tls, tls_required: required, ..Rules::default() };
        Server::start(Disk::new(16 << 20), rules)
    }
    fn uri(&self, server: &Server, with: &str) -> String {
        let (socket, folder) = (server.folder.text("socket"), self.folder.text(with));
        format!(
            "nbds+unix:///disk?socket={socket}&tls-certificates={folder}&tls-hostname=localhost"
        )
    }
}

#[test]
fn nbdinfo_and_nbdcopy_over_tls() {
    let Some(mut nbdinfo) = tool::find("nbdinfo", "libnbd-bin") else { return };
    let Some(mut nbdcopy) = tool::find("nbdcopy", "libnbd-bin") else { return };
    let certificates = certificates();
    let server = certificates.server(false, true);
    let uri = certificates.uri(&server, "anonymous");
    let said = tool::run(nbdinfo.arg(&uri));
    assert!(said.contains("with TLS") || said.contains("TLS"), "{said}");
    let bytes: Vec<u8> =
        (0..16 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(server.folder.path("in"), &bytes).expect("written");
    tool::run(nbdcopy.args([&server.folder.text("in"), &uri]));
    assert!(*server.disk.bytes.lock().expect("lock") == bytes, "what was copied is there");
    let mut nbdcopy = tool::find("nbdcopy", "libnbd-bin").expect("it was there");
    tool::run(nbdcopy.args([&uri, &server.folder.text("out")]));
    let back = std::fs::read(server.folder.path("out")).expect("read");
    assert!(back == bytes, "what came back is what was there");
}

#[test]
fn plain_clients_learn_nothing_where_tls_is_required() {
    let Some(mut nbdinfo) = tool::find("nbdinfo", "libnbd-bin") else { return };
    let certificates = certificates();
    let server = certificates.server(false, true);
    let output = nbdinfo.args(["--list", &server.uri("")]).output().expect("run");
    let said = tool::said(&output);
    assert!(!output.status.success() && !said.contains("frozen"), "{said}");
}

#[test]
fn plain_clients_are_served_where_tls_is_offered() {
    let Some(mut nbdinfo) = tool::find("nbdinfo", "libnbd-bin") else { return };
    let certificates = certificates();
    let server = certificates.server(false, false);
    let said = tool::run(nbdinfo.args(["--size", &server.uri("disk")]));
    assert_eq!(said.trim(), "16777216");
}

#[test]
fn clients_without_a_certificate_are_turned_away_where_one_is_wanted() {
    let Some(mut nbdinfo) = tool::find("nbdinfo", "libnbd-bin") else { return };
    let certificates = certificates();
    let server = certificates.server(true, true);
    let output = nbdinfo.args(["--size", &certificates.uri(&server, "anonymous")]).output();
    let output = output.expect("run");
    assert!(!output.status.success(), "{}", tool::said(&output));
    let mut nbdinfo = tool::find("nbdinfo", "libnbd-bin").expect("it was there");
    let said = tool::run(nbdinfo.args(["--size", &certificates.uri(&server, "all")]));
    assert_eq!(said.trim(), "16777216");
}

#[test]
fn qemu_io_over_tls() {
    let Some(mut qemu_io) = tool::find("qemu-io", "qemu-utils") else { return };
    let certificates = certificates();
    let server = certificates.server(true, true);
    let object =
        format!("tls-creds-x509,id=tls0,endpoint=client,dir={}", certificates.folder.text("all"));
    let image = format!(
        "driver=nbd,server.type=unix,server.path={},export=disk,tls-creds=tls0,tls-hostname=localhost",
        server.folder.text("socket")
    );
    let said = tool::run(qemu_io.args(["--object", &object, "--image-opts", &image]).args([
        "-c",
        "write -P 7 0 5M",
        "-c",
        "read -P 7 0 5M",
        "-c",
        "read -P 0 5M 1M",
        "-c",
        "flush",
    ]));
    assert!(!said.contains("failed") && !said.contains("verification"), "{said}");
}

#[test]
fn what_is_not_a_certificate_is_refused() {
    let certificates = certificates();
    let other = KeyPair::generate().expect("a key").serialize_pem();
    let chain = certificates.chain.as_bytes();
    assert!(ServerTls::from_pem(b"", certificates.key.as_bytes(), None).is_err());
    assert!(ServerTls::from_pem(chain, b"nonsense", None).is_err());
    assert!(ServerTls::from_pem(chain, other.as_bytes(), None).is_err());
}
