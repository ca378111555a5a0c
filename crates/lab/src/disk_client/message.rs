//! The messages of vhost-user, the side of the virtual machine monitor: as few as a
//! disk needs (QEMU, `docs/interop/vhost-user.rst`).
//!
//! By hand and not by the crate that our server uses, so that a mistake in one is not
//! hidden by the same mistake in the other.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// What is asked. The numbers are those of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs, reason = "the protocol's own names say it")]
pub enum Code {
    GetFeatures = 1,
    SetFeatures = 2,
    SetOwner = 3,
    SetMemTable = 5,
    SetVringNum = 8,
    SetVringAddr = 9,
    SetVringBase = 10,
    GetVringBase = 11,
    SetVringKick = 12,
    SetVringCall = 13,
    GetProtocolFeatures = 15,
    SetProtocolFeatures = 16,
    GetQueueNum = 17,
    SetVringEnable = 18,
    GetConfig = 24,
    GetInflightFd = 31,
    SetInflightFd = 32,
}

/// Protocol features: several queues.
pub const PROTOCOL_MQ: u64 = 1 << 0;
/// Protocol features: each message may ask for an answer.
pub const PROTOCOL_REPLY_ACK: u64 = 1 << 3;
/// Protocol features: the configuration space is asked for by message.
pub const PROTOCOL_CONFIG: u64 = 1 << 9;
/// Protocol features: what is in flight is noted in shared memory.
pub const PROTOCOL_INFLIGHT: u64 = 1 << 12;

const HEADER: usize = 12;
const VERSION: u32 = 1;
const IS_REPLY: u32 = 1 << 2;
const WANTS_REPLY: u32 = 1 << 3;
/// No answer that we ask for is longer.
const LONGEST: usize = 512;

/// A connection to a server.
#[derive(Debug)]
pub struct FrontEnd {
    stream: UnixStream,
    /// Whether every message is answered.
    pub acknowledged: bool,
}

impl FrontEnd {
    /// Connects.
    pub fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        let patience = Some(std::time::Duration::from_secs(20));
        stream.set_read_timeout(patience)?;
        stream.set_write_timeout(patience)?;
        Ok(Self { stream, acknowledged: false })
    }

    /// Says something; waits until it is done where the server can say so.
    pub fn tell(&self, code: Code, payload: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let flags = if self.acknowledged { WANTS_REPLY } else { 0 };
        self.send(code, flags, payload, fds)?;
        if self.acknowledged {
            let (answer, _) = self.receive(code)?;
            let answer = number(&answer)?;
            if answer != 0 {
                return Err(io::Error::other(format!("the server refuses {code:?}: {answer}")));
            }
        }
        Ok(())
    }
    /// Says a number.
    pub fn tell_number(&self, code: Code, value: u64) -> io::Result<()> {
        self.tell(code, &value.to_le_bytes(), &[])
    }
    /// Says something of a queue: `{index, number}`.
    pub fn tell_queue(&self, code: Code, queue: u32, value: u32) -> io::Result<()> {
        self.tell(code, &pair(queue, value), &[])
    }
    /// Asks, and gives the answer with a descriptor that may have come along.
    pub fn ask(&self, code: Code, payload: &[u8]) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
        self.send(code, 0, payload, &[])?;
        self.receive(code)
    }
    /// Asks for a number.
    pub fn ask_number(&self, code: Code) -> io::Result<u64> {
        number(&self.ask(code, &[])?.0)
    }

    fn send(
        &self,
        code: Code,
        flags: u32,
        payload: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let mut message = Vec::with_capacity(HEADER + payload.len());
        for word in [code as u32, VERSION | flags, payload.len() as u32] {
            message.extend_from_slice(&word.to_le_bytes());
        }
        message.extend_from_slice(payload);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut along = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !along.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let slices = [IoSlice::new(&message)];
        let sent = sendmsg(&self.stream, &slices, &mut along, SendFlags::NOSIGNAL)?;
        // A message of this size goes into an empty socket in one piece.
        if sent == message.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    fn receive(&self, code: Code) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
        let mut fd = None;
        let mut header = [0; HEADER];
        self.fill(&mut header, &mut fd)?;
        let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("4 bytes"));
        let (what, flags, size) = (word(0), word(4), word(8) as usize);
        if what != code as u32 || flags & IS_REPLY == 0 || size > LONGEST {
            let wrong = format!("a strange answer to {code:?}: {what} {flags:#x} {size}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, wrong));
        }
        let mut payload = vec![0; size];
        self.fill(&mut payload, &mut fd)?;
        Ok((payload, fd))
    }

    fn fill(&self, mut into: &mut [u8], fd: &mut Option<OwnedFd>) -> io::Result<()> {
        while !into.is_empty() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
            let mut along = RecvAncillaryBuffer::new(&mut space);
            let slices = &mut [IoSliceMut::new(into)];
            let got = recvmsg(&self.stream, slices, &mut along, RecvFlags::CMSG_CLOEXEC)?.bytes;
            for message in along.drain() {
                if let RecvAncillaryMessage::ScmRights(fds) = message {
                    fds.for_each(|it| *fd = Some(it));
                }
            }
            if got == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server hung up"));
            }
            into = &mut into[got..];
        }
        Ok(())
    }
}

/// Two numbers of 32 bits.
pub fn pair(first: u32, second: u32) -> Vec<u8> {
    [first.to_le_bytes(), second.to_le_bytes()].concat()
}

/// A number that an answer begins with.
fn number(bytes: &[u8]) -> io::Result<u64> {
    let bytes = bytes.first_chunk::<8>().ok_or(io::ErrorKind::InvalidData)?;
    Ok(u64::from_le_bytes(*bytes))
}
