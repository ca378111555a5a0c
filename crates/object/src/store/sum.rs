//! CRC32C, and checksums that parts make together.

use crc_fast::{CrcAlgorithm, Digest};
use ring::digest;

use crate::entry::{Algorithm, Checksum, Coverage, PartInfo, SUMMED_BYTES};

/// A CRC32C that is being counted.
pub struct Crc32c(Digest);

impl Crc32c {
    /// Of nothing.
    pub fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc32Iscsi))
    }
    /// Counts these bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
    /// The checksum.
    pub fn finish(&self) -> u32 {
        self.0.finalize() as u32
    }
}

/// The CRC32C of bytes.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// Checksums of a stored body, one for each [`SUMMED_BYTES`], while it is written.
pub struct Sums {
    done: Vec<u32>,
    open: Crc32c,
    filled: usize,
}

impl Sums {
    /// Of nothing.
    pub fn new() -> Self {
        Self { done: Vec::new(), open: Crc32c::new(), filled: 0 }
    }

    /// Counts these bytes in.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(SUMMED_BYTES as usize - self.filled));
            self.open.update(now);
            self.filled += now.len();
            bytes = later;
            if self.filled == SUMMED_BYTES as usize {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        self.done.push(self.open.finish());
        (self.open, self.filled) = (Crc32c::new(), 0);
    }

    /// All of them; what comes next begins anew.
    pub fn finish(&mut self) -> Vec<u32> {
        if self.filled > 0 {
            self.close();
        }
        std::mem::take(&mut self.done)
    }
}

/// The checksum of the parts' checksums, or the one of the whole that they add up to.
/// `None` when a part has none of this algorithm, or the algorithm does not add up.
pub fn of_parts(algorithm: Algorithm, coverage: Coverage, parts: &[&PartInfo]) -> Option<Checksum> {
    let sums: Option<Vec<&[u8]>> = parts
        .iter()
        .map(|part| part.checksum.as_ref().filter(|sum| sum.algorithm == algorithm))
        .map(|sum| sum.map(|sum| sum.value.as_slice()))
        .collect();
    let sums = sums?;
    let value = match coverage {
        Coverage::Composite => composite(algorithm, &sums.concat()),
        Coverage::Whole => whole(algorithm, &sums, parts)?,
    };
    Some(Checksum { algorithm, coverage, value })
}

fn crc(algorithm: Algorithm) -> Option<(CrcAlgorithm, usize)> {
    match algorithm {
        Algorithm::Crc32 => Some((CrcAlgorithm::Crc32IsoHdlc, 4)),
        Algorithm::Crc32c => Some((CrcAlgorithm::Crc32Iscsi, 4)),
        Algorithm::Crc64Nvme => Some((CrcAlgorithm::Crc64Nvme, 8)),
        Algorithm::Sha1 | Algorithm::Sha256 => None,
    }
}

fn composite(algorithm: Algorithm, bytes: &[u8]) -> Vec<u8> {
    match (algorithm, crc(algorithm)) {
        (_, Some((crc, width))) => {
            crc_fast::checksum(crc, bytes).to_be_bytes()[8 - width..].to_vec()
        }
        (Algorithm::Sha1, None) => {
            digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec()
        }
        (_, None) => digest::digest(&digest::SHA256, bytes).as_ref().to_vec(),
    }
}

fn whole(algorithm: Algorithm, sums: &[&[u8]], parts: &[&PartInfo]) -> Option<Vec<u8>> {
    let (crc, width) = crc(algorithm)?;
    let mut total = crc_fast::checksum(crc, b"");
    for (sum, part) in sums.iter().zip(parts) {
        let mut wide = [0; 8];
        wide.get_mut(8 - width..)?.copy_from_slice(sum.get(..width)?);
        total = crc_fast::checksum_combine(crc, total, u64::from_be_bytes(wide), part.size);
    }
    Some(total.to_be_bytes()[8 - width..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u16, content: &[u8], algorithm: Algorithm) -> PartInfo {
        let value = composite(algorithm, content);
        let checksum = Some(Checksum { algorithm, coverage: Coverage::Whole, value });
        PartInfo { number, size: content.len() as u64, md5: [0; 16], checksum }
    }

    #[test]
    fn checksums_of_parts_add_up_to_that_of_the_whole() {
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let parts = [
                part(1, b"1234", algorithm),
                part(2, b"", algorithm),
                part(3, b"56789", algorithm),
            ];
            let all: Vec<&PartInfo> = parts.iter().collect();
            let sum = of_parts(algorithm, Coverage::Whole, &all).expect("all have one");
            assert_eq!(sum.value, composite(algorithm, b"123456789"));
        }
        // The check value of CRC-64/NVME in the catalogue of CRCs.
        assert_eq!(
            composite(Algorithm::Crc64Nvme, b"123456789"),
            0xae8b_1486_0a79_9888_u64.to_be_bytes()
        );
    }

    #[test]
    fn a_part_without_a_checksum_leaves_the_whole_without_one() {
        let mut parts = [part(1, b"1", Algorithm::Sha1), part(2, b"2", Algorithm::Sha1)];
        let sum = |parts: &[PartInfo]| {
            let all: Vec<&PartInfo> = parts.iter().collect();
            of_parts(Algorithm::Sha1, Coverage::Composite, &all).map(|sum| sum.value.len())
        };
        assert_eq!(sum(&parts), Some(20));
        parts[1].checksum = None;
        assert_eq!(sum(&parts), None);
    }

    #[test]
    fn sums_are_the_same_however_the_body_comes() {
        let body = vec![7; 200_000];
        let mut whole = Sums::new();
        whole.update(&body);
        let mut pieces = Sums::new();
        body.chunks(777).for_each(|chunk| pieces.update(chunk));
        let sums = whole.finish();
        assert_eq!(sums.len(), 4);
        assert_eq!(sums, pieces.finish());
        assert_eq!(sums[3], crc32c(&body[3 * 65536..]));
    }
}
