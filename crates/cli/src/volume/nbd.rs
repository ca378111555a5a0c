//! As much of an NBD client as copies a raw image in: fixed newstyle negotiation, writes
//! and a flush over a unix socket (doc/proto.md of the NBD project). Blocking; several
//! writes are under way at a time.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

const OPTION: &[u8; 8] = b"IHAVEOPT";
const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
const REQUEST: u32 = 0x2560_9513;
const REPLY: u32 = 0x6744_6698;
/// `NBD_OPT_GO`, and the replies to it.
const GO: u32 = 7;
const ACK: u32 = 1;
const INFO: u32 = 3;
/// Commands.
const WRITE: u16 = 1;
const DISCONNECT: u16 = 2;
const FLUSH: u16 = 3;
/// Longest reply to an option.
const LONGEST: usize = 64 << 10;
/// Writes under way.
const AT_ONCE: usize = 8;

/// A disk that is served.
#[derive(Debug)]
pub struct Disk {
    stream: UnixStream,
    size: u64,
    sent: u64,
    answered: u64,
}

fn strange(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the NBD server {what}"))
}

impl Disk {
    /// Connects to the export of a name.
    ///
    /// # Errors
    /// Those of the socket, a refusal in the server's words, and what is not NBD.
    pub fn connect(socket: &Path, name: &str) -> io::Result<Self> {
        let mut stream = UnixStream::connect(socket)?;
        let mut hello = [0; 18];
        stream.read_exact(&mut hello)?;
        if &hello[..8] != b"NBDMAGIC" || &hello[8..16] != OPTION || hello[17] & 1 == 0 {
            return Err(strange("does not negotiate as we do"));
        }
        // Fixed newstyle, and no padding after the negotiation where the server can.
        let flags = u32::from(hello[17] & 3);
        let mut data = (name.len() as u32).to_be_bytes().to_vec();
        data.extend_from_slice(name.as_bytes());
        data.extend_from_slice(&0_u16.to_be_bytes());
        let mut ask = flags.to_be_bytes().to_vec();
        ask.extend_from_slice(OPTION);
        ask.extend_from_slice(&GO.to_be_bytes());
        ask.extend_from_slice(&(data.len() as u32).to_be_bytes());
        ask.extend_from_slice(&data);
        stream.write_all(&ask)?;
        let size = agreed(&mut stream)?;
        Ok(Self { stream, size, sent: 0, answered: 0 })
    }

    /// Bytes that it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Writes, sooner or later: a failure may be told by a later call.
    pub fn write(&mut self, at: u64, data: &[u8]) -> io::Result<()> {
        self.request(WRITE, at, data.len() as u32)?;
        self.stream.write_all(data)?;
        while self.sent - self.answered >= AT_ONCE as u64 {
            self.reply()?;
        }
        Ok(())
    }

    /// Waits until all that was written is durable, and hangs up.
    pub fn finish(mut self) -> io::Result<()> {
        while self.answered < self.sent {
            self.reply()?;
        }
        self.request(FLUSH, 0, 0)?;
        self.reply()?;
        self.request(DISCONNECT, 0, 0)
    }

    fn request(&mut self, command: u16, at: u64, length: u32) -> io::Result<()> {
        let mut head = Vec::with_capacity(28);
        head.extend_from_slice(&REQUEST.to_be_bytes());
        head.extend_from_slice(&0_u16.to_be_bytes());
        head.extend_from_slice(&command.to_be_bytes());
        head.extend_from_slice(&self.sent.to_be_bytes());
        head.extend_from_slice(&at.to_be_bytes());
        head.extend_from_slice(&length.to_be_bytes());
        self.sent += 1;
        self.stream.write_all(&head)
    }

    fn reply(&mut self) -> io::Result<()> {
        let mut head = [0; 16];
        self.stream.read_exact(&mut head)?;
        let word =
            |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if word(0) != REPLY {
            return Err(strange("answers what was not asked"));
        }
        self.answered += 1;
        match word(4) {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(i32::try_from(error).unwrap_or(5))),
        }
    }
}

/// Reads the replies to `NBD_OPT_GO` up to its end; the size of the export.
fn agreed(stream: &mut UnixStream) -> io::Result<u64> {
    let mut size = None;
    loop {
        let mut head = [0; 20];
        stream.read_exact(&mut head)?;
        let word =
            |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (kind, length) = (word(12), word(16) as usize);
        let magic = u64::from(word(0)) << 32 | u64::from(word(4));
        if magic != OPTION_REPLY || word(8) != GO || length > LONGEST {
            return Err(strange("answers what was not asked"));
        }
        let mut data = vec![0; length];
        stream.read_exact(&mut data)?;
        match kind {
            ACK => return size.ok_or_else(|| strange("does not say how large the export is")),
            // `NBD_INFO_EXPORT`: its number, the size, and flags.
            INFO if data.len() == 12 && data[..2] == [0, 0] => {
                size = data[2..10].try_into().ok().map(u64::from_be_bytes);
            }
            INFO => {}
            _ => {
                let said = String::from_utf8_lossy(&data);
                return Err(strange(&format!("refuses (reply {kind:#x}): {said}")));
            }
        }
    }
}
