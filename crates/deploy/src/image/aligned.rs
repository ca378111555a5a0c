//! Buffers that a disk takes without the page cache: direct I/O wants memory,
//! offset and length in multiples of the sector. One block of 4 KiB suits every
//! disk in the field.

/// What every direct access is a multiple of.
pub const BLOCK: usize = 4096;

/// Memory that begins at a multiple of [`BLOCK`].
#[derive(Debug)]
pub struct Aligned {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl Aligned {
    /// `length` zero bytes; a multiple of [`BLOCK`].
    pub fn zeroed(length: usize) -> Self {
        assert!(length.is_multiple_of(BLOCK), "direct I/O works in whole blocks");
        let memory = vec![0; length + BLOCK];
        let start = memory.as_ptr().align_offset(BLOCK);
        assert!(start < BLOCK, "a byte can always be aligned within a block");
        Self { memory, start, length }
    }
}

impl std::ops::Deref for Aligned {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.length]
    }
}
impl std::ops::DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.length]
    }
}

/// Rounds down to a whole block.
pub const fn block_floor(offset: u64) -> u64 {
    offset - offset % BLOCK as u64
}

/// Whether there is nothing but zeros.
pub fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<16>();
    words.iter().all(|word| u128::from_ne_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned() {
        let buffer = Aligned::zeroed(3 * BLOCK);
        assert_eq!((buffer.as_ptr() as usize % BLOCK, buffer.len()), (0, 3 * BLOCK));
    }

    #[test]
    fn zeros_are_seen_anywhere() {
        for length in [0, 1, 15, 16, 17, 4097] {
            assert!(is_zero(&vec![0; length]));
            for place in 0..length {
                let mut bytes = vec![0; length];
                bytes[place] = 1;
                assert!(!is_zero(&bytes), "{place} of {length}");
            }
        }
    }
}
