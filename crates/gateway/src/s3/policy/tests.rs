//! Tests of policies: what is understood, what is refused, and which values conditions
//! see.

use object::access::Principal;
use proptest::prelude::*;

use super::*;
use crate::s3::auth::{Payload, Scheme};
use crate::step::Framing;

fn one(fields: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{{{fields}}}]}}"#)
}

const GOOD: &str = r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*""#;

fn refused(text: &str) -> String {
    let error = parse(text, "bucket").expect_err(text);
    assert_eq!((error.status, error.code), (400, "MalformedPolicy"), "{text}");
    error.message.into_owned()
}

#[test]
fn a_policy_is_understood() {
    let text = one(
        r#""Sid":"a","Effect":"Deny","NotPrincipal":{"AWS":["arn:aws:iam::t:root","arn:aws:iam::t:user/x/ann","123"],"CanonicalUser":"abc"},
        "NotAction":["s3:Get*","S3:List*"],"Resource":["arn:aws:s3:::bucket","arn:aws:s3:::buck*/a/${aws:username}/*"],
        "Condition":{"Bool":{"aws:SecureTransport":false},"NumericLessThan":{"s3:max-keys":[10,"20"]}}"#,
    );
    let policy = parse(&text, "bucket").expect("good");
    assert_eq!(&*policy.text, text);
    let found = &policy.statements[0];
    assert!(!found.allow);
    let names = ["t", "t$ann", "123", "abc"].map(Into::into).to_vec();
    assert_eq!(found.principals, Principals::AllBut(names));
    assert_eq!(found.actions, Patterns::None(vec!["s3:Get*".into(), "S3:List*".into()]));
    let resources = vec!["bucket".into(), "buck*/a/${aws:username}/*".into()];
    assert_eq!(found.resources, Patterns::Any(resources));
    assert_eq!(&*found.conditions[0].values, ["false".into()]);
    assert_eq!(&*found.conditions[1].values, ["10".into(), "20".into()]);
    let old = text.replace("2012-10-17", "2008-10-17");
    let old = parse(&old, "bucket").expect("good");
    let Patterns::Any(resources) = &old.statements[0].resources else { panic!("{old:?}") };
    assert_eq!(&*resources[1], "buck*/a/${$}{aws:username}/*", "no variables in the old version");
}

#[test]
fn what_is_no_policy_is_refused() {
    parse(&one(GOOD), "bucket").expect("good");
    for text in ["", "[]", "{", r#"{"Version":"2012-10-17"}"#, r#"{"Statement":[]}"#] {
        refused(text);
    }
    refused(&one(GOOD).replace("2012-10-17", "2013-01-01"));
    for (from, to) in [
        ("Allow", "Maybe"),
        ("\"Principal\":\"*\",", ""),
        ("\"Principal\":\"*\"", "\"Principal\":\"ann\""),
        ("\"Principal\":\"*\"", "\"Principal\":{\"AWS\":\"arn:aws:iam::x\"}"),
        ("\"Principal\":\"*\"", "\"Principal\":{}"),
        ("\"Principal\":\"*\"", "\"NotPrincipal\":{\"AWS\":\"1\"}"),
        ("s3:GetObject", "ec2:Start"),
        ("s3:GetObject", "s3:"),
        ("\"s3:GetObject\"", "[]"),
        ("\"s3:GetObject\"", "7"),
        ("arn:aws:s3:::bucket/*", "arn:aws:s3:::other/*"),
        ("arn:aws:s3:::bucket/*", "bucket/*"),
        ("\"Effect\"", "\"Else\":1,\"Effect\""),
        ("\"Effect\"", "\"Condition\":{\"StringSmells\":{\"aws:a\":\"b\"}},\"Effect\""),
        ("\"Effect\"", "\"Condition\":{\"StringLike\":{\"a\":\"b\"}},\"Effect\""),
        ("\"Effect\"", "\"Condition\":{\"StringLike\":{\"aws:a\":{}}},\"Effect\""),
        ("\"Effect\"", "\"NotAction\":\"s3:*\",\"Effect\""),
    ] {
        let changed = one(GOOD).replace(from, to);
        assert_ne!(changed, one(GOOD), "{from}");
        refused(&changed);
    }
    refused(&format!("{}{}", one(GOOD), " ".repeat(LARGEST)));
    refused(&"[".repeat(10_000));
}

