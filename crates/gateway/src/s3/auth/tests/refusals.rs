//! Requests that are refused, each with the code that the service has for it.

use proptest::prelude::*;

use super::*;

const STAMP: &str = "20260101T120000Z";

fn good() -> Sent {
    let mut sent = Sent::new("GET", "/bucket/key", &[("Host", "h"), ("x-amz-meta-a", "b")]);
    sign(&mut sent, STAMP, "UNSIGNED-PAYLOAD");
    sent
}

fn refused(sent: &Sent) -> (u16, &'static str) {
    let refused = sent.check(&Settings::default(), at(STAMP)).expect_err("refused");
    (refused.status, refused.code)
}

fn authorization(change: impl FnOnce(String) -> String) -> Sent {
    let mut sent = good();
    let value = sent.headers.iter().find(|(name, _)| name == "Authorization");
    let changed = change(value.expect("signed").1.clone());
    sent.set("Authorization", &changed);
    sent
}

#[test]
fn a_good_request_passes_and_one_without_signature_is_anonymous() {
    let found = good().check(&Settings::default(), at("20260101T121459Z")).expect("good");
    assert_eq!(found.age, model::Duration::from_secs(899));
    let none = Sent::new("GET", "/b/k", &[]).check(&Settings::default(), at(STAMP));
    let none = none.expect("no signature is no error");
    assert_eq!((none.principal(), none.scheme), (&Principal::Anonymous, Scheme::Anonymous));
}

#[test]
fn malformed_authorizations() {
    let malformed = (400, "AuthorizationHeaderMalformed");
    assert_eq!(refused(&authorization(|_| String::new())), (403, "AccessDenied"));
    assert_eq!(refused(&authorization(|_| "Bearer x".into())), (400, "InvalidArgument"));
    assert_eq!(refused(&authorization(|_| "AWS4-HMAC-SHA256 ".into())), (400, "InvalidArgument"));
    assert_eq!(refused(&authorization(|_| "AWS4-HMAC-SHA256 x".into())), malformed);
    assert_eq!(refused(&authorization(|_| "AWS HAHAHA".into())), (400, "InvalidRequest"));
    for (from, to) in [
        ("Signature=", "Sign="),
        ("SignedHeaders=", "Signature="),
        ("/s3/", "/ec2/"),
        ("/aws4_request", "/aws5_request"),
        ("/20260101/", "/2026010/"),
        ("/20260101/", "/20260102/"),
        ("us-east-1", ""),
    ] {
        assert_eq!(refused(&authorization(|text| text.replacen(from, to, 1))), malformed, "{from}");
    }
    let mut both = good();
    both.query = "X-Amz-Algorithm=AWS4-HMAC-SHA256".into();
    assert_eq!(refused(&both), (400, "InvalidArgument"));
    let mut twice = good();
    twice.headers.push(("authorization".into(), "x".into()));
    assert_eq!(refused(&twice), (400, "InvalidArgument"));
}

#[test]
fn unknown_suspended_and_wrong_keys() {
    let mismatch = (403, "SignatureDoesNotMatch");
    assert_eq!(refused(&authorization(|text| text.replace(ID, "NOBODY"))).1, "InvalidAccessKeyId");
    let mut suspended = good();
    sign_as(&mut suspended, STAMP, "UNSIGNED-PAYLOAD", "SUSPENDED", "us-east-1");
    assert_eq!(refused(&suspended), (403, "AccountProblem"));
    assert_eq!(refused(&authorization(|text| format!("{text}0"))), mismatch);
    assert_eq!(refused(&authorization(|text| text.replace("us-east-1", "us-east-2"))), mismatch);
}

#[test]
fn headers_must_be_there_and_signed() {
    let mut changed = good();
    changed.set("x-amz-meta-a", "c");
    assert_eq!(refused(&changed).1, "SignatureDoesNotMatch");
    let mut added = good();
    added.set("X-Amz-Acl", "public-read");
    let error = added.check(&Settings::default(), at(STAMP)).expect_err("refused");
    assert_eq!((error.status, error.code), (403, "AccessDenied"));
    assert_eq!(error.details, [("HeadersNotSigned", "x-amz-acl".to_owned())]);
    let mut gone = good();
    gone.headers.retain(|(name, _)| name != "x-amz-meta-a");
    assert_eq!(refused(&gone).1, "SignatureDoesNotMatch");
    let no_host = authorization(|text| text.replace("host;", ""));
    assert_eq!(refused(&no_host), (403, "AccessDenied"));
    let mut no_hash = good();
    no_hash.headers.retain(|(name, _)| name != "x-amz-content-sha256");
    assert_eq!(refused(&no_hash), (400, "InvalidRequest"));
    for word in ["x", "STREAMING-AWS4-HMAC-SHA256", &NOTHING[1..]] {
        let mut odd = Sent::new("PUT", "/b/k", &[("Host", "h")]);
        sign(&mut odd, STAMP, word);
        assert_eq!(refused(&odd), (400, "InvalidArgument"), "{word}");
    }
}

