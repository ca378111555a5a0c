//! The chunked transfer coding (RFC 9112, section 7.1), decoded as it arrives. Lines end
//! with CR LF and nothing else; extensions and trailers are read over, within limits.

use super::head::Broken;

/// The most bytes of extensions in one line, and of trailers altogether.
const ASIDE: u32 = 8 << 10;
/// The most digits of a chunk's size.
const DIGITS: u32 = 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In a size, with so many digits read.
    Size { digits: u32 },
    /// In an extension; a quoted string may be open.
    Extension,
    /// After the CR of a size's line.
    SizeEnd,
    /// In a chunk.
    Data,
    /// Where the CR after a chunk must be.
    DataCr,
    /// Where the LF after a chunk must be.
    DataLf,
    /// At the first byte of a trailer's line.
    Trailer,
    /// Within a trailer's line.
    TrailerLine,
    /// After the CR of a trailer's line.
    TrailerEnd,
    /// After the CR of the empty line.
    LastLf,
    /// After all of it.
    Done,
}

/// Where a message in chunks stands.
#[derive(Clone, Copy, Debug)]
pub struct Chunked {
    at: At,
    /// What is left of the chunk; while its size is read, the size so far.
    left: u64,
    aside: u32,
}

/// What one step found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// So many bytes were framing, and more are needed.
    Framing(usize),
    /// After so many bytes of framing come so many of content.
    Content(usize, usize),
    /// After so many bytes the message ends.
    End(usize),
}

impl Default for Chunked {
    fn default() -> Self {
        Self { at: At::Size { digits: 0 }, left: 0, aside: 0 }
    }
}

const WRONG: Broken = Broken { status: 400, why: "the chunks are not framed as they must be" };

impl Chunked {
    /// Reads on until content begins, the message ends or the bytes do.
    ///
    /// # Errors
    /// When the framing is wrong; nothing after it can be trusted.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Found, Broken> {
        for (read, byte) in bytes.iter().enumerate() {
            if self.at == At::Data {
                return Ok(self.content(read, bytes.len()));
            }
            if self.at == At::Done {
                return Ok(Found::End(read));
            }
            self.framing(*byte)?;
        }
        Ok(if self.at == At::Done { Found::End(bytes.len()) } else { Found::Framing(bytes.len()) })
    }

    fn content(&mut self, read: usize, length: usize) -> Found {
        let there = (length - read) as u64;
        let taken = self.left.min(there);
        self.left -= taken;
        if self.left == 0 {
            self.at = At::DataCr;
        }
        Found::Content(read, taken as usize)
    }

    fn framing(&mut self, byte: u8) -> Result<(), Broken> {
        self.at = match (self.at, byte) {
            (At::Size { digits }, byte) => return self.size(digits, byte),
            (At::Extension, b'\r') => At::SizeEnd,
            (At::Extension, _) => self.read_over(byte, At::Extension)?,
            (At::SizeEnd, b'\n') if self.left == 0 => {
                self.aside = 0;
                At::Trailer
            }
            (At::SizeEnd, b'\n') => At::Data,
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => {
                self.aside = 0;
                At::Size { digits: 0 }
            }
            (At::Trailer, b'\r') => At::LastLf,
            (At::Trailer, b' ' | b'\t') => return Err(WRONG),
            (At::TrailerLine, b'\r') => At::TrailerEnd,
            (At::Trailer | At::TrailerLine, _) => self.read_over(byte, At::TrailerLine)?,
            (At::TrailerEnd, b'\n') => At::Trailer,
            (At::LastLf, b'\n') => At::Done,
            _ => return Err(WRONG),
        };
        Ok(())
    }

    fn size(&mut self, digits: u32, byte: u8) -> Result<(), Broken> {
        self.at = match (char::from(byte).to_digit(16), byte) {
            (Some(_), _) if digits == DIGITS => return Err(WRONG),
            (Some(digit), _) => {
                self.left = if digits == 0 { 0 } else { self.left << 4 } | u64::from(digit);
                At::Size { digits: digits + 1 }
            }
            (None, b'\r') if digits > 0 => At::SizeEnd,
            (None, b';') if digits > 0 => At::Extension,
            _ => return Err(WRONG),
        };
        Ok(())
    }

    fn read_over(&mut self, byte: u8, stays: At) -> Result<At, Broken> {
        self.aside += 1;
        let text = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        if text && self.aside <= ASIDE { Ok(stays) } else { Err(WRONG) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Content, and how many bytes the message had.
    fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, Option<usize>), Broken> {
        let (mut decoder, mut content, mut total) = (Chunked::default(), Vec::new(), 0);
        for piece in pieces {
            let mut rest = *piece;
            loop {
                match decoder.read(rest)? {
                    Found::Framing(length) => {
                        total += length;
                        break;
                    }
                    Found::Content(skipped, length) => {
                        content.extend_from_slice(&rest[skipped..skipped + length]);
                        rest = &rest[skipped + length..];
                        total += skipped + length;
                    }
                    Found::End(length) => return Ok((content, Some(total + length))),
                }
            }
        }
        Ok((content, None))
    }

    #[test]
    fn chunks_are_put_together() {
        let text = b"4\r\nWiki\r\n005;a=\"b\"\r\npedia\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\nGET";
        let (content, length) = decode(&[text]).expect("fine");
        assert_eq!((&content[..], length), (&b"Wikipedia0123456789"[..], Some(text.len() - 3)));
        let single: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(decode(&single), Ok((content, length)));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "\r\n",
            "x\r\n",
            "4 \r\nWiki",
            "4\nWiki",
            "4\r\nWikix",
            "4\r\nWiki\n",
            "-4\r\n",
            "+4\r\n",
            "0x4\r\n",
            ";a\r\n",
            "4\rWiki",
            "4;a\nb\r\n",
            "0\r\n folded: x\r\n\r\n",
            "0\r\n\n",
            "0\r\nA: b\n\r\n",
            "1234567890123456\r\n",
            "0\r\nA\0: b\r\n\r\n",
        ] {
            assert_eq!(decode(&[text.as_bytes()]), Err(WRONG), "{text:?}");
        }
    }

    #[test]
    fn what_is_beside_the_content_is_bounded() {
        let long = "a".repeat(ASIDE as usize + 1);
        assert_eq!(decode(&[format!("1;{long}\r\n").as_bytes()]), Err(WRONG));
        assert_eq!(decode(&[format!("0\r\nA: {long}\r\n\r\n").as_bytes()]), Err(WRONG));
        let many = "A: b\r\n".repeat(ASIDE as usize / 3);
        assert_eq!(decode(&[format!("0\r\n{many}\r\n").as_bytes()]), Err(WRONG));
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&[&bytes]);
        }
        #[test]
        fn what_is_encoded_comes_out(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8),
            cut in 0_usize..400,
        ) {
            let mut text = Vec::new();
            for chunk in &chunks {
                text.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                text.extend_from_slice(chunk);
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(b"0\r\n\r\n");
            let (one, two) = text.split_at(cut.min(text.len()));
            prop_assert_eq!(decode(&[one, two]), Ok((chunks.concat(), Some(text.len()))));
        }
    }
}
