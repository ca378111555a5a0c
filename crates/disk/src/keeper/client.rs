//! The engine's end of the channel to its keeper.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire::{Channel, Kind, Message};

/// What was deposited under a key.
#[derive(Debug)]
pub struct Deposit {
    /// Bytes: JSON, by the convention of engines.
    pub bytes: Vec<u8>,
    /// Descriptors.
    pub fds: Vec<OwnedFd>,
}

impl Deposit {
    /// What the bytes say.
    pub fn read<T: DeserializeOwned>(&self) -> io::Result<T> {
        Ok(serde_json::from_slice(&self.bytes)?)
    }
    /// A descriptor, by its position.
    pub fn fd(&self, at: usize) -> io::Result<OwnedFd> {
        let missing = || io::Error::new(io::ErrorKind::InvalidData, "a deposit lacks a descriptor");
        self.fds.get(at).ok_or_else(missing)?.try_clone()
    }
}

/// Everything that was deposited.
pub type Deposits = BTreeMap<String, Deposit>;

/// The keeper, as an engine sees it. Messages of several threads do not mix.
#[derive(Debug)]
pub struct Keeper {
    channel: Channel,
}

impl Keeper {
    /// The keeper at the other end of standard input, where it puts itself.
    pub fn inherited() -> io::Result<Self> {
        let socket = io::stdin().as_fd().try_clone_to_owned()?;
        let kind = rustix::net::sockopt::socket_type(&socket);
        if kind != Ok(rustix::net::SocketType::SEQPACKET) {
            let why = "this is started by `bedplate disk up`, not by people";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(Self { channel: Channel::over(socket) })
    }

    /// Deposits bytes and descriptors in place of what was there. Once this returns they
    /// outlive us.
    pub fn put(&self, key: &str, value: &impl Serialize, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.channel.send(Kind::Put, key, &serde_json::to_vec(value)?, fds)
    }
    /// Takes a deposit back.
    pub fn delete(&self, key: &str) -> io::Result<()> {
        self.channel.send(Kind::Delete, key, b"", &[])
    }
    /// Says something that has no key.
    pub fn say(&self, kind: Kind, bytes: &[u8]) -> io::Result<()> {
        self.channel.send(kind, "", bytes, &[])
    }
    /// Waits for what the keeper says. `None`: it is gone.
    pub fn hear(&self) -> io::Result<Option<Message>> {
        self.channel.receive()
    }

    /// Everything that is deposited, our generation, and what the keeper said before it
    /// sent that. Only at the start, when nobody else listens.
    pub fn all(&self) -> io::Result<(Deposits, u64, Vec<Message>)> {
        self.say(Kind::All, b"")?;
        let (mut deposits, mut others) = (Deposits::new(), Vec::new());
        loop {
            let message = self.hear()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            match message.kind {
                Kind::Item => {
                    let deposit = Deposit { bytes: message.bytes, fds: message.fds };
                    deposits.insert(message.key, deposit);
                }
                Kind::End => {
                    let bytes = <[u8; 8]>::try_from(&message.bytes[..]);
                    let bytes = bytes.map_err(|_| io::ErrorKind::InvalidData)?;
                    return Ok((deposits, u64::from_le_bytes(bytes), others));
                }
                _ => others.push(message),
            }
        }
    }
}

impl AsFd for Keeper {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}
