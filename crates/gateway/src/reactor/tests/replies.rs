//! Replies: where their content comes from, and how it leaves.

use std::sync::atomic::Ordering;

use super::fixture::{FILE, House, content};

#[test]
fn files_are_sent_whole() {
    let house = House::new();
    let mut client = house.connect();
    let all = content(FILE);
    for length in [0, 1, 4096, 65_536, 65_537, 1_000_000, FILE] {
        let answered = client.get(&format!("/file/{length}"));
        assert!(answered.body == all[..length], "{length}");
    }
    assert!(client.get("/large").body == content(1 << 20));
}

#[test]
fn sealed_files_are_opened_on_their_way() {
    let house = House::new();
    let mut client = house.connect();
    let all: Vec<u8> = content(FILE).iter().map(|byte| !byte).collect();
    for length in [1, 4096, 65_536, 300_000, FILE] {
        let answered = client.get(&format!("/sealed/{length}"));
        assert!(answered.body == all[..length], "{length}");
    }
}

#[test]
fn head_says_the_length_and_sends_nothing() {
    let house = House::new();
    let mut client = house.connect();
    for path in ["/file/1000000", "/hello", "/large", "/sealed/70000"] {
        client.send(&format!("HEAD {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let head = client.head();
        assert!(head.contains("Content-Length: ") && !head.contains("Content-Length: 0"), "{head}");
    }
    assert_eq!(client.get("/hello").body, b"hello");
}

#[test]
fn a_kept_reply_is_used_while_it_is_true() {
    let house = House::new();
    let mut client = house.connect();
    let first = client.get("/kept/a");
    let second = client.get("/kept/a");
    assert_eq!((&first.body[..], &second.body[..]), (&b"stamp 1"[..], &b"stamp 1"[..]));
    assert_eq!(house.begun(), 1);
    assert!(second.head.contains("\r\nX-Id: ") && second.head.contains("\r\nX-Test: yes\r\n"));
    assert_ne!(client.get("/kept/a").head, second.head, "ids differ");
    house.service.stamp.store(2, Ordering::SeqCst);
    assert_eq!(client.get("/kept/a").body, b"stamp 2");
    assert_eq!((client.get("/kept/a").body, house.begun()), (b"stamp 2".to_vec(), 2));
    client.send("HEAD /kept/a HTTP/1.1\r\nHost: h\r\n\r\nHEAD /kept/a HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(client.head().contains("Content-Length: 7"));
    assert!(client.head().contains("Content-Length: 7"));
    assert_eq!(client.get("/hello").body, b"hello");
}

#[test]
fn others_do_what_takes_long_and_the_writer_changes() {
    let house = House::new();
    let mut client = house.connect();
    assert_eq!(client.get("/elsewhere").body, b"elsewhere");
    assert_eq!(client.get("/commit/mine").body, b"true");
    assert_eq!(client.get("/commit/yours").body, b"false");
    assert_eq!(client.get("/commits/mine").body, b"[true, false]");
}

#[test]
fn a_client_that_reads_slowly_gets_everything() {
    use std::io::Read as _;
    let house = House::new();
    let mut client = house.connect();
    client.send(&format!("GET /file/{FILE} HTTP/1.1\r\nHost: h\r\n\r\n"));
    let mut got = Vec::new();
    let mut part = [0; 3000];
    while got.len() < FILE {
        let count = client.socket.read(&mut part).expect("read");
        got.extend_from_slice(&part[..count]);
        if got.len() % 7 == 0 {
            std::thread::yield_now();
        }
    }
    let head = got.windows(4).position(|end| end == b"\r\n\r\n").expect("a head") + 4;
    while got.len() < head + FILE {
        let count = client.socket.read(&mut part).expect("read");
        got.extend_from_slice(&part[..count]);
    }
    assert!(got[head..] == content(FILE));
}
