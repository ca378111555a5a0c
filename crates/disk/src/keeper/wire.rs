//! What the keeper and an engine say to each other: one datagram a message, with
//! descriptors beside it (unix(7), `SCM_RIGHTS`).
//!
//! A message is a kind (1 byte), the length of its key (2 bytes, little endian), the
//! key, and bytes. The format never changes, since keepers outlive engines: new kinds
//! may be added, and an unknown one is passed over.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};

/// Most bytes in a message, its head included. What is larger goes into shared memory.
pub const MESSAGE: usize = 128 * 1024;
/// Most descriptors beside a message: the kernel's own limit.
pub const DESCRIPTORS: usize = 253;

/// What a message is about. `E` marks those that an engine sends, `K` the keeper's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// E: keep bytes and descriptors under a key, in place of what was there.
    Put = 1,
    /// E: forget a key.
    Delete = 2,
    /// E: send everything that is kept.
    All = 3,
    /// K: one that is kept.
    Item = 4,
    /// K: that was everything. The bytes are the generation, 8 bytes, little endian.
    End = 5,
    /// E: start a successor. The bytes are a program's path; none: the keeper's own.
    Replace = 6,
    /// K: the other engine of a replacement, as a descriptor. Key `old`: you are the
    /// one that goes; key `new`: you are the one that comes.
    Peer = 7,
    /// E, from the successor: it could take over at any moment. From one that is alone: it
    /// serves.
    Ready = 8,
    /// K: the successor is gone, for the reason in the bytes. Go on.
    Refused = 9,
    /// E, from the successor: everything is mine now.
    Committed = 10,
    /// E: I end in good order; the bytes say why. Do not start another.
    Leaving = 11,
    /// K: end in good order.
    Stop = 12,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        use Kind::*;
        [Put, Delete, All, Item, End, Replace, Peer, Ready, Refused, Committed, Leaving, Stop]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// A message as it came.
#[derive(Debug)]
pub struct Message {
    /// About what.
    pub kind: Kind,
    /// The key, empty where there is none.
    pub key: String,
    /// Bytes.
    pub bytes: Vec<u8>,
    /// Descriptors, now ours.
    pub fds: Vec<OwnedFd>,
}

/// One end of a connection between a keeper and an engine, or between two engines.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
}

impl Channel {
    /// Both ends of a new connection.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self { socket: a }, Self { socket: b }))
    }
    /// The end that a descriptor is.
    pub fn over(socket: OwnedFd) -> Self {
        Self { socket }
    }
    /// The descriptor, to be handed on.
    pub fn into_fd(self) -> OwnedFd {
        self.socket
    }

    /// Sends a message. Once this returns, it arrives even when we die.
    pub fn send(
        &self,
        kind: Kind,
        key: &str,
        bytes: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let length = u16::try_from(key.len()).map_err(|_| too_long())?;
        if 3 + key.len() + bytes.len() > MESSAGE || fds.len() > DESCRIPTORS {
            return Err(too_long());
        }
        let head = [kind as u8, length.to_le_bytes()[0], length.to_le_bytes()[1]];
        let parts = [&head[..], key.as_bytes(), bytes].map(io::IoSlice::new);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(fds)), "there is room for them");
        }
        rustix::io::retry_on_intr(|| {
            sendmsg(&self.socket, &parts, &mut control, SendFlags::NOSIGNAL)
        })?;
        Ok(())
    }

    /// Waits for a message. `None`: the other end is closed. A message that is not
    /// understood is an error; the connection can still be used.
    pub fn receive(&self) -> io::Result<Option<Message>> {
        self.take(RecvFlags::empty())
    }

    /// A message, if one is there: else the error says [`io::ErrorKind::WouldBlock`].
    pub fn receive_now(&self) -> io::Result<Option<Message>> {
        self.take(RecvFlags::DONTWAIT)
    }

    fn take(&self, flags: RecvFlags) -> io::Result<Option<Message>> {
        let mut buffer = vec![0; MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = rustix::io::retry_on_intr(|| {
            let mut parts = [io::IoSliceMut::new(&mut buffer)];
            recvmsg(&self.socket, &mut parts, &mut control, flags | RecvFlags::CMSG_CLOEXEC)
        })?;
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        if got.bytes == 0 && fds.is_empty() {
            return Ok(None);
        }
        if got.flags.contains(ReturnFlags::TRUNC) || got.flags.contains(ReturnFlags::CTRUNC) {
            return Err(not_ours("a message was cut short"));
        }
        buffer.truncate(got.bytes);
        parse(buffer, fds).map(Some)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn parse(mut buffer: Vec<u8>, fds: Vec<OwnedFd>) -> io::Result<Message> {
    let [kind, low, high, ..] = buffer[..] else {
        return Err(not_ours("a message without a head"));
    };
    let kind = Kind::of(kind).ok_or_else(|| not_ours("a message of an unknown kind"))?;
    let until = 3 + usize::from(u16::from_le_bytes([low, high]));
    let key = buffer.get(3..until).ok_or_else(|| not_ours("a message shorter than its key"))?;
    let key = std::str::from_utf8(key).map_err(|_| not_ours("a key that is no text"))?.to_owned();
    let bytes = buffer.split_off(until);
    Ok(Message { kind, key, bytes, fds })
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the message is too long for the keeper")
}

fn not_ours(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_with_its_descriptors() {
        let (a, b) = Channel::pair().expect("pair");
        let (c, d) = Channel::pair().expect("pair");
        a.send(Kind::Put, "key", b"bytes", &[c.as_fd()]).expect("send");
        a.send(Kind::All, "", b"", &[]).expect("send");
        drop((a, c));
        let first = b.receive().expect("receive").expect("a message");
        assert_eq!(
            (first.kind, &first.key[..], &first.bytes[..]),
            (Kind::Put, "key", &b"bytes"[..])
        );
        let [fd] = <[_; 1]>::try_from(first.fds).expect("one descriptor");
        Channel::over(fd).send(Kind::Ready, "", b"", &[]).expect("it is the same socket");
        assert_eq!(d.receive().expect("receive").expect("a message").kind, Kind::Ready);
        assert_eq!(b.receive().expect("receive").expect("a message").kind, Kind::All);
        assert!(
            b.receive().expect("receive").is_none(),
            "sent before the end counts, then the end"
        );
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let (a, _b) = Channel::pair().expect("pair");
        assert!(a.send(Kind::Put, "k", &vec![0; MESSAGE], &[]).is_err());
        assert!(a.send(Kind::Put, &"k".repeat(70_000), b"", &[]).is_err());
    }

    #[test]
    fn noise_is_an_error_and_no_end() {
        for noise in [&b"\x01"[..], b"\xff\x00\x00", b"\x01\x05\x00abc", b"\x01\x01\x00\xff"] {
            assert!(parse(noise.to_vec(), Vec::new()).is_err(), "{noise:?}");
        }
    }
}
