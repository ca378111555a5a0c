//! Signatures of version 4, written down from the specification: for requests whose bytes
//! matter.

use sha2::{Digest as _, Sha256};
use world::clock::{Clock as _, SystemClock};

/// Access keys of two accounts.
pub const ONE: (&str, &str) = ("TESTONE", "secret of the first account");
pub const TWO: (&str, &str) = ("TESTTWO", "secret of the second account");

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hmac(key: &[u8], text: &str) -> [u8; 32] {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = [&block.map(|byte| byte ^ 0x36)[..], text.as_bytes()].concat();
    hash(&[&block.map(|byte| byte ^ 0x5c)[..], &hash(&inner)[..]].concat())
}

/// The fields that sign a request whose target is in canonical form: escaped, the query's
/// names in order.
pub fn fields(method: &str, target: &str, host: &str, (id, secret): (&str, &str)) -> String {
    // As in 2026-11-21T09:35:09.123456Z.
    let now = SystemClock::default().now().to_string();
    let digits: String =
        now.chars().take(19).filter(|letter| !matches!(letter, '-' | ':')).collect();
    let (stamp, day) = (format!("{digits}Z"), &digits[..8]);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let payload = "UNSIGNED-PAYLOAD";
    let names = "host;x-amz-content-sha256;x-amz-date";
    let canonical = format!(
        "{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{payload}\n\
         x-amz-date:{stamp}\n\n{names}\n{payload}"
    );
    let scope = format!("{day}/us-east-1/s3/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", hex(&hash(canonical.as_bytes())));
    let mut key = hmac(format!("AWS4{secret}").as_bytes(), day);
    for word in ["us-east-1", "s3", "aws4_request"] {
        key = hmac(&key, word);
    }
    format!(
        "x-amz-date: {stamp}\r\nx-amz-content-sha256: {payload}\r\nAuthorization: \
         AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={}\r\n",
        hex(&hmac(&key, &text))
    )
}

#[test]
fn it_is_as_the_specification_says() {
    // RFC 4231, test case 2.
    let known = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(hex(&hmac(b"Jefe", "what do ya want for nothing?")), known);
}
