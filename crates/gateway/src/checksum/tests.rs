//! Tests of digests: known values, combination, and what requests say of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::prelude::*;

use super::*;
use crate::s3::auth::Trailers;
use crate::step::{Framing, Head};

fn sums(wanted: Wanted, content: &[u8], step: usize) -> Sums {
    let mut digests = Digests::new(wanted);
    content.chunks(step.max(1)).for_each(|piece| digests.update(piece));
    digests.finish()
}

fn everything() -> Wanted {
    ALGORITHMS.into_iter().fold(Wanted::tag(), Wanted::and)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_check_values_of_each_algorithm_come_out() {
    let found = sums(everything(), b"123456789", 2);
    assert_eq!(found.length, 9);
    assert_eq!(hex(&found.md5.expect("wanted")), "25f9e794323b453885f5181f1b624d0b");
    for (algorithm, value) in [
        (Algorithm::Crc32, "cbf43926"),
        (Algorithm::Crc32c, "e3069283"),
        (Algorithm::Crc64Nvme, "ae8b14860a799888"),
        (Algorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        (Algorithm::Sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
    ] {
        assert_eq!(hex(found.get(algorithm).expect("wanted")), value, "{algorithm:?}");
        assert_eq!(parse(&name(algorithm).to_lowercase()), Some(algorithm));
    }
    let few = sums(Wanted::default().and(Algorithm::Crc32), b"x", 1);
    assert_eq!((few.md5, few.checksums.len()), (None, 1));
}

#[test]
fn composites_are_checksums_of_checksums() {
    let part = sums(everything(), &[b'A'; 1024], 100);
    let sha = part.get(Algorithm::Sha256).expect("wanted");
    assert_eq!(BASE64.encode(sha), "arcu6553sHVAiX4MjW0j7I7vD4w6R+Gz9Ok0Q9lTa+0=");
    let one = composite(Algorithm::Sha256, [sha]);
    assert_eq!(BASE64.encode(one), "Ok6Cs5b96ux6+MWQkJO7UBT5sKPBeXBLwvj/hK89smg=");
    assert_eq!(combine(Algorithm::Sha256, &[(sha, 1024)]), None);
    assert_eq!(combine(Algorithm::Crc32, &[(b"abc", 3)]), None, "a value of another length");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn parts_combine_to_the_whole(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..5)) {
        let whole = sums(everything(), &parts.concat(), 37);
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let each: Vec<Sums> = parts.iter().map(|part| sums(everything(), part, 99)).collect();
            let values: Vec<_> =
                each.iter().map(|part| (part.get(algorithm).expect("wanted"), part.length)).collect();
            let combined = combine(algorithm, &values);
            prop_assert_eq!(combined.as_deref(), whole.get(algorithm));
        }
    }
}

fn expected(headers: &[(&str, &str)]) -> Result<Expected, String> {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    let head = Head {
        method: "PUT",
        path: "/b/k",
        query: "",
        headers: &headers,
        framing: Framing::Length(3),
    };
    Expected::from_head(&head).map_err(|error| error.code.to_owned())
}

#[test]
fn what_is_said_must_be_what_comes() {
    let verify = |headers: &[(&str, &str)], trailers: &[(&str, &str)]| {
        let expected = expected(headers)?;
        let found = sums(expected.wanted(true), b"bar", 2);
        let trailers = trailers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let trailers = Trailers(trailers.collect());
        expected.verify(&found, &trailers).map_err(|error| error.code.to_owned())
    };
    let crc = ("x-amz-checksum-crc32", "dv+Mqg==");
    let sha = ("x-amz-checksum-sha1", "Ys23Ag/5IOWqZCw9QGaVDdHwH00=");
    let sdk = ("x-amz-sdk-checksum-algorithm", "CRC32");
    let md5 = ("Content-MD5", "N7UdGUp1E+RbVvZSTy1R8g==");
    let trailer = ("x-amz-trailer", "x-amz-checksum-crc32");
    let refused = |code: &str| Err(code.to_owned());
    let kept = verify(&[crc, sdk], &[]).expect("as said").expect("kept");
    assert_eq!((kept.algorithm, kept.value.len()), (Algorithm::Crc32, 4));
    assert_eq!(verify(&[md5], &[]), Ok(None));
    assert!(verify(&[trailer, sdk], &[crc]).expect("as said").is_some());
    assert_eq!(verify(&[trailer], &[]), refused("MalformedTrailerError"));
    assert_eq!(verify(&[trailer], &[("x-amz-checksum-crc32", "AAAAAA==")]), refused("BadDigest"));
    assert_eq!(verify(&[("x-amz-checksum-crc32", "AAAAAA==")], &[]), refused("BadDigest"));
    assert_eq!(verify(&[("x-amz-checksum-sha256", "bad")], &[]), refused("BadDigest"));
    assert_eq!(verify(&[("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==")], &[]), refused("BadDigest"));
    assert_eq!(verify(&[("Content-MD5", "")], &[]), refused("InvalidDigest"));
    assert_eq!(verify(&[("Content-MD5", "YWJyYWNhZGFicmE=")], &[]), refused("InvalidDigest"));
    assert_eq!(verify(&[crc, sha], &[]), refused("InvalidRequest"));
    assert_eq!(verify(&[crc, trailer], &[]), refused("InvalidRequest"));
    assert_eq!(verify(&[sha, sdk], &[]), refused("InvalidRequest"));
    assert_eq!(verify(&[sdk], &[]), refused("InvalidRequest"));
    assert_eq!(verify(&[("x-amz-trailer", "x-other")], &[]), refused("InvalidRequest"));
}

#[test]
fn a_checksum_can_be_wanted_where_none_is_said() {
    let expected = expected(&[]).expect("nothing is said").or(Algorithm::Crc64Nvme);
    let found = sums(expected.wanted(true), b"bar", 1);
    let kept = expected.verify(&found, &Trailers::default()).expect("nothing to differ from");
    assert_eq!(kept.expect("kept").algorithm, Algorithm::Crc64Nvme);
}
