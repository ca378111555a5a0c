//! Bodies: hashes, and chunks without signatures.

use proptest::prelude::*;

use super::*;

const TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

fn content(word: &str, length: &str, framing: Framing) -> Result<Content, AuthError> {
    let mut sent = Sent::new("PUT", "/b/k", &[("x-amz-content-sha256", word)]);
    sent.framing = framing;
    if !length.is_empty() {
        sent.set("x-amz-decoded-content-length", length);
    }
    let found = sent.check(&Settings::default(), Timestamp::from_micros(0))?;
    sent.with_head(|head| Content::new(found.payload, head))
}

fn take(mut content: Content, body: &[u8], step: usize) -> Result<(Vec<u8>, Trailers), AuthError> {
    let mut taken = Vec::new();
    for bytes in body.chunks(step.max(1)) {
        content.take::<AuthError>(bytes, &mut |bytes| {
            taken.extend_from_slice(bytes);
            Ok(())
        })?;
    }
    Ok((taken, content.end()?))
}

#[test]
fn a_signed_hash_must_be_the_contents() {
    let welcome = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    let check = |body: &[u8], length| {
        let content = content(welcome, "", Framing::Length(length)).expect("good");
        take(content, body, 3).map(|(taken, _)| taken.len()).map_err(|error| error.code)
    };
    assert_eq!(check(b"Welcome to Amazon S3.", 21), Ok(21));
    assert_eq!(check(b"Welcome to Amazon S4.", 21), Err("XAmzContentSHA256Mismatch"));
    assert_eq!(check(b"Welcome to Amazon S3", 21), Err("IncompleteBody"));
    let nothing = content(NOTHING, "", Framing::None).expect("good");
    assert!(take(nothing, b"", 1).is_ok());
}

#[test]
fn chunks_without_signatures_bring_trailers() {
    let check = |body: &str| {
        let content = content(TRAILER, "7", Framing::Chunked).expect("good");
        take(content, body.as_bytes(), 2)
            .map(|(taken, trailers)| {
                (String::from_utf8_lossy(&taken).into_owned(), trailers.0.len())
            })
            .map_err(|error| error.code)
    };
    let crc = "x-amz-checksum-crc32: AAAAAA==\r\n\r\n";
    assert_eq!(check(&format!("4\r\nabcd\r\n3\r\nefg\r\n0\r\n{crc}")), Ok(("abcdefg".into(), 1)));
    assert_eq!(check("7\r\nabcdefg\r\n0\r\n\r\n"), Ok(("abcdefg".into(), 0)));
    assert_eq!(check("007\r\nabcdefg\r\n0\r\n"), Ok(("abcdefg".into(), 0)));
    for body in [
        "",
        "7\r\nabcdefg",
        "7\r\nabcdefg\r\n",
        "8\r\nabcdefgh\r\n0\r\n\r\n",
        "6\r\nabcdef\r\n0\r\n\r\n",
        "7\r\nabcdefgX\r\n0\r\n\r\n",
        "+7\r\nabcdefg\r\n0\r\n\r\n",
        "\r\nabcdefg\r\n0\r\n\r\n",
        "7;x=y\r\nabcdefg\r\n0\r\n\r\n",
        "ffffffffffffffff\r\n",
        "7\r\nabcdefg\r\n0\r\nno colon\r\n\r\n",
        "7\r\nabcdefg\r\n0\r\n\r\nmore",
    ] {
        assert_eq!(check(body), Err("IncompleteBody"), "{body:?}");
    }
    let long = format!("7\r\nabcdefg\r\n0\r\na:{}\r\n\r\n", "x".repeat(5_000));
    assert_eq!(check(&long), Err("IncompleteBody"));
    let many = format!("7\r\nabcdefg\r\n0\r\n{}\r\n", "a:b\r\n".repeat(17));
    assert_eq!(check(&many), Err("IncompleteBody"));
}

#[test]
fn the_length_of_the_content_must_be_said() {
    let code = |length| content(TRAILER, length, Framing::Chunked).map(|_| ()).map_err(|e| e.code);
    assert_eq!(code(""), Err("MissingContentLength"));
    assert_eq!(code("x"), Err("InvalidArgument"));
    assert_eq!(code("+7"), Err("InvalidArgument"));
    assert_eq!(code("7"), Ok(()));
    let signed = content("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "7", Framing::Chunked);
    assert_eq!(signed.map(|_| ()).map_err(|error| error.code), Err("InvalidRequest"));
}

#[test]
fn chunks_are_found_where_no_hash_is_said() {
    let chunked = |headers: &[(&str, &str)]| {
        let sent = Sent::new("PUT", "/b/k", headers);
        let found = sent.check(&Settings::default(), Timestamp::from_micros(0)).expect("anonymous");
        matches!(found.payload, Payload::Chunked(_))
    };
    let (coding, length) =
        (("Content-Encoding", "gzip, aws-chunked"), ("x-amz-decoded-content-length", "7"));
    assert!(chunked(&[coding, length]));
    assert!(!chunked(&[coding]), "a coding that is only said, as old clients do");
    assert!(!chunked(&[length]));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_division_comes_back(body in prop::collection::vec(any::<u8>(), 0..500), cut in 1_usize..100, step in 1_usize..64) {
        let mut coded = Vec::new();
        for chunk in body.chunks(cut) {
            coded.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            coded.extend_from_slice(chunk);
            coded.extend_from_slice(b"\r\n");
        }
        coded.extend_from_slice(b"0\r\nx-amz-checksum-crc32:abc\r\n\r\n");
        let content = content(TRAILER, &body.len().to_string(), Framing::Chunked).expect("good");
        let (taken, trailers) = take(content, &coded, step).expect("well coded");
        prop_assert_eq!(taken, body);
        prop_assert_eq!(trailers.get("x-amz-checksum-crc32"), Some("abc"));
    }

    #[test]
    fn hostile_bytes_never_panic_and_never_bring_too_much(
        body in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'0'), Just(b'3'), Just(b';'), Just(b':'), any::<u8>()], 0..200),
        step in 1_usize..9,
    ) {
        let content = content(TRAILER, "3", Framing::Chunked).expect("good");
        if let Ok((taken, _)) = take(content, &body, step) {
            prop_assert_eq!(taken.len(), 3);
        }
    }
}
