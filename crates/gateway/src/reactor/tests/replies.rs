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

#[test]
fn content_is_fetched_from_where_it_lies() {
    // No room for such a reply, and for where it lies.
    let house = House::with(|settings| settings.cache = 4096);
    let (service, mut client) = (&house.service, house.connect());
    let fetched = || service.fetched.load(Ordering::SeqCst);
    for (begun, read) in [(1, 0), (1, 1), (1, 2)] {
        let answered = client.get("/placed/2000");
        assert!(answered.body == content(2000) && answered.status == 200);
        for line in [
            "X-Test: yes",
            "X-Id: ",
            "ETag: \"abababab",
            "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT",
            "Content-Length: 2000",
        ] {
            assert_eq!(answered.head.matches(line).count(), 1, "{line} {}", answered.head);
        }
        assert_eq!((house.begun(), fetched()), (begun, read));
    }
    // Where it is no more it is asked for anew, and with it those that came behind.
    service.gone.store(true, Ordering::SeqCst);
    let again = "GET /placed/2000 HTTP/1.1\r\nHost: h\r\n\r\n";
    client.send(&format!("{again}GET /hello HTTP/1.1\r\nHost: h\r\n\r\n{again}"));
    assert!(client.answer().body == content(2000));
    assert_eq!(client.answer().body, b"hello");
    assert!(client.answer().body == content(2000));
    assert_eq!(fetched(), 2);
    service.gone.store(false, Ordering::SeqCst);
    assert!(client.get("/placed/2000").body == content(2000));
    assert_eq!(fetched(), 3);
    service.stamp.store(2, Ordering::SeqCst);
    assert!(client.get("/placed/2000").body == content(2000));
    assert_eq!(fetched(), 3, "what changed is not where it was");
}

#[test]
fn replies_to_a_crowd_are_whole_and_in_order() {
    let house = House::new();
    let mut crowd: Vec<_> = (0..100).map(|_| house.connect()).collect();
    let paths = ["/kept/large", "/hello", "/kept/large", "/kept/large", "/file/70000", "/kept/a"];
    let all: String =
        paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
    for _ in 0..3 {
        for client in &mut crowd {
            client.send(&all);
        }
        for client in &mut crowd {
            for path in paths {
                let body = client.answer().body;
                let right = match path {
                    "/hello" => body == b"hello",
                    "/file/70000" => body == content(70_000),
                    "/kept/a" => body == b"stamp 1",
                    _ => body == format!("stamp 1{}", ".".repeat(3000)).as_bytes(),
                };
                assert!(right, "{path}: {} bytes", body.len());
            }
        }
    }
}
