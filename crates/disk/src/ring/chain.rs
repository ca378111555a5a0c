//! A chain of descriptors becomes a request, or an answer that says what is wrong.
//!
//! Nothing is assumed about framing (virtio 1.3, 2.7.4): the header may lie in several
//! descriptors, and the status is the last byte that the device may write.

#![allow(unsafe_code, reason = "checked guest memory becomes segments here")]

use std::ptr::NonNull;

use volume::{Kind, Request, Segment};

use crate::guest::{GuestMemory, Hint};
use crate::virtio_blk::{HEADER, Header, RANGE, RANGE_SECTORS_MAX, Range, SECTOR, SEG_MAX};
use crate::virtio_blk::{SERIAL, TRANSFER_MAX, feature, kind, status};

use super::area::{put, two_words};
use super::{Broken, QUEUE_MAX};

/// Pieces of memory in a chain: the data, and a header and status in several.
const PIECES: usize = SEG_MAX as usize + 34;

/// Where the segments of a request are put. One is enough for a reactor: they are used
/// up when the request was submitted.
#[derive(Debug)]
pub struct Scratch {
    pieces: Box<[Segment; PIECES]>,
}

// SAFETY: the segments are written before each use, and never read before.
unsafe impl Send for Scratch {}

impl Default for Scratch {
    fn default() -> Self {
        Self { pieces: Box::new([segment(NonNull::dangling(), 0); PIECES]) }
    }
}

#[inline]
fn segment(place: NonNull<u8>, length: u32) -> Segment {
    // SAFETY: callers pass memory that was looked up in the guest's table; the queue
    // holds that table until the request is answered.
    unsafe { Segment::new(place, length) }
}

/// The rules of a queue that requests are judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) features: u64,
    pub(super) serial: [u8; SERIAL],
}

/// An indirect table, in one region. Used at once, while the memory is held.
pub(super) struct Table {
    start: NonNull<u8>,
    pub(super) entries: u32,
}

impl Table {
    /// An entry, which is there: two words.
    #[inline]
    pub(super) fn entry(&self, at: u32) -> (u64, u64) {
        assert!(at < self.entries);
        // SAFETY: inside the table, which was looked up in whole.
        unsafe { two_words(self.start.add(at as usize * 16)) }
    }
}

/// What a request turned out to be. `written` is without the status byte.
pub(super) enum Parsed {
    /// To be done; so much is written on success.
    Do(Plan, u32),
    /// To be answered at once.
    Answer { status: u8, written: u32 },
}

/// A request whose segments are still named by their places in the scratch.
pub(super) struct Plan {
    kind: Kind,
    offset: u64,
    length: u64,
    fua: bool,
    first: usize,
    until: usize,
}

impl Plan {
    #[inline]
    pub(super) fn request(self, scratch: &Scratch) -> Request<'_> {
        let segments = &scratch.pieces[self.first..self.until];
        Request {
            kind: self.kind,
            offset: self.offset,
            length: self.length,
            fua: self.fua,
            segments,
        }
    }
}

/// A chain as it is walked.
pub(super) struct Chain<'m, 's> {
    memory: &'m GuestMemory,
    hint: &'m mut Hint,
    pieces: &'s mut [Segment; PIECES],
    /// Pieces that the device reads come first, then those that it writes.
    read: usize,
    count: usize,
    bytes_read: u64,
    bytes_written: u64,
    /// The last byte the device may write.
    status: Option<u64>,
    writing: bool,
    /// A descriptor was outside memory, in the wrong order, or there were too many.
    wrong: bool,
}

impl<'m, 's> Chain<'m, 's> {
    #[inline]
    pub(super) fn new(
        memory: &'m GuestMemory,
        hint: &'m mut Hint,
        scratch: &'s mut Scratch,
    ) -> Self {
        let pieces = &mut scratch.pieces;
        let (bytes_read, bytes_written) = (0, 0);
        Self {
            memory,
            hint,
            pieces,
            read: 0,
            count: 0,
            bytes_read,
            bytes_written,
            status: None,
            writing: false,
            wrong: false,
        }
    }

    /// One descriptor more.
    #[inline]
    pub(super) fn add(&mut self, address: u64, length: u32, write: bool) {
        if write {
            self.writing = true;
            let last = u64::from(length).checked_sub(1).and_then(|less| address.checked_add(less));
            self.status = last;
            self.bytes_written += u64::from(length);
        } else {
            self.wrong |= self.writing;
            self.bytes_read += u64::from(length);
        }
        if length == 0 {
            return;
        }
        match self.memory.at(address, u64::from(length), self.hint) {
            Some(place) => self.push(place, length, write),
            None => self.add_pieces(address, length, write),
        }
    }
    #[inline]
    fn push(&mut self, place: NonNull<u8>, length: u32, write: bool) {
        if self.count == PIECES || self.wrong {
            self.wrong = true;
            return;
        }
        self.pieces[self.count] = segment(place, length);
        self.count += 1;
        self.read += usize::from(!write);
    }
    #[cold]
    fn add_pieces(&mut self, address: u64, length: u32, write: bool) {
        let memory = self.memory;
        let each = &mut |place, here: u64| self.push(place, here as u32, write);
        let whole = memory.pieces(address, u64::from(length), each);
        self.wrong |= !whole;
    }
    /// A table of descriptors elsewhere in the guest's memory.
    #[inline]
    pub(super) fn table(&mut self, address: u64, length: u32) -> Result<Table, Broken> {
        let entries = length / 16;
        if !length.is_multiple_of(16) || entries == 0 || entries > u32::from(QUEUE_MAX) {
            return Err(Broken::Indirect);
        }
        let start = self.memory.at(address, u64::from(length), self.hint);
        Ok(Table { start: start.ok_or(Broken::Indirect)?, entries })
    }
    /// The guest address of the status byte, and where that is.
    #[inline]
    pub(super) fn status(&mut self) -> Result<(u64, NonNull<u8>), Broken> {
        let address = self.status.ok_or(Broken::Status)?;
        let place = self.memory.at(address, 1, self.hint).ok_or(Broken::Status)?;
        Ok((address, place))
    }

