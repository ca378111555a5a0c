//! Bytes to the client: the order of what is sent, and the memory of short replies.
//! Short replies that follow each other lie next to each other and go as one piece.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use volume::Region;

use super::arena::Hold;

/// Bytes of the ring of short replies.
pub const SHORT_BYTES: usize = 64 << 10;
/// The longest short reply: a block status.
pub const LONGEST: usize = 24 + 8 * super::MOST_EXTENTS;

/// A piece to be sent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Span {
    /// Where, in the connection's memory.
    pub at: usize,
    /// How many bytes.
    pub length: usize,
    release: Release,
}

/// What is free when a piece has been sent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Release {
    /// The ring of short replies, up to here.
    Short(u64),
    /// The place of a read.
    Read(Hold),
}

/// What is to be sent.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outlet {
    at: usize,
    head: u64,
    tail: u64,
    promised: usize,
    spans: VecDeque<Span>,
    begun: usize,
}

impl Outlet {
    /// With the ring of short replies, [`SHORT_BYTES`] long, at `at` of the memory.
    pub fn new(at: usize) -> Self {
        let spans = VecDeque::with_capacity(512);
        Self { at, head: 0, tail: 0, promised: 0, spans, begun: 0 }
    }

    /// Whether a reply of so many bytes can be promised.
    #[inline]
    pub fn has_room(&self, bytes: usize) -> bool {
        // At the ring's end up to LONGEST bytes may be passed over.
        (self.tail - self.head) as usize + self.promised + bytes + LONGEST <= SHORT_BYTES
    }
    /// Keeps room for a reply.
    #[inline]
    pub fn promise(&mut self, bytes: usize) {
        self.promised += bytes;
    }
    /// The promise is kept, or not needed any more.
    #[inline]
    pub fn keep_promise(&mut self, bytes: usize) {
        self.promised -= bytes;
    }

    /// Sends a short reply. The room for it was promised or asked for.
    #[inline]
    pub fn short(&mut self, memory: &mut Region, reply: &[u8]) {
        if self.spans.is_empty() {
            (self.head, self.tail) = (0, 0);
        }
        let mut index = self.tail as usize % SHORT_BYTES;
        if index + reply.len() > SHORT_BYTES {
            self.tail += (SHORT_BYTES - index) as u64;
            index = 0;
        }
        self.tail += reply.len() as u64;
        assert!((self.tail - self.head) as usize <= SHORT_BYTES, "room was promised");
        let at = self.at + index;
        memory.bytes_mut(at, reply.len()).copy_from_slice(reply);
        let release = Release::Short(self.tail);
        match self.spans.back_mut() {
            Some(last)
                if last.at + last.length == at && matches!(last.release, Release::Short(_)) =>
            {
                last.length += reply.len();
                last.release = release;
            }
            _ => self.spans.push_back(Span { at, length: reply.len(), release }),
        }
    }

    /// Sends a read: header and data, which lie at `at`.
    #[inline]
    pub fn read(&mut self, at: usize, length: usize, hold: Hold) {
        self.spans.push_back(Span { at, length, release: Release::Read(hold) });
    }

    /// Whether all is sent.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// What is to be sent, in order, as offset and length.
    pub fn pending(&self) -> impl Iterator<Item = (usize, usize)> {
        let mut begun = self.begun;
        self.spans.iter().map(move |span| {
            let here = std::mem::take(&mut begun);
            (span.at + here, span.length - here)
        })
    }

    /// So many bytes were sent. Calls with each place of a read that is free now.
    pub fn sent(&mut self, bytes: usize, mut free: impl FnMut(Hold)) {
        self.begun += bytes;
        while let Some(span) = self.spans.front() {
            if self.begun < span.length {
                return;
            }
            self.begun -= span.length;
            match span.release {
                Release::Short(through) => self.head = through,
                Release::Read(hold) => free(hold),
            }
            self.spans.pop_front();
        }
        assert!(self.begun == 0, "no more was sent than there was");
    }
}
