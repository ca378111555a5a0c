//! Signatures of version 4, made before anything is measured.
//!
//! Written from the documentation and not with the gateway's own code: a mistake there
//! would be no mistake here.

use std::process::Command;

use anyhow::{Context, Result};
use ring::{digest, hmac};

/// The access key that servers of a benchmark know.
pub const KEY: &str = "BENCHMARK";
/// Its secret.
pub const SECRET: &str = "a-secret-of-a-benchmark-and-of-nothing-else";
const REGION: &str = "us-east-1";
/// What is said of content that nobody hashes beforehand.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// Signs requests to a host, as of the moment when it is made.
pub struct Signer {
    host: String,
    moment: String,
    key: hmac::Key,
}

impl Signer {
    /// For a host with its port.
    pub fn new(host: &str) -> Result<Self> {
        let output = Command::new("date").args(["-u", "+%Y%m%dT%H%M%SZ"]).output();
        let moment = String::from_utf8(output.context("date could not be started")?.stdout)?;
        let moment = moment.trim().to_owned();
        let start = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{SECRET}").as_bytes());
        let pieces = [&moment[..8], REGION, "s3", "aws4_request"];
        let key = pieces.iter().fold(start, |key, piece| {
            let tag = hmac::sign(&key, piece.as_bytes());
            hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref())
        });
        Ok(Self { host: host.to_owned(), moment, key })
    }

    /// The head of a request, to its empty line. `query` is in canonical order and escaped;
    /// `length` is that of the content, when there is some.
    pub fn head(&self, method: &str, path: &str, query: &str, length: Option<usize>) -> String {
        let (host, moment) = (&self.host, &self.moment);
        let signed = "host;x-amz-content-sha256;x-amz-date";
        let canonical = format!(
            "{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{UNSIGNED}\n\
             x-amz-date:{moment}\n\n{signed}\n{UNSIGNED}"
        );
        let hash = digest::digest(&digest::SHA256, canonical.as_bytes());
        let scope = format!("{}/{REGION}/s3/aws4_request", &moment[..8]);
        let text = format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{}", hex(hash.as_ref()));
        let signature = hex(hmac::sign(&self.key, text.as_bytes()).as_ref());
        let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let length = length.map(|it| format!("Content-Length: {it}\r\n")).unwrap_or_default();
        format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\nx-amz-date: {moment}\r\n\
             x-amz-content-sha256: {UNSIGNED}\r\n{length}Authorization: AWS4-HMAC-SHA256 \
             Credential={KEY}/{scope}, SignedHeaders={signed}, Signature={signature}\r\n\r\n"
        )
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
