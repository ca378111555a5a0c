//! What goes wrong: broken requests, clients that go away or fall asleep, files that end
//! too early, limits.

use std::io::Write as _;
use std::net::Shutdown;
use std::sync::atomic::Ordering;

use super::fixture::{House, content};
use crate::reactor::Timeouts;

#[test]
fn what_cannot_be_read_is_refused_and_ends_the_connection() {
    let house = House::new();
    for (bytes, status) in [
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        ("PUT /sum HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        ("GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505),
    ] {
        let mut client = house.connect();
        client.send(bytes);
        let answered = client.answer();
        assert_eq!(answered.status, status, "{bytes:?}");
        assert!(answered.head.contains("Connection: close"), "{bytes:?}");
        client.socket.shutdown(Shutdown::Write).expect("shut");
        assert!(client.ends(), "{bytes:?}");
    }
    let mut client = house.connect();
    client.send(&format!("GET /{}", "a".repeat(33_000)));
    assert_eq!(client.answer().status, 431);
}

#[test]
fn nothing_is_read_from_behind_a_broken_request() {
    let house = House::new();
    let mut client = house.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\nGET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer().status, 400);
    client.socket.shutdown(Shutdown::Write).expect("shut");
    assert!(client.ends());
    assert_eq!(house.begun(), 0);
}

#[test]
fn a_client_that_goes_away_leaves_nothing_behind() {
    let house = House::new();
    for length in [1000, 1_000_000] {
        let mut client = house.connect();
        client.send("PUT /sum HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n");
        client.socket.write_all(&content(length)).expect("sent");
        drop(client);
    }
    let mut client = house.connect();
    for _ in 0..2000 {
        assert_eq!(client.get("/elsewhere").status, 200);
        if house.service.dropped.load(Ordering::SeqCst) == 2 {
            return;
        }
    }
    panic!("what takes content is kept for somebody who is gone");
}

#[test]
fn content_that_ends_early_ends_the_connection() {
    let house = House::new();
    let mut client = house.connect();
    client.send("GET /beyond HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 200"));
    let mut rest = Vec::new();
    let ended = std::io::Read::read_to_end(&mut client.socket, &mut rest);
    assert!(ended.is_err() || rest.len() < 2 * super::fixture::FILE);
    assert_eq!(house.connect().get("/hello").status, 200);
}

#[test]
fn a_fault_in_one_request_is_its_own() {
    let house = House::new();
    assert_eq!(house.connect().get("/panic").status, 500);
    assert_eq!(house.connect().get("/elsewhere").status, 200);
}

const SECOND: u64 = 1_000_000_000;

fn impatient() -> Timeouts {
    Timeouts { head: SECOND, progress: SECOND, idle: SECOND, linger: SECOND }
}

#[test]
fn who_falls_asleep_is_told_or_cut() {
    let house = House::with(|settings| settings.timeouts = impatient());
    let mut idle = house.connect();
    let mut head = house.connect();
    let mut content = house.connect();
    let mut away = house.connect();
    let mut unwanted = house.connect();
    unwanted.send("PUT /refused HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\nabc");
    assert_eq!(unwanted.answer().status, 403);
    idle.get("/hello");
    head.send("GET /hello HT");
    content.send("PUT /sum HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\nabc");
    assert!(idle.ends() && unwanted.ends());
    assert_eq!(head.answer().status, 408);
    assert_eq!(content.answer().status, 408);
    assert!(away.ends() || away.answer().status == 408);
}

#[test]
fn who_reads_nothing_is_cut() {
    let house = House::with(|settings| settings.timeouts = impatient());
    let mut client = house.connect();
    for _ in 0..8 {
        client.send("GET /file/9000000 HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    let counters = house.running.as_ref().expect("runs").counters[0].clone();
    let mut other = house.connect();
    for _ in 0..5_000_000 {
        let mut text = String::new();
        crate::metrics::render(std::slice::from_ref(&counters), &mut text);
        other = if other.get("/hello").status == 200 { other } else { house.connect() };
        if text.contains("bedplate_gateway_connections 1\n") {
            return;
        }
    }
    panic!("a client that reads nothing is never cut");
}

#[test]
fn more_connections_than_allowed_wait_their_turn() {
    let house = House::with(|settings| settings.connections = 4);
    let mut first: Vec<_> = (0..4).map(|_| house.connect()).collect();
    for client in &mut first {
        assert_eq!(client.get("/hello").status, 200);
    }
    // The fifth is taken when another one has gone: an idle one is asked to.
    let mut fifth = house.connect();
    assert_eq!(fifth.get("/hello").status, 200);
}
