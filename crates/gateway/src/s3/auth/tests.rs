//! Tests of authentication: published examples, requests that another implementation
//! signed, refusals, bodies and forms, and what a verification costs.

mod chunks;
mod cost;
mod forms;
mod oracle;
mod refusals;
mod vectors;

use super::*;
use crate::accounts::{AccessKey, Secret};
use crate::step::Framing;
use object::Owner;

/// A request of a test.
#[derive(Clone, Debug)]
struct Sent {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    framing: Framing,
}

impl Sent {
    fn new(method: &str, target: &str, headers: &[(&str, &str)]) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers.iter().map(own).collect(),
            framing: Framing::None,
        }
    }

    fn with_head<T>(&self, run: impl FnOnce(&Head<'_>) -> T) -> T {
        let headers = self.headers.iter();
        let headers: Vec<_> =
            headers.map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        run(&Head {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &headers,
            framing: self.framing,
        })
    }

    fn check(&self, settings: &Settings, now: Timestamp) -> Result<Authenticated, AuthError> {
        self.with_head(|head| authenticate(head, &example(), settings, now))
    }

    fn set(&mut self, name: &str, value: &str) {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
    }
}

const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn account(owner: &str) -> Arc<Account> {
    Arc::new(Account {
        owner: Owner(owner.into()),
        name: owner.into(),
        display: owner.into(),
        email: None,
        project: None,
        tenant: None,
        suspended: owner == "suspended",
    })
}

/// The accounts of the documentation's examples, one for each thread: what a thread
/// keeps is tested by that.
fn example() -> Arc<Accounts> {
    thread_local! {
        static EXAMPLE: Arc<Accounts> = Arc::new(Accounts::fixed(vec![
            AccessKey::new(ID, Secret::new(SECRET), account("example")),
            AccessKey::new("SUSPENDED", Secret::new(SECRET), account("suspended")),
        ]));
    }
    EXAMPLE.with(Arc::clone)
}

fn old() -> Settings {
    Settings { version_2: true, ..Settings::default() }
}

fn at(stamp: &str) -> Timestamp {
    date::basic(stamp).expect("a moment")
}

/// Signs a request as a client would, by the same rules but with code of its own.
fn sign(sent: &mut Sent, stamp: &str, payload: &str) {
    sign_as(sent, stamp, payload, ID, "us-east-1");
}

fn sign_as(sent: &mut Sent, stamp: &str, payload: &str, id: &str, region: &str) {
    sent.set("x-amz-date", stamp);
    sent.set("x-amz-content-sha256", payload);
    let mut names: Vec<_> =
        sent.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    names.dedup();
    let signed = names.join(";");
    let lines: String = names
        .iter()
        .map(|name| {
            let same = sent.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
            let values: Vec<_> = same.map(|(_, value)| value.trim()).collect();
            format!("{name}:{}\n", values.join(","))
        })
        .collect();
    let mut pairs: Vec<_> = sent.query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_unstable();
    let pairs: Vec<_> = pairs
        .iter()
        .map(|pair| if pair.contains('=') { (*pair).to_owned() } else { format!("{pair}=") })
        .collect();
    let canonical = format!(
        "{}\n{}\n{}\n{lines}\n{signed}\n{payload}",
        sent.method,
        sent.path,
        pairs.join("&")
    );
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let hash = hex(ring::digest::digest(&ring::digest::SHA256, canonical.as_bytes()).as_ref());
    let day = &stamp[..8];
    let scope = format!("{day}/{region}/s3/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hash}");
    let mac = |key: &[u8], text: &str| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
        ring::hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
    };
    let mut key = mac(format!("AWS4{SECRET}").as_bytes(), day);
    for part in [region, "s3", "aws4_request", &text] {
        key = mac(&key, part);
    }
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={signed}, Signature={}",
        hex(&key)
    );
    sent.set("Authorization", &authorization);
}
