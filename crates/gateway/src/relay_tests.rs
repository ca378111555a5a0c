//! A client of one process that is served by another through it.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};

use super::*;

type Client = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

/// Both ends of a connection that is agreed upon.
fn agreed() -> (Client, TcpStream, Box<rustls::ServerConnection>) {
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
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let socket = TcpStream::connect(listener.local_addr().expect("it says")).expect("connected");
    let name = ServerName::try_from("localhost").expect("a name");
    let tls = rustls::ClientConnection::new(Arc::new(client), name).expect("a client");
    let client = std::thread::spawn(move || {
        let mut client = rustls::StreamOwned::new(tls, socket);
        // Something that is asked before the takeover, and answered.
        client.write_all(b"before").expect("sent");
        let mut answer = [0; 6];
        client.read_exact(&mut answer).expect("answered");
        client
    });
    let (mut socket, _) = listener.accept().expect("accepted");
    let mut server = rustls::ServerConnection::new(Arc::new(server)).expect("a server");
    let mut stream = rustls::Stream::new(&mut server, &mut socket);
    let mut asked = [0; 6];
    stream.read_exact(&mut asked).expect("asked");
    stream.write_all(&asked).expect("answered");
    stream.flush().expect("sent");
    (client.join().expect("no panic"), socket, Box::new(server))
}

#[test]
fn a_client_is_served_by_another_process_and_sees_its_end() {
    let (mut client, socket, tls) = agreed();
    socket.set_nonblocking(true).expect("it does not block");
    let mut relay = Relay::default();
    let given = UnixStream::from(relay.add(OwnedFd::from(socket), tls).expect("sockets"));
    given.set_nonblocking(false).expect("it blocks");
    let successor = std::thread::spawn(move || {
        let mut lines = BufReader::new(&given);
        let mut line = String::new();
        lines.read_line(&mut line).expect("asked");
        // More than fits into any buffer on the way.
        let answer = vec![7; 3_000_000];
        (&given).write_all(&answer).expect("answered");
        line
    });
    let relayed = std::thread::spawn(move || relay.run(|| false));
    client.write_all(b"what is there?\n").expect("sent");
    let mut answer = Vec::new();
    // Its end is said: nobody could have cut it.
    client.read_to_end(&mut answer).expect("the end is said");
    assert!(answer.len() == 3_000_000 && answer.iter().all(|byte| *byte == 7));
    assert_eq!(successor.join().expect("no panic"), "what is there?\n");
    drop(client);
    relayed.join().expect("it ends by itself");
}

#[test]
fn it_ends_when_it_is_told_to_and_when_clients_go() {
    let (_client, socket, tls) = agreed();
    let mut relay = Relay::default();
    let _given = relay.add(OwnedFd::from(socket), tls).expect("sockets");
    relay.run(|| true);
    let (client, socket, tls) = agreed();
    let mut relay = Relay::default();
    let given = UnixStream::from(relay.add(OwnedFd::from(socket), tls).expect("sockets"));
    drop(client);
    given.set_nonblocking(false).expect("it blocks");
    let successor = std::thread::spawn(move || {
        let mut rest = Vec::new();
        (&given).read_to_end(&mut rest).expect("the end is seen");
        rest
    });
    relay.run(|| false);
    assert!(successor.join().expect("no panic").is_empty());
}
