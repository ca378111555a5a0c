//! The boot files over HTTP: what firmware, BMCs and curl ask for.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

use bytes::Bytes;
use model::sighting::Sighting;
use netboot::http::range::{self, Part};
use netboot::{BootFiles, Settings, Sockets};
use proptest::prelude::*;

use crate::fixture::{Book, Folder, TOKEN, have, pattern, serve};

const FILE_BYTES: usize = 3_000_001;

struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn status(&self) -> &str {
        self.head.split_whitespace().nth(1).unwrap_or("")
    }
    fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

fn ask(to: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(to).unwrap();
    let request = request.replace('\n', "\r\n");
    stream
        .write_all(format!("{request}\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let split = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(all[..split].to_vec()).unwrap();
    Answer { head, body: all[split + 4..].to_vec() }
}

fn path() -> String {
    netboot::boot_path(TOKEN)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_image_is_read_and_told_of() {
    let file = pattern(FILE_BYTES);
    let served = serve(file.clone());
    let head = ask(served.http, &format!("HEAD {} HTTP/1.1", path()));
    assert_eq!(head.status(), "200");
    assert_eq!(head.field("content-length"), Some("3000001"));
    assert_eq!(head.field("content-type"), Some("application/efi"));
    assert_eq!(head.field("accept-ranges"), Some("bytes"));
    assert!(head.body.is_empty());
    assert_eq!(served.book.seen(), [], "a question for the size is not a fetch");

    let got = ask(served.http, &format!("GET {} HTTP/1.1", path()));
    assert_eq!((got.status(), got.body.len()), ("200", FILE_BYTES));
    assert!(got.body == file);
    let token = || TOKEN.to_owned();
    let told = [Sighting::Fetching { token: token() }, Sighting::Fetched { token: token() }];
    assert_eq!(served.book.seen(), told);
    served.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_is_resumed_where_it_broke_off() {
    let file = pattern(FILE_BYTES);
    let served = serve(file.clone());
    let first = ask(served.http, &format!("GET {}\n HTTP/1.1", path()).replace('\n', ""));
    let etag = first.field("etag").expect("an entity tag").to_owned();
    let rest = |tag: &str| {
        ask(
            served.http,
            &format!("GET {} HTTP/1.1\nrange: bytes=2999990-\nif-range: {tag}", path()),
        )
    };
    let resumed = rest(&etag);
    assert_eq!(resumed.status(), "206");
    assert_eq!(resumed.field("content-range"), Some("bytes 2999990-3000000/3000001"));
    assert!(resumed.body == file[2_999_990..]);
    let changed = rest("\"another\"");
    assert_eq!(
        (changed.status(), changed.body.len()),
        ("200", FILE_BYTES),
        "a new file from the start"
    );

    let middle = ask(served.http, &format!("GET {} HTTP/1.1\nrange: bytes=100-199", path()));
    assert!(middle.body == file[100..200]);
    let beyond = ask(served.http, &format!("GET {} HTTP/1.1\nrange: bytes=3000001-", path()));
    assert_eq!(beyond.status(), "416");
    assert_eq!(beyond.field("content-range"), Some("bytes */3000001"));
    let same = ask(served.http, &format!("GET {} HTTP/1.1\nif-none-match: {etag}", path()));
    assert_eq!((same.status(), same.body.len()), ("304", 0));
    served.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_permitted_paths_are_there() {
    let served = serve(pattern(1_000));
    let refused = [
        "/boot/ffffffffffffffffffffffffffffffff/bedplate.efi".to_owned(),
        format!("/boot/{TOKEN}/other.efi"),
        format!("/boot/{TOKEN}"),
        format!("/boot/{TOKEN}/bedplate.efi/"),
        format!("/boot/../boot/{TOKEN}/bedplate.efi"),
        "/".to_owned(),
        format!("/boot/{}/bedplate.efi", "a".repeat(5_000)),
    ];
    for path in refused {
        assert_eq!(ask(served.http, &format!("GET {path} HTTP/1.1")).status(), "404", "{path}");
    }
    let media = ask(served.http, &format!("GET {} HTTP/1.1", netboot::media_path(TOKEN)));
    assert_eq!(media.status(), "503", "no medium was built");
    let written = ask(served.http, &format!("PUT {} HTTP/1.1\ncontent-length: 0", path()));
    assert_eq!((written.status(), written.field("allow")), ("405", Some("GET, HEAD")));
    served.book.permits.lock().unwrap().clear();
    assert_eq!(ask(served.http, &format!("GET {} HTTP/1.1", path())).status(), "404", "spent");
    assert_eq!(served.book.seen(), []);
    served.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_fetch_is_not_told_as_a_whole_one() {
    // More than the sockets of both sides can hold, so that the end cannot have left.
    let served = serve(pattern(64 << 20));
    let mut stream = TcpStream::connect(served.http).unwrap();
    stream.write_all(format!("GET {} HTTP/1.1\r\nhost: a\r\n\r\n", path()).as_bytes()).unwrap();
    let mut some = vec![0; 100_000];
    stream.read_exact(&mut some).unwrap();
    stream.shutdown(Shutdown::Both).unwrap();
    drop(stream);
    let begun = Sighting::Fetching { token: TOKEN.to_owned() };
    assert_eq!(served.book.seen(), [begun]);
    // Stopping waits for the connection's end: nothing can be told later.
    let book = served.book.clone();
    served.running.stop().await;
    assert_eq!(book.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_files_are_served_from_when_they_are_there() {
    let served = serve(pattern(10));
    served.running.set_files(BootFiles::new(pattern(20), Some(pattern(30))));
    assert_eq!(ask(served.http, &format!("GET {} HTTP/1.1", path())).body.len(), 20);
    let media = ask(served.http, &format!("GET {} HTTP/1.1", netboot::media_path(TOKEN)));
    assert_eq!((media.status(), media.body.len()), ("200", 30));
    served.running.set_files(BootFiles::default());
    let none = ask(served.http, &format!("GET {} HTTP/1.1", path()));
    assert_eq!((none.status(), none.field("retry-after")), ("503", Some("5")));
    served.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_reads_it_over_tls() {
    if !have(&[("curl", "curl")]) {
        return;
    }
    let folder = Folder::new("https");
    let file = pattern(FILE_BYTES);
    let (running, port) = serve_tls(&folder, file.clone());
    let out = folder.join("out");
    let url = format!("https://localhost:{port}{}", path());
    let mut curl = tokio::process::Command::new("curl");
    curl.args(["-sS", "--fail", "--noproxy", "*", "--cacert"]).arg(folder.join("ca.pem"));
    curl.args(["--resolve", &format!("localhost:{port}:127.0.0.1"), "-o"]).arg(&out).arg(url);
    let ended = curl.status().await.unwrap();
    assert!(ended.success());
    assert!(std::fs::read(out).unwrap() == file);
    running.stop().await;
}

fn serve_tls(folder: &Folder, file: Bytes) -> (netboot::Running, u16) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("ca.pem"), made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let https = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = https.local_addr().unwrap().port();
    let book = Book::with("52:54:00:00:00:01", model::machine::BootRoad::Http);
    let sockets = Sockets { https: Some(https), ..Sockets::default() };
    let settings = Settings { tls: Some(Arc::new(tls)), ..Settings::default() };
    let clock = Arc::new(world::SystemClock::default());
    let files = BootFiles::new(file, None);
    (netboot::serve(sockets, settings, book, files, clock).unwrap(), port)
}

#[test]
fn ranges_are_read() {
    let cases = [
        ("bytes=0-0", Part::Some(0..1)),
        ("bytes=0-", Part::Some(0..10)),
        ("bytes=9-", Part::Some(9..10)),
        ("bytes=10-", Part::Unsatisfiable),
        ("bytes=5-99", Part::Some(5..10)),
        ("bytes=-3", Part::Some(7..10)),
        ("bytes=-99", Part::Some(0..10)),
        ("bytes=-0", Part::Unsatisfiable),
        ("bytes=99999999999999999999999-", Part::Unsatisfiable),
        ("bytes=5-4", Part::Whole),
        ("bytes=0-1,3-4", Part::Whole),
        ("bytes=a-b", Part::Whole),
        ("bytes=-", Part::Whole),
        ("items=0-1", Part::Whole),
    ];
    for (field, part) in cases {
        assert_eq!(range::read(field, 10), part, "{field}");
    }
    assert_eq!(range::read("bytes=0-", 0), Part::Unsatisfiable);
}

proptest! {
    #[test]
    fn no_range_leaves_the_file(field in "(bytes=)?[0-9,-]{0,50}|.{0,40}", length in 0usize..5_000) {
        if let Part::Some(bytes) = range::read(&field, length) {
            prop_assert!(bytes.start < bytes.end && bytes.end <= length);
        }
    }
}
