//! The examples of the documentation of S3 ("Examples: Signature Calculations", and
//! "Signing and Authenticating REST Requests" for version 2): facts.

use super::*;

const STAMP: &str = "20130524T000000Z";
const HOST: (&str, &str) = ("Host", "examplebucket.s3.amazonaws.com");

fn signed(mut sent: Sent, names: &str, signature: &str, payload: &str) -> Sent {
    sent.set("x-amz-date", STAMP);
    sent.set("x-amz-content-sha256", payload);
    let value = format!(
        "AWS4-HMAC-SHA256 \
         Credential={ID}/20130524/us-east-1/s3/aws4_request,SignedHeaders={names},Signature={signature}"
    );
    sent.set("Authorization", &value);
    sent
}

#[test]
fn version_4_in_the_header() {
    let range = signed(
        Sent::new("GET", "/test.txt", &[HOST, ("Range", "bytes=0-9")]),
        "host;range;x-amz-content-sha256;x-amz-date",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        NOTHING,
    );
    let date = ("Date", "Fri, 24 May 2013 00:00:00 GMT");
    let class = ("x-amz-storage-class", "REDUCED_REDUNDANCY");
    let put = signed(
        Sent::new("PUT", "/test$file.text", &[HOST, date, class]),
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
    );
    let names = "host;x-amz-content-sha256;x-amz-date";
    let lifecycle = signed(
        Sent::new("GET", "/?lifecycle", &[HOST]),
        names,
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        NOTHING,
    );
    let list = signed(
        Sent::new("GET", "/?max-keys=2&prefix=J", &[HOST]),
        names,
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        NOTHING,
    );
    for sent in [range, put, lifecycle, list] {
        let found = sent.check(&Settings::default(), at(STAMP)).expect("a published example");
        assert_eq!((found.scheme, found.version), (Scheme::Header, 4));
        assert_eq!(found.account().expect("known").owner, Owner("example".into()));
        let Payload::Whole(_) = found.payload else { panic!("{found:?}") };
        for change in 0..3 {
            let mut other = sent.clone();
            match change {
                0 => other.method.push('X'),
                1 => other.path.push('x'),
                _ => other.query.push_str("&x=1"),
            }
            let refused = other.check(&Settings::default(), at(STAMP)).expect_err("changed");
            assert_eq!(refused.code, "SignatureDoesNotMatch");
        }
    }
}

#[test]
fn version_4_in_the_query() {
    let sent = Sent::new(
        "GET",
        "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F\
         20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400\
         &X-Amz-SignedHeaders=host&X-Amz-Signature=\
         aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
        &[HOST],
    );
    for stamp in [STAMP, "20130524T235959Z", "20130523T234501Z"] {
        let found = sent.check(&Settings::default(), at(stamp)).expect("a published example");
        assert_eq!(found.scheme, Scheme::Query);
    }
    for stamp in ["20130525T000000Z", "20130523T234459Z"] {
        let refused = sent.check(&Settings::default(), at(stamp)).expect_err("out of time");
        assert_eq!((refused.status, refused.code), (403, "AccessDenied"));
    }
}

#[test]
fn version_2_where_it_is_allowed() {
    let cases = [
        (
            Sent::new(
                "GET",
                "/johnsmith/photos/puppy.jpg",
                &[("Date", "Tue, 27 Mar 2007 19:36:42 +0000")],
            ),
            "bWq2s1WEIj+Ydj0vQ697zp+IXMU=",
            "20070327T193642Z",
        ),
        (
            Sent::new(
                "PUT",
                "/johnsmith/photos/puppy.jpg",
                &[("Content-Type", "image/jpeg"), ("Date", "Tue, 27 Mar 2007 21:15:45 +0000")],
            ),
            "MyyxeRY7whkBe+bq8fHCL/2kKUg=",
            "20070327T211545Z",
        ),
        (
            Sent::new("GET", "/johnsmith/?acl", &[("Date", "Tue, 27 Mar 2007 19:44:46 +0000")]),
            "c2WLPFtWHVgbEmeEG93a4cG37dM=",
            "20070327T194446Z",
        ),
    ];
    for (mut sent, signature, stamp) in cases {
        sent.set("Authorization", &format!("AWS {ID}:{signature}"));
        assert_eq!(sent.check(&old(), at(stamp)).expect("a published example").version, 2);
        let refused = sent.check(&Settings::default(), at(stamp)).expect_err("off by default");
        assert_eq!((refused.status, refused.code), (400, "InvalidRequest"));
        sent.path.push('x');
        let refused = sent.check(&old(), at(stamp)).expect_err("changed");
        assert_eq!(refused.code, "SignatureDoesNotMatch");
    }
}

