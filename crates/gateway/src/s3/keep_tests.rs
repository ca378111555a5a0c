//! Kept replies, with a store in a directory and requests that are signed.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use object::store::Writer;
use ring::{digest, hmac};
use world::clock::{Clock, SystemClock};

use super::*;
use crate::accounts::{AccessKey, Account, Accounts, Secret};
use crate::s3::ask::{Gate, Settings};
use crate::s3::{S3, header};
use crate::sealing::KeyProvider;
use crate::step::{Desk, Peer, Service};

const PEER: Peer =
    Peer { address: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), tls: false };
const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
    "Principal":{"AWS":["arn:aws:iam:::user/other"]},"Action":"s3:GetObject",
    "Resource":"arn:aws:s3:::bucket/*"}]}"#;

/// What a core keeps, for ever.
#[derive(Default)]
struct Shelf {
    kept: HashMap<Vec<u8>, (Proof, u16)>,
    found: Option<Vec<u8>>,
    asked: Vec<String>,
}

impl Desk for Shelf {
    fn kept(&mut self, name: &[u8]) -> Option<Proof> {
        self.found = self.kept.contains_key(name).then(|| name.to_vec());
        self.kept.get(name).map(|(proof, _)| *proof)
    }
    fn asks(&mut self, _: u64, name: &str) {
        self.asked.push(name.to_owned());
    }
}

struct House {
    service: S3,
    writer: Writer<Directory>,
    shelf: Shelf,
    path: PathBuf,
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn key(name: &str) -> AccessKey {
    let account = Account {
        owner: Owner(format!("id of {name}").into()),
        name: name.into(),
        display: name.into(),
        email: None,
        project: None,
        tenant: None,
        suspended: false,
    };
    AccessKey::new(name, Secret::new(format!("secret of {name}")), Arc::new(account))
}

impl House {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("bedplate-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        let files = Directory::new(&path).expect("a directory");
        let (store, writer, _) = Store::open(files, Default::default()).expect("it opens");
        let gate = Gate {
            store: Arc::new(store),
            accounts: Arc::new(Accounts::fixed(vec![key("mine"), key("other")])),
            keys: Arc::new(KeyProvider::from_key(&[7; 32])),
            clock: Arc::new(SystemClock::default()),
            settings: Settings::default(),
        };
        Self { service: S3::new(gate), writer, shelf: Shelf::default(), path }
    }

    /// Asks; the status, and whether the reply was a kept one.
    fn ask(&mut self, method: &str, target: &str, who: &str, content: &[u8]) -> (u16, bool) {
        self.ask_with(method, target, who, content, &[])
    }

    fn ask_with(
        &mut self,
        method: &str,
        target: &str,
        who: &str,
        content: &[u8],
        more: &[(&str, &str)],
    ) -> (u16, bool) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = vec![("Host", "h".to_owned())];
        headers.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        if !who.is_empty() {
            headers.extend(signed(method, path, query, who, more));
        }
        let headers: Vec<(&str, &[u8])> =
            headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        let framing = match content.len() {
            0 => Framing::None,
            length => Framing::Length(length as u64),
        };
        let head = Head { method, path, query, headers: &headers, framing };
        let step = self.service.begin_at(&head, &PEER, &mut self.shelf);
        self.carry_out(step, content)
    }

    fn carry_out(&mut self, step: Step, content: &[u8]) -> (u16, bool) {
        let mut step = step;
        loop {
            step = match step {
                Step::Answer(answer) => return (answer.status, false),
                Step::Keep(answer, keep) => {
                    self.shelf.kept.insert(keep.name.to_vec(), (keep.proof, answer.status));
                    return (answer.status, false);
                }
                Step::Kept => {
                    let name = self.shelf.found.take().expect("it was found");
                    return (self.shelf.kept[&name].1, true);
                }
                Step::Receive(mut receive) => match receive.take(content) {
                    Ok(()) => receive.end(),
                    Err(answer) => return (answer.status, false),
                },
                Step::Commit(mutation, then) => {
                    let now = SystemClock::default().now();
                    then(self.writer.apply(vec![*mutation], now).remove(0))
                }
                Step::Commits(mutations, then) => {
                    then(self.writer.apply(mutations, SystemClock::default().now()))
                }
                Step::Elsewhere(work) => work(),
            };
        }
    }
}

/// The headers of a signature.
fn signed(
    method: &str,
    path: &str,
    query: &str,
    who: &str,
    more: &[(&str, &str)],
) -> [(&'static str, String); 3] {
    let now = header::iso(SystemClock::default().now());
    let moment = now[..19].replace(['-', ':'], "") + "Z";
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mac = |key: &[u8], text: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
    };
    let mut fields =
        vec![("host", "h"), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"), ("x-amz-date", &moment)];
    fields.extend(more);
    fields.sort_unstable();
    let names = fields.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = fields.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let query = if query.is_empty() { String::new() } else { format!("{query}=") };
    let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{names}\nUNSIGNED-PAYLOAD");
    let scope = format!("{}/us-east-1/s3/aws4_request", &moment[..8]);
    let hash = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let text = format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hash}");
    let start = format!("AWS4secret of {who}").into_bytes();
    let key = scope.split('/').fold(start, |key, piece| mac(&key, piece));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={who}/{scope}, SignedHeaders={names}, Signature={}",
        hex(&mac(&key, &text))
    );
    [
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD".to_owned()),
        ("x-amz-date", moment),
        ("Authorization", authorization),
    ]
}

