//! Forms: how they are read, and which are allowed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::prelude::*;

use super::*;

const TYPE: &str = "multipart/form-data; boundary=\"x-y\"";

fn parse(kind: &str, body: &[u8], step: usize) -> Result<(Option<Fields>, Vec<u8>), AuthError> {
    let sent = Sent::new("POST", "/bucket", &[("Content-Type", kind)]);
    let mut parser = sent.with_head(FormParser::new)?;
    let (mut fields, mut content) = (None, Vec::new());
    for bytes in body.chunks(step.max(1)) {
        parser.take::<AuthError>(bytes, &mut |event| {
            match event {
                Event::File(found) => assert!(fields.replace(found).is_none(), "one file"),
                Event::Content(bytes) => content.extend_from_slice(bytes),
            }
            Ok(())
        })?;
    }
    parser.end()?;
    Ok((fields, content))
}

fn field(name: &str, value: &str) -> String {
    format!("--x-y\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

fn file(content: &str) -> String {
    format!(
        "--x-y\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\".txt\"\r\n\
         Content-Type: text/plain\r\n\r\n{content}\r\n--x-y--\r\n"
    )
}

#[test]
fn fields_and_the_file_are_read_however_they_come() {
    let tricky = "\r\r\n--x-\r\n--x\r\n-\r";
    let body = format!("preamble\r\n{}{}{}", field("key", "k"), field("empty", ""), file(tricky));
    for step in [1, 2, 3, 5, 1_000] {
        let (fields, content) = parse(TYPE, body.as_bytes(), step).expect("a form");
        let fields = fields.expect("a file");
        assert_eq!(String::from_utf8_lossy(&content), tricky);
        assert_eq!(
            (fields.get("KEY"), fields.get("empty"), fields.get("x")),
            (Some("k"), Some(""), None)
        );
        assert_eq!(fields.file_name.as_deref(), Some("a \"b\".txt"));
        assert_eq!(fields.file_type.as_deref(), Some("text/plain"));
    }
}

#[test]
fn what_is_no_form_is_refused() {
    let code = |kind, body: &str| parse(kind, body.as_bytes(), 7).map(|_| ()).map_err(|e| e.code);
    assert_eq!(code("text/plain", ""), Err("PreconditionFailed"));
    assert_eq!(code("multipart/form-data", ""), Err("MalformedPOSTRequest"));
    assert_eq!(code("multipart/form-data; boundary=", ""), Err("MalformedPOSTRequest"));
    assert_eq!(code(TYPE, ""), Err("MalformedPOSTRequest"));
    assert_eq!(code(TYPE, &format!("{}--x-y--\r\n", field("key", "k"))), Err("InvalidArgument"));
    assert_eq!(code(TYPE, &file("abc").replace("--x-y--", "")), Err("MalformedPOSTRequest"));
    assert_eq!(code(TYPE, &file("abc").replace("name=", "nome=")), Err("MalformedPOSTRequest"));
    let large = format!("{}{}", field("key", &"k".repeat(20_500)), file(""));
    assert_eq!(code(TYPE, &large), Err("MaxPostPreDataLengthExceeded"));
    let long = file("").replace("form-data", &"f".repeat(9_000));
    assert_eq!(code(TYPE, &long), Err("MalformedPOSTRequest"));
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    let fields = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Fields { fields, file_name: Some("C:\\dir\\foo.txt".into()), file_type: None }
}

const POLICY: &str = r#"{"expiration":"2026-01-01T12:00:00.000Z","conditions":[{"bUcKeT":"bucket"},["starts-with","$KeY","foo"],{"acl":"private"},["StArTs-WiTh","$Content-Type","text/"],["content-length-range",2,"10"]]}"#;

/// Decides about a form that is signed with a policy, by version 2.
fn decide(policy: &str, more: &[(&str, &str)], now: &str) -> Result<Upload, &'static str> {
    let packed = BASE64.encode(policy);
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET.as_bytes());
    let signature = BASE64.encode(ring::hmac::sign(&key, packed.as_bytes()));
    let mut pairs = vec![
        ("AWSAccessKeyId", ID),
        ("Policy", &packed),
        ("signature", &signature),
        ("aCl", "private"),
        ("Content-Type", "text/plain"),
    ];
    for pair in more {
        pairs.retain(|(name, _)| *name != pair.0);
        pairs.push(*pair);
    }
    authorise(&fields(&pairs), "bucket", &example(), &old(), at(now)).map_err(|error| error.code)
}

