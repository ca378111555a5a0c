//! Keys of the index's tables: their bytes are in the order that lists have.

use crate::entry::Sequence;
use crate::mutation::UploadId;
use crate::name::BucketId;

/// The key of a current version: the bucket, then the key as it is.
pub fn current(bucket: BucketId, key: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + key.len());
    bytes.extend_from_slice(&bucket.0.to_be_bytes());
    bytes.extend_from_slice(key.as_bytes());
    bytes
}

/// The object's key in the key of a current version.
pub fn key_of_current(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes.get(4..)?).ok()
}

/// What all keys of an object's other versions, or of its uploads, begin with: the
/// bucket, then the key with 0 as 0 255, ended by 0 1.
pub fn object(bucket: BucketId, key: &str) -> Vec<u8> {
    let mut bytes = open(bucket, key.as_bytes());
    bytes.extend_from_slice(&[0, 1]);
    bytes
}

/// The same without the end: what keys begin with whose object's key begins so.
pub fn open(bucket: BucketId, prefix: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(14 + prefix.len());
    bytes.extend_from_slice(&bucket.0.to_be_bytes());
    for byte in prefix {
        bytes.push(*byte);
        if *byte == 0 {
            bytes.push(255);
        }
    }
    bytes
}

/// The key of a version that is not current: newest first.
pub fn version(bucket: BucketId, key: &str, sequence: Sequence) -> Vec<u8> {
    let mut bytes = object(bucket, key);
    bytes.extend_from_slice(&(!sequence.0).to_be_bytes());
    bytes
}

/// The key of an upload: oldest first.
pub fn upload(bucket: BucketId, key: &str, upload: UploadId) -> Vec<u8> {
    let mut bytes = object(bucket, key);
    bytes.extend_from_slice(&upload.0.0.to_be_bytes());
    bytes
}

/// The object's key and the number at the end of such a key, as it is there.
pub fn split(bytes: &[u8]) -> Option<(String, u64)> {
    let (head, number) = bytes.split_last_chunk::<8>()?;
    let escaped = head.get(4..)?.strip_suffix(&[0, 1])?;
    let mut key = Vec::with_capacity(escaped.len());
    let mut rest = escaped.iter();
    while let Some(byte) = rest.next() {
        key.push(*byte);
        if *byte == 0 && rest.next() != Some(&255) {
            return None;
        }
    }
    Some((String::from_utf8(key).ok()?, u64::from_be_bytes(*number)))
}

/// The key of a part.
pub fn part(upload: Sequence, number: u16) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&upload.0.to_be_bytes());
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// The first bytes that are behind all that begin so; `None` when nothing is.
pub fn behind(prefix: &[u8]) -> Option<Vec<u8>> {
    let keep = prefix.iter().rposition(|byte| *byte < 255)?;
    let mut bytes = prefix[..=keep].to_vec();
    bytes[keep] += 1;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_of_versions_are_in_the_order_of_keys_then_newest_first(
            one in "[\\x00-\\x02a\u{ff}]{1,4}", other in "[\\x00-\\x02a\u{ff}]{1,4}",
            older in 0..u64::MAX, newer in 0..u64::MAX,
        ) {
            let bucket = BucketId(3);
            let wanted = one.as_bytes().cmp(other.as_bytes()).then(newer.cmp(&older));
            let seen = version(bucket, &one, Sequence(older)).cmp(&version(bucket, &other, Sequence(newer)));
            prop_assert_eq!(seen, wanted);
            let back = split(&version(bucket, &one, Sequence(older)));
            prop_assert_eq!(back, Some((one.clone(), !older)));
            prop_assert!(version(bucket, &one, Sequence(older)).starts_with(&open(bucket, one.as_bytes())));
        }

        #[test]
        fn what_is_behind_a_prefix_is_behind_all_of_it(prefix in prop::collection::vec(any::<u8>(), 0..5), more in prop::collection::vec(any::<u8>(), 0..5)) {
            let whole = [prefix.clone(), more].concat();
            match behind(&prefix) {
                Some(behind) => prop_assert!(whole < behind && !behind.starts_with(&prefix)),
                None => prop_assert!(prefix.iter().all(|byte| *byte == 255)),
            }
        }

        #[test]
        fn any_bytes_split_or_do_not(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = split(&bytes);
        }
    }
}
