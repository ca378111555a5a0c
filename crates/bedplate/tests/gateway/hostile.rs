//! Bytes that no client sends: requests that could be read in two ways, documents that
//! grow, names that look like paths. Each is refused or harmless, and the next client is
//! served.

use std::collections::BTreeSet;
use std::path::Path;

use crate::process::{Gateway, Scratch};

fn statuses(replies: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(replies);
    let replies = text.split("HTTP/1.1 ").skip(1);
    replies.map(|reply| reply.chars().take(3).collect()).collect()
}

/// A request that is smuggled behind another, if it is.
const SECOND: &str = "GET /kept/secret HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let scratch = Scratch::new("smuggling");
    let gateway = Gateway::start(&scratch, &[]);
    gateway.client().put("/kept", b"");
    let length = SECOND.len();
    let put = "PUT /kept/a HTTP/1.1\r\nHost: h\r\n";
    let cases = [
        format!("{put}Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n{SECOND}"),
        format!(
            "{put}Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n\r\n0\r\n\r\n{SECOND}"
        ),
        format!("{put}Content-Length: 0\r\nContent-Length: {length}\r\n\r\n{SECOND}"),
        format!("{put}Content-Length: 0, {length}\r\n\r\n{SECOND}"),
        format!("{put}Content-Length: +0\r\n\r\n{SECOND}"),
        format!("{put}Content-Length: -1\r\n\r\n{SECOND}"),
        format!("{put}Content-Length: 0x10\r\n\r\n{SECOND}"),
        format!("{put}Content-Length: 1 0\r\n\r\n{SECOND}"),
        format!("{put}Content-Length:\r\n\r\n{SECOND}"),
        format!("{put}Content-Length: 99999999999999999999999\r\n\r\n{SECOND}"),
        format!("{put}Content-Length : 0\r\n\r\n{SECOND}"),
        format!("{put} Content-Length: 0\r\n\r\n{SECOND}"),
        format!("{put}X: 1\r\n Transfer-Encoding: chunked\r\n\r\n{SECOND}"),
        format!("{put}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{SECOND}"),
        format!("{put}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{SECOND}"),
        format!("{put}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n{SECOND}"),
        format!("{put}Transfer-Encoding:\u{b}chunked\r\n\r\n0\r\n\r\n{SECOND}"),
        format!("{put}Transfer-Encoding: chunked\r\n\r\n0\n\r\n{SECOND}"),
        format!("{put}Transfer-Encoding: chunked\r\n\r\n0 \r\n\r\n{SECOND}"),
        format!("{put}Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n{SECOND}"),
        format!("{put}Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n{SECOND}"),
        format!("{put}Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n{SECOND}"),
        format!("{put}X: 1\nContent-Length: 0\r\n\r\n{SECOND}"),
        format!("{put}X: 1\rY: 2\r\n\r\n{SECOND}"),
        format!("{put}X: a\0b\r\n\r\n{SECOND}"),
        format!("{put}Host: other\r\n\r\n{SECOND}"),
        format!("PUT /kept/a HTTP/1.1\r\n\r\n{SECOND}"),
        format!("PUT /kept/a HTTP/1.1\n\n{SECOND}"),
        format!("PUT  /kept/a HTTP/1.1\r\nHost: h\r\n\r\n{SECOND}"),
        format!("PUT /kept/a b HTTP/1.1\r\nHost: h\r\n\r\n{SECOND}"),
        format!("PUT /kept/a HTTP/2.0\r\nHost: h\r\n\r\n{SECOND}"),
        format!("PUT kept/a HTTP/1.1\r\nHost: h\r\n\r\n{SECOND}"),
        format!("PU\u{1}T /kept/a HTTP/1.1\r\nHost: h\r\n\r\n{SECOND}"),
        "\0\0\0\0\0\0\0\0\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n".to_owned(),
    ];
    for case in cases {
        let mut client = gateway.client();
        client.send(case.as_bytes()).expect("sent");
        let found = statuses(&client.rest());
        assert_eq!(found.len(), 1, "one answer, and the end: {found:?} for {case:?}");
        assert!(found[0].starts_with('4') || found[0].starts_with("50"), "{found:?} for {case:?}");
        assert_ne!(found[0], "500", "{case:?}");
    }
    // The same without anything to be smuggled is served, so the cases are about something.
    let mut client = gateway.client();
    client.send(format!("{put}Content-Length: 0\r\n\r\n{SECOND}").as_bytes()).expect("sent");
    let replies = [client.reply().expect("one"), client.reply().expect("two")];
    assert_eq!(replies.map(|reply| reply.status), [403, 403]);
    gateway.client().put("/kept/after", b"fine");
    gateway.stop();
}

