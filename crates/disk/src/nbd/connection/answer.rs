//! From answers to bytes.

use volume::{Fault, Outcome};

use super::super::wire::{
    CHUNK_BYTES, CONTEXT_NUMBER, SIMPLE_BYTES, chunk, error, {self},
};
use super::{Ask, Command, Connection, MOST_EXTENTS, Piece, Place, StatusExtent, Ticket};

/// Bytes in front of a read's data, in a chunk.
const DATA_BYTES: usize = CHUNK_BYTES + 8;

/// The protocol's number for a fault.
fn number(fault: Fault) -> u32 {
    match fault {
        Fault::Range | Fault::Unsupported => error::INVALID,
        Fault::ReadOnly => error::PERMISSION,
        Fault::NoSpace => error::NO_SPACE,
        Fault::Medium | Fault::Corrupt | Fault::Frozen => error::IO,
        Fault::Closed => error::SHUTDOWN,
    }
}

impl Connection {
    /// The engine's answer to a request. A success of a block status says that all of
    /// it is allocated. Panics when nothing is in flight under the ticket.
    #[inline]
    pub fn replied(&mut self, ticket: Ticket, outcome: Outcome) {
        let (piece, command, done) = self.answered(ticket, outcome);
        match piece.place {
            Place::Kept { .. } => self.reply_read(&piece, &command, done, outcome),
            Place::Received { pin, .. } => self.inlet.unpin(pin),
            Place::Nowhere => {}
        }
        if command.ask == Ask::Status {
            match outcome {
                Ok(()) => self.say_status(&piece, &command, &[]),
                Err(fault) => self.say_chunk(command.cookie, number(fault)),
            }
        } else if done && command.ask != Ask::Read {
            self.say_simple(command.cookie, command.error);
        }
    }

    /// The answer to a block status: consecutive extents from the request's offset. More
    /// than were wanted, and what goes beyond the request, is cut off; none stand for
    /// one that is allocated. Panics when nothing is in flight under the ticket.
    pub fn status(&mut self, ticket: Ticket, extents: &[StatusExtent]) {
        let (piece, command, _) = self.answered(ticket, Ok(()));
        assert!(command.ask == Ask::Status, "only a block status is answered by extents");
        self.say_status(&piece, &command, extents);
    }

    /// Takes a piece out, and its command when this was its last.
    #[inline]
    fn answered(&mut self, ticket: Ticket, outcome: Outcome) -> (Piece, Command, bool) {
        let piece = self.pieces.remove(ticket.0);
        let command = self.commands.get_mut(piece.command);
        command.outstanding -= 1;
        if let Err(fault) = outcome
            && command.error == 0
        {
            command.error = number(fault);
        }
        let (command, done) = (*command, command.left == 0 && command.outstanding == 0);
        if done {
            self.commands.remove(piece.command);
        }
        self.outlet.keep_promise(Self::room_for(command.ask));
        (piece, command, done)
    }

    /// A read, or a piece of one. Its header is put in front of the data.
    #[inline]
    fn reply_read(&mut self, piece: &Piece, command: &Command, done: bool, outcome: Outcome) {
        let Place::Kept { hold, at } = piece.place else { unreachable!("reads are kept") };
        let (cookie, length) = (command.cookie, piece.length as usize);
        match outcome {
            Ok(()) if self.agreed.structured => {
                let header = wire::chunk(chunk::OFFSET_DATA, done, cookie, (8 + length) as u32);
                let from = at - DATA_BYTES;
                let front = self.memory.bytes_mut(from, DATA_BYTES);
                front[..CHUNK_BYTES].copy_from_slice(&header);
                front[CHUNK_BYTES..].copy_from_slice(&piece.offset.to_be_bytes());
                self.outlet.read(from, DATA_BYTES + length, hold);
            }
            Ok(()) => {
                let from = at - SIMPLE_BYTES;
                let header = wire::simple(cookie, 0);
                self.memory.bytes_mut(from, SIMPLE_BYTES).copy_from_slice(&header);
                self.outlet.read(from, SIMPLE_BYTES + length, hold);
            }
            Err(fault) => {
                self.arena.give_back(hold);
                if self.agreed.structured {
                    self.say_error_at(cookie, done, number(fault), piece.offset);
                } else {
                    self.say_simple(cookie, number(fault));
                }
            }
        }
    }

    pub(super) fn say_simple(&mut self, cookie: u64, error: u32) {
        self.outlet.short(&mut self.memory, &wire::simple(cookie, error));
    }

    /// The only chunk of a reply: an error, or nothing for 0.
    pub(super) fn say_chunk(&mut self, cookie: u64, error: u32) {
        if error == 0 {
            let nothing = wire::chunk(chunk::NONE, true, cookie, 0);
            return self.outlet.short(&mut self.memory, &nothing);
        }
        let mut reply = [0; CHUNK_BYTES + 6];
        reply[..CHUNK_BYTES].copy_from_slice(&wire::chunk(chunk::ERROR, true, cookie, 6));
        reply[CHUNK_BYTES..CHUNK_BYTES + 4].copy_from_slice(&error.to_be_bytes());
        self.outlet.short(&mut self.memory, &reply);
    }

    fn say_error_at(&mut self, cookie: u64, done: bool, error: u32, offset: u64) {
        let mut reply = [0; CHUNK_BYTES + 14];
        reply[..CHUNK_BYTES].copy_from_slice(&wire::chunk(chunk::ERROR_OFFSET, done, cookie, 14));
        reply[CHUNK_BYTES..CHUNK_BYTES + 4].copy_from_slice(&error.to_be_bytes());
        reply[CHUNK_BYTES + 6..].copy_from_slice(&offset.to_be_bytes());
        self.outlet.short(&mut self.memory, &reply);
    }

    fn say_status(&mut self, piece: &Piece, command: &Command, extents: &[StatusExtent]) {
        let all = [StatusExtent { length: piece.length, hole: false, zero: false }];
        let extents = if extents.is_empty() { &all } else { extents };
        let most = if command.one { 1 } else { MOST_EXTENTS };
        let mut reply = [0; super::outlet::LONGEST];
        let mut end = CHUNK_BYTES + 4;
        let mut left = piece.length;
        for extent in extents.iter().take(most).take_while(|extent| extent.length > 0) {
            let length = extent.length.min(left);
            let flags = u32::from(extent.hole) | u32::from(extent.zero) << 1;
            reply[end..end + 4].copy_from_slice(&(length as u32).to_be_bytes());
            reply[end + 4..end + 8].copy_from_slice(&flags.to_be_bytes());
            end += 8;
            left -= length;
            if left == 0 {
                break;
            }
        }
        assert!(end > CHUNK_BYTES + 4, "a block status has an extent");
        let header =
            wire::chunk(chunk::BLOCK_STATUS, true, command.cookie, (end - CHUNK_BYTES) as u32);
        reply[..CHUNK_BYTES].copy_from_slice(&header);
        reply[CHUNK_BYTES..CHUNK_BYTES + 4].copy_from_slice(&CONTEXT_NUMBER.to_be_bytes());
        self.outlet.short(&mut self.memory, &reply[..end]);
    }
}
