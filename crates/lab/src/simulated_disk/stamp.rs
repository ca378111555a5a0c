//! What is written to a simulated volume: each sector says which write it is of and
//! where it belongs, in all its bytes. A sector that was mixed from two, or comes from
//! elsewhere, is none.

/// Bytes in a sector of a volume.
pub const SECTOR: usize = 512;

/// Which write a sector is of. 0 is none: zeros.
pub type Number = u64;

/// Fills a sector with what write `number` writes to sector `sector` of a volume.
pub fn fill(number: Number, sector: u64, into: &mut [u8]) {
    assert!(into.len() == SECTOR, "a sector is {SECTOR} bytes");
    for (index, word) in into.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&word_of(number, sector, index as u64).to_le_bytes());
    }
}

/// Which write a sector is of; `None` when it is not what any write writes there.
pub fn read(sector: u64, bytes: &[u8]) -> Option<Number> {
    assert!(bytes.len() == SECTOR, "a sector is {SECTOR} bytes");
    let number = number(bytes);
    let mut words = bytes.chunks_exact(8).enumerate();
    let whole =
        words.all(|(index, word)| *word == word_of(number, sector, index as u64).to_le_bytes());
    whole.then_some(number)
}

/// Which write a sector says it is of, right or not.
pub fn number(bytes: &[u8]) -> Number {
    u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes"))
}

fn word_of(number: Number, sector: u64, index: u64) -> u64 {
    if number == 0 || index == 0 {
        return number;
    }
    let mixed = (number ^ sector.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed.rotate_left(index as u32) ^ index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sector_says_whose_it_is_and_a_mixed_one_says_nothing() {
        let mut bytes = [0; SECTOR];
        assert_eq!(read(9, &bytes), Some(0));
        fill(7, 9, &mut bytes);
        assert_eq!(read(9, &bytes), Some(7));
        assert_eq!(read(8, &bytes), None, "it is of another place");
        let mut other = [0; SECTOR];
        fill(8, 9, &mut other);
        bytes[256..].copy_from_slice(&other[256..]);
        assert_eq!(read(9, &bytes), None);
    }
}
