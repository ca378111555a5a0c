//! The unpacked size of a Zstandard file (RFC 8878), read from its frame and block
//! headers: one short read a block, and nothing is unpacked.

use std::io;

use super::Content;

const MAGIC: u32 = 0xfd2f_b528;
/// Sixteen magic numbers mark frames that are skipped (section 3.1.2).
const SKIPPABLE: u32 = 0x184d_2a50;
/// Longest frame header: magic, descriptor, window, dictionary, content size.
const HEADER_MOST: usize = 18;

/// Whether a file begins with a frame that is skipped.
pub fn is_skippable(head: &[u8]) -> bool {
    head.first_chunk().is_some_and(|magic| u32::from_le_bytes(*magic) & !0xf == SKIPPABLE)
}

/// The sum of the content sizes of all frames; `None` when one does not tell its.
/// Fails when the file is not whole or not Zstandard.
pub fn unpacked_size(content: &(impl Content + ?Sized), length: u64) -> io::Result<Option<u64>> {
    let (mut at, mut total) = (0, Some(0u64));
    while at < length {
        let mut header = [0; HEADER_MOST];
        let had = HEADER_MOST.min(usize::try_from(length - at).unwrap_or(HEADER_MOST));
        content.read_exact_from(&mut header[..had], at)?;
        let header = &header[..had];
        if is_skippable(header) {
            let size = header.get(4..).and_then(|rest| rest.first_chunk()).ok_or_else(cut)?;
            at += 8 + u64::from(u32::from_le_bytes(*size));
            continue;
        }
        let frame = frame_header(header)?;
        at = skip_blocks(content, at + frame.length, length, frame.checksum)?;
        total = total.zip(frame.content).and_then(|(total, size)| total.checked_add(size));
    }
    if at == length { Ok(total) } else { Err(cut()) }
}

struct FrameHeader {
    length: u64,
    checksum: bool,
    content: Option<u64>,
}

/// Section 3.1.1.1.
fn frame_header(header: &[u8]) -> io::Result<FrameHeader> {
    let (magic, rest) = header.split_first_chunk().ok_or_else(cut)?;
    if u32::from_le_bytes(*magic) != MAGIC {
        return Err(wrong("a frame does not begin as one"));
    }
    let (descriptor, rest) = rest.split_first().ok_or_else(cut)?;
    let single = descriptor & 0x20 != 0;
    let window = usize::from(!single);
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size_len = match (descriptor >> 6, single) {
        (0, false) => 0,
        (0, true) => 1,
        (1, _) => 2,
        (2, _) => 4,
        _ => 8,
    };
    let before = window + dictionary;
    let field = rest.get(before..before + size_len).ok_or_else(cut)?;
    let mut bytes = [0; 8];
    bytes[..size_len].copy_from_slice(field);
    let number = u64::from_le_bytes(bytes);
    let content = match size_len {
        0 => None,
        // Two bytes begin to count at 256.
        2 => Some(number + 256),
        _ => Some(number),
    };
    let length = (4 + 1 + before + size_len) as u64;
    Ok(FrameHeader { length, checksum: descriptor & 4 != 0, content })
}

/// Goes from block to block (section 3.1.1.2) to the end of the frame.
fn skip_blocks(
    content: &(impl Content + ?Sized),
    mut at: u64,
    length: u64,
    checksum: bool,
) -> io::Result<u64> {
    loop {
        if at + 3 > length {
            return Err(cut());
        }
        let mut header = [0; 3];
        content.read_exact_from(&mut header, at)?;
        let header = u32::from_le_bytes([header[0], header[1], header[2], 0]);
        let stored = match (header >> 1) & 3 {
            // One byte that is repeated.
            1 => 1,
            0 | 2 => u64::from(header >> 3),
            _ => return Err(wrong("a block is of an unknown kind")),
        };
        at += 3 + stored;
        if header & 1 == 1 {
            return Ok(at + if checksum { 4 } else { 0 });
        }
    }
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the zstd file is cut off")
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not zstd: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of(bytes: &[u8]) -> io::Result<Option<u64>> {
        unpacked_size(bytes, bytes.len() as u64)
    }

    #[test]
    fn real_frames_are_summed_and_cut_ones_refused() {
        let data: Vec<u8> = (0..700_000u32).flat_map(|n| (n / 3).to_le_bytes()).collect();
        let one = zstd::bulk::compress(&data, 3).expect("compresses");
        let small = zstd::bulk::compress(&data[..300], 3).expect("compresses");
        assert_eq!(size_of(&one).expect("whole"), Some(data.len() as u64));
        let skip = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        let both = [&skip, one.as_slice(), &small].concat();
        assert_eq!(size_of(&both).expect("whole"), Some(data.len() as u64 + 300));
        assert!(size_of(&one[..one.len() - 1]).is_err());
        assert!(size_of(&[one.as_slice(), b"rest"].concat()).is_err());
    }

    #[test]
    fn a_stream_does_not_tell_its_size() {
        let streamed = zstd::stream::encode_all(&[7u8; 100_000][..], 3).expect("compresses");
        assert_eq!(size_of(&streamed).expect("whole"), None);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(rest in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = size_of(&rest);
            let _ = size_of(&[MAGIC.to_le_bytes().as_slice(), &rest].concat());
        }
    }
}