    /// What the chain asks for.
    #[inline]
    pub(super) fn parse(mut self, rules: &Rules) -> Parsed {
        let refuse = |status| Parsed::Answer { status, written: 0 };
        if self.wrong || self.bytes_read < HEADER as u64 {
            return refuse(status::IOERR);
        }
        let (words, mut first) = self.front(0);
        let header = Header::decode(words);
        let (kind, until, length) = match header.kind {
            kind::IN => {
                first = self.read;
                (Kind::Read, self.without_status(), self.bytes_written - 1)
            }
            kind::OUT => (Kind::Write, self.read, self.bytes_read - HEADER as u64),
            _ => return self.rare(header, first, rules),
        };
        let Some(offset) = header.sector.checked_mul(SECTOR) else { return refuse(status::IOERR) };
        if until - first > SEG_MAX as usize || length % SECTOR != 0 || length > TRANSFER_MAX {
            return refuse(status::IOERR);
        }
        if length == 0 {
            return refuse(status::OK);
        }
        let fua = rules.features & feature::FLUSH == 0;
        let written = if kind == Kind::Read { length as u32 } else { 0 };
        Parsed::Do(Plan { kind, offset, length, fua, first, until }, written)
    }

    /// What has no data of the volume in it.
    #[cold]
    fn rare(mut self, header: Header, first: usize, rules: &Rules) -> Parsed {
        let refuse = |status| Parsed::Answer { status, written: 0 };
        let simple = |kind, offset, length| {
            Parsed::Do(Plan { kind, offset, length, fua: false, first: 0, until: 0 }, 0)
        };
        let (kind, wanted, allowed) = match header.kind {
            kind::FLUSH => return simple(Kind::Flush, 0, 0),
            kind::GET_ID => return self.give_serial(&rules.serial),
            kind::DISCARD => (Kind::Discard, feature::DISCARD, 0),
            kind::WRITE_ZEROES => (Kind::WriteZeroes, feature::WRITE_ZEROES, 1),
            _ => return refuse(status::UNSUPP),
        };
        if rules.features & wanted == 0 {
            return refuse(status::UNSUPP);
        }
        if self.bytes_read != (HEADER + RANGE) as u64 {
            return refuse(status::IOERR);
        }
        let range = Range::decode(self.front(first).0);
        if range.flags & !allowed != 0 {
            return refuse(status::UNSUPP);
        }
        let Some(offset) = range.sector.checked_mul(SECTOR) else { return refuse(status::IOERR) };
        if range.sectors > RANGE_SECTORS_MAX {
            return refuse(status::IOERR);
        }
        match range.sectors {
            0 => refuse(status::OK),
            sectors => simple(kind, offset, u64::from(sectors) * SECTOR),
        }
    }

    /// Answers with the serial, padded with zeros, in as many bytes as there is room.
    fn give_serial(&mut self, serial: &[u8; SERIAL]) -> Parsed {
        let until = self.without_status();
        let mut left = &serial[..];
        for piece in &self.pieces[self.read..until] {
            let (now, rest) = left.split_at(left.len().min(piece.len()));
            for (at, byte) in now.iter().enumerate() {
                // SAFETY: inside a piece of guest memory.
                unsafe { put(NonNull::new_unchecked(piece.address().add(at)), *byte) };
            }
            left = rest;
        }
        Parsed::Answer { status: status::OK, written: (SERIAL - left.len()) as u32 }
    }

    /// Takes 16 bytes off the front of the readable pieces, of which there are enough.
    /// With the first piece that has something left.
    #[inline]
    fn front(&mut self, first: usize) -> ((u64, u64), usize) {
        let piece = self.pieces[first];
        if piece.len() < 16 {
            return self.front_split(first);
        }
        // SAFETY: 16 bytes are in the piece.
        let words = unsafe { two_words(NonNull::new_unchecked(piece.address())) };
        if piece.len() == 16 {
            return (words, first + 1);
        }
        self.pieces[first] = rest(piece, 16);
        (words, first)
    }
    #[cold]
    fn front_split(&mut self, mut first: usize) -> ((u64, u64), usize) {
        let mut bytes = [0; 16];
        let mut done = 0;
        while done < 16 {
            let piece = self.pieces[first];
            let here = piece.len().min(16 - done);
            volume::memory::gather(&[piece], 0, &mut bytes[done..done + here]);
            done += here;
            match here == piece.len() {
                true => first += 1,
                false => self.pieces[first] = rest(piece, here),
            }
        }
        let whole = u128::from_le_bytes(bytes);
        ((whole as u64, (whole >> 64) as u64), first)
    }
    /// Takes the status byte off the last piece; the end of what is left.
    #[inline]
    fn without_status(&mut self) -> usize {
        let last = self.pieces[self.count - 1];
        if last.len() == 1 {
            return self.count - 1;
        }
        let place = NonNull::new(last.address()).expect("pieces are not at 0");
        self.pieces[self.count - 1] = segment(place, last.len() as u32 - 1);
        self.count
    }
}

/// A piece without its first bytes, of which it has more.
#[inline]
fn rest(piece: Segment, skip: usize) -> Segment {
    // SAFETY: `skip` is inside the piece.
    let place = unsafe { NonNull::new_unchecked(piece.address().add(skip)) };
    segment(place, (piece.len() - skip) as u32)
}
