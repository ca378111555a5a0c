//! Content of a request: small pieces are taken at once, large ones by workers, so that a
//! hash or a slow disk holds up nobody else. The socket is read only when somebody can
//! take what comes: that is all the back-pressure there is.

use super::connection::State;
use super::drive::{Drive, Turn};
use super::lane::{BLOCK, Lane};
use crate::http::Progress;
use crate::orders::Block;
use crate::step::{Answer, Receive, Step};

/// Content up to this length is taken at once.
const AT_ONCE: u64 = 64 << 10;
/// From so many gathered bytes on a block goes to a worker.
const ENOUGH: usize = BLOCK - (16 << 10);

impl Drive<'_> {
    /// Takes what has come.
    pub fn content(&mut self) -> Turn {
        loop {
            let Some(request) = &mut self.connection.request else { return Turn::Close };
            match request.content.read(self.input.unread()) {
                Ok(Progress::Some(from, to)) => {
                    let (from, to) = (self.input.at + from, self.input.at + to);
                    request.invited = true;
                    if let Some(turn) = self.take(from, to) {
                        return turn;
                    }
                }
                Ok(Progress::End(length)) => {
                    self.input.at += length;
                    // Also when there is none: a client that waits for this and sees a reply
                    // instead may not be able to go on with the connection (botocore).
                    self.invite();
                    self.end();
                    return Turn::Go;
                }
                Ok(Progress::More) => {
                    self.input.at = self.input.end;
                    self.invite();
                    return Turn::Receive;
                }
                Err(broken) => {
                    self.drop_content();
                    self.refuse(broken);
                    return Turn::Go;
                }
            }
        }
    }

    /// Tells a client that waits to be told to send its content.
    fn invite(&mut self) {
        let Some(request) = &mut self.connection.request else { return };
        if !request.invited {
            request.invited = true;
            self.connection.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    /// Takes a piece of content. Something is needed before more can be taken, or nothing.
    fn take(&mut self, from: usize, to: usize) -> Option<Turn> {
        let large = self.is_large();
        if large && self.connection.block.is_none() {
            self.connection.block = self.lane.take_block();
        }
        let Some(block) = &mut self.connection.block else {
            self.input.at = to;
            return self.take_at_once(from, to);
        };
        // A piece is larger than what is left in a block at most once in a while.
        block.extend_from_slice(&self.input.bytes[from..to]);
        self.input.at = to;
        let ended = self.connection.request.as_ref().is_some_and(|it| it.content.ended());
        if block.len() >= ENOUGH && !ended {
            self.send_block(false);
            return Some(Turn::Letter);
        }
        None
    }

    fn is_large(&self) -> bool {
        let request = self.connection.request.as_ref().expect("content has a request");
        request.content.left().is_none_or(|left| left + request.content.came > AT_ONCE)
    }

    fn take_at_once(&mut self, from: usize, to: usize) -> Option<Turn> {
        let State::Content(receive) = &mut self.connection.state else { return None };
        match receive.take(&self.input.bytes[from..to]) {
            Ok(()) => None,
            Err(answer) => {
                self.cut(*answer);
                Some(Turn::Go)
            }
        }
    }

    /// All content came.
    fn end(&mut self) {
        if self.connection.block.is_some() {
            return self.send_block(true);
        }
        let state = std::mem::replace(&mut self.connection.state, State::Away);
        let State::Content(receive) = state else { panic!("content is taken by somebody") };
        let step = receive.end();
        self.perform(step);
    }

    fn send_block(&mut self, last: bool) {
        let state = std::mem::replace(&mut self.connection.state, State::Away);
        let State::Content(receive) = state else { panic!("content is taken by somebody") };
        let bytes = self.connection.block.take().expect("there is a block");
        let home = (self.lane.mailbox.clone(), self.lane.token);
        let block = Block { receive, bytes, last };
        self.lane.orders.take(self.connection.account, home, block);
    }

    /// Ends the request and the connection with this answer: the rest of the content is
    /// not wanted.
    pub fn cut(&mut self, mut answer: Answer) {
        answer.close = true;
        self.drop_content();
        self.reply(answer, None);
    }

    fn drop_content(&mut self) {
        self.connection.state = State::Away;
        if let Some(block) = self.connection.block.take() {
            self.lane.return_block(block);
        }
    }
}

/// A worker has taken a block: the connection goes on. What is next for it, if it is not
/// more content.
pub fn taken(
    lane: &mut Lane,
    connection: &mut super::connection::Connection,
    receive: Box<dyn Receive>,
    block: Vec<u8>,
    result: Result<(), Box<Answer>>,
) {
    lane.return_block(block);
    match result {
        Ok(()) => connection.state = State::Content(receive),
        Err(mut answer) => {
            answer.close = true;
            connection.coming = Some(Step::Answer(*answer));
        }
    }
}
