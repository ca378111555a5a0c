//! Whose turn it is, and the end: draining, and connections that go to a successor.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use super::fixture::{House, content};
use crate::reactor::mailbox::{Adopted, Handed, Message};

const QUIET: usize = 200;

#[test]
fn a_flood_does_not_starve_another() {
    let house = House::new();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // A flood: many clients that send as much ahead as they can.
        for _ in 0..24 {
            let (mut client, over) = (house.connect(), &over);
            scope.spawn(move || {
                let ahead =
                    "GET /file/60000 HTTP/1.1\r\nHost: h\r\nX-Account: a\r\n\r\n".repeat(16);
                while !over.load(Ordering::Relaxed) {
                    client.send(&ahead);
                    for _ in 0..16 {
                        assert_eq!(client.answer().status, 200);
                    }
                }
            });
        }
        let asks = "GET /hello HTTP/1.1\r\nHost: h\r\nX-Account: bb\r\n\r\n";
        let mut quiet = house.connect();
        quiet.send(asks);
        assert_eq!(quiet.answer().status, 200);
        while house.begun() < 500 {
            std::thread::yield_now();
        }
        quiet.send(&asks.repeat(QUIET));
        for _ in 0..QUIET {
            assert_eq!(quiet.answer().status, 200);
        }
        over.store(true, Ordering::Relaxed);
    });
    // While the quiet one was served 200 times 4 KiB, the flood got about as much: a dozen
    // replies of 64 KiB, and what one service more or less is.
    let order = house.service.order.lock().expect("no panic");
    let quiet: Vec<usize> = (0..order.len()).filter(|at| order[*at] == 2).collect();
    let (first, last) = (quiet[1], quiet[QUIET]);
    let flood = last - first + 1 - QUIET;
    assert!(flood <= 48, "{flood} requests of the flood came in between");
}

#[test]
fn draining_finishes_what_has_begun() {
    let mut house = House::new();
    let mut client = house.connect();
    assert_eq!(client.get("/hello").status, 200);
    let mut uploads = house.connect();
    uploads.send("PUT /sum HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n");
    uploads.socket.write_all(&content(200_000)).expect("sent");
    while house.begun() < 2 {
        std::thread::yield_now();
    }
    let running = house.running.take().expect("runs");
    let drained = std::thread::spawn(move || running.drain(None, Duration::from_secs(20)));
    assert!(client.ends(), "nothing was asked for on it");
    uploads.socket.write_all(&content(500_000)[200_000..]).expect("sent");
    let answered = uploads.answer();
    assert!(answered.status == 200 && answered.head.contains("Connection: close"));
    drop(uploads);
    drained.join().expect("drained");
    assert!(std::net::TcpStream::connect(house.address).is_err());
}

#[test]
fn connections_go_to_a_successor_with_what_they_have_sent() {
    let mut old = House::new();
    let new = House::new();
    let mut idle = old.connect();
    let mut begun = old.connect();
    let mut busy = old.connect();
    assert_eq!(idle.get("/hello").status, 200);
    assert_eq!(begun.get("/hello").status, 200);
    begun.send("GET /hello HTTP/1.1\r\nHo");
    busy.send("PUT /sum HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n");
    while old.begun() < 3 {
        std::thread::yield_now();
    }
    let (to, handed) = channel::<Handed>();
    let mut running = old.running.take().expect("runs");
    drop(running.take_listeners());
    let drained = std::thread::spawn(move || running.drain(Some(to), Duration::from_secs(20)));
    busy.socket.write_all(&content(300_000)).expect("sent");
    let answered = busy.answer();
    assert!(answered.status == 200 && !answered.head.contains("Connection"), "{}", answered.head);
    let handed: Vec<Handed> = handed.iter().collect();
    drained.join().expect("drained");
    assert_eq!(handed.len(), 3);
    let running = new.running.as_ref().expect("runs");
    for Handed { socket, received, .. } in handed {
        running.tell(Message::Adopt(Adopted { socket, received, relayed: None }));
    }
    begun.send("st: h\r\n\r\n");
    for client in [&mut begun, &mut idle, &mut busy] {
        if client.socket.peer_addr().is_ok() {
            client.socket.flush().expect("flushed");
        }
    }
    assert_eq!(begun.answer().body, b"hello");
    assert_eq!(idle.get("/hello").body, b"hello");
    assert_eq!(busy.get("/elsewhere").body, b"elsewhere");
    assert_eq!(new.begun(), 3);
}
