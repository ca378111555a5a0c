//! The packets of TFTP (RFC 1350, section 5; options RFC 2347).

/// Longest file name and option that is read.
const WORD_BYTES_MAX: usize = 255;
/// Options that are looked at; more are not read.
const OPTIONS_MAX: usize = 16;

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// It wants to read a file.
    Read {
        /// Its name.
        file: String,
        /// Options with their values, names in lower case.
        options: Vec<(String, String)>,
    },
    /// It has all blocks up to this one.
    Ack(u16),
    /// It gives up.
    Error,
    /// It wants something that is not served here, such as to write.
    Other,
}

/// Codes of errors (RFC 1350, appendix; RFC 2347).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// No such file, or no permit for it.
    NotFound = 1,
    /// Not served here.
    Forbidden = 2,
    /// Too many sessions.
    Full = 3,
}

impl Packet {
    /// Reads a packet; `None` when it is torn.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (code, rest) = bytes.split_first_chunk()?;
        match u16::from_be_bytes(*code) {
            1 => Self::read_request(rest),
            4 => rest.first_chunk().map(|block| Self::Ack(u16::from_be_bytes(*block))),
            5 => Some(Self::Error),
            2 | 3 | 6 => Some(Self::Other),
            _ => None,
        }
    }

    fn read_request(rest: &[u8]) -> Option<Self> {
        // Each word ends with a zero, so that what follows the last one is nothing.
        let body = rest.strip_suffix(&[0])?;
        let mut words = body.split(|byte| *byte == 0).map(|word| {
            let short = word.len() <= WORD_BYTES_MAX;
            short.then(|| std::str::from_utf8(word).ok()).flatten()
        });
        let file = words.next()??.to_owned();
        let mode = words.next()??;
        if !mode.eq_ignore_ascii_case("octet") && !mode.eq_ignore_ascii_case("netascii") {
            return None;
        }
        let mut options = Vec::new();
        while options.len() < OPTIONS_MAX {
            let (Some(name), Some(value)) = (words.next(), words.next()) else { break };
            options.push((name?.to_ascii_lowercase(), value?.to_owned()));
        }
        Some(Self::Read { file, options })
    }
}

/// A block of data.
pub(super) fn data(block: u16, bytes: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(4 + bytes.len());
    packet.extend([0, 3]);
    packet.extend(block.to_be_bytes());
    packet.extend(bytes);
    packet
}

/// The options that were agreed to.
pub(super) fn options(agreed: &[(&str, u64)]) -> Vec<u8> {
    let mut packet = vec![0, 6];
    for (name, value) in agreed {
        packet.extend(name.as_bytes());
        packet.push(0);
        packet.extend(value.to_string().as_bytes());
        packet.push(0);
    }
    packet
}

/// An error, which ends the session.
pub(super) fn error(code: ErrorCode, message: &str) -> Vec<u8> {
    let mut packet = vec![0, 5, 0, code as u8];
    packet.extend(message.as_bytes());
    packet.push(0);
    packet
}