#[test]
fn clocks_may_differ_by_a_quarter_of_an_hour() {
    for (stamp, passes) in [
        ("20260101T114500Z", true),
        ("20260101T114459Z", false),
        ("20260101T121500Z", true),
        ("20260101T121501Z", false),
    ] {
        let mut sent = Sent::new("GET", "/b", &[("Host", "h")]);
        sign(&mut sent, stamp, "UNSIGNED-PAYLOAD");
        let found = sent.check(&Settings::default(), at(STAMP)).map_err(|error| error.code);
        assert_eq!(found.map(|_| ()), if passes { Ok(()) } else { Err("RequestTimeTooSkewed") });
    }
    let mut sent = good();
    sent.set("x-amz-date", "Bad Date");
    assert_eq!(refused(&sent), (403, "AccessDenied"));
}

#[test]
fn another_region_is_told_ours_where_that_is_wanted() {
    let strict = Settings { strict_region: true, ..Settings::default() };
    let mut sent = Sent::new("GET", "/b", &[("Host", "h")]);
    sign_as(&mut sent, STAMP, "UNSIGNED-PAYLOAD", ID, "eu-west-1");
    sent.check(&Settings::default(), at(STAMP)).expect("any region will do");
    let error = sent.check(&strict, at(STAMP)).expect_err("not here");
    assert_eq!((error.status, error.code), (400, "AuthorizationHeaderMalformed"));
    assert_eq!(error.details, [("Region", "us-east-1".to_owned())]);
    good().check(&strict, at(STAMP)).expect("ours");
}

#[test]
fn presigned_requests_have_limits() {
    let query = |expires: &str| {
        format!(
            "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={ID}%2F20260101%2Fus-east-1%2Fs3\
             %2Faws4_request&X-Amz-Date={STAMP}&X-Amz-Expires={expires}&X-Amz-SignedHeaders=host\
             &X-Amz-Signature={NOTHING}"
        )
    };
    let ask = |target: &str| refused(&Sent::new("GET", target, &[("Host", "h")]));
    let bad = "AuthorizationQueryParametersError";
    assert_eq!(ask(&query("60")), (403, "SignatureDoesNotMatch"));
    assert_eq!(ask(&query("0")), (403, "AccessDenied"));
    assert_eq!(ask(&query("604800")), (403, "SignatureDoesNotMatch"));
    assert_eq!(ask(&query("604801")), (403, bad));
    assert_eq!(ask(&query("-7")), (403, bad));
    assert_eq!(ask(&query("soon")), (400, bad));
    assert_eq!(ask(&query("60").replace("Algorithm=AWS4", "Algorithm=AWS5")), (400, bad));
    assert_eq!(ask(&query("60").replace(STAMP, "20260102T120000Z")), (400, bad));
    for name in ["Credential", "Date", "Expires", "SignedHeaders", "Signature"] {
        let without = query("60").replace(&format!("X-Amz-{name}="), "X-Other=");
        assert_eq!(ask(&without), (400, bad), "{name}");
    }
}

#[test]
fn a_session_signs_with_its_token_only() {
    let accounts = example();
    let session = accounts.new_session(ID, at("20260101T130000Z")).expect("made");
    let snapshot = accounts.snapshot();
    let ready = |token: Option<&str>, now| {
        let whole = format!("{}/20260101/us-east-1/s3/aws4_request", session.id);
        let credential =
            signing::Credential::parse(&whole, &Settings::default(), AuthError::header);
        let found = signing::ready(&credential.expect("good"), token, &accounts, at(now));
        found.map(|ready| ready.session).map_err(|error| error.code)
    };
    assert!(snapshot.key(&session.id).is_none());
    for _ in 0..2 {
        assert_eq!(ready(Some(&session.token), STAMP), Ok(true));
    }
    assert_eq!(ready(None, STAMP), Err("InvalidAccessKeyId"));
    assert_eq!(ready(Some("x"), STAMP), Err("InvalidToken"));
    assert_eq!(ready(Some(&session.token), "20260101T130000Z"), Err("ExpiredToken"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nothing_that_is_sent_makes_it_panic(
        authorization in "(AWS4-HMAC-SHA256 |AWS )?[ -~]{0,120}",
        query in "(X-Amz-[A-Za-z]{4,10}=[ -~]{0,20}&|[ -~]{0,10}&){0,6}",
        path in "/[ -~ü]{0,40}", dated in "[ -~]{0,24}", hash in "[ -~]{0,70}",
    ) {
        let headers = [("authorization", authorization.as_str()), ("x-amz-date", &dated),
            ("x-amz-content-sha256", &hash), ("host", "h")];
        for settings in [Settings::default(), old()] {
            let sent = Sent::new("GET", &format!("{path}?{query}"), &headers);
            let _ = sent.check(&settings, at(STAMP));
            let _ = Sent::new("GET", &format!("{path}?{query}"), &headers[1..]).check(&settings, at(STAMP));
        }
    }

    #[test]
    fn every_path_and_query_that_is_signed_passes(
        path in "/[a-zA-Z0-9._~/-]{0,20}(%[0-9A-F]{2}){0,5}", name in "[a-z]{1,5}", value in "([a-z]|%2B|%2F|%20){0,6}",
    ) {
        let mut sent = Sent::new("GET", &format!("{path}?{name}={value}&acl"), &[("Host", "h")]);
        sign(&mut sent, STAMP, "UNSIGNED-PAYLOAD");
        prop_assert!(sent.check(&Settings::default(), at(STAMP)).is_ok());
        sent.path.push('a');
        prop_assert!(sent.check(&Settings::default(), at(STAMP)).is_err());
    }
}
