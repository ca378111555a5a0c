//! A connection: its socket, what it is at, and what waits to be sent.

use bytes::Bytes;

use super::wire::Wire;
use crate::http::{Content, Manner};
use crate::step::{Framing, Peer, Pieces, Receive, Step};

/// What a connection is at.
pub enum State {
    /// A head is awaited or comes.
    Head,
    /// Content comes, and this takes it.
    Content(Box<dyn Receive>),
    /// Content comes that nobody wants: the next request is behind it.
    Skip,
    /// Somebody else does something for it.
    Away,
    /// Its reply goes out; nothing else before that.
    Reply,
    /// Nothing more is sent; the client is to see the end of the reply.
    Linger,
}

/// Content of a reply that waits to be sent.
#[derive(Debug, Default)]
pub enum Body {
    /// None.
    #[default]
    None,
    /// The rest of these.
    Bytes(Bytes),
    /// The rest of these pieces: which is next, and how much of it has gone.
    Pieces(Box<Pieces>, usize, u64),
}

/// A request that is served.
#[derive(Clone, Debug)]
pub struct Request {
    pub manner: Manner,
    pub content: Content,
    /// Monotonic nanoseconds.
    pub began: u64,
    /// The client was told to send its content, or was not waiting for that.
    pub invited: bool,
    /// The connection ends after its reply.
    pub ends: bool,
    /// The reply's status; 0 while there is none.
    pub status: u16,
    /// Bytes of the reply's content.
    pub sends: u64,
    /// For the access log: what is known from the head.
    pub line: Option<Vec<u8>>,
    /// What it is, for counting.
    pub operation: u8,
}

impl Request {
    /// One whose head was read.
    pub fn new(manner: Manner, began: u64, line: Option<Vec<u8>>) -> Self {
        Self {
            manner,
            content: Content::new(manner.framing),
            began,
            invited: !manner.expects,
            ends: false,
            status: 0,
            sends: 0,
            line,
            operation: u8::MAX,
        }
    }

    /// One that nobody could read.
    pub fn unread(began: u64) -> Self {
        let manner = Manner {
            keep_alive: false,
            old: false,
            head_only: false,
            expects: false,
            framing: Framing::None,
        };
        Self::new(manner, began, None)
    }
}

/// In which phase a connection waits: each has its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Idle,
    Head,
    Content,
    Away,
    Send,
    Linger,
}

/// A connection.
pub struct Connection {
    pub wire: Wire,
    pub peer: Peer,
    /// By what its time is shared out.
    pub account: u64,
    pub state: State,
    pub request: Option<Request>,
    /// What is next for it, from elsewhere.
    pub coming: Option<Step>,
    /// Received and not read, while it is not served.
    pub inbox: Vec<u8>,
    /// Content on its way to a worker.
    pub block: Option<Vec<u8>>,
    /// Heads and small content of replies, and how much of it has gone.
    pub out: Vec<u8>,
    pub gone: usize,
    pub body: Body,
    /// A worker reads what is next of it into memory.
    pub fetching: bool,
    /// Of the piece with this number, what is before this byte was found there, or fetched.
    pub near: (usize, u64),
    /// It waits for its turn.
    pub queued: bool,
    pub phase: Phase,
    /// When it has taken too long, in monotonic nanoseconds.
    pub deadline: u64,
    /// Bytes in either direction, and as of when its time was last prolonged.
    pub moved: u64,
    pub mark: u64,
    /// What this service took so far.
    pub spent: u64,
}

impl Connection {
    /// A new one.
    pub fn new(wire: Wire, peer: Peer, account: u64, deadline: u64) -> Self {
        Self {
            wire,
            peer,
            account,
            state: State::Head,
            request: None,
            coming: None,
            inbox: Vec::new(),
            block: None,
            out: Vec::new(),
            gone: 0,
            body: Body::None,
            fetching: false,
            near: (0, 0),
            queued: false,
            phase: Phase::Head,
            deadline,
            moved: 0,
            mark: 0,
            spent: 0,
        }
    }

    /// Nothing of a reply waits.
    pub fn sent(&self) -> bool {
        self.gone == self.out.len() && matches!(self.body, Body::None) && !self.wire.wants_write()
    }

    /// Which phase it waits in, when so many received bytes are left unread.
    fn waits_in(&self, unread: usize) -> Phase {
        match self.state {
            State::Linger => Phase::Linger,
            _ if !self.sent() => Phase::Send,
            State::Reply => Phase::Send,
            State::Away => Phase::Away,
            State::Content(_) | State::Skip => Phase::Content,
            State::Head if unread > 0 || self.wire.is_handshaking() => Phase::Head,
            State::Head => Phase::Idle,
        }
    }

    /// Sets its deadline for where it waits now. A phase's time is not prolonged by
    /// trickling bytes.
    pub fn set_deadline(&mut self, unread: usize, now: u64, timeouts: &super::Timeouts) {
        /// Less than this is no progress.
        const PROGRESS: u64 = 16 << 10;
        let phase = self.waits_in(unread);
        let progressed = self.moved - self.mark >= PROGRESS;
        let prolonged = match phase {
            Phase::Idle | Phase::Away => true,
            Phase::Content | Phase::Send => progressed,
            Phase::Head | Phase::Linger => false,
        };
        if phase != self.phase || prolonged {
            self.mark = self.moved;
            self.phase = phase;
            self.deadline = match phase {
                Phase::Idle => now + timeouts.idle,
                Phase::Head => now + timeouts.head,
                Phase::Content | Phase::Send => now + timeouts.progress,
                Phase::Linger => now + timeouts.linger,
                Phase::Away => u64::MAX,
            };
        }
    }
}
