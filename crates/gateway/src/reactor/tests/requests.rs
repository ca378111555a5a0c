//! Requests: how they come, and what takes their content.

use std::io::Write as _;
use std::sync::atomic::Ordering;

use super::fixture::{House, content};

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

#[test]
fn requests_follow_each_other_on_one_connection() {
    let house = House::new();
    let mut client = house.connect();
    for _ in 0..3 {
        let answered = client.get("/hello");
        assert_eq!((answered.status, &answered.body[..]), (200, &b"hello"[..]));
        assert!(answered.head.contains("\r\nX-Test: yes\r\n"), "{}", answered.head);
        assert!(answered.head.contains("\r\nDate: ") && !answered.head.contains("Connection"));
    }
    assert_eq!(client.get("/none").status, 404);
    assert_eq!(client.get("/nothing").status, 204);
    assert_eq!(client.get("/hello").status, 200);
}

#[test]
fn requests_that_are_sent_ahead_are_answered_in_order() {
    let house = House::new();
    let mut client = house.connect();
    let mut all = String::new();
    for number in 0..300 {
        let path = ["/hello", "/elsewhere", "/commit/mine", "/file/70000", "/none"][number % 5];
        all.push_str(&format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
    }
    let mut writer = client.socket.try_clone().expect("a descriptor");
    let sender = std::thread::spawn(move || writer.write_all(all.as_bytes()));
    for number in 0..300 {
        let answered = client.answer();
        let expected: (u16, &[u8]) = match number % 5 {
            0 => (200, b"hello"),
            1 => (200, b"elsewhere"),
            2 => (200, b"true"),
            3 => (200, &content(70_000)),
            _ => (404, b"no such path"),
        };
        assert!((answered.status, &answered.body[..]) == expected, "{number}");
    }
    sender.join().expect("sent").expect("sent");
}

#[test]
fn a_head_may_come_byte_by_byte() {
    let house = House::new();
    let mut client = house.connect();
    client.socket.set_nodelay(true).expect("set");
    for byte in b"\r\nGET /hello HTTP/1.1\r\nHost: h\r\n\r\n" {
        client.socket.write_all(&[*byte]).expect("sent");
    }
    assert_eq!(client.answer().body, b"hello");
}

#[test]
fn content_is_taken_whatever_its_length() {
    let house = House::new();
    let mut client = house.connect();
    for length in [0, 1, 65_536, 65_537, 262_144, 1_000_000, 3 << 20] {
        let bytes = content(length);
        let answered = client.put("/sum", &bytes);
        assert_eq!(answered.body, format!("{length} {}", sum(&bytes)).as_bytes());
    }
    assert_eq!(house.service.dropped.load(Ordering::SeqCst), 7);
}

#[test]
fn content_in_chunks_is_put_together() {
    let house = House::new();
    let mut client = house.connect();
    let bytes = content(700_000);
    for size in [1000, 70_000, 700_000] {
        client.send("PUT /sum HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        for chunk in bytes.chunks(size) {
            client.send(&format!("{:x}\r\n", chunk.len()));
            client.socket.write_all(chunk).expect("sent");
            client.send("\r\n");
        }
        client.send("0\r\n\r\n");
        assert_eq!(client.answer().body, format!("700000 {}", sum(&bytes)).as_bytes());
    }
}

#[test]
fn a_client_that_asks_first_is_invited() {
    let house = House::new();
    let mut client = house.connect();
    // Also when there is nothing to be sent: a client that is not invited is confused.
    client
        .send("PUT /sum HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.answer().body, b"0 0");
    let asks = "PUT /sum HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    client.send(asks);
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("\u{1}\u{2}\u{3}\u{4}");
    assert_eq!(client.answer().body, b"4 10");
    // One that does not wait is not told.
    client.send(&format!("{asks}\u{1}\u{2}\u{3}\u{4}"));
    assert_eq!(client.answer().status, 200);
    // Who is refused before it sends may send or not: the connection ends.
    client.send(&asks.replace("/sum", "/refused"));
    let answered = client.answer();
    assert!(answered.status == 403 && answered.head.contains("Connection: close"));
    assert!(client.ends());
}

#[test]
fn unwanted_content_is_read_over_or_ends_the_connection() {
    let house = House::new();
    let mut client = house.connect();
    assert_eq!(client.put("/refused", &content(50_000)).status, 403);
    assert_eq!(client.get("/hello").status, 200);
    client.send("PUT /refused HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n");
    let answered = client.answer();
    assert!(answered.status == 403 && answered.head.contains("Connection: close"));
    // Content that is refused in the middle ends with an answer too.
    let mut client = house.connect();
    client.send("PUT /little HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n");
    client.socket.write_all(&content(300_000)).expect("sent");
    let answered = client.answer();
    assert!(answered.status == 413 && answered.head.contains("Connection: close"));
}

#[test]
fn old_clients_are_served_by_their_rules() {
    let house = House::new();
    let mut client = house.connect();
    client.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert!(client.answer().head.contains("Connection: keep-alive"));
    client.send("GET /hello HTTP/1.0\r\n\r\n");
    assert!(client.answer().head.contains("Connection: close"));
    assert!(client.ends());
}
