//! From bytes to requests: what a client asks is judged here, and nowhere else.

use super::super::export::{MAXIMUM, MINIMUM};
use super::super::wire::{Header, REQUEST_BYTES, command, error, flag};
use super::{
    Ask, Broken, Command, Connection, MOST_EXTENTS, PIECE, Piece, Place, Stage, Ticket, Wanted,
};

/// Room that any reply without data needs, in bytes.
pub(super) const SHORT: usize = 40;

impl Connection {
    /// The next request. `None`: nothing more can be asked before more is received, or
    /// before replies were given and sent. An error: hang up.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would not be left and taken up again"
    )]
    #[inline]
    pub fn next(&mut self) -> Option<Result<Wanted, Broken>> {
        loop {
            match self.stage {
                Stage::Header => {
                    if self.retiring || !self.header() {
                        return None;
                    }
                }
                Stage::Issue(number) => return self.issue(number).map(Ok),
                Stage::Skip(left) => {
                    let left = left - self.inlet.skip(left);
                    self.stage = if left == 0 { Stage::Header } else { Stage::Skip(left) };
                    if left > 0 {
                        return None;
                    }
                }
                Stage::Ended => return None,
                Stage::Broken => return Some(Err(Broken::Magic)),
            }
        }
    }

    /// Takes a request's header, if it can be answered; whether there was one.
    fn header(&mut self) -> bool {
        if !self.can_admit() {
            return false;
        }
        let Some(bytes) = self.inlet.take::<REQUEST_BYTES>(&self.memory) else { return false };
        let Some(header) = Header::decode(&bytes) else {
            self.stage = Stage::Broken;
            return true;
        };
        if header.kind == command::DISCONNECT {
            self.stage = Stage::Ended;
            return true;
        }
        match self.judge(&header) {
            Ok(ask) => self.admit(&header, ask),
            Err(error) => self.refuse(&header, error),
        }
        true
    }

    fn admit(&mut self, header: &Header, ask: Ask) {
        let (next, left) = match ask {
            Ask::Flush => (0, 0),
            _ => (header.offset, u64::from(header.length)),
        };
        let has = |bit| header.flags & bit != 0;
        let command = Command {
            cookie: header.cookie,
            ask,
            fua: has(flag::FUA),
            no_hole: has(flag::NO_HOLE),
            one: has(flag::REQ_ONE),
            whole: has(flag::DF) || !self.agreed.structured,
            next,
            left,
            outstanding: 0,
            error: 0,
        };
        self.stage = Stage::Issue(self.commands.insert(command));
    }

    /// Answers at once: with an error, or with success (0) where nothing is to be done.
    fn refuse(&mut self, header: &Header, error: u32) {
        let data = matches!(header.kind, command::READ | command::BLOCK_STATUS);
        if data && self.agreed.structured {
            self.say_chunk(header.cookie, error);
        } else {
            self.say_simple(header.cookie, error);
        }
        if header.kind == command::WRITE && header.length > 0 {
            self.stage = Stage::Skip(u64::from(header.length));
        }
    }

    /// What is asked, or the error that it is answered with.
    fn judge(&self, header: &Header) -> Result<Ask, u32> {
        let (ask, flags) = match header.kind {
            command::READ if self.agreed.structured => (Ask::Read, flag::FUA | flag::DF),
            command::READ => (Ask::Read, flag::FUA),
            command::WRITE => (Ask::Write, flag::FUA),
            command::FLUSH => (Ask::Flush, flag::FUA),
            command::TRIM => (Ask::Trim, flag::FUA),
            command::WRITE_ZEROES => (Ask::WriteZeroes, flag::FUA | flag::NO_HOLE),
            command::BLOCK_STATUS if self.agreed.status => (Ask::Status, flag::FUA | flag::REQ_ONE),
            _ => return Err(error::INVALID),
        };
        if header.flags & !flags != 0 {
            return Err(error::INVALID);
        }
        let writes = matches!(ask, Ask::Write | Ask::Trim | Ask::WriteZeroes);
        if writes && self.agreed.export.read_only {
            return Err(error::PERMISSION);
        }
        if ask != Ask::Flush {
            self.judge_range(header, ask)?;
        }
        Ok(ask)
    }

    fn judge_range(&self, header: &Header, ask: Ask) -> Result<(), u32> {
        let length = u64::from(header.length);
        let sector = u64::from(MINIMUM);
        if !header.offset.is_multiple_of(sector) || !length.is_multiple_of(sector) {
            return Err(error::INVALID);
        }
        let inside =
            header.offset.checked_add(length).is_some_and(|end| end <= self.agreed.export.size);
        if !inside {
            let grows = matches!(ask, Ask::Write | Ask::WriteZeroes);
            return Err(if grows { error::NO_SPACE } else { error::INVALID });
        }
        let whole = !self.agreed.structured || header.flags & flag::DF != 0;
        match ask {
            Ask::Status if length == 0 => Err(error::INVALID),
            // Nothing to do is a success: the "error" 0.
            _ if length == 0 => Err(0),
            Ask::Write if header.length > MAXIMUM => Err(error::INVALID),
            Ask::Read if header.length > MAXIMUM => Err(error::OVERFLOW),
            Ask::Read if whole && length > self.arena.longest() => Err(error::OVERFLOW),
            _ => Ok(()),
        }
    }

    /// Whether [`Connection::next`] would get on if it was called now. Ask before you
    /// wait for the socket: answers and sends make room for requests that are here.
    #[inline]
    pub fn has_request(&self) -> bool {
        match self.stage {
            Stage::Header => {
                let header = self.inlet.available() >= REQUEST_BYTES as u64;
                header && !self.retiring && self.can_admit()
            }
            Stage::Issue(number) => self.can_issue(self.commands.get(number)),
            Stage::Skip(_) => self.inlet.available() > 0,
            Stage::Ended => false,
            Stage::Broken => true,
        }
    }

    #[inline]
    fn can_admit(&self) -> bool {
        !self.commands.is_full() && self.outlet.has_room(SHORT)
    }

    #[inline]
    fn can_issue(&self, command: &Command) -> bool {
        let length = Self::piece_length(command);
        let room = !self.pieces.is_full() && self.outlet.has_room(Self::room_for(command.ask));
        room && match command.ask {
            Ask::Write => self.inlet.available() >= length,
            Ask::Read => self.arena.fits(length as usize),
            _ => true,
        }
    }

    /// How long the next piece of a command is.
    #[inline]
    fn piece_length(command: &Command) -> u64 {
        let split = match command.ask {
            Ask::Write => true,
            Ask::Read => !command.whole,
            _ => false,
        };
        if split { command.left.min(PIECE - command.next % PIECE) } else { command.left }
    }

    /// Hands out the next piece of a command, if there is room and, for a write, data.
    #[inline]
    fn issue(&mut self, number: u16) -> Option<Wanted> {
        let command = *self.commands.get_mut(number);
        let length = Self::piece_length(&command);
        if !self.can_issue(&command) {
            return None;
        }
        let place = match command.ask {
            Ask::Read => {
                let (hold, at) = self.arena.take(length as usize);
                Place::Kept { hold, at }
            }
            Ask::Write => {
                let (pin, start) = self.inlet.pin(length);
                Place::Received { pin, start }
            }
            _ => Place::Nowhere,
        };
        self.outlet.promise(Self::room_for(command.ask));
        let piece = Piece { command: number, offset: command.next, length, place };
        let command = self.commands.get_mut(number);
        command.next += length;
        command.left -= length;
        command.outstanding += 1;
        if command.left == 0 {
            self.stage = Stage::Header;
        }
        let command = *command;
        let ticket = Ticket(self.pieces.insert(piece));
        Some(self.wanted(ticket, &piece, &command))
    }

    /// Bytes that the reply to a piece may need in the ring of short replies.
    pub(super) fn room_for(ask: Ask) -> usize {
        if ask == Ask::Status { super::outlet::LONGEST } else { SHORT }
    }

    fn wanted(&self, ticket: Ticket, piece: &Piece, command: &Command) -> Wanted {
        let none = self.memory.segment(0, 0);
        let (segments, pieces) = match piece.place {
            Place::Nowhere => ([none, none], 0),
            Place::Kept { at, .. } => ([self.memory.segment(at, piece.length as u32), none], 1),
            Place::Received { start, .. } => {
                self.inlet.segments(&self.memory, start, piece.length as u32)
            }
        };
        Wanted {
            ticket,
            ask: command.ask,
            offset: piece.offset,
            length: piece.length,
            fua: command.fua,
            no_hole: command.no_hole,
            extents: if command.one { 1 } else { MOST_EXTENTS },
            segments,
            pieces,
        }
    }

    /// What is in flight, to be asked again of an engine that does not know of it.
    pub fn in_flight(&self) -> impl Iterator<Item = Wanted> + '_ {
        self.pieces.iter().map(|(number, piece)| {
            let command = self.commands.get(piece.command);
            self.wanted(Ticket(number), piece, command)
        })
    }
}