/// The request and the signatures of the chunks of 65,536 and 1,024 letters `a`.
fn chunk_example(trailer: bool) -> (Sent, [&'static str; 3]) {
    let mut sent = Sent::new(
        "PUT",
        "/examplebucket/chunkObject.txt",
        &[
            ("Host", "s3.amazonaws.com"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ("Content-Encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", "66560"),
            ("Content-Length", "66824"),
        ],
    );
    if trailer {
        sent.set("x-amz-trailer", "x-amz-checksum-crc32c");
        let sent = signed(
            sent,
            "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;\
             x-amz-storage-class;x-amz-trailer",
            "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        );
        return (
            sent,
            [
                "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
                "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
                "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
            ],
        );
    }
    let sent = signed(
        sent,
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;\
         x-amz-decoded-content-length;x-amz-storage-class",
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    );
    (
        sent,
        [
            "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
            "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
            "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
        ],
    )
}

fn body(signatures: [&str; 3], end: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for (length, signature) in [65_536, 1_024, 0].into_iter().zip(signatures) {
        body.extend_from_slice(format!("{length:x};chunk-signature={signature}\r\n").as_bytes());
        body.resize(body.len() + length, b'a');
        if length > 0 {
            body.extend_from_slice(b"\r\n");
        }
    }
    body.extend_from_slice(end.as_bytes());
    body
}

fn take(sent: &Sent, body: &[u8], step: usize) -> Result<(Vec<u8>, Trailers), AuthError> {
    let found = sent.check(&Settings::default(), at(STAMP))?;
    let mut content = sent.with_head(|head| Content::new(found.payload, head))?;
    assert_eq!(content.length(), Some(66_560));
    let mut taken = Vec::new();
    for bytes in body.chunks(step) {
        content.take::<AuthError>(bytes, &mut |bytes| {
            taken.extend_from_slice(bytes);
            Ok(())
        })?;
    }
    Ok((taken, content.end()?))
}

#[test]
fn signed_chunks() {
    let (sent, signatures) = chunk_example(false);
    let whole = body(signatures, "\r\n");
    assert_eq!(whole.len(), 66_824);
    for step in [1, 7, 1_000, 1 << 20] {
        let (taken, trailers) = take(&sent, &whole, step).expect("a published example");
        assert_eq!((taken.len(), trailers), (66_560, Trailers::default()));
        assert!(taken.iter().all(|byte| *byte == b'a'));
    }
    for at in [100, 65_700, 66_700] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        take(&sent, &changed, 4_096).expect_err("a changed byte");
    }
    for length in [0, 50, 65_636, 66_740, 66_821] {
        let refused = take(&sent, &whole[..length], 4_096).expect_err("cut short");
        assert_eq!(refused.code, "IncompleteBody", "{length}");
    }
    take(&sent, &[whole.as_slice(), b"x"].concat(), 4_096).expect_err("more behind the end");
}

#[test]
fn signed_chunks_with_a_signed_trailer() {
    let (sent, signatures) = chunk_example(true);
    let signature = "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435";
    for gap in ["\r\n", "\n", "\n\r\n"] {
        let end = format!(
            "x-amz-checksum-crc32c:sOO8/Q=={gap}x-amz-trailer-signature:{signature}\r\n\r\n"
        );
        let (taken, trailers) = take(&sent, &body(signatures, &end), 999).expect("published");
        assert_eq!(taken.len(), 66_560);
        assert_eq!(trailers.get("x-amz-checksum-crc32c"), Some("sOO8/Q=="));
    }
    for end in [
        "\r\n".to_owned(),
        "x-amz-checksum-crc32c:sOO8/Q==\r\n\r\n".to_owned(),
        format!("x-amz-checksum-crc32c:sOO8/QQ=\r\nx-amz-trailer-signature:{signature}\r\n\r\n"),
        format!("x-amz-trailer-signature:{signature}\r\n\r\n"),
    ] {
        take(&sent, &body(signatures, &end), 999).expect_err(&end);
    }
}
