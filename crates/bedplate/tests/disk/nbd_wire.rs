//! An NBD client of our own, for what clients of others do not do at will: hang up at an
//! unkind moment, and ask for the map piece by piece.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::service::PATIENCE;

pub const READ: u16 = 0;
pub const WRITE: u16 = 1;
pub const DISCONNECT: u16 = 2;
pub const FLUSH: u16 = 3;

const GREETING: u64 = 0x4e42_444d_4147_4943;
const OPTION: u64 = 0x4948_4156_454f_5054;
const EXPORT_NAME: u32 = 1;

/// A connection that has begun, without structured replies.
pub struct Client {
    stream: UnixStream,
    /// The size of the export, in bytes.
    pub size: u64,
}

fn number<const N: usize>(stream: &mut UnixStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

impl Client {
    /// Connects to the export that has no name.
    pub fn connect(socket: &Path) -> io::Result<Self> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        assert_eq!(u64::from_be_bytes(number(&mut stream)?), GREETING);
        assert_eq!(u64::from_be_bytes(number(&mut stream)?), OPTION);
        let flags = u16::from_be_bytes(number(&mut stream)?);
        stream.write_all(&u32::from(flags).to_be_bytes())?;
        stream.write_all(&OPTION.to_be_bytes())?;
        stream.write_all(&EXPORT_NAME.to_be_bytes())?;
        stream.write_all(&0_u32.to_be_bytes())?;
        let size = u64::from_be_bytes(number(&mut stream)?);
        let _flags: [u8; 2] = number(&mut stream)?;
        Ok(Self { stream, size })
    }

    /// Sends a request, and as much of its data as is given.
    pub fn send(&mut self, kind: u16, offset: u64, length: u32, data: &[u8]) -> io::Result<()> {
        let mut request = Vec::from(0x2560_9513_u32.to_be_bytes());
        request.extend_from_slice(&0_u16.to_be_bytes());
        request.extend_from_slice(&kind.to_be_bytes());
        request.extend_from_slice(&7_u64.to_be_bytes());
        request.extend_from_slice(&offset.to_be_bytes());
        request.extend_from_slice(&length.to_be_bytes());
        request.extend_from_slice(data);
        self.send_bytes(&request)
    }

    /// Sends what no protocol asked for.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Waits for the reply to the only request that is under way, with so much data.
    pub fn reply(&mut self, data: &mut [u8]) -> io::Result<()> {
        let [magic @ .., _, _, _, _, _, _, _, _] = number::<16>(&mut self.stream)?;
        assert_eq!(magic, [0x67, 0x44, 0x66, 0x98, 0, 0, 0, 0], "a reply without an error");
        self.stream.read_exact(data)
    }

    /// Waits for the server to hang up, though nothing was asked.
    pub fn ended(mut self) -> io::Result<()> {
        match self.stream.read(&mut [0; 1]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(io::Error::other("something came")),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Says goodbye as libnbd does, and waits for the server to hang up.
    pub fn goodbye(mut self) -> io::Result<()> {
        self.send(DISCONNECT, 0, 0, &[])?;
        self.stream.shutdown(Shutdown::Write)?;
        assert_eq!(self.stream.read(&mut [0; 1])?, 0, "nothing follows a goodbye");
        Ok(())
    }
}
