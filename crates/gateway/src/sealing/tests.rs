//! Tests of the encryption of bodies: every range comes back, nothing else opens.

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::step::Open as _;

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251) as u8).collect()
}

fn seal(key: &BodyKey, content: &[u8], step: usize) -> Vec<u8> {
    let (mut sealer, mut stored) = (Sealer::new(key), Vec::new());
    for piece in content.chunks(step.max(1)) {
        sealer.take(piece, &mut stored);
    }
    sealer.finish(&mut stored);
    assert_eq!(stored.len() as u64, sealed_length(content.len() as u64));
    stored
}

fn read(
    key: BodyKey,
    parts: &[u64],
    stored: &[u8],
    range: std::ops::Range<u64>,
    step: usize,
) -> Result<Vec<u8>, String> {
    let mut plan = plan(key, parts, range);
    let mut found = Vec::new();
    for piece in plan.stored {
        for bytes in stored[piece.start as usize..piece.end as usize].chunks(step.max(1)) {
            plan.opener.open(bytes, &mut found)?;
        }
    }
    Ok(found)
}

fn fixed() -> KeyProvider {
    KeyProvider::from_key(&[7; 32])
}

fn again(sealing: &object::entry::Sealing) -> BodyKey {
    unseal(&fixed(), sealing, None).expect("our own key opens")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_range_of_every_layout_comes_back(
        sizes in prop::collection::vec(0_usize..200_000, 1..4),
        from in 0.0_f64..1.0, to in 0.0_f64..1.0, step in 1_usize..150_000,
    ) {
        let key = BodyKey::new();
        let sealing = seal_ours(&fixed(), &key, "AES256", None);
        let whole = content(sizes.iter().sum());
        let (mut stored, mut rest) = (Vec::new(), whole.as_slice());
        for size in &sizes {
            let (part, after) = rest.split_at(*size);
            stored.extend(seal(&key, part, step));
            rest = after;
        }
        let parts: Vec<u64> = sizes.iter().map(|size| *size as u64).collect();
        let (a, b) = ((from * whole.len() as f64) as usize, (to * whole.len() as f64) as usize);
        let range = a.min(b)..a.max(b);
        let found = read(again(&sealing), &parts, &stored, range.start as u64..range.end as u64, step);
        prop_assert_eq!(found.expect("what was sealed opens"), &whole[range]);
    }
}

#[test]
fn a_changed_byte_a_moved_unit_and_another_key_do_not_open() {
    let key = BodyKey::new();
    let sealing = seal_ours(&fixed(), &key, "aws:kms", Some("mine"));
    let whole = content(3 * UNIT);
    let stored = seal(&key, &whole, 1 << 20);
    let length = whole.len() as u64;
    assert_eq!(read(again(&sealing), &[length], &stored, 0..length, 1 << 20), Ok(whole));
    for at in [0, SALT, SALT + UNIT, stored.len() - 1] {
        let mut changed = stored.clone();
        changed[at] ^= 1;
        read(again(&sealing), &[length], &changed, 0..length, 1 << 20).expect_err("changed");
    }
    let mut moved = stored.clone();
    let sealed = UNIT + TAG;
    moved.copy_within(SALT..SALT + sealed, SALT + sealed);
    read(again(&sealing), &[length], &moved, 0..length, 1 << 20).expect_err("moved");
    read(BodyKey::new(), &[length], &stored, 0..length, 1 << 20).expect_err("another key");
}

#[test]
fn a_clients_key_is_needed_and_must_be_the_same() {
    let client = |byte| ClientKey::new(Zeroizing::new([byte; 32]));
    let body = BodyKey::new();
    let theirs = seal_theirs(&client(1), &body);
    let ours = seal_ours(&fixed(), &body, "AES256", None);
    fn refused(sealing: &object::entry::Sealing, client: Option<&ClientKey>) -> SealError {
        unseal(&fixed(), sealing, client).expect_err("refused")
    }
    assert_eq!(refused(&theirs, None), SealError::KeyNeeded);
    assert_eq!(refused(&theirs, Some(&client(2))), SealError::WrongKey);
    assert_eq!(refused(&ours, Some(&client(1))), SealError::KeyNotNeeded);
    unseal(&fixed(), &theirs, Some(&client(1))).expect("the same key opens");
    let other = KeyProvider::from_key(&[8; 32]);
    assert_eq!(unseal(&other, &ours, None).expect_err("refused"), SealError::Damaged);
}

#[test]
fn a_wrapped_secret_opens_for_its_purpose_only() {
    let keys = fixed();
    let wrapped = keys.wrap(Purpose::Named("a"), b"secret");
    assert_eq!(keys.unwrap(Purpose::Named("a"), &wrapped).expect("opens").as_slice(), b"secret");
    assert!(keys.unwrap(Purpose::Named("b"), &wrapped).is_err());
    assert!(keys.unwrap(Purpose::Body, &wrapped).is_err());
    for length in 0..wrapped.len() {
        assert!(keys.unwrap(Purpose::Named("a"), &wrapped[..length]).is_err());
    }
    assert_ne!(wrapped, keys.wrap(Purpose::Named("a"), b"secret"), "each has a salt of its own");
}

#[test]
fn a_providers_file_is_private_and_opens_again() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = std::env::temp_dir().join(format!("bedplate-keys-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    let first = KeyProvider::open(&directory).expect("made");
    let wrapped = first.wrap(Purpose::Accounts, b"x");
    let path = directory.join("keys/k000001.key");
    let mode = std::fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let second = KeyProvider::open(&directory).expect("read");
    assert_eq!(second.unwrap(Purpose::Accounts, &wrapped).expect("opens").as_slice(), b"x");
    std::fs::write(&path, b"short").expect("written");
    assert!(matches!(KeyProvider::open(&directory), Err(KeyError::Damaged { .. })));
    let _ = std::fs::remove_dir_all(&directory);
}
