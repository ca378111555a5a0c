//! One tenant's flood does not starve another. Nothing is timed: the access log says in
//! which order requests were served, while both always wanted more. What is asked for is
//! small enough for all replies to fit into a socket, so that the order is the gateway's
//! and not that of clients.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::client::Client;
use crate::process::{Gateway, Scratch, until};
use crate::signature::{ONE, TWO};

/// Connections of the flood.
const FLOOD: usize = 48;
/// Requests of the other account, on one connection.
const ASKED: usize = 300;

/// Asks on and on, on many connections, ahead of the replies. Counts bytes of those.
fn flood(sockets: &mut [TcpStream], request: &str, over: &AtomicBool, got: &AtomicU64) {
    let ahead = request.repeat(100).into_bytes();
    let mut buffer = vec![0; 64 << 10];
    let mut sent = vec![0; sockets.len()];
    while !over.load(Ordering::SeqCst) {
        for (socket, sent) in sockets.iter_mut().zip(&mut sent) {
            if let Ok(count) = socket.write(&ahead[*sent..]) {
                *sent = (*sent + count) % ahead.len();
            }
            if let Ok(count) = socket.read(&mut buffer) {
                got.fetch_add(count as u64, Ordering::SeqCst);
            }
        }
    }
}

#[test]
fn a_flood_of_one_account_leaves_another_its_share() {
    let scratch = Scratch::new("shares");
    let log = scratch.path("access.log");
    let words = ["--cores", "1", "--access-log", &log.display().to_string()];
    let gateway = Gateway::start(&scratch, &words);
    let mut two = Client::connect(gateway.address, TWO);
    gateway.client().put("/one", b"");
    two.put("/two", b"");
    let request = Client::connect(gateway.address, ONE).head("HEAD", "/one/flood", "");
    let mut sockets: Vec<TcpStream> = (0..FLOOD)
        .map(|_| {
            let socket = TcpStream::connect(gateway.address).expect("connected");
            socket.set_nonblocking(true).expect("it does not block");
            socket
        })
        .collect();
    let (over, got) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let (over, got, request) = (&over, &got, &request);
        let flood = scope.spawn(move || flood(&mut sockets, request, over, got));
        until("a flood", || got.load(Ordering::SeqCst) > 1 << 20);
        let asked: String = (0..ASKED).map(|_| two.head("HEAD", "/two/alone", "")).collect();
        two.send(asked.as_bytes()).expect("sent");
        for _ in 0..ASKED {
            assert_eq!(two.reply_head().expect("answered").status, 404);
        }
        let before = got.load(Ordering::SeqCst);
        until("the flood goes on", || got.load(Ordering::SeqCst) > before + (1 << 20));
        over.store(true, Ordering::SeqCst);
        flood.join().expect("no panic");
    });
    gateway.stop();
    let log = std::fs::read_to_string(log).expect("the log");
    let alone: Vec<usize> = (0..)
        .zip(log.lines())
        .filter(|(_, line)| line.contains("/two/alone"))
        .map(|(at, _)| at)
        .collect();
    assert_eq!(alone.len(), ASKED);
    let between = alone[ASKED - 1] - alone[0] + 1 - ASKED;
    let ratio = between as f64 / ASKED as f64;
    eprintln!("meanwhile {FLOOD} connections were served {ratio:.2} times as often as one");
    // By connections it would be dozens of times. By accounts: as often, but for whose turn
    // it is when the first comes.
    assert!(ratio < 4.0, "{between} of {}", log.lines().count());
}
