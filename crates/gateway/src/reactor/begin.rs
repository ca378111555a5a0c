//! A request begins: its head is read, and the dialect says what is next.

use super::cache::Cache;
use super::connection::{Body, Request, State};
use super::drive::{Drive, REQUEST, Turn};
use super::places::{Place, Places};
use crate::http::{Broken, read_head};
use crate::orders::Change;
use crate::step::{Desk, Proof, Step};

/// What a dialect finds on this core.
struct AtDesk<'a> {
    cache: &'a mut Cache,
    places: &'a mut Places,
    found: Option<Found>,
    account: Option<u64>,
    operation: u8,
    line: Option<&'a mut Vec<u8>>,
}

/// A reply that was found.
enum Found {
    /// All of it.
    Whole(usize),
    /// What it begins with, and where its content lies; and its name, when it was asked for
    /// so soon again that it should be kept.
    Place(Place, Option<Box<[u8]>>),
}

impl Desk for AtDesk<'_> {
    fn kept(&mut self, name: &[u8]) -> Option<Proof> {
        if let Some(whole) = self.cache.find(name) {
            self.found = Some(Found::Whole(whole));
            return Some(self.cache.at(whole).proof);
        }
        let place = self.places.find(name)?;
        let (head, stored) = self.places.at(place);
        let bytes = head.len() + stored.length as usize;
        let again = self.cache.welcomes(name, bytes).then(|| name.into());
        self.found = Some(Found::Place(place, again));
        Some(self.places.proof(place))
    }
    fn asks(&mut self, account: u64, name: &str) {
        self.account = Some(account);
        if let Some(line) = &mut self.line {
            crate::access_log::account(line, name);
        }
    }
    fn does(&mut self, operation: u8) {
        self.operation = operation;
    }
}

/// What was refused before it was known.
const UNKNOWN: u8 = u8::MAX;

impl Drive<'_> {
    /// Reads a head, if there is a whole one, and begins with the request.
    pub fn head(&mut self) -> Turn {
        if !matches!(self.connection.body, Body::None) {
            // Of the reply before: nothing can go between it and its head.
            return Turn::Go;
        }
        // An empty line before a request is read over (RFC 9112, section 2.2).
        if self.unread().starts_with(b"\r\n") {
            self.input.at += 2;
        }
        if self.unread().is_empty() {
            return Turn::Receive;
        }
        let (lane, connection) = (&mut *self.lane, &mut *self.connection);
        let peer = connection.peer;
        let limits = lane.settings.limits;
        let read = read_head(self.input.unread(), limits, |head, manner| {
            let mut line = lane.lines.wanted().then(|| crate::access_log::begun(head, &peer));
            let (cache, places, line_of) = (&mut lane.cache, &mut lane.places, line.as_mut());
            let (found, account, operation) = (None, None, UNKNOWN);
            let mut desk = AtDesk { cache, places, found, account, operation, line: line_of };
            let step = lane.service.begin_at(head, &peer, &mut desk);
            let (found, account, operation) = (desk.found, desk.account, desk.operation);
            let request = Request::new(manner, lane.now, line);
            (step, found, account, Request { operation, ..request })
        });
        match read {
            Ok(None) => Turn::Receive,
            Ok(Some((length, (step, found, account, request)))) => {
                self.connection.spent += REQUEST;
                self.connection.account = account.unwrap_or(self.connection.account);
                self.connection.request = Some(request);
                match (step, found) {
                    (Step::Kept, Some(Found::Whole(place))) => self.reply_kept(place),
                    (Step::Kept, Some(Found::Place(place, again))) => {
                        if !self.reply_stored(place, again) {
                            // The same head once more, with nothing known of it.
                            self.lane.places.forget(place);
                            self.connection.request = None;
                            return Turn::Go;
                        }
                    }
                    (Step::Kept, None) => panic!("a kept reply was named that was not found"),
                    (step, _) => self.perform(step),
                }
                self.input.at += length;
                Turn::Go
            }
            Err(broken) => {
                self.refuse(broken);
                Turn::Go
            }
        }
    }

    /// Answers what cannot be understood, and ends the connection.
    pub fn refuse(&mut self, broken: Broken) {
        let mut answer = self.lane.service.refuse(broken.status, broken.why);
        answer.close = true;
        let now = self.lane.now;
        let request = self.connection.request.get_or_insert_with(|| Request::unread(now));
        request.manner.keep_alive = false;
        self.reply(answer, None);
    }

    /// Does what is next for the request.
    pub fn perform(&mut self, step: Step) {
        match step {
            Step::Answer(answer) => self.reply(answer, None),
            Step::Keep(answer, keep) => self.reply(answer, Some(keep)),
            Step::Kept => panic!("a kept reply is named where a request begins"),
            Step::Receive(receive) => self.connection.state = State::Content(receive),
            Step::Commit(mutation, then) => self.order(Change::One(mutation, then)),
            Step::Commits(mutations, then) => self.order(Change::Several(mutations, then)),
            Step::Elsewhere(work) => {
                self.connection.state = State::Away;
                let home = (self.lane.mailbox.clone(), self.lane.token);
                self.lane.orders.elsewhere(self.connection.account, home, work);
            }
        }
    }

    fn order(&mut self, change: Change) {
        self.connection.state = State::Away;
        let home = (self.lane.mailbox.clone(), self.lane.token);
        self.lane.orders.change(self.connection.account, home, change);
    }
}

/// How an account is numbered that nobody has proved to be: by its address.
pub fn stranger(address: std::net::IpAddr) -> u64 {
    let bits = match address {
        std::net::IpAddr::V4(four) => u64::from(u32::from(four)),
        // Who has one address of a network of 64 bits has all of them.
        std::net::IpAddr::V6(six) => (u128::from(six) >> 64) as u64,
    };
    bits.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1
}
