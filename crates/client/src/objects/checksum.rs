//! Checksums of content: what is sent carries one, and what comes is compared with the
//! one that was kept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::{CrcAlgorithm, Digest};
use md5::Digest as _;

use super::ObjectHead;
use super::sign::hex;

/// The header of the checksum that is sent.
pub const HEADER: &str = "x-amz-checksum-crc64nvme";

/// CRC-64/NVME.
pub fn crc64(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes)
}

/// The CRC-64/NVME of two contents, one behind the other.
pub fn joined(first: u64, second: u64, second_length: u64) -> u64 {
    crc_fast::checksum_combine(CrcAlgorithm::Crc64Nvme, first, second, second_length)
}

/// As it stands in a header.
pub fn told(crc: u64) -> String {
    STANDARD.encode(crc.to_be_bytes())
}

/// Content that is compared as it comes.
pub struct Comparison {
    /// What it is compared by: `CRC64NVME`, `MD5`, …
    pub by: &'static str,
    wanted: String,
    state: State,
}

enum State {
    /// With the width of its value in bytes.
    Crc(Box<Digest>, usize),
    Sha256(ring::digest::Context),
    Md5(md5::Md5),
}

const CRCS: [(&str, CrcAlgorithm, usize); 3] = [
    ("CRC64NVME", CrcAlgorithm::Crc64Nvme, 8),
    ("CRC32C", CrcAlgorithm::Crc32Iscsi, 4),
    ("CRC32", CrcAlgorithm::Crc32IsoHdlc, 4),
];

impl Comparison {
    /// With what is known of an object; `None` when nothing is known of its whole content.
    pub fn with(head: &ObjectHead) -> Option<Self> {
        let whole = head.checksum_type.as_deref() != Some("COMPOSITE");
        let known = |name: &str| head.checksums.get(name).filter(|_| whole).cloned();
        for (by, algorithm, width) in CRCS {
            if let Some(wanted) = known(by) {
                let state = State::Crc(Box::new(Digest::new(algorithm)), width);
                return Some(Self { by, wanted, state });
            }
        }
        if let Some(wanted) = known("SHA256") {
            let state = State::Sha256(ring::digest::Context::new(&ring::digest::SHA256));
            return Some(Self { by: "SHA256", wanted, state });
        }
        let plain = head.etag.len() == 32 && head.etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        let plain = plain && !head.customer_key;
        let md5 = || State::Md5(md5::Md5::new());
        plain.then(|| Self { by: "MD5", wanted: head.etag.to_ascii_lowercase(), state: md5() })
    }

    /// More of it came.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Crc(digest, _) => digest.update(bytes),
            State::Sha256(context) => context.update(bytes),
            State::Md5(digest) => digest.update(bytes),
        }
    }

    /// All of it came: whether it is what was stored.
    pub fn holds(self) -> bool {
        let counted = match self.state {
            State::Crc(digest, width) => {
                STANDARD.encode(&digest.finalize().to_be_bytes()[8 - width..])
            }
            State::Sha256(context) => STANDARD.encode(context.finish()),
            State::Md5(digest) => hex(&digest.finalize()),
        };
        counted == self.wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(name: &str, value: &str) -> ObjectHead {
        let mut head = ObjectHead::default();
        head.checksums.insert(name.to_owned(), value.to_owned());
        head
    }

    fn holds(head: &ObjectHead, content: &[u8]) -> Option<bool> {
        let mut comparison = Comparison::with(head)?;
        content.chunks(3).for_each(|part| comparison.update(part));
        Some(comparison.holds())
    }

    #[test]
    fn content_is_compared_with_what_is_known_of_it() {
        // Check values of the catalogue of CRCs, of SHA-256 and of MD5 for this content.
        let content = b"123456789";
        let known = [
            ("CRC64NVME", told(0xae8b_1486_0a79_9888)),
            ("CRC32C", STANDARD.encode(0xe306_9283_u32.to_be_bytes())),
            ("CRC32", STANDARD.encode(0xcbf4_3926_u32.to_be_bytes())),
        ];
        for (name, value) in known {
            assert_eq!(holds(&head(name, &value), content), Some(true), "{name}");
            assert_eq!(holds(&head(name, &value), b"123456780"), Some(false), "{name}");
        }
        let etag = "25f9e794323b453885f5181f1b624d0b".to_owned();
        let mut by_tag = ObjectHead { etag, ..ObjectHead::default() };
        assert_eq!(holds(&by_tag, content), Some(true));
        by_tag.etag.push_str("-2");
        assert_eq!(holds(&by_tag, content), None, "the tag of parts says nothing of the whole");
        let mut parts = head("CRC32C", "abc=-2");
        parts.checksum_type = Some("COMPOSITE".to_owned());
        assert_eq!(holds(&parts, content), None);
    }

    #[test]
    fn checksums_of_pieces_join() {
        assert_eq!(joined(crc64(b"1234"), crc64(b"56789"), 5), crc64(b"123456789"));
    }
}
