//! Messages on the socket: a header of 12 bytes, a body, files.
//!
//! A message is looked at before it is taken off the socket, so that a process which
//! dies over it leaves it to the next. A message that came in parts is taken off at
//! once; that VMMs send in parts is allowed, but none does.

use std::io::{Error, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg};

/// Bytes in a header.
pub(super) const HEADER: usize = 12;
/// The longest body.
pub(super) const BODY_MAX: usize = 4096;
/// The most files with a message.
pub(super) const FILES_MAX: usize = 32;

const VERSION: u32 = 1;
const VERSION_BITS: u32 = 3;
const REPLY: u32 = 4;
const NEED_REPLY: u32 = 8;

/// A message from the VMM.
#[derive(Debug)]
pub(super) struct Message {
    /// What is asked: a number of `vhost::vhost_user::message::FrontendReq`.
    pub(super) request: u32,
    /// Whether an acknowledgement is asked for.
    pub(super) need_reply: bool,
    pub(super) body: Vec<u8>,
    pub(super) files: Vec<OwnedFd>,
    /// So many bytes of it are still on the socket.
    left: usize,
}

/// What came of waiting for a message.
#[derive(Debug)]
pub(super) enum Arrival {
    Message(Message),
    /// The VMM closed the connection.
    Closed,
    /// We are asked to stop, between two messages.
    Stopped,
}

/// Waits for a message, or until `stop` can be read.
pub(super) fn receive(socket: BorrowedFd<'_>, stop: BorrowedFd<'_>) -> Result<Arrival, Error> {
    if !wait(socket, stop)? {
        return Ok(Arrival::Stopped);
    }
    let mut header = [0; HEADER];
    let (read, files) = take(socket, &mut header, RecvFlags::PEEK)?;
    if read == 0 {
        return Ok(Arrival::Closed);
    }
    if read < HEADER {
        drop(files);
        return in_parts(socket, stop);
    }
    let (request, need_reply, size) = decode(header)?;
    let mut whole = vec![0; HEADER + size];
    let (read, _again) = take(socket, &mut whole, RecvFlags::PEEK)?;
    if read < whole.len() {
        drop(files);
        return in_parts(socket, stop);
    }
    let left = whole.len();
    let body = whole.split_off(HEADER);
    Ok(Arrival::Message(Message { request, need_reply, body, files, left }))
}

impl Message {
    /// Takes it off the socket: it is done, and what it did is deposited.
    pub(super) fn consume(&mut self, socket: BorrowedFd<'_>) -> Result<(), Error> {
        while self.left > 0 {
            let mut bytes = vec![0; self.left];
            match take(socket, &mut bytes, RecvFlags::empty())?.0 {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                read => self.left -= read,
            }
        }
        Ok(())
    }
}

/// Takes a message off the socket piece by piece.
fn in_parts(socket: BorrowedFd<'_>, stop: BorrowedFd<'_>) -> Result<Arrival, Error> {
    let mut files = Vec::new();
    let mut header = [0; HEADER];
    fill(socket, stop, &mut header, &mut files)?;
    let (request, need_reply, size) = decode(header)?;
    let mut body = vec![0; size];
    fill(socket, stop, &mut body, &mut files)?;
    Ok(Arrival::Message(Message { request, need_reply, body, files, left: 0 }))
}

fn fill(
    socket: BorrowedFd<'_>,
    stop: BorrowedFd<'_>,
    into: &mut [u8],
    files: &mut Vec<OwnedFd>,
) -> Result<(), Error> {
    let mut done = 0;
    while done < into.len() {
        if !wait(socket, stop)? {
            return Err(Error::new(ErrorKind::Interrupted, "stopped in the middle of a message"));
        }
        let (read, more) = take(socket, &mut into[done..], RecvFlags::empty())?;
        files.extend(more);
        if read == 0 || files.len() > FILES_MAX {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        done += read;
    }
    Ok(())
}

fn decode(header: [u8; HEADER]) -> Result<(u32, bool, usize), Error> {
    let word = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let (flags, size) = (word(4), word(8) as usize);
    if flags & VERSION_BITS != VERSION || flags & REPLY != 0 || size > BODY_MAX {
        return Err(Error::new(ErrorKind::InvalidData, "the header of a message makes no sense"));
    }
    Ok((word(0), flags & NEED_REPLY != 0, size))
}

/// `false`: stop. A closed socket counts as something to read.
fn wait(socket: BorrowedFd<'_>, stop: BorrowedFd<'_>) -> Result<bool, Error> {
    loop {
        let mut both = [PollFd::new(&stop, PollFlags::IN), PollFd::new(&socket, PollFlags::IN)];
        match poll(&mut both, None) {
            Err(rustix::io::Errno::INTR) => continue,
            answer => answer?,
        };
        return Ok(both[0].revents().is_empty());
    }
}

fn take(
    socket: BorrowedFd<'_>,
    into: &mut [u8],
    flags: RecvFlags,
) -> Result<(usize, Vec<OwnedFd>), Error> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = flags | RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let answer = loop {
        match recvmsg(socket, &mut [IoSliceMut::new(into)], &mut control, flags) {
            Err(rustix::io::Errno::INTR) => continue,
            answer => break answer?,
        }
    };
    let mut files = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            files.extend(rights);
        }
    }
    if answer.flags.contains(ReturnFlags::CTRUNC) {
        return Err(Error::new(ErrorKind::InvalidData, "a message brought more than 32 files"));
    }
    Ok((answer.bytes, files))
}

/// Answers a request. A VMM that does not read its answers is not waited for.
pub(super) fn reply(
    socket: BorrowedFd<'_>,
    request: u32,
    body: &[u8],
    file: Option<BorrowedFd<'_>>,
) -> Result<(), Error> {
    send(socket, request, VERSION | REPLY, body, file)
}

/// Tells the VMM something on the back-end channel, and wants no answer.
pub(super) fn tell(channel: BorrowedFd<'_>, request: u32) -> Result<(), Error> {
    send(channel, request, VERSION, &[], None)
}

fn send(
    socket: BorrowedFd<'_>,
    request: u32,
    flags: u32,
    body: &[u8],
    file: Option<BorrowedFd<'_>>,
) -> Result<(), Error> {
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend([request, flags, body.len() as u32].map(u32::to_le_bytes).as_flattened());
    bytes.extend(body);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files: Vec<BorrowedFd<'_>> = file.into_iter().collect();
    if !files.is_empty() {
        assert!(
            control.push(SendAncillaryMessage::ScmRights(&files)),
            "there is room for one file"
        );
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    match sendmsg(socket.as_fd(), &[IoSlice::new(&bytes)], &mut control, flags)? {
        sent if sent == bytes.len() => Ok(()),
        _ => Err(Error::new(ErrorKind::WriteZero, "the VMM does not read its answers")),
    }
}
