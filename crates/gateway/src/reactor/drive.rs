//! How a connection moves: on and on until it needs bytes that have not come, cannot send
//! what it has, waits for somebody else, or has had its share.

use std::io;

use super::connection::{Body, Connection, Phase, Request, State};
use super::lane::{Lane, RECEIVE};
use super::mailbox::Handed;
use super::send::Sent;
use super::wire::{Got, RECORD};

/// What one service of a connection may take, in bytes, and what a request counts.
pub const SLICE: u64 = 256 << 10;
pub const REQUEST: u64 = 4 << 10;
/// Bytes of later requests that are received before their turn, and the most of a head.
const AHEAD: usize = 64 << 10;
/// Replies that wait together before they are sent.
pub const TOGETHER: usize = 64 << 10;
/// So much of what nobody wants is read over; more ends the connection.
pub const UNWANTED: u64 = 128 << 10;

/// What becomes of a connection after it was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It waits for an event or a letter.
    Wait,
    /// It wants another turn.
    Again,
    /// Its replies go out together with those of others.
    Held,
    /// It goes to the successor of this process.
    HandOver,
    /// It is over.
    Close,
}

/// What a step of a connection needs now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing: go on.
    Go,
    /// More received bytes.
    Receive,
    /// That everything is sent.
    Send,
    /// A letter.
    Letter,
    /// To be over, once what waits is sent.
    Close,
}

/// A connection that is served.
pub(super) struct Drive<'a> {
    pub lane: &'a mut Lane,
    pub connection: &'a mut Connection,
    pub input: Input,
}

/// Received bytes: a buffer, how many bytes of it there are, and how many of them are read.
#[derive(Default)]
pub struct Input {
    pub bytes: Vec<u8>,
    pub at: usize,
    pub end: usize,
}

impl Input {
    /// What is not read.
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.at..self.end]
    }
    /// Puts bytes in that were kept.
    fn load(&mut self, kept: &[u8]) {
        if self.bytes.is_empty() {
            self.bytes = vec![0; RECEIVE + RECORD];
        }
        self.bytes[..kept.len()].copy_from_slice(kept);
        (self.at, self.end) = (0, kept.len());
    }
    /// Room for so many more.
    fn room(&mut self, most: usize) -> &mut [u8] {
        if self.at > 0 {
            self.bytes.copy_within(self.at..self.end, 0);
            (self.at, self.end) = (0, self.end - self.at);
        }
        let end = self.bytes.len().min(self.end + most);
        &mut self.bytes[self.end..end]
    }
}

/// Serves a connection.
pub fn serve(lane: &mut Lane, connection: &mut Connection) -> Next {
    let mut input = std::mem::take(&mut lane.input);
    input.load(&connection.inbox);
    if connection.sent() {
        connection.out = lane.take_output();
        connection.gone = 0;
    }
    connection.spent = 0;
    let mut drive = Drive { lane, connection, input };
    let next = drive.run().unwrap_or(Next::Close);
    let input = drive.input;
    let unread = input.unread().len();
    if unread > 0 || !connection.inbox.is_empty() {
        connection.inbox = input.unread().to_vec();
    }
    lane.input = input;
    if next != Next::Held {
        rest(lane, connection, unread);
    }
    next
}

/// Sends the replies that were held back.
pub fn send_held(lane: &mut Lane, connection: &mut Connection) -> Next {
    let input = Input::default();
    let next = match (Drive { lane, connection, input }).send() {
        Ok(Sent::All | Sent::Blocked) => Next::Wait,
        Ok(Sent::Some) => Next::Again,
        Err(_) => Next::Close,
    };
    rest(lane, connection, 0);
    next
}

/// A connection was served, and so many received bytes of it are left.
fn rest(lane: &mut Lane, connection: &mut Connection, unread: usize) {
    if connection.sent() {
        lane.return_output(std::mem::take(&mut connection.out));
        connection.gone = 0;
    }
    connection.set_deadline(unread, lane.now, &lane.settings.timeouts);
}

