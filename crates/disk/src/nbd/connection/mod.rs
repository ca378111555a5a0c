//! A client after negotiation: requests in, replies out. No system calls.
//!
//! The connection's memory is one region: the ring that bytes are received in, the
//! places that reads land in, and the ring of short replies. When one of them is full,
//! [`Connection::next`] gives nothing until replies have been sent, so that a client
//! that does not read its replies stops only itself.
//!
//! Writes and, where replies come in chunks, reads are handed to the engine in pieces
//! of up to 256 KiB: memory does not depend on what clients ask for.

mod answer;
mod arena;
mod fetch;
mod inlet;
mod outlet;
mod saved;
mod table;

use std::io::IoSlice;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use volume::{Kind, Region, Request, Segment};

use super::export::Agreed;
use arena::{Arena, Hold};
use inlet::Inlet;
use outlet::Outlet;
pub use saved::{RestoreError, Saved};
use table::Table;

/// Memory a connection must be given, in bytes. Untouched pages cost nothing.
pub const MEMORY: usize = 4 << 20;
/// Extents in one answer to a block status.
pub const MOST_EXTENTS: usize = 128;
/// Requests of the engine in flight for one connection.
pub const IN_FLIGHT: u16 = 256;
/// Pieces that one system call can send.
const SLICES: usize = 64;
/// Longest piece of a request that may be split, in bytes.
const PIECE: u64 = 256 << 10;

/// A request in flight. Free to be used again when it has been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ticket(pub u16);

/// What a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Data of the volume into the segments.
    Read,
    /// The segments into the volume.
    Write,
    /// What was acknowledged on any connection becomes durable.
    Flush,
    /// The range may be forgotten.
    Trim,
    /// The range becomes zeros.
    WriteZeroes,
    /// Which blocks of the range are allocated; answered by [`Connection::status`].
    Status,
}

/// One request for the engine, or a piece of one.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Comes back with the answer.
    pub ticket: Ticket,
    /// What.
    pub ask: Ask,
    /// From which byte of the volume; a multiple of 512.
    pub offset: u64,
    /// How many bytes; a multiple of 512, inside the volume.
    pub length: u64,
    /// Whether it is durable before it is answered.
    pub fua: bool,
    /// Whether zeros must take up space, so that a later write finds room.
    pub no_hole: bool,
    /// How many extents a block status wants at most.
    pub extents: usize,
    segments: [Segment; 2],
    pieces: u8,
}

impl Wanted {
    /// The memory of a read or write. It is valid until the ticket is answered.
    #[inline]
    pub fn segments(&self) -> &[Segment] {
        &self.segments[..usize::from(self.pieces)]
    }
    /// The engine's request; `None` for a block status.
    #[inline]
    pub fn request(&self) -> Option<Request<'_>> {
        let kind = match self.ask {
            Ask::Read => Kind::Read,
            Ask::Write => Kind::Write,
            Ask::Flush => Kind::Flush,
            Ask::Trim => Kind::Discard,
            Ask::WriteZeroes => Kind::WriteZeroes,
            Ask::Status => return None,
        };
        let (offset, length, fua) = (self.offset, self.length, self.fua);
        Some(Request { kind, offset, length, fua, segments: self.segments() })
    }
}

/// A part of a volume that is the same throughout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusExtent {
    /// In bytes, not 0.
    pub length: u64,
    /// Nothing is allocated.
    pub hole: bool,
    /// It reads as zeros.
    pub zero: bool,
}

/// The client does not speak the protocol. Nothing sensible can follow: hang up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Broken {
    /// A request does not begin with the protocol's magic number.
    #[error("the client sent something that is not an NBD request")]
    Magic,
}

/// Where the next bytes of the client belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    /// A request begins.
    Header,
    /// Pieces of this command are still to be handed out.
    Issue(u16),
    /// So many bytes belong to a write that was refused.
    Skip(u64),
    /// The client said goodbye.
    Ended,
    /// The client sent nonsense.
    Broken,
}

/// A client's request.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Command {
    cookie: u64,
    ask: Ask,
    fua: bool,
    no_hole: bool,
    one: bool,
    /// Whether a read must be answered as one piece.
    whole: bool,
    next: u64,
    left: u64,
    outstanding: u16,
    /// The error it ends with, 0 for none.
    error: u32,
}

/// A piece of a request that the engine has.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Piece {
    command: u16,
    offset: u64,
    length: u64,
    place: Place,
}

