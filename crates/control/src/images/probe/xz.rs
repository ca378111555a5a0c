//! The unpacked size of an xz file (The .xz File Format 1.2.1), read from the index
//! at the end of each stream, last stream first; nothing is unpacked.

use std::io;

use super::Content;

/// Length of a stream's header and of its footer (sections 2.1.1 and 2.1.2).
const EDGE: u64 = 12;
/// Longest index that is read: some four million blocks.
const INDEX_MOST: u64 = 64 << 20;

/// The sum of what all streams unpack to. Fails when the file is not whole or not xz.
pub fn unpacked_size(content: &(impl Content + ?Sized), length: u64) -> io::Result<u64> {
    let (mut end, mut total) = (length, 0u64);
    while end > 0 {
        end = skip_padding(content, end)?;
        let (start, size) = stream_before(content, end)?;
        total = total.checked_add(size).ok_or_else(|| wrong("its sizes overflow"))?;
        end = start;
    }
    Ok(total)
}

/// Zeros between streams, in fours (section 2.2).
fn skip_padding(content: &(impl Content + ?Sized), mut end: u64) -> io::Result<u64> {
    while end >= 2 * EDGE {
        let mut word = [0; 4];
        content.read_exact_from(&mut word, end - 4)?;
        if word != [0; 4] {
            return Ok(end);
        }
        end -= 4;
    }
    Ok(end)
}

/// Start and unpacked size of the stream that ends there.
fn stream_before(content: &(impl Content + ?Sized), end: u64) -> io::Result<(u64, u64)> {
    let footer_at = end.checked_sub(EDGE).ok_or_else(cut)?;
    let mut footer = [0; EDGE as usize];
    content.read_exact_from(&mut footer, footer_at)?;
    if &footer[10..] != b"YZ" {
        return Err(wrong("it does not end as it must"));
    }
    let backward = u32::from_le_bytes([footer[4], footer[5], footer[6], footer[7]]);
    let index_len = (u64::from(backward) + 1) * 4;
    if index_len > INDEX_MOST {
        return Err(wrong("its index is too long"));
    }
    let index_at = footer_at.checked_sub(index_len).ok_or_else(cut)?;
    let mut index = vec![0; usize::try_from(index_len).map_err(|_| cut())?];
    content.read_exact_from(&mut index, index_at)?;
    let (blocks, size) = read_index(&index)?;
    let start = index_at.checked_sub(blocks).and_then(|at| at.checked_sub(EDGE)).ok_or_else(cut)?;
    let mut magic = [0; 6];
    content.read_exact_from(&mut magic, start)?;
    if &magic != b"\xfd7zXZ\0" {
        return Err(wrong("a stream does not begin as one"));
    }
    Ok((start, size))
}

/// What the blocks take as stored and unpacked (section 4).
fn read_index(index: &[u8]) -> io::Result<(u64, u64)> {
    let (indicator, mut rest) = index.split_first().ok_or_else(cut)?;
    if *indicator != 0 {
        return Err(wrong("its index does not begin as one"));
    }
    let (mut stored, mut unpacked) = (0u64, 0u64);
    let records = number(&mut rest)?;
    for _ in 0..records {
        // Each record takes two bytes or more, so the loop ends with the index.
        let block = number(&mut rest)?.checked_next_multiple_of(4);
        let size = number(&mut rest)?;
        stored = block.and_then(|block| stored.checked_add(block)).ok_or_else(cut)?;
        unpacked = unpacked.checked_add(size).ok_or_else(cut)?;
    }
    Ok((stored, unpacked))
}

/// A number of one to nine bytes, seven bits each, lowest first (section 1.2).
fn number(rest: &mut &[u8]) -> io::Result<u64> {
    let mut value = 0;
    for position in 0..9 {
        let (byte, after) = rest.split_first().ok_or_else(cut)?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(wrong("a number is too long"))
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the xz file is cut off")
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not xz: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(bytes).expect("compresses");
        encoder.finish().expect("compresses")
    }

    fn size_of(bytes: &[u8]) -> io::Result<u64> {
        unpacked_size(bytes, bytes.len() as u64)
    }

    #[test]
    fn real_streams_are_summed_and_cut_ones_refused() {
        let (one, other) = (packed(&[1; 300_000]), packed(b"small"));
        assert_eq!(size_of(&one).expect("whole"), 300_000);
        let both = [one.as_slice(), &[0; 8], &other, &[0; 4]].concat();
        assert_eq!(size_of(&both).expect("whole"), 300_005);
        assert!(size_of(&one[..one.len() - 4]).is_err());
        assert!(size_of(&one[4..]).is_err());
        assert!(size_of(b"").is_ok_and(|size| size == 0));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(
            index in proptest::collection::vec(proptest::num::u8::ANY, 0..64),
            backward in 0u32..20,
        ) {
            let head = b"\xfd7zXZ\0\0\0\0\0\0\0".as_slice();
            let [a, b, c, d] = backward.to_le_bytes();
            let footer = [0, 0, 0, 0, a, b, c, d, 0, 0, b'Y', b'Z'];
            let _ = size_of(&[head, &index, &footer].concat());
            let _ = size_of(&index);
        }
    }
}
