//! Another process takes over, under load: no request fails, whether it goes plain or by
//! TLS, and nothing that was written is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::client::{Client, content};
use crate::process::{Gateway, Scratch, command, until};
use crate::signature::ONE;

/// Asks on and on, with reads and writes in turns. Any fault panics. How many connections
/// it needed.
fn ask(mut client: Client, number: u64, over: &AtomicBool, asked: &AtomicU64) -> u64 {
    let large = content(1, 300_000);
    for turn in 0.. {
        if over.load(Ordering::SeqCst) {
            break;
        }
        let written = content(number << 32 | turn, 3000);
        let target = format!("/kept/{number}");
        let reply = client.ask("PUT", &target, &written).expect("answered");
        assert_eq!(reply.status, 200, "{reply:?}");
        let reply = client.ask("GET", &target, b"").expect("answered");
        assert!(reply.status == 200 && reply.body == written, "{}: {}", reply.status, reply.head);
        let reply = client.ask("GET", "/kept/large", b"").expect("answered");
        assert!(reply.status == 200 && reply.body == large, "{}: {}", reply.status, reply.head);
        asked.fetch_add(3, Ordering::SeqCst);
    }
    client.connections
}

#[test]
fn no_request_fails_plain_or_by_tls() {
    let scratch = Scratch::new("replaced");
    let Some((certificate, key)) = scratch.certificate() else { return };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&certificate).expect("a certificate")).expect("a root");
    let config = Arc::new(
        rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth(),
    );
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    let tls = ["--tls-certificate", &certificate, "--tls-key", &key];
    let words = [&["--listen-tls", "127.0.0.1:0"][..], &tls].concat();
    let mut gateway = Gateway::start(&scratch, &words);
    let (plain, encrypted) = (gateway.address, gateway.tls.expect("by TLS"));
    let mut client = gateway.client();
    client.put("/kept", b"");
    client.put("/kept/large", &content(1, 300_000));
    // These ask for nothing while processes come and go, and must be served after that.
    let mut idle = vec![client, Client::connect_tls(encrypted, config.clone(), ONE)];
    assert_eq!(idle[1].get("/kept/large").len(), 300_000);
    let (over, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let clients: Vec<Client> = (0..6)
        .map(|number| match number % 2 {
            0 => Client::connect(plain, ONE),
            _ => Client::connect_tls(encrypted, config.clone(), ONE),
        })
        .collect();
    let mut before = Vec::new();
    let connections: Vec<u64> = std::thread::scope(|scope| {
        let (over, asked) = (&over, &asked);
        let asking: Vec<_> = (0_u64..)
            .zip(clients)
            .map(|(number, client)| scope.spawn(move || ask(client, number, over, asked)))
            .collect();
        // However this ends, they do.
        let ends = Ends(over);
        for _ in 0..3 {
            let goal = asked.load(Ordering::SeqCst) + 60;
            until("requests", || {
                assert!(!asking.iter().any(std::thread::ScopedJoinHandle::is_finished), "a fault");
                asked.load(Ordering::SeqCst) >= goal
            });
            let (plain, encrypted) = (plain.to_string(), encrypted.to_string());
            let words = ["--replace", "--listen", &plain, "--listen-tls", &encrypted];
            let next = Gateway::run(command(&scratch, &[&words[..], &tls].concat()));
            assert_eq!((next.address.to_string(), next.tls.map(|it| it.to_string())), {
                (plain, Some(encrypted))
            });
            before.push(std::mem::replace(&mut gateway, next));
        }
        drop(ends);
        asking.into_iter().map(|client| client.join().expect("no request failed")).collect()
    });
    // Plain connections went along, encrypted ones moved after a reply.
    for (number, connections) in connections.iter().enumerate() {
        let most = if number % 2 == 0 { 1 } else { 4 };
        assert!(*connections <= most, "client {number} needed {connections} connections");
    }
    for client in &mut idle {
        assert_eq!(client.get("/kept/large").len(), 300_000);
    }
    drop(idle);
    for mut old in before {
        let status = old.ended();
        assert!(status.success(), "{status}: {}", old.said());
    }
    gateway.stop();
}

/// Says that it is over, also when a test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
