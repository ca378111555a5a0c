//! What a request becomes: the seam between dialects, which know what is meant and
//! have no sockets, and movers, which have sockets and know nothing of objects.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use object::{Mutation, Refusal, Reply};

/// The files that bodies lie in.
pub type SegmentFile = world::files::DirectoryFile;

/// The head of a request, as it came (RFC 9112). Nothing in it is trusted.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The method, as it came.
    pub method: &'a str,
    /// The path, still escaped, with its leading slash.
    pub path: &'a str,
    /// The query, still escaped, without the question mark; empty when there is none.
    pub query: &'a str,
    /// Names as they came, values without blanks around them. Obsolete line folding
    /// is refused before.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// How the body is framed.
    pub framing: Framing,
}

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// In chunks of the transfer coding.
    Chunked,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// The connection is encrypted.
    pub tls: bool,
}

impl<'a> Head<'a> {
    /// The first value of a header, when it is there and is text.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }
}

/// What is done next for a request.
pub enum Step {
    /// This is the answer.
    Answer(Answer),
    /// This is the answer, and a small one is worth keeping.
    Keep(Answer, Keep),
    /// The reply that [`Desk::kept`] found last is the answer.
    Kept,
    /// The body is wanted.
    Receive(Box<dyn Receive>),
    /// One change, and what comes after it.
    Commit(Box<Mutation>, Then<Result<Reply, Refusal>>),
    /// Several changes, decided one by one.
    Commits(Vec<Mutation>, Then<Vec<Result<Reply, Refusal>>>),
    /// Something slow: on a thread where waiting hurts nobody.
    Elsewhere(Box<dyn FnOnce() -> Step + Send>),
}

/// What comes after something is known.
pub type Then<T> = Box<dyn FnOnce(T) -> Step + Send>;

/// What takes a body. Dropped when the client goes away in between.
pub trait Receive: Send {
    /// Content, without the transfer coding, in order. An error ends the request with
    /// this answer and the connection with it.
    ///
    /// # Errors
    /// What to answer when the body is not what it should be.
    fn take(&mut self, bytes: &[u8]) -> Result<(), Box<Answer>>;
    /// All of it came.
    fn end(self: Box<Self>) -> Step;
}

/// An answer. The mover adds `Content-Length`, `Date` and `Connection`.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names and values, in order.
    pub headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    /// The content.
    pub body: Plan,
    /// The connection ends with it.
    pub close: bool,
}

/// How an answer's content leaves.
#[derive(Debug, Default)]
pub enum Plan {
    /// Nothing.
    #[default]
    Empty,
    /// These bytes.
    Bytes(Bytes),
    /// Pieces of files, straight from the page cache to the socket where that can be.
    Pieces(Pieces),
    /// Nothing, but the answer to another method would have so many bytes (HEAD).
    Length(u64),
}

/// Content in files.
pub struct Pieces {
    /// In order.
    pub pieces: Vec<Piece>,
    /// Keeps the space from being used anew while it is read.
    pub pin: Option<Box<dyn Send>>,
    /// What to do with stored units on their way (decryption). Pieces are whole units
    /// then, and the mover calls this for each with its number.
    pub open: Option<Box<dyn Open>>,
    /// The content's length as the client sees it.
    pub length: u64,
}

/// Opens sealed units of a body.
pub trait Open: Send {
    /// Turns stored bytes into content; appends to `into`.
    ///
    /// # Errors
    /// When they are not what was stored.
    fn open(&mut self, stored: &[u8], into: &mut Vec<u8>) -> Result<(), String>;
    /// How many stored bytes to hand over at once.
    fn unit(&self) -> usize;
}

/// A piece of a file.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The file.
    pub file: Arc<SegmentFile>,
    /// The first byte.
    pub offset: u64,
    /// How many.
    pub length: u64,
}

impl std::fmt::Debug for Pieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pieces")
            .field("pieces", &self.pieces)
            .field("length", &self.length)
            .finish()
    }
}

/// Why a kept reply is still true. A dialect looks at the stamps again before it lets
/// the reply be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Which of the stamps of keys it depends on.
    pub place: u32,
    /// That stamp, taken before anything of the answer was read.
    pub stamp: u64,
    /// The bucket's stamp, taken then as well.
    pub bucket_stamp: u64,
}

/// Under what a reply is kept, and for how long.
#[derive(Clone, Debug)]
pub struct Keep {
    /// Everything of a request that the answer depends on (who asks, where, which range).
    pub name: Box<[u8]>,
    /// What makes it true.
    pub proof: Proof,
    /// Its content as it is stored, and all that its head says of it and of no other.
    pub stored: Option<Stored>,
}

/// Small content where it is stored, and what is told of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The segment file.
    pub segment: u32,
    /// The first byte in it.
    pub offset: u64,
    /// How many bytes.
    pub length: u32,
    /// Their CRC32C.
    pub sum: u32,
    /// The entity tag: an MD5.
    pub md5: [u8; 16],
    /// When it was last modified, in seconds since 1970.
    pub modified: i64,
}

/// What a mover offers to a dialect that begins with a request.
pub trait Desk {
    /// The proof of the reply that is kept under this name on this core.
    fn kept(&mut self, name: &[u8]) -> Option<Proof>;
    /// Says who asks, when that is known for certain. Movers share their time out by the
    /// number; the name goes to the access log.
    fn asks(&mut self, account: u64, name: &str);
    /// Says what the request is: a place in [`Service::operations`]. Movers count by it.
    fn does(&mut self, operation: u8) {
        let _ = operation;
    }
}

/// What a mover asks of a dialect.
pub trait Service: Send + Sync {
    /// A request begins. Called on a mover's thread: quick, and never waits.
    fn begin(&self, head: &Head<'_>, peer: &Peer) -> Step;
    /// The same, by a mover that keeps replies and shares its time out. This is what
    /// movers call.
    fn begin_at(&self, head: &Head<'_>, peer: &Peer, desk: &mut dyn Desk) -> Step {
        let _ = desk;
        self.begin(head, peer)
    }
    /// Appends stored content, when it is there, in memory, and what it was. A mover asks
    /// for what it was told with a reply whose proof holds.
    fn fetch(&self, stored: &Stored, into: &mut Vec<u8>) -> bool {
        let _ = (stored, into);
        false
    }
    /// A header that every reply has with a value of its own. Movers add it to kept
    /// replies; a dialect puts it into all others.
    fn request_id(&self) -> Option<&'static str> {
        None
    }
    /// The names of operations, for counting. A request that none is said of is counted
    /// as one that was refused before it was known.
    fn operations(&self) -> &'static [&'static str] {
        &[]
    }
    /// Lines in Prometheus's text format, for the administrators' listener.
    fn metrics(&self, into: &mut String) {
        let _ = into;
    }
    /// The answer in the dialect for a request that is broken or too large before a
    /// dialect could understand it, by status.
    fn refuse(&self, status: u16, why: &str) -> Answer;
}
