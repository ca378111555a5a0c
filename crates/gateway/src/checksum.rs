//! Digests of content: MD5 for entity tags, and the checksums that clients give or want.
//!
//! A body is hashed once, as it comes, by those that are wanted and no others; checksums
//! of parts become the whole's without looking at content again.

mod expected;

pub use expected::Expected;

use crc_fast::CrcAlgorithm;
use md5::{Digest as _, Md5};
use object::entry::Algorithm;
use ring::digest;

/// All algorithms.
pub const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme, Algorithm::Sha1, Algorithm::Sha256];

/// An algorithm's name, as requests and answers say it.
pub const fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Crc32 => "CRC32",
        Algorithm::Crc32c => "CRC32C",
        Algorithm::Crc64Nvme => "CRC64NVME",
        Algorithm::Sha1 => "SHA1",
        Algorithm::Sha256 => "SHA256",
    }
}

/// The header (or trailing header) of an algorithm's value.
pub const fn header(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Crc32 => "x-amz-checksum-crc32",
        Algorithm::Crc32c => "x-amz-checksum-crc32c",
        Algorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
        Algorithm::Sha1 => "x-amz-checksum-sha1",
        Algorithm::Sha256 => "x-amz-checksum-sha256",
    }
}

/// The element of an algorithm's value in XML.
pub const fn element(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Crc32 => "ChecksumCRC32",
        Algorithm::Crc32c => "ChecksumCRC32C",
        Algorithm::Crc64Nvme => "ChecksumCRC64NVME",
        Algorithm::Sha1 => "ChecksumSHA1",
        Algorithm::Sha256 => "ChecksumSHA256",
    }
}

/// The algorithm of a name, in any case of letters.
pub fn parse(said: &str) -> Option<Algorithm> {
    ALGORITHMS.into_iter().find(|algorithm| name(*algorithm).eq_ignore_ascii_case(said))
}

/// How many bytes an algorithm's value has.
pub const fn length(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Crc32 | Algorithm::Crc32c => 4,
        Algorithm::Crc64Nvme => 8,
        Algorithm::Sha1 => 20,
        Algorithm::Sha256 => 32,
    }
}

const fn crc(algorithm: Algorithm) -> Option<CrcAlgorithm> {
    match algorithm {
        Algorithm::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
        Algorithm::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
        Algorithm::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
        Algorithm::Sha1 | Algorithm::Sha256 => None,
    }
}

/// Which digests are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// MD5.
    pub md5: bool,
    algorithms: u8,
}

impl Wanted {
    /// MD5 and nothing else.
    pub const fn tag() -> Self {
        Self { md5: true, algorithms: 0 }
    }
    /// With this algorithm too.
    #[must_use]
    pub const fn and(mut self, algorithm: Algorithm) -> Self {
        self.algorithms |= 1 << algorithm as u8;
        self
    }
    /// Whether this algorithm is wanted.
    pub const fn has(self, algorithm: Algorithm) -> bool {
        self.algorithms & (1 << algorithm as u8) != 0
    }
}

/// Digests in the making.
pub struct Digests {
    length: u64,
    md5: Option<Md5>,
    running: Vec<(Algorithm, Running)>,
}

enum Running {
    Crc(Box<crc_fast::Digest>),
    Sha(Box<digest::Context>),
}

/// Digests of a content that has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// How long it is.
    pub length: u64,
    /// Its MD5, when that was wanted.
    pub md5: Option<[u8; 16]>,
    /// Its checksums, those that were wanted.
    pub checksums: Vec<(Algorithm, Vec<u8>)>,
}

impl Sums {
    /// The value of an algorithm that was wanted.
    pub fn get(&self, algorithm: Algorithm) -> Option<&[u8]> {
        let mut all = self.checksums.iter();
        all.find(|(known, _)| *known == algorithm).map(|(_, value)| value.as_slice())
    }
}

impl Digests {
    /// Begins.
    pub fn new(wanted: Wanted) -> Self {
        let begin = |algorithm| match (crc(algorithm), algorithm) {
            (Some(crc), _) => Running::Crc(Box::new(crc_fast::Digest::new(crc))),
            (None, Algorithm::Sha1) => {
                Running::Sha(Box::new(digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY)))
            }
            (None, _) => Running::Sha(Box::new(digest::Context::new(&digest::SHA256))),
        };
        let algorithms = ALGORITHMS.into_iter().filter(|algorithm| wanted.has(*algorithm));
        Self {
            length: 0,
            md5: wanted.md5.then(Md5::new),
            running: algorithms.map(|algorithm| (algorithm, begin(algorithm))).collect(),
        }
    }

    /// Takes content.
    pub fn update(&mut self, content: &[u8]) {
        self.length += content.len() as u64;
        if let Some(md5) = &mut self.md5 {
            md5.update(content);
        }
        for (_, running) in &mut self.running {
            match running {
                Running::Crc(crc) => crc.update(content),
                Running::Sha(sha) => sha.update(content),
            }
        }
    }

    /// All of it came.
    pub fn finish(self) -> Sums {
        let end = |(algorithm, running)| match running {
            Running::Crc(crc) => (algorithm, bytes(algorithm, crc.finalize())),
            Running::Sha(sha) => (algorithm, sha.finish().as_ref().to_vec()),
        };
        Sums {
            length: self.length,
            md5: self.md5.map(|md5| md5.finalize().into()),
            checksums: self.running.into_iter().map(end).collect(),
        }
    }
}

/// A CRC's bytes, most significant first.
fn bytes(algorithm: Algorithm, value: u64) -> Vec<u8> {
    value.to_be_bytes()[8 - length(algorithm)..].to_vec()
}

/// The whole's checksum out of its parts' (values and lengths, in order). `None` when
/// the algorithm cannot (the SHAs), or a value is none.
pub fn combine(algorithm: Algorithm, parts: &[(&[u8], u64)]) -> Option<Vec<u8>> {
    let crc = crc(algorithm)?;
    let number = |value: &[u8]| {
        let whole = value.len() == length(algorithm);
        whole.then(|| value.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    let mut whole = crc_fast::checksum(crc, b"");
    for (value, length) in parts {
        whole = crc_fast::checksum_combine(crc, whole, number(value)?, *length);
    }
    Some(bytes(algorithm, whole))
}

/// The checksum of the parts' checksums: what is told, with `-N` behind it, where an
/// algorithm cannot combine or was not asked to.
pub fn composite<'v>(algorithm: Algorithm, values: impl IntoIterator<Item = &'v [u8]>) -> Vec<u8> {
    let mut digests = Digests::new(Wanted::default().and(algorithm));
    for value in values {
        digests.update(value);
    }
    digests.finish().checksums.pop().expect("it was wanted").1
}

#[cfg(test)]
mod tests;
