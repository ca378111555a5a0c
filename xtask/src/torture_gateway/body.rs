//! Bodies that say themselves what they are: words made of a number and their place.

/// A body: a number that no other has, and a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The number.
    pub number: u64,
    /// Bytes.
    pub length: usize,
}

impl Stamp {
    fn word(self, place: usize) -> [u8; 8] {
        let start = self.number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        start.wrapping_add((place as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f)).to_le_bytes()
    }

    /// Its first word, by which it can be found.
    pub fn mark(self) -> [u8; 8] {
        self.word(0)
    }

    /// The body.
    pub fn bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.length + 8);
        for place in 0..self.length.div_ceil(8) {
            bytes.extend_from_slice(&self.word(place));
        }
        bytes.truncate(self.length);
        bytes
    }

    /// Whether these bytes are the body, whole.
    pub fn is(self, bytes: &[u8]) -> bool {
        let mut chunks = bytes.chunks(8).enumerate();
        bytes.len() == self.length
            && chunks.all(|(place, chunk)| self.word(place).starts_with(chunk))
    }

    /// As it is written into an object's metadata…
    pub fn told(self) -> String {
        format!("{}-{}", self.number, self.length)
    }

    /// …and read there.
    pub fn read(told: &str) -> Option<Self> {
        let (number, length) = told.split_once('-')?;
        Some(Self { number: number.parse().ok()?, length: length.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_itself_and_no_other() {
        for length in [0, 1, 8, 1003] {
            let stamp = Stamp { number: 7, length };
            assert!(stamp.is(&stamp.bytes()));
            assert_eq!(Stamp::read(&stamp.told()), Some(stamp));
            let longer = Stamp { length: length + 1, ..stamp };
            assert!(!longer.is(&stamp.bytes()) && !stamp.is(&longer.bytes()));
        }
        let mut bytes = Stamp { number: 7, length: 1003 }.bytes();
        bytes[1002] ^= 1;
        assert!(!Stamp { number: 7, length: 1003 }.is(&bytes));
    }
}
