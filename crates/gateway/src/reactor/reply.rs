//! A reply begins: its head is written, and its content is written behind it when that is
//! small, else it is left to be sent.

use super::cache::Kept;
use super::connection::{Body, State};
use super::drive::{Drive, UNWANTED};
use super::places::Place;
use crate::http::{Closing, write_end, write_field, write_fields, write_head, write_stored};
use crate::metrics::Answered;
use crate::step::{Answer, Keep, Pieces, Plan};

/// Content of files up to this length is read and sent with the head: one call less than
/// by sendfile(2), and it can be kept.
const READ: u64 = 64 << 10;
/// Kept content from this length on is sent from where it is kept.
const SHARED: usize = 1 << 10;
/// Bytes up to this length are copied behind the head.
const COPIED: usize = 32 << 10;

impl Drive<'_> {
    /// Begins the reply.
    pub fn reply(&mut self, answer: Answer, keep: Option<Keep>) {
        let Answer { status, headers, body, close } = answer;
        let closing = self.closing(close);
        let request = self.connection.request.as_ref().expect("a reply has a request");
        let head_only = request.manner.head_only;
        let length = length_of(&body);
        let begins = self.connection.out.len();
        write_head(&mut self.connection.out, status, &headers, length);
        let head = begins..self.connection.out.len();
        if keep.is_some() {
            // What is kept has none of its own.
            self.write_id();
        }
        write_end(&mut self.connection.out, self.lane.date.text(), closing);
        let written = self.connection.out.len();
        let sends = if head_only || status == 204 || status == 304 { 0 } else { length };
        let body = if sends == 0 { Plan::Empty } else { body };
        match self.content_of(body) {
            Ok(rest) => {
                self.connection.body = rest;
                self.connection.near = (0, 0);
            }
            Err(why) => {
                // Nothing of the reply is out: another one takes its place.
                tracing::error!(why, "the content of an object cannot be read");
                self.connection.out.truncate(begins);
                let mut answer = self.lane.service.refuse(500, "the content cannot be read");
                answer.close = true;
                return self.reply(answer, None);
            }
        }
        if let Some(keep) = &keep
            && let Some(stored) = &keep.stored
        {
            let mut common = Vec::with_capacity(256);
            if status == 200 && write_fields(&mut common, &headers, stored) {
                self.lane.places.insert(&keep.name, &keep.proof, stored, &common);
            }
        }
        if let (Some(keep), Body::None) = (keep, &self.connection.body) {
            let out = &self.connection.out;
            if self.lane.cache.welcomes(&keep.name, out.len() - begins) {
                let kept = Kept::new(&keep.name, keep.proof, status, &out[head], &out[written..]);
                self.lane.cache.insert(kept);
            }
        }
        self.begun(status, sends, closing);
    }

    /// Begins a reply that was kept.
    pub fn reply_kept(&mut self, place: usize) {
        let closing = self.closing(false);
        let kept = self.lane.cache.at(place);
        self.connection.out.extend_from_slice(&kept.head);
        self.write_id();
        let kept = self.lane.cache.at(place);
        let out = &mut self.connection.out;
        write_end(out, self.lane.date.text(), closing);
        let (status, sends) = (kept.status, kept.body.len() as u64);
        if kept.body.len() < SHARED || !self.connection.wire.is_plain() {
            out.extend_from_slice(&kept.body);
        } else {
            self.connection.body = Body::Bytes(kept.body.clone());
        }
        self.lane.counters.kept();
        self.begun(status, sends, closing);
    }

    /// Begins a reply whose content lies at a place. False: it does not, or not any more,
    /// or would have to be waited for.
    pub fn reply_stored(&mut self, place: Place, again: Option<Box<[u8]>>) -> bool {
        let closing = self.closing(false);
        let (common, stored) = self.lane.places.at(place);
        let begins = self.connection.out.len();
        let out = &mut self.connection.out;
        out.extend_from_slice(common);
        write_stored(out, &stored);
        let head = begins..out.len();
        self.write_id();
        let out = &mut self.connection.out;
        write_end(out, self.lane.date.text(), closing);
        let written = out.len();
        if !self.lane.service.fetch(&stored, out) {
            out.truncate(begins);
            return false;
        }
        if let Some(name) = again {
            let proof = self.lane.places.proof(place);
            self.lane.cache.insert(Kept::new(&name, proof, 200, &out[head], &out[written..]));
        }
        self.lane.counters.kept();
        self.begun(200, u64::from(stored.length), closing);
        true
    }

    /// Writes the header that every reply has with a value of its own.
    fn write_id(&mut self) {
        if let Some(name) = self.lane.request_id {
            let id = self.lane.next_id();
            write_field(&mut self.connection.out, name, hexadecimal(id, &mut [0; 16]));
        }
    }

    fn begun(&mut self, status: u16, sends: u64, closing: Closing) {
        let request = self.connection.request.as_mut().expect("a reply has a request");
        request.status = status;
        request.sends = sends;
        request.ends = closing == Closing::Ends;
        self.connection.spent += sends.min(super::lane::RECEIVE as u64);
        let simple = !request.ends && request.content.left() == Some(0);
        let along = match &self.connection.body {
            Body::None => true,
            Body::Bytes(bytes) => bytes.len() <= COPIED,
            Body::Pieces(..) => false,
        };
        if simple && along {
            // It goes out with those of requests that are here already, or of others.
            self.finished();
            self.connection.request = None;
            self.connection.state = State::Head;
        } else {
            self.connection.state = State::Reply;
        }
    }

    /// Whether the connection can stay.
    fn closing(&self, close: bool) -> Closing {
        let request = self.connection.request.as_ref().expect("a reply has a request");
        // Who waits to be invited may send its content or not: nobody can tell.
        let unclear = !request.invited;
        let much = request.content.left().is_none_or(|left| left > UNWANTED);
        // A successor takes connections as they are.
        let leaves = self.lane.draining && !self.lane.hands_over;
        // What a predecessor relays is to come straight here.
        let relayed = self.connection.peer.tls && self.connection.wire.is_plain();
        Closing::of(request.manner, close || unclear || much || leaves || relayed)
    }

    /// Writes small content; what is left to be sent.
    fn content_of(&mut self, plan: Plan) -> Result<Body, String> {
        let out = &mut self.connection.out;
        match plan {
            Plan::Empty | Plan::Length(_) => Ok(Body::None),
            Plan::Bytes(bytes) if bytes.len() <= COPIED => {
                out.extend_from_slice(&bytes);
                Ok(Body::None)
            }
            Plan::Bytes(bytes) => Ok(Body::Bytes(bytes)),
            Plan::Pieces(pieces) if pieces.length <= READ && pieces.open.is_none() => {
                let from = out.len();
                if read(&pieces, out).map_err(|error| error.to_string())? {
                    return Ok(Body::None);
                }
                // The medium is to be waited for: elsewhere.
                out.truncate(from);
                Ok(Body::Pieces(Box::new(pieces), 0, 0))
            }
            Plan::Pieces(pieces) => Ok(Body::Pieces(Box::new(pieces), 0, 0)),
        }
    }

    /// Counts and tells of a request whose reply is out, or on its way for certain.
    pub fn finished(&mut self) {
        let Some(request) = &mut self.connection.request else { return };
        if request.status == 0 {
            return;
        }
        let took = world::clock::monotonic_nanos().saturating_sub(request.began);
        let counts = Answered {
            operation: request.operation,
            status: request.status,
            sent: request.sends,
            received: request.content.came,
            nanos: took,
        };
        self.lane.counters.answered(&counts);
        if let Some(line) = request.line.take() {
            let at = self.lane.clock.now();
            let (status, received) = (request.status, request.content.came);
            self.lane.lines.add(&line, at, status, request.sends, received, took);
        }
        request.status = 0;
    }
}

fn length_of(plan: &Plan) -> u64 {
    match plan {
        Plan::Empty => 0,
        Plan::Bytes(bytes) => bytes.len() as u64,
        Plan::Pieces(pieces) => pieces.length,
        Plan::Length(length) => *length,
    }
}

/// Reads pieces that are in memory. Whether all of them were.
fn read(pieces: &Pieces, into: &mut Vec<u8>) -> std::io::Result<bool> {
    let total: u64 = pieces.pieces.iter().map(|piece| piece.length).sum();
    if total != pieces.length {
        return Err(std::io::Error::other("the pieces are not as long as the content"));
    }
    for piece in &pieces.pieces {
        let from = into.len();
        into.resize(from + piece.length as usize, 0);
        if !piece.file.read_now(piece.offset, &mut into[from..])? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn hexadecimal(number: u64, into: &mut [u8; 16]) -> &str {
    for (place, digit) in into.iter_mut().enumerate() {
        *digit = b"0123456789ABCDEF"[(number >> (60 - 4 * place)) as usize & 15];
    }
    std::str::from_utf8(into).expect("digits are text")
}