#[test]
fn a_signed_reply_is_kept_for_its_account_and_no_other() {
    let mut house = House::new("kept-signed");
    assert_eq!(house.ask("PUT", "/bucket", "mine", b""), (200, false));
    assert_eq!(house.ask("PUT", "/bucket/a", "mine", b"content"), (200, false));
    assert_eq!(house.ask("GET", "/bucket/a", "mine", b""), (200, false));
    assert_eq!(house.ask("GET", "/bucket/a", "mine", b""), (200, true));
    assert_eq!(house.ask("GET", "/bucket/a", "other", b"").0, 403);
    assert_eq!(house.ask("GET", "/bucket/a", "", b"").0, 403);
    assert_eq!(house.ask("GET", "/bucket/a", "nobody", b"").0, 403);
    assert_eq!(house.ask("GET", "/bucket/a", "mine", b""), (200, true));
    assert_eq!(house.shelf.asked.iter().filter(|name| *name == "mine").count(), 5, "each is told");
}

#[test]
fn what_a_policy_says_now_is_what_counts() {
    let mut house = House::new("kept-policy");
    house.ask("PUT", "/bucket", "mine", b"");
    house.ask("PUT", "/bucket/a", "mine", b"content");
    assert_eq!(house.ask("GET", "/bucket/a", "other", b"").0, 403);
    assert_eq!(house.ask("PUT", "/bucket?policy", "mine", POLICY.as_bytes()).0, 204);
    assert_eq!(house.ask("GET", "/bucket/a", "other", b""), (200, false));
    assert_eq!(house.ask("GET", "/bucket/a", "other", b""), (200, true));
    // It depends on more than who asks: it is found out each time.
    let bound = POLICY.replace(
        r#""Resource""#,
        r#""Condition":{"IpAddress":{"aws:SourceIp":"127.0.0.1/32"}},"Resource""#,
    );
    assert_eq!(house.ask("PUT", "/bucket?policy", "mine", bound.as_bytes()).0, 204);
    assert_eq!(house.ask("GET", "/bucket/a", "other", b""), (200, false));
    assert_eq!(house.ask("GET", "/bucket/a", "other", b""), (200, false));
    assert_eq!(house.ask("DELETE", "/bucket?policy", "mine", b"").0, 204);
    assert_eq!(house.ask("GET", "/bucket/a", "other", b""), (403, false));
}

#[test]
fn a_kept_reply_ends_with_its_object_and_its_question() {
    let mut house = House::new("kept-object");
    house.ask("PUT", "/bucket", "mine", b"");
    house.ask("PUT", "/bucket/a", "mine", b"content");
    house.ask("GET", "/bucket/a", "mine", b"");
    let told = [("x-amz-checksum-mode", "ENABLED")];
    assert_eq!(house.ask_with("GET", "/bucket/a", "mine", b"", &told), (200, false));
    assert_eq!(house.ask_with("GET", "/bucket/a", "mine", b"", &told), (200, true));
    let range = [("range", "bytes=0-1")];
    assert_eq!(house.ask_with("GET", "/bucket/a", "mine", b"", &range), (206, false));
    house.ask("PUT", "/bucket/a", "mine", b"another");
    assert_eq!(house.ask("GET", "/bucket/a", "mine", b""), (200, false));
    assert_eq!(house.ask("GET", "/bucket/a", "mine", b""), (200, true));
    assert_eq!(house.ask("DELETE", "/bucket/a", "mine", b"").0, 204);
    assert_eq!(house.ask("GET", "/bucket/a", "mine", b""), (404, false));
}

#[test]
fn names_of_replies_tell_everything_apart() {
    let mut names = Vec::new();
    for (host, path) in [("h", "/a/b"), ("i", "/a/b"), ("h", "/a/c")] {
        for more in [&[][..], &[("x-amz-checksum-mode", "ENABLED".as_bytes())]] {
            let headers = [&[("host", host.as_bytes())], more].concat();
            let framing = Framing::None;
            let head = Head { method: "GET", path, query: "", headers: &headers, framing };
            let plain = Plain::of(&head).expect("it is plain");
            for who in [Principal::Anonymous, key("mine").principal, key("other").principal] {
                names.push(plain.name(&who).expect("it is short").to_vec());
            }
        }
    }
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
    let long = "/b/".to_owned() + &"k".repeat(NAME_BYTES);
    let headers = [("host", &b"h"[..])];
    let framing = Framing::None;
    let head = Head { method: "GET", path: &long, query: "", headers: &headers, framing };
    assert!(Plain::of(&head).expect("plain").name(&Principal::Anonymous).is_none());
}
