//! What other threads tell a reactor: a list under a lock that is held for a push, and an
//! eventfd(2) that wakes it.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use object::{Refusal, Reply};
use rustix::event::{EventfdFlags, eventfd};

use super::slots::Token;
use crate::step::{Answer, Peer, Receive, Step, Then};

/// Something for a reactor.
pub enum Message {
    /// What is next for a connection.
    Step(Token, Step),
    /// The writer decided.
    Applied(Token, Then<Result<Reply, Refusal>>, Result<Reply, Refusal>),
    /// The writer decided several.
    AppliedAll(Token, Then<Vec<Result<Reply, Refusal>>>, Vec<Result<Reply, Refusal>>),
    /// A block of content was taken; the block comes back empty.
    Taken(Token, Box<dyn Receive>, Vec<u8>, Result<(), Box<Answer>>),
    /// All content was taken; the block comes back empty.
    Ended(Token, Vec<u8>, Step),
    /// What is sent next is in memory.
    Fetched(Token),
    /// A connection that another process began.
    Adopt(Adopted),
    /// Accept no more, finish what has begun, hand over or end what waits.
    Drain(Option<std::sync::mpsc::Sender<Handed>>),
    /// End at once.
    Stop,
}

/// A connection on its way to another process.
#[derive(Debug)]
pub struct Handed {
    /// The socket.
    pub socket: OwnedFd,
    /// What was received and not yet read.
    pub received: Vec<u8>,
    /// Who is at the other end.
    pub peer: Peer,
    /// How it is encrypted, by this process.
    pub tls: Option<Box<rustls::ServerConnection>>,
}

/// A connection that comes from another process.
#[derive(Debug)]
pub struct Adopted {
    /// The socket.
    pub socket: OwnedFd,
    /// What was received and not yet read.
    pub received: Vec<u8>,
    /// The other process relays it, and encrypts it for who has this address.
    pub relayed: Option<IpAddr>,
}

/// A reactor's letters.
#[derive(Debug)]
pub struct Mailbox {
    bell: OwnedFd,
    letters: Mutex<Vec<Message>>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Message")
    }
}

impl Mailbox {
    /// An empty one.
    ///
    /// # Errors
    /// When the system has no descriptor for its bell.
    pub fn new() -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { bell, letters: Mutex::new(Vec::new()) })
    }

    /// Puts one in.
    pub fn send(&self, message: Message) {
        self.send_all(std::iter::once(message));
    }

    /// Puts several in, and rings once.
    pub fn send_all(&self, messages: impl Iterator<Item = Message>) {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        let first = letters.is_empty();
        letters.extend(messages);
        drop(letters);
        if first {
            // It only fails when its count is full, and then it rings anyhow.
            let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        }
    }

    /// Takes all, in order.
    pub fn take(&self, into: &mut Vec<Message>) {
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        std::mem::swap(into, &mut *self.letters.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
