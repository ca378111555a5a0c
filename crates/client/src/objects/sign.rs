//! Signature Version 4, in the header and in the query (the guide "Authenticating
//! Requests" of the S3 API reference).

use model::Timestamp;
use ring::{digest, hmac};

use super::AccessKey;
use crate::path::encode;

/// What is signed.
pub struct Signed<'a> {
    /// The method.
    pub method: &'a str,
    /// The path, escaped.
    pub path: &'a str,
    /// The query, not escaped.
    pub query: &'a [(String, String)],
    /// Headers by lower-case name, in any order; `host` must be there.
    pub headers: &'a [(String, String)],
    /// The SHA-256 of the content in hexadecimal, or a word in its place.
    pub payload: &'a str,
}

/// A moment as signatures have it: `20261121T093000Z`.
pub fn stamp(at: Timestamp) -> String {
    let text = at.to_string();
    let whole = text.split('.').next().unwrap_or(&text);
    format!("{}Z", whole.trim_end_matches('Z').replace(['-', ':'], ""))
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// A query in the order in which it is signed, which is as good to send as any.
pub fn query_text(query: &[(String, String)]) -> String {
    let mut pairs: Vec<(String, String)> =
        query.iter().map(|(name, value)| (escaped(name), escaped(value))).collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

fn escaped(text: &str) -> String {
    let mut into = String::with_capacity(text.len());
    for byte in text.bytes() {
        // In a query dots mean nothing else.
        match byte {
            b'.' => into.push('.'),
            byte if byte.is_ascii() => encode(char::from(byte).encode_utf8(&mut [0; 4]), &mut into),
            byte => into.push_str(&format!("%{byte:02X}")),
        }
    }
    into
}

fn scope(stamp: &str, region: &str) -> String {
    format!("{}/{region}/s3/aws4_request", &stamp[..8])
}

fn signature(key: &AccessKey, region: &str, stamp: &str, signed: &Signed<'_>) -> (String, String) {
    let mut headers = signed.headers.to_vec();
    headers.sort();
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let lines: String =
        headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let canonical = format!(
        "{}\n{}\n{}\n{lines}\n{names}\n{}",
        signed.method,
        signed.path,
        query_text(signed.query),
        signed.payload
    );
    let scope = scope(stamp, region);
    let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", sha256(canonical.as_bytes()));
    let mut signing = format!("AWS4{}", key.secret.expose()).into_bytes();
    for word in scope.split('/') {
        let step = hmac::Key::new(hmac::HMAC_SHA256, &signing);
        signing = hmac::sign(&step, word.as_bytes()).as_ref().to_vec();
    }
    let last = hmac::Key::new(hmac::HMAC_SHA256, &signing);
    (names, hex(hmac::sign(&last, text.as_bytes()).as_ref()))
}

/// The value of the header `Authorization`.
pub fn header(key: &AccessKey, region: &str, stamp: &str, signed: &Signed<'_>) -> String {
    let (names, signature) = signature(key, region, stamp, signed);
    let scope = scope(stamp, region);
    format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
        key.id
    )
}

/// The query of a request that whoever has it may send, for so many seconds.
pub fn presigned(
    key: &AccessKey,
    region: &str,
    stamp: &str,
    seconds: u64,
    signed: &Signed<'_>,
) -> String {
    let mut query = signed.query.to_vec();
    let mut say = |name: &str, value: String| query.push((name.to_owned(), value));
    say("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned());
    say("X-Amz-Credential", format!("{}/{}", key.id, scope(stamp, region)));
    say("X-Amz-Date", stamp.to_owned());
    say("X-Amz-Expires", seconds.to_string());
    if let Some(session) = &key.session {
        say("X-Amz-Security-Token", session.expose().to_owned());
    }
    say("X-Amz-SignedHeaders", "host".to_owned());
    let (_, signature) = signature(key, region, stamp, &Signed { query: &query, ..*signed });
    format!("{}&X-Amz-Signature={signature}", query_text(&query))
}

#[cfg(test)]
mod tests {
    use model::Secret;

    use super::*;

    fn published() -> AccessKey {
        AccessKey {
            id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            session: None,
        }
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// "Example: GET Object" of the reference.
    #[test]
    fn the_published_example_in_the_header_is_signed_alike() {
        let empty = sha256(b"");
        let headers = pairs(&[
            ("host", "examplebucket.s3.amazonaws.com"),
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", &empty),
            ("x-amz-date", "20130524T000000Z"),
        ]);
        let signed = Signed {
            method: "GET",
            path: "/test.txt",
            query: &[],
            headers: &headers,
            payload: &empty,
        };
        let said = header(&published(), "us-east-1", "20130524T000000Z", &signed);
        let wanted = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
        assert!(said.ends_with(wanted), "{said}");
    }

    /// "Authenticating Requests: Using Query Parameters" of the reference.
    #[test]
    fn the_published_example_in_the_query_is_signed_alike() {
        let headers = pairs(&[("host", "examplebucket.s3.amazonaws.com")]);
        let signed = Signed {
            method: "GET",
            path: "/test.txt",
            query: &[],
            headers: &headers,
            payload: "UNSIGNED-PAYLOAD",
        };
        let said = presigned(&published(), "us-east-1", "20130524T000000Z", 86_400, &signed);
        let wanted = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert!(said.ends_with(wanted), "{said}");
    }

    #[test]
    fn a_moment_and_a_query_have_their_forms() {
        assert_eq!(stamp(Timestamp::from_micros(1_369_353_600_999_999)), "20130524T000000Z");
        let query = pairs(&[("b", "x y/.."), ("a-b", ""), ("é", "~")]);
        assert_eq!(query_text(&query), "%C3%A9=~&a-b=&b=x%20y%2F..");
    }
}