#[test]
fn fixed_sources_limit_and_wide_ones_do_not() {
    let check = |operator: &str, key: &str, value: &str| {
        limits(&Condition {
            operator: operator.into(),
            key: key.into(),
            values: vec![value.into()],
        })
    };
    assert!(check("IpAddress", "aws:SourceIp", "10.0.0.0/32"));
    assert!(!check("IpAddress", "aws:SourceIp", "0.0.0.0/0"));
    assert!(!check("NotIpAddress", "aws:SourceIp", "10.0.0.0/32"));
    assert!(check("StringEquals", "AWS:PrincipalOrgID", "o-1"));
    assert!(!check("StringLike", "aws:PrincipalOrgID", "o-*"));
    assert!(!check("StringEquals", "s3:prefix", "a"));
}

#[test]
fn conditions_see_the_values_of_a_request() {
    let headers: [(&str, &[u8]); 4] = [
        ("X-Amz-Acl", b"public-read"),
        ("Referer", b"http://a/"),
        ("x-amz-copy-source", b"/src/a%20b?versionId=1"),
        ("x-amz-object-lock-mode", b"GOVERNANCE"),
    ];
    let head = Head {
        method: "GET",
        path: "/bucket",
        query: "prefix=a%2Fb&max-keys=7&versionId=v",
        headers: &headers,
        framing: Framing::None,
    };
    let peer = Peer { address: "::ffff:10.0.0.1".parse().expect("an address"), tls: true };
    let sender = Authenticated {
        key: None,
        scheme: Scheme::Anonymous,
        version: 0,
        session: false,
        age: model::Duration::ZERO,
        payload: Payload::Unsigned,
    };
    assert_eq!(*sender.principal(), Principal::Anonymous);
    let tags = [("Security".into(), "public".into())];
    let context = Context {
        head: &head,
        peer: &peer,
        sender: &sender,
        now: Timestamp::from_micros(1_795_243_029_000_000),
        existing_tags: &tags,
        request_tags: &tags,
        more: &[("aws:resourceaccount", "me".into())],
    };
    for (key, values) in [
        ("s3:x-amz-acl", &["public-read"] as &[&str]),
        ("aws:Referer", &["http://a/"]),
        ("aws:SourceIp", &["10.0.0.1"]),
        ("aws:SecureTransport", &["true"]),
        ("aws:CurrentTime", &["2026-11-21T06:37:09Z"]),
        ("aws:EpochTime", &["1795243029"]),
        ("aws:PrincipalType", &["Anonymous"]),
        ("aws:username", &[]),
        ("s3:prefix", &["a/b"]),
        ("s3:max-keys", &["7"]),
        ("s3:delimiter", &[]),
        ("s3:VersionId", &["v"]),
        ("s3:ExistingObjectTag/Security", &["public"]),
        ("s3:ExistingObjectTag/security", &[]),
        ("s3:RequestObjectTagKeys", &["Security"]),
        ("s3:x-amz-copy-source", &["/src/a b", "src/a b"]),
        ("s3:object-lock-mode", &["GOVERNANCE"]),
        ("aws:ResourceAccount", &["me"]),
        ("s3:signatureAge", &[]),
    ] {
        assert_eq!(context.values(key), values, "{key}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_text_makes_the_reader_panic(text in "[\\[\\]{}\":,a-zA-Z0-9*$ .]{0,200}", cut in 0_usize..300) {
        let _ = parse(&text, "bucket");
        let good = one(GOOD);
        let at = (0..=cut.min(good.len())).rev().find(|at| good.is_char_boundary(*at)).unwrap_or(0);
        let _ = parse(&format!("{}{text}", &good[..at]), "bucket");
    }
}
