//! Heads as clients send them, as attackers send them, and as nobody would.

use proptest::prelude::*;

use super::*;

type Seen = (String, String, String, Manner);

fn read(bytes: &[u8]) -> Result<Option<(usize, Seen)>, Broken> {
    read_head(bytes, Limits::default(), |head, manner| {
        (head.method.to_owned(), head.path.to_owned(), head.query.to_owned(), manner)
    })
}

fn fine(text: &str) -> Seen {
    let (length, seen) = read(text.as_bytes()).expect("a head").expect("all of it");
    assert_eq!(length, text.len());
    seen
}

fn status(text: &str) -> u16 {
    read(text.as_bytes()).expect_err("refused").status
}

fn with(fields: &str) -> String {
    format!("PUT /b/k HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n")
}

#[test]
fn a_plain_request_is_read() {
    let (method, path, query, manner) =
        fine("GET /bucket/a%20key?list-type=2&x HTTP/1.1\r\nHost: h:1\r\nA:  b \r\n\r\n");
    assert_eq!((&method[..], &path[..], &query[..]), ("GET", "/bucket/a%20key", "list-type=2&x"));
    assert!(manner.keep_alive && !manner.old && !manner.head_only && !manner.expects);
    assert_eq!(manner.framing, Framing::None);
    assert!(fine("HEAD / HTTP/1.1\r\nhost: h\r\n\r\n").3.head_only);
}

#[test]
fn what_follows_a_head_is_left() {
    let text = b"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /two HTTP/1.1\r\n";
    assert_eq!(read(text).expect("a head").expect("one").0, 27);
    assert_eq!(read(&text[27..]), Ok(None));
}

#[test]
fn connections_stay_by_the_rules_of_their_version() {
    let keeps = |version: &str, field: &str| {
        fine(&format!("GET / HTTP/{version}\r\nHost: h\r\n{field}\r\n")).3.keep_alive
    };
    assert!(keeps("1.1", "") && keeps("1.1", "Connection: Upgrade\r\n"));
    assert!(!keeps("1.1", "Connection: foo , Close\r\n"));
    assert!(!keeps("1.0", "") && keeps("1.0", "connection: Keep-Alive\r\n"));
}

#[test]
fn content_is_framed_in_one_way_only() {
    assert_eq!(fine(&with("Content-Length: 12")).3.framing, Framing::Length(12));
    assert_eq!(fine(&with("Content-Length: 0")).3.framing, Framing::None);
    assert_eq!(fine(&with("Transfer-Encoding: Chunked")).3.framing, Framing::Chunked);
    for (fields, expected) in [
        ("Content-Length: 3\r\nTransfer-Encoding: chunked", 400),
        ("Content-Length: 3\r\nContent-Length: 4", 400),
        ("Content-Length: 3\r\nContent-Length: 3", 400),
        ("Content-Length: 3, 4", 400),
        ("Content-Length: +3", 400),
        ("Content-Length: -3", 400),
        ("Content-Length: 0x3", 400),
        ("Content-Length:", 400),
        ("Content-Length: 9999999999999999999999", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 501),
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding: chunked, identity", 501),
        ("Transfer-Encoding: \x0bchunked", 400),
        ("Transfer-Encoding : chunked", 400),
        ("Content-Length : 3", 400),
        (" Content-Length: 3", 400),
        ("X: y\r\n folded: z", 400),
        ("X: y\rContent-Length: 3", 400),
        ("X: y\nContent-Length: 3", 400),
        ("X: \0", 400),
        ("Host: two", 400),
    ] {
        assert_eq!(status(&with(fields)), expected, "{fields:?}");
    }
    assert_eq!(status("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
    assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), 400);
    assert_eq!(status("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), 505);
    assert_eq!(status("GET / HTTP/1.1\nHost: h\n\n"), 400);
    assert_eq!(status("GET  / HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
}

#[test]
fn a_client_may_ask_before_it_sends() {
    assert!(fine(&with("Content-Length: 3\r\nExpect: 100-Continue")).3.expects);
    // There is nothing to come, and clients that are not told so are confused.
    assert!(fine(&with("Expect: 100-continue")).3.expects);
}

#[test]
fn targets_are_paths() {
    let (_, path, query, _) = fine("GET http://H/a?b HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((&path[..], &query[..]), ("/a", "b"));
    assert_eq!(fine("GET http://h HTTP/1.1\r\nHost: h\r\n\r\n").1, "/");
    for target in ["*", "h:443", "http://other/a", "http://h?x", "a", "ftp://h/"] {
        assert_eq!(status(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")), 400, "{target}");
    }
}

#[test]
fn heads_are_bounded() {
    let long = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(40_000));
    assert_eq!(status(&long), 431);
    assert_eq!(status(&long[..35_000]), 431);
    assert_eq!(read(&long.as_bytes()[..30_000]), Ok(None));
    assert_eq!(status(&with(&"A: b\r\n".repeat(FIELDS)[..FIELDS * 6 - 2])), 431);
}

proptest! {
    #[test]
    fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes);
    }
    #[test]
    fn almost_heads_do_no_harm(
        text in "(GET|PUT|\\PC{0,4}) [/?*a-z%:]{0,9} HTTP/1.[01]\r?\n([A-Za-z-]{1,9} ?:[ -~\t\r\n]{0,12}\r?\n){0,5}\r?\n"
    ) {
        if let Ok(Some((length, _))) = read(text.as_bytes()) {
            prop_assert!(length <= text.len());
            prop_assert!(text[..length].ends_with("\r\n\r\n"));
        }
    }
    /// A head is found at the same place however it arrives.
    #[test]
    fn a_head_in_pieces_is_the_same(cut in 0_usize..60) {
        let text = with("Content-Length: 3\r\nA: b");
        let cut = cut.min(text.len() - 1);
        prop_assert_eq!(read(&text.as_bytes()[..cut]), Ok(None));
        prop_assert!(read(text.as_bytes()).expect("a head").is_some());
    }
}
