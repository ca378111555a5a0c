//! Sending what waits: heads with a send, content of files with sendfile(2), all else and
//! everything of TLS through buffers of a bounded size. Nothing is read from a file before
//! the socket has taken what was read before.

use std::io;
use std::os::fd::AsFd as _;

use world::files::File as _;

use super::connection::Body;
use super::drive::{Drive, SLICE};
use crate::step::{Piece, Pieces};

/// Plaintext that is encrypted at once: eight records. What is read, encrypted and sent stays
/// near the core then; a MiB of it is a fifth slower, two records a tenth.
const BATCH: usize = 128 << 10;

/// Bytes of a file that are sent at once: as many as nginx does. A call has its price, and
/// so much takes a tenth of a millisecond.
const AT_ONCE: u64 = 2 << 20;

/// What came of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Nothing waits any more.
    All,
    /// The share is used up.
    Some,
    /// The socket takes no more.
    Blocked,
}

impl Drive<'_> {
    /// Sends until nothing is left, the socket is full or the share is used up.
    pub fn send(&mut self) -> io::Result<Sent> {
        loop {
            if self.connection.sent() {
                return Ok(Sent::All);
            }
            if !self.connection.wire.writable || self.connection.fetching {
                return Ok(Sent::Blocked);
            }
            let before = self.connection.moved;
            if self.connection.wire.is_plain() {
                self.send_plain()?
            } else {
                self.send_tls()?
            }
            let sent = self.connection.moved - before;
            self.connection.spent += sent;
            self.lane.counters.sent(sent);
            let used_up = self.connection.spent >= 2 * SLICE;
            if used_up && self.connection.wire.writable && !self.connection.sent() {
                return Ok(Sent::Some);
            }
        }
    }

    fn send_plain(&mut self) -> io::Result<()> {
        let connection = &mut *self.connection;
        let head = &connection.out[connection.gone..];
        let count = match &mut connection.body {
            Body::None => connection.wire.send(head, false)?,
            Body::Bytes(bytes) if head.is_empty() => {
                let count = connection.wire.send(bytes, false)?;
                bytes::Buf::advance(bytes, count);
                connection.moved += count as u64;
                if bytes.is_empty() {
                    connection.body = Body::None;
                }
                return Ok(());
            }
            Body::Bytes(bytes) => {
                let count = connection.wire.send_both(head, bytes)?;
                let beyond = count.saturating_sub(head.len());
                bytes::Buf::advance(bytes, beyond);
                connection.moved += beyond as u64;
                if bytes.is_empty() {
                    connection.body = Body::None;
                }
                count - beyond
            }
            Body::Pieces(..) if head.is_empty() => return self.send_pieces(),
            Body::Pieces(..) => connection.wire.send(head, true)?,
        };
        connection.moved += count as u64;
        connection.gone += count;
        if connection.gone == connection.out.len() {
            connection.out.clear();
            connection.gone = 0;
        }
        Ok(())
    }

    fn send_pieces(&mut self) -> io::Result<()> {
        let Some(near) = self.near() else { return Ok(()) };
        let Body::Pieces(pieces, next, gone) = &mut self.connection.body else { return Ok(()) };
        if pieces.open.is_some() {
            return self.open_pieces();
        }
        let piece = &pieces.pieces[*next];
        let count = near.min(AT_ONCE) as usize;
        let (file, at) = (piece.file.as_fd(), piece.offset + *gone);
        let sent = self.connection.wire.send_file(file, at, count)? as u64;
        self.connection.moved += sent;
        went_on(&pieces.pieces, next, gone, sent);
        if *next == pieces.pieces.len() {
            self.connection.body = Body::None;
        }
        Ok(())
    }

    /// How much of the next piece is in memory, for certain or nearly. When it is not, it
    /// is fetched by who may wait for it, and there is nothing to send now.
    fn near(&mut self) -> Option<u64> {
        let connection = &mut *self.connection;
        let Body::Pieces(pieces, next, gone) = &connection.body else { return Some(0) };
        let (number, until) = connection.near;
        if number == *next && until > *gone {
            return Some(until - *gone);
        }
        let piece = &pieces.pieces[*next];
        let length = (piece.length - *gone).min(AT_ONCE);
        let offset = piece.offset + *gone;
        connection.near = (*next, *gone + length);
        if piece.file.in_memory(offset, length) {
            return Some(length);
        }
        connection.fetching = true;
        let piece = Piece { file: piece.file.clone(), offset, length };
        let home = (self.lane.mailbox.clone(), self.lane.token);
        self.lane.orders.fetch(connection.account, home, piece);
        None
    }

    /// Reads pieces into the buffer for heads, opened when they are sealed.
    fn open_pieces(&mut self) -> io::Result<()> {
        let connection = &mut *self.connection;
        let Body::Pieces(pieces, next, gone) = &mut connection.body else { return Ok(()) };
        connection.out.clear();
        connection.gone = 0;
        // At least one unit: what is near may end within it.
        let first = (*next, *gone);
        while connection.out.len() < BATCH && *next < pieces.pieces.len() {
            if connection.near <= (*next, *gone) && first != (*next, *gone) {
                break;
            }
            read_unit(pieces, next, gone, &mut self.lane.block, &mut connection.out)?;
        }
        let request = connection.request.as_mut().ok_or(io::ErrorKind::InvalidData)?;
        // What was promised is what is sent; `left` counts it down.
        let left = pieces.length.checked_sub(connection.out.len() as u64);
        pieces.length = left.ok_or_else(|| io::Error::other("more content than was said"))?;
        if *next == pieces.pieces.len() {
            if pieces.length > 0 {
                request.ends = true;
                return Err(io::Error::other("less content than was said"));
            }
            connection.body = Body::None;
        }
        Ok(())
    }

    /// Encrypts the next batch of a piece. All that was encrypted before has gone, so there
    /// is room for it.
    fn encrypt_piece(&mut self) -> io::Result<()> {
        let Some(near) = self.near() else { return Ok(()) };
        let connection = &mut *self.connection;
        let Body::Pieces(pieces, next, gone) = &mut connection.body else { return Ok(()) };
        let piece = &pieces.pieces[*next];
        let count = near.min(BATCH as u64);
        let batch = front(&mut self.lane.block, count as usize);
        piece.file.read_at(piece.offset + *gone, batch)?;
        let tls = connection.wire.tls.as_mut().expect("it is TLS");
        io::Write::write_all(&mut tls.writer(), batch)?;
        went_on(&pieces.pieces, next, gone, count);
        if *next == pieces.pieces.len() {
            connection.body = Body::None;
        }
        Ok(())
    }

    /// Encrypts what waits, then sends the records together.
    fn send_tls(&mut self) -> io::Result<()> {
        let connection = &mut *self.connection;
        if connection.wire.wants_write() {
            let count = connection.wire.send_tls()?;
            connection.moved += count as u64;
            return Ok(());
        }
        if connection.gone == connection.out.len() {
            match &mut connection.body {
                Body::Pieces(pieces, ..) if pieces.open.is_none() => return self.encrypt_piece(),
                Body::Pieces(..) => {
                    if self.near().is_none() {
                        return Ok(());
                    }
                    self.open_pieces()?;
                }
                Body::Bytes(bytes) => {
                    let count = bytes.len().min(BATCH);
                    connection.out.clear();
                    connection.gone = 0;
                    connection.out.extend_from_slice(&bytes.split_to(count));
                    if bytes.is_empty() {
                        connection.body = Body::None;
                    }
                }
                Body::None => return Ok(()),
            }
        }
        let connection = &mut *self.connection;
        let tls = connection.wire.tls.as_mut().expect("it is TLS");
        let end = connection.out.len().min(connection.gone + BATCH);
        let taken = io::Write::write(&mut tls.writer(), &connection.out[connection.gone..end])?;
        connection.gone += taken;
        if connection.gone == connection.out.len() {
            connection.out.clear();
            connection.gone = 0;
        }
        Ok(())
    }
}

/// Reads the next unit of sealed pieces and opens it.
fn read_unit(
    pieces: &mut Pieces,
    next: &mut usize,
    gone: &mut u64,
    block: &mut Vec<u8>,
    into: &mut Vec<u8>,
) -> io::Result<()> {
    let Some(open) = &mut pieces.open else { return Ok(()) };
    let piece = &pieces.pieces[*next];
    let count = (piece.length - *gone).min(open.unit() as u64);
    let unit = front(block, count as usize);
    piece.file.read_at(piece.offset + *gone, unit)?;
    open.open(unit, into).map_err(io::Error::other)?;
    went_on(&pieces.pieces, next, gone, count);
    Ok(())
}

/// So many bytes of a buffer, which is made larger when it must be, and never smaller.
fn front(block: &mut Vec<u8>, count: usize) -> &mut [u8] {
    if block.len() < count {
        block.resize(count, 0);
    }
    &mut block[..count]
}

fn went_on(pieces: &[Piece], next: &mut usize, gone: &mut u64, count: u64) {
    *gone += count;
    if *gone == pieces[*next].length {
        (*next, *gone) = (*next + 1, 0);
    }
}