#[test]
fn documents_that_grow_are_refused_at_once() {
    let scratch = Scratch::new("documents");
    let gateway = Gateway::start(&scratch, &[]);
    let mut client = gateway.client();
    client.put("/kept", b"");
    let entities: String = (1..20)
        .map(|number| {
            format!("<!ENTITY e{number} \"{}\">", format!("&e{};", number - 1).repeat(10))
        })
        .collect();
    let cases = [
        format!("<!DOCTYPE d [<!ENTITY e0 \"lol\">{entities}]><Delete>&e19;</Delete>"),
        "<!DOCTYPE d [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><Delete>&x;</Delete>".to_owned(),
        "<!DOCTYPE d SYSTEM \"http://127.0.0.1:1/\"><Delete></Delete>".to_owned(),
        "<Delete>".repeat(100_000),
        format!("{}{}", "<a>".repeat(500), "</a>".repeat(500)),
        format!("<Delete {}></Delete>", "a=\"1\" ".repeat(100_000)),
        format!("<Delete>{}</Delete>", "<Object/>".repeat(200_000)),
        format!("<Delete>{}</Delete>", "<Object><Key>k</Key></Object>".repeat(1001)),
        "<Delete><Object><Key>a</Object></Key></Delete>".to_owned(),
        "<Delete>\u{0}</Delete>".to_owned(),
        "<Delete>&unknown;</Delete>".to_owned(),
        "<Delete>&#x110000;</Delete>".to_owned(),
        "<?xml version=\"1.0\" encoding=\"UTF-16\"?><Delete/>".to_owned(),
        "<![CDATA[".to_owned(),
        "not a document".to_owned(),
        String::new(),
    ];
    for target in ["/kept?delete=", "/kept?versioning=", "/kept?lifecycle=", "/kept?cors="] {
        let method = if target == "/kept?delete=" { "POST" } else { "PUT" };
        for case in &cases {
            let reply = client.ask(method, target, case.as_bytes()).expect("answered");
            let start: String = case.chars().take(60).collect();
            assert_eq!(reply.status, 400, "{target} {start}: {reply:?}");
        }
    }
    assert_eq!(client.done("GET", "/kept?versioning=", b"").status, 200);
    gateway.stop();
}

fn paths(directory: &Path, into: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            paths(&path, into);
        }
        into.insert(path.display().to_string());
    }
}

#[test]
fn names_are_names_and_no_paths() {
    let scratch = Scratch::new("names");
    let gateway = Gateway::start(&scratch, &[]);
    let mut client = gateway.client();
    client.put("/kept", b"");
    client.put("/kept/first", b"1");
    let mut before = BTreeSet::new();
    paths(&scratch.path(""), &mut before);
    // As they may be sent: escaped as little as signatures allow, and more than that.
    let legal = [
        "/kept/../../../../etc/passwd",
        "/kept/..",
        "/kept/.",
        "/kept//",
        "/kept///a//",
        "/kept/%00",
        "/kept/a%00b",
        "/kept/%2E%2E%2F%2E%2E%2Fetc%2Fpasswd",
        "/kept/%252e%252e",
        "/kept/a%5C..%5Cb",
        "/kept/%F0%9F%98%80",
        "/kept/%EF%BF%BF",
        "/kept/%E2%80%AE",
        "/kept/%0D%0AX-Injected%3A%201",
    ];
    for (number, target) in legal.iter().enumerate() {
        // What is signed is the canonical form: where that is another, it is refused.
        let body = format!("{number}");
        let reply = client.ask("PUT", target, body.as_bytes()).expect("answered");
        if reply.status == 200 {
            let found = client.done("GET", target, b"");
            assert_eq!(found.body, body.as_bytes(), "{target}");
            assert!(found.field("X-Injected").is_none(), "{target}");
        } else {
            assert_eq!(reply.code(), "SignatureDoesNotMatch", "{target}: {reply:?}");
        }
    }
    let long = |count: usize| format!("/kept/{}", "%F0%9F%98%80".repeat(count));
    client.put(&long(256), b"the longest");
    assert_eq!(client.get(&long(256)), b"the longest");
    for illegal in [
        long(257),
        format!("/kept/{}", "x".repeat(1025)),
        "/kept/%FF".to_owned(),
        "/kept/%C0%AF".to_owned(),
        "/kept/%ED%A0%80".to_owned(),
        "/kept/%2".to_owned(),
        "/kept/%zz".to_owned(),
        "/../data/keys".to_owned(),
        "/%2e%2e/keys".to_owned(),
        "/.well-known/x".to_owned(),
    ] {
        let reply = client.ask("PUT", &illegal, b"x").expect("answered");
        assert!((400..500).contains(&reply.status), "{illegal}: {reply:?}");
    }
    // A list with all of them is a document still, and text that comes back is no markup.
    let listed = String::from_utf8(client.get("/kept?encoding-type=url")).expect("text");
    assert!(!listed.contains('\0') && !listed.contains("..\\"), "{listed}");
    let mut after = BTreeSet::new();
    paths(&scratch.path(""), &mut after);
    let segment = |path: &String| path.ends_with(".log") || path.ends_with(".data");
    let new: Vec<_> = after
        .difference(&before)
        .filter(|path| !segment(path) && !path.ends_with("spare"))
        .collect();
    assert!(new.is_empty(), "files that a name made: {new:?}");
    gateway.stop();
}
