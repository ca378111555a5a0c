//! Reads a DHCP message (RFC 2131, section 2; options RFC 2132, 3046, 3396, 4578).
//!
//! Own code, although a library reads them too: this is the first thing that any
//! box on the wire can send to us, and a reader that only keeps what we use, with
//! every length checked, is short. Options that are given twice or split are
//! joined (RFC 3396); the fields `sname` and `file` are read as options where the
//! message says so (option 52).

use std::fmt;
use std::net::Ipv4Addr;

/// Bytes before the options.
const HEADER_BYTES: usize = 240;
/// The cookie that begins the options.
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// What all occurrences of one option may hold together.
const OPTION_BYTES_MAX: usize = 512;

/// A hardware address of Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    /// Lower case with colons.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// The kinds of message that clients send (RFC 2132, section 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Who gives addresses?
    Discover,
    /// I take this one, or want to keep it.
    Request,
    /// Somebody else has the address that you gave me.
    Decline,
    /// I no longer need it.
    Release,
    /// I have an address, tell me the rest.
    Inform,
}

/// What we use of a client's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// What it wants.
    pub kind: Kind,
    /// Its number for the exchange.
    pub xid: u32,
    /// The flags, of which the highest bit asks for broadcast.
    pub flags: u16,
    /// The address it has.
    pub ciaddr: Ipv4Addr,
    /// The relay that it came through.
    pub giaddr: Ipv4Addr,
    /// Its hardware address.
    pub mac: Mac,
    /// Option 50: the address that it would like.
    pub wanted: Option<Ipv4Addr>,
    /// Option 54: the server that it means.
    pub server: Option<Ipv4Addr>,
    /// Option 60: what it is.
    pub class: Vec<u8>,
    /// Option 61, to be said back to it (RFC 6842).
    pub client: Vec<u8>,
    /// Option 82 of the relay, to be said back to it (RFC 3046).
    pub relay: Vec<u8>,
    /// Option 93: its architecture (RFC 4578).
    pub arch: Option<u16>,
}

impl Packet {
    /// Reads a client's message. `None` for anything that is not one from an
    /// Ethernet client, and for plain BOOTP.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let request = header[0] == 1 && header[1] == 1 && header[2] == 6;
        if !request || header[236..240] != COOKIE {
            return None;
        }
        let mac = Mac(header[28..34].try_into().ok()?);
        // The lowest bit of the first byte marks a group, which sends nothing.
        if mac.0[0] & 1 == 1 || mac == Mac([0; 6]) {
            return None;
        }
        let options = Options::read(bytes)?;
        Some(Self {
            kind: kind(options.first(53)?)?,
            xid: u32::from_be_bytes(header[4..8].try_into().ok()?),
            flags: u16::from_be_bytes([header[10], header[11]]),
            ciaddr: address(&header[12..16])?,
            giaddr: address(&header[24..28])?,
            mac,
            wanted: address(&options.joined(50)),
            server: address(&options.joined(54)),
            class: options.joined(60),
            client: options.joined(61),
            relay: options.joined(82),
            arch: options.joined(93).first_chunk().map(|two| u16::from_be_bytes(*two)),
        })
    }

    /// Whether the client asks to be answered by broadcast.
    pub fn broadcast(&self) -> bool {
        self.flags & 0x8000 != 0
    }

    /// What the client says it is, for people: printable, at most 64 characters.
    pub fn class_text(&self) -> String {
        let clean = |byte: &u8| if (32..127).contains(byte) { char::from(*byte) } else { '.' };
        self.class.iter().take(64).map(clean).collect()
    }
}

fn kind(byte: u8) -> Option<Kind> {
    match byte {
        1 => Some(Kind::Discover),
        3 => Some(Kind::Request),
        4 => Some(Kind::Decline),
        7 => Some(Kind::Release),
        8 => Some(Kind::Inform),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<Ipv4Addr> {
    let four: [u8; 4] = bytes.try_into().ok()?;
    Some(Ipv4Addr::from(four))
}

/// Options in the order in which they came: code and value, borrowed.
struct Options<'a>(Vec<(u8, &'a [u8])>);

impl<'a> Options<'a> {
    /// Of a whole message that has its header; `None` when a length lies.
    fn read(message: &'a [u8]) -> Option<Self> {
        let mut all = Self(Vec::new());
        all.scan(message.get(HEADER_BYTES..)?)?;
        // RFC 2131, section 4.1: first `file`, then `sname`.
        let overload = all.first(52).unwrap_or(0);
        if overload & 1 != 0 {
            all.scan(&message[108..236])?;
        }
        if overload & 2 != 0 {
            all.scan(&message[44..108])?;
        }
        Some(all)
    }

    fn scan(&mut self, mut rest: &'a [u8]) -> Option<()> {
        while let [code, tail @ ..] = rest {
            match code {
                0 => rest = tail,
                255 => break,
                code => {
                    let (length, tail) = tail.split_first()?;
                    let (value, tail) = tail.split_at_checked(usize::from(*length))?;
                    self.0.push((*code, value));
                    rest = tail;
                }
            }
        }
        Some(())
    }

    /// The first byte of an option.
    fn first(&self, code: u8) -> Option<u8> {
        self.0.iter().find(|(found, _)| *found == code)?.1.first().copied()
    }

    /// All that was said under one code; empty when there is too much of it.
    fn joined(&self, code: u8) -> Vec<u8> {
        let values = self.0.iter().filter(|(found, _)| *found == code);
        let joined: Vec<u8> = values.flat_map(|(_, value)| value.iter().copied()).collect();
        if joined.len() > OPTION_BYTES_MAX { Vec::new() } else { joined }
    }
}