#[test]
fn a_form_is_what_its_policy_allows_or_refused() {
    const NOW: &str = "20260101T115959Z";
    let key = ("key", "foo.txt");
    let good = decide(POLICY, &[key, ("x-ignore-me", "1")], NOW).expect("allowed");
    assert_eq!((good.sender.scheme, good.lengths), (Scheme::Form, (2, 10)));
    assert_eq!(good.check_length(11, false).map_err(|error| error.code), Err("EntityTooLarge"));
    assert_eq!(good.check_length(1, true).map_err(|error| error.code), Err("EntityTooSmall"));
    assert!(good.check_length(1, false).is_ok() && good.check_length(10, true).is_ok());
    let named = decide(POLICY, &[("key", "${filename}")], NOW).expect("allowed");
    assert_eq!(named.key, "foo.txt");
    let code = |policy: &str, more: &[_]| decide(policy, more, NOW).map(|_| ());
    assert_eq!(code(POLICY, &[]), Err("InvalidArgument"), "no key");
    assert_eq!(code(POLICY, &[("key", "bar")]), Err("AccessDenied"));
    assert_eq!(code(POLICY, &[key, ("x-amz-meta-a", "b")]), Err("AccessDenied"));
    assert_eq!(code(POLICY, &[key, ("aCl", "public-read")]), Err("AccessDenied"));
    assert_eq!(code(POLICY, &[key, ("signature", "AAAA")]), Err("SignatureDoesNotMatch"));
    assert_eq!(code(POLICY, &[key, ("AWSAccessKeyId", "x")]), Err("InvalidAccessKeyId"));
    assert_eq!(decide(POLICY, &[key], "20260101T120000Z").map(|_| ()), Err("AccessDenied"));
    assert_eq!(code(&POLICY.replace("bUcKeT", "x-other"), &[key]), Err("AccessDenied"));
    assert_eq!(code(&POLICY.replace("\"bucket\"}", "\"other\"}"), &[key]), Err("AccessDenied"));
    let listed = POLICY.replace("{\"acl\":\"private\"}", "[\"eq\",\"$acl\",\"private\"]");
    assert_eq!(code(&listed, &[key]), Ok(()));
    for (from, to) in [
        ("expiration", "EXPIRATION"),
        ("conditions", "CONDITIONS"),
        ("2026-01-01T12", "2026-01-01 12"),
        ("{\"acl\":\"private\"}", "{}"),
        (",2,", ",-2,"),
        (",2,\"10\"", ",2"),
        ("\"$KeY\"", "\"KeY\""),
        ("StArTs-WiTh", "ends-with"),
        ("]}", ""),
    ] {
        assert_eq!(code(&POLICY.replace(from, to), &[key]), Err("InvalidPolicyDocument"), "{from}");
    }
}

#[test]
fn a_form_without_policy_is_anonymous_and_one_that_is_half_signed_is_refused() {
    let ask = |pairs: &[(&str, &str)], settings: &Settings| {
        authorise(&fields(pairs), "bucket", &example(), settings, at("20260101T120000Z"))
            .map(|upload| upload.sender.scheme)
            .map_err(|error| error.code)
    };
    assert_eq!(ask(&[("key", "k")], &old()), Ok(Scheme::Anonymous));
    assert_eq!(ask(&[("key", "k"), ("signature", "s")], &old()), Err("InvalidArgument"));
    let half = [("key", "k"), ("policy", "p"), ("AWSAccessKeyId", ID)];
    assert_eq!(ask(&half, &old()), Err("InvalidArgument"));
    assert_eq!(ask(&half, &Settings::default()), Err("InvalidRequest"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn content_of_any_kind_comes_back(content in "[-xy\r\nab]{0,60}", step in 1_usize..20) {
        prop_assume!(!format!("\r\n{content}\r\n").contains("\r\n--x-y"));
        let body = format!("{}{}", field("key", "k"), file(&content));
        let (_, found) = parse(TYPE, body.as_bytes(), step).expect("a form");
        prop_assert_eq!(String::from_utf8_lossy(&found), content);
    }

    #[test]
    fn hostile_forms_never_panic(body in "(--x-y|\r\n|Content-Disposition: |form-data; |name=|\"|file|[ -~]){0,40}", policy in "[ -~]{0,60}") {
        let _ = parse(TYPE, body.as_bytes(), 3);
        let _ = decide(&policy, &[("key", "foo")], "20260101T115959Z");
    }
}