impl Drive<'_> {
    fn run(&mut self) -> io::Result<Next> {
        if let Some(step) = self.connection.coming.take() {
            let now = self.lane.now;
            self.connection.request.get_or_insert_with(|| Request::unread(now));
            self.perform(step);
        }
        loop {
            if self.connection.spent >= SLICE {
                return Ok(match self.send()? {
                    Sent::Blocked => Next::Wait,
                    Sent::All | Sent::Some => Next::Again,
                });
            }
            let turn = self.step();
            let waits = match turn {
                Turn::Go if self.takes_more_replies() => continue,
                Turn::Go | Turn::Receive if self.holds_back() => return Ok(Next::Held),
                Turn::Go | Turn::Receive | Turn::Send | Turn::Letter | Turn::Close => {
                    self.send()?
                }
            };
            match (waits, turn) {
                (Sent::Blocked, _) => return Ok(Next::Wait),
                (Sent::Some, _) => return Ok(Next::Again),
                (Sent::All, Turn::Go) => {}
                (Sent::All, Turn::Send) => self.after_reply(),
                (Sent::All, Turn::Letter) => return Ok(Next::Wait),
                (Sent::All, Turn::Close) => return Ok(Next::Close),
                (Sent::All, Turn::Receive) => {
                    if let Some(next) = self.receive_more()? {
                        return Ok(next);
                    }
                }
            }
        }
    }

    fn step(&mut self) -> Turn {
        match self.connection.state {
            State::Head => self.head(),
            State::Content(_) => self.content(),
            State::Skip => self.skip(),
            State::Away => Turn::Letter,
            State::Reply => Turn::Send,
            State::Linger => self.linger(),
        }
    }

    /// Whether another reply can go behind those that wait.
    fn takes_more_replies(&self) -> bool {
        let Connection { out, body, .. } = &*self.connection;
        out.len() < TOGETHER && matches!(body, Body::None)
    }

    /// Whether its replies can wait for those of others that are ready now. All are sent
    /// one after the other then, with nothing in between: a client that waits for several
    /// is woken up for the first, and finds the others when it comes for them.
    fn holds_back(&self) -> bool {
        let Connection { wire, state, body, out, gone, .. } = &*self.connection;
        let ready = !out.is_empty() && *gone == 0 && !matches!(body, Body::Pieces(..));
        let idle = matches!(state, State::Head) && self.unread().is_empty() && !wire.readable;
        ready && idle && wire.is_plain() && wire.writable && !self.lane.draining
    }

    /// Bytes that were received and not read.
    pub fn unread(&self) -> &[u8] {
        self.input.unread()
    }

    /// Receives. What becomes of the connection, when it cannot go on.
    fn receive_more(&mut self) -> io::Result<Option<Next>> {
        let agreed = !self.connection.wire.is_handshaking();
        if self.is_between_requests() && self.lane.hands_over && agreed {
            return Ok(Some(Next::HandOver));
        }
        let most = self.room_for();
        let room = self.input.room(most);
        let got = self.connection.wire.receive(room, &mut self.lane.block)?;
        Ok(match got {
            Got::Some(count) => {
                self.input.end += count;
                self.connection.moved += count as u64;
                self.connection.spent += count as u64;
                self.lane.counters.received(count as u64);
                None
            }
            Got::Blocked if self.lane.draining && self.is_idle() => {
                self.connection.wire.finish();
                Some(Next::Close)
            }
            Got::Blocked => Some(Next::Wait),
            Got::End => Some(Next::Close),
        })
    }

    /// How much is received at once. What comes behind a request waits for it in memory,
    /// so that is less than content may be.
    fn room_for(&self) -> usize {
        let ahead = match (&self.connection.state, &self.connection.request) {
            (State::Content(_), Some(request)) => {
                let left = request.content.left().unwrap_or(0);
                usize::try_from(left).unwrap_or(RECEIVE).min(RECEIVE - AHEAD)
            }
            _ => 0,
        };
        let ciphertext = if self.connection.wire.is_plain() { 0 } else { RECORD };
        (ahead + AHEAD).saturating_sub(self.unread().len()).max(1) + ciphertext
    }

    fn is_between_requests(&self) -> bool {
        matches!(self.connection.state, State::Head)
    }

    /// Between requests, with nothing of the next one there.
    fn is_idle(&self) -> bool {
        self.is_between_requests() && self.unread().is_empty()
    }

    /// The reply is out.
    fn after_reply(&mut self) {
        let ends = self.connection.request.as_ref().is_none_or(|request| request.ends);
        self.finished();
        self.connection.out.clear();
        self.connection.gone = 0;
        let left = self.connection.request.take().and_then(|request| {
            let left = request.content.left();
            (left != Some(0)).then_some((request, left))
        });
        self.connection.state = match (ends, left) {
            (true, _) => {
                self.connection.wire.finish();
                State::Linger
            }
            (false, None) => State::Head,
            (false, Some((request, _))) => {
                self.connection.request = Some(request);
                State::Skip
            }
        };
    }

    /// Reads over content that nobody wants.
    fn skip(&mut self) -> Turn {
        let Some(request) = &mut self.connection.request else {
            self.connection.state = State::Head;
            return Turn::Go;
        };
        loop {
            match request.content.read(self.input.unread()) {
                Ok(crate::http::Progress::Some(_, to)) => self.input.at += to,
                Ok(crate::http::Progress::End(length)) => {
                    self.input.at += length;
                    self.connection.request = None;
                    self.connection.state = State::Head;
                    return Turn::Go;
                }
                Ok(crate::http::Progress::More) if request.content.came <= UNWANTED => {
                    self.input.at = self.input.end;
                    return Turn::Receive;
                }
                Ok(crate::http::Progress::More) | Err(_) => return Turn::Close,
            }
        }
    }

    /// Reads what still comes, so that the client is not told that its bytes were lost
    /// before it has read the reply. Bounded by time and bytes.
    fn linger(&mut self) -> Turn {
        let at_end = self.connection.wire.half_closed;
        self.input.at = self.input.end;
        if self.connection.phase == Phase::Linger {
            let read = self.connection.moved - self.connection.mark;
            if at_end || read > 16 * UNWANTED {
                return Turn::Close;
            }
        }
        Turn::Receive
    }
}

/// What a successor needs of a connection between two requests.
pub fn hand_over(connection: Connection) -> Handed {
    assert!(matches!(connection.body, Body::None), "nothing waits to be sent");
    let Connection { wire, peer, inbox, .. } = connection;
    Handed { socket: wire.socket, received: inbox, peer, tls: wire.tls }
}