/// Where the data of a piece is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Place {
    Nowhere,
    /// In the inlet.
    Received {
        pin: u64,
        start: u64,
    },
    /// In the arena.
    Kept {
        hold: Hold,
        at: usize,
    },
}

/// A client. Whoever drives it moves bytes between it and a socket, and requests
/// between it and the engine.
#[derive(Debug)]
pub struct Connection {
    agreed: Agreed,
    memory: Region,
    stage: Stage,
    retiring: bool,
    commands: Table<Command>,
    pieces: Table<Piece>,
    inlet: Inlet,
    arena: Arena,
    outlet: Outlet,
}

/// Pieces of memory to be sent by one system call.
pub struct Output<'a> {
    slices: [IoSlice<'a>; SLICES],
    count: usize,
}

impl<'a> std::ops::Deref for Output<'a> {
    type Target = [IoSlice<'a>];
    fn deref(&self) -> &[IoSlice<'a>] {
        &self.slices[..self.count]
    }
}

impl Connection {
    /// Begins, with memory of its own of at least [`MEMORY`] bytes and with what
    /// the client sent after it had negotiated (at most that of one receive).
    pub fn new(agreed: Agreed, memory: Region, rest: &[u8]) -> Self {
        assert!(memory.len() >= MEMORY, "a connection has enough memory");
        let ring = 1 << (memory.len() / 2).ilog2();
        let after = ring + outlet::SHORT_BYTES;
        let mut connection = Self {
            agreed,
            stage: Stage::Header,
            retiring: false,
            commands: Table::new(IN_FLIGHT),
            pieces: Table::new(IN_FLIGHT),
            inlet: Inlet::new(0, ring),
            outlet: Outlet::new(ring),
            arena: Arena::new(after, memory.len() - after),
            memory,
        };
        connection.space()[..rest.len()].copy_from_slice(rest);
        connection.received(rest.len());
        connection
    }

    /// What was agreed on.
    pub fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    /// Where the client's bytes are to be received. Empty when the memory is full, or
    /// when nothing more is wanted: then wait until replies have been sent.
    ///
    /// While a receive into it is under way (io_uring), it stays where it is as long as
    /// this is not called again; requests may be taken and answered meanwhile.
    pub fn space(&mut self) -> &mut [u8] {
        if matches!(self.stage, Stage::Ended | Stage::Broken) {
            return &mut [];
        }
        let (at, length) = self.inlet.space(&mut self.memory);
        self.memory.bytes_mut(at, length)
    }

    /// So many bytes were received into [`Connection::space`].
    pub fn received(&mut self, bytes: usize) {
        self.inlet.received(bytes);
    }

    /// What is to be sent, in order; up to 64 pieces. Empty when all is sent. The pieces
    /// stay where they are until [`Connection::sent`], for a send that is under way.
    pub fn output(&self) -> Output<'_> {
        let mut output = Output { slices: [IoSlice::new(&[]); SLICES], count: 0 };
        for ((at, length), slice) in self.outlet.pending().zip(&mut output.slices) {
            *slice = IoSlice::new(self.memory.bytes(at, length));
            output.count += 1;
        }
        output
    }

    /// Whether something is to be sent.
    #[inline]
    pub fn has_output(&self) -> bool {
        !self.outlet.is_empty()
    }

    /// So many bytes of [`Connection::output`] were sent.
    pub fn sent(&mut self, bytes: usize) {
        let arena = &mut self.arena;
        self.outlet.sent(bytes, |hold| arena.give_back(hold));
    }

    /// Takes no more requests: [`Connection::finished`] becomes true at the next
    /// request's boundary.
    pub fn retire(&mut self) {
        self.retiring = true;
    }

    /// Whether nothing is in flight: the memory may be taken away.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether the end is reached: the client said goodbye or the connection is
    /// [retired](Connection::retire), and all is answered and sent.
    pub fn finished(&self) -> bool {
        let over = match self.stage {
            Stage::Ended | Stage::Broken => true,
            Stage::Header => self.retiring,
            Stage::Issue(_) | Stage::Skip(_) => false,
        };
        over && self.is_idle() && self.outlet.is_empty()
    }

    /// Gives the memory back, or itself when the engine still uses it.
    pub fn close(self) -> Result<Region, Box<Connection>> {
        if self.is_idle() { Ok(self.memory) } else { Err(Box::new(self)) }
    }
}
