//! NBD clients of a lane: each a socket that does not block, and the connection on it.

use serde::{Deserialize, Serialize};
use volume::lane::VolumeHandle;
use volume::{Nanos, Outcome, Region, Tag};

use super::allocation::Question;
use super::idle::{Idle, Polling};
use super::leaving::SavedSocket;
use super::rounds::{Look, Served, Then};
use super::turn::Armed;
use super::{Front, Reactor, allocation, mark};
use crate::nbd::{Connection, Pace, Received, Sent, Ticket, Transport};

/// In the turn of a poll's number: it is about what is sent.
const SENDS: u16 = 1 << 15;

/// Which client: a number that the engine gave it, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SocketKey(pub u64);

/// A client.
pub(super) struct Socket {
    pub key: SocketKey,
    pub volume: VolumeHandle,
    pub connection: Connection,
    pub transport: Transport,
    /// What it asked of the map, and is not known yet.
    pub questions: Vec<Question>,
    /// Which of all that had this slot: late knocks are for others. Below [`SENDS`].
    pub turn: u16,
    idle: Idle,
    /// Its limits keep it until then.
    until: u64,
    /// When to look at it again.
    pace: Pace,
    /// So long looks are held back after answers are sent, so that requests gather.
    hold: u64,
    /// Until then they are.
    held: u64,
    /// The ring tells when the socket is readable. Until then it is not asked.
    polled: bool,
    /// It takes no more of what is sent: the client does not read. The ring tells when it
    /// does; until then it is left alone.
    stuck: bool,
    /// There may be bytes that a poll of the socket does not tell of.
    readable: bool,
    /// Its memory is full until something is answered and sent.
    full: bool,
    /// Something was sent, so there may be room for what it had asked before.
    again: bool,
    /// The lane has no room for its next request before something completes.
    blocked: bool,
    /// It is of no use any more; it goes when nothing is in flight.
    dead: bool,
    /// Called with the key when it is gone.
    gone: Box<dyn FnOnce(SocketKey) + Send>,
}

/// A client for a lane.
pub struct NewSocket {
    /// Its number.
    pub key: SocketKey,
    /// What it is served.
    pub volume: VolumeHandle,
    /// Its state.
    pub connection: Connection,
    /// Its socket.
    pub transport: Transport,
    /// Called when it is gone.
    pub gone: Box<dyn FnOnce(SocketKey) + Send>,
}

/// What stays of a client whose state went to a successor.
pub(super) struct LeftSocket {
    pub slot: u16,
    pub key: SocketKey,
    pub volume: VolumeHandle,
    pub transport: Transport,
    pub gone: Box<dyn FnOnce(SocketKey) + Send>,
    pub memory: Region,
}

impl Reactor {
    /// A client is served from now on.
    pub fn add_socket(&mut self, new: NewSocket) {
        let free = self.sockets.iter().position(Option::is_none).unwrap_or(self.sockets.len());
        self.put_socket(free as u16, new);
    }

    /// Puts a client into a slot.
    pub(super) fn put_socket(&mut self, slot: u16, new: NewSocket) {
        while self.sockets.len() <= usize::from(slot) {
            self.sockets.push(None);
        }
        self.next_command += 1;
        let NewSocket { key, volume, connection, transport, gone } = new;
        let questions = Question::left(&connection);
        self.sockets[usize::from(slot)] = Some(Socket {
            key,
            volume,
            connection,
            transport,
            questions,
            turn: self.next_command as u16 & !SENDS,
            idle: Idle::new(Polling::Adaptive, world::clock::monotonic_nanos()),
            until: 0,
            pace: Pace::default(),
            hold: 0,
            held: 0,
            polled: false,
            stuck: false,
            readable: true,
            full: false,
            again: false,
            blocked: false,
            dead: false,
            gone,
        });
        self.wake(Front::Socket(slot));
    }

    /// Every client of a volume, or of all volumes, is hung up at a request's boundary.
    pub fn retire_sockets(&mut self, volume: Option<VolumeHandle>) {
        for slot in 0..self.sockets.len() {
            let Some(socket) = &mut self.sockets[slot] else { continue };
            if volume.is_none_or(|volume| socket.volume == volume) {
                socket.connection.retire();
                self.touch(Front::Socket(slot as u16));
            }
        }
    }

    /// Clients that cannot go to another process: each is hung up on as soon as nothing of
    /// it is in flight. How many are left.
    pub fn retire_fixed_sockets(&mut self) -> usize {
        let mut left = 0;
        for slot in 0..self.sockets.len() {
            let Some(socket) = &mut self.sockets[slot] else { continue };
            if !socket.transport.can_move() {
                socket.connection.retire();
                self.touch(Front::Socket(slot as u16));
                left += 1;
            }
        }
        left
    }

    /// Takes the clients apart for a successor. What stays is for [`Reactor::come_back`].
    pub(super) fn save_sockets(&mut self) -> (Vec<SavedSocket>, Vec<LeftSocket>) {
        let (mut saved, mut left) = (Vec::new(), Vec::new());
        for (slot, place) in (0..).zip(&mut self.sockets) {
            let Some(socket) = place.take() else { continue };
            let (connection, memory) = socket.connection.save();
            saved.push(SavedSocket { slot, key: socket.key, connection });
            let Socket { key, volume, transport, gone, .. } = socket;
            left.push(LeftSocket { slot, key, volume, transport, gone, memory });
        }
        (saved, left)
    }

    /// How many clients a volume has.
    pub fn sockets_of(&self, volume: VolumeHandle) -> usize {
        self.sockets.iter().flatten().filter(|socket| socket.volume == volume).count()
    }

    /// Whether a client is to be asked what it has: only its socket knows.
    pub(super) fn look_at_socket(&self, slot: u16, now: u64) -> Look {
        let Some(socket) = &self.sockets[usize::from(slot)] else { return Look::Gone };
        match socket.until.max(socket.held) > now {
            _ if socket.dead || socket.stuck => Look::Gone,
            true => Look::Nothing,
            false => Look::Many(usize::from(socket.volume.0)),
        }
    }

    /// Takes requests of a client, until this much of the core is used.
    pub(super) fn visit_socket(&mut self, slot: u16, now: u64, budget: u32) -> Served {
        let Some(socket) = &mut self.sockets[usize::from(slot)] else { return Served::GONE };
        if socket.dead || socket.stuck {
            return Served::GONE;
        }
        if socket.until.max(socket.held) > now {
            return Served::NOTHING;
        }
        (socket.until, socket.again, socket.blocked, socket.full) = (0, false, false, false);
        let mut worked = false;
        if !socket.polled {
            match socket.transport.receive(&mut socket.connection) {
                Ok(Received::Bytes { all }) => (worked, socket.readable) = (true, !all),
                Ok(Received::Nothing) => socket.readable = false,
                Ok(Received::Full) => socket.full = true,
                Ok(Received::Ended) | Err(_) => return self.bury_socket(slot),
            }
        }
        self.ask_again(slot, now);
        let taken = self.take_requests(slot, now, budget);
        let Some(socket) = &mut self.sockets[usize::from(slot)] else { return Served::GONE };
        let Some((count, cost)) = taken else { return self.bury_socket(slot) };
        // With all of the budget used there is more already.
        if count > 0 && cost < budget {
            socket.hold = socket.pace.after(count).0;
            socket.held = now + socket.hold;
        }
        worked |= count > 0;
        if worked {
            socket.idle.worked(now);
        }
        if worked || socket.connection.has_output() {
            self.touch(Front::Socket(slot));
        }
        let then = match () {
            () if cost >= budget => Then::More,
            () if worked || !self.may_knock(slot, now) => Then::Nothing,
            () => Then::Gone,
        };
        Served { cost, worked, then }
    }

    /// Hands requests to the lane: how many, and what they cost the core. `None`: the
    /// client talks nonsense.
    fn take_requests(&mut self, slot: u16, now: u64, budget: u32) -> Option<(usize, u32)> {
        let (mut count, mut cost) = (0, 0);
        while cost < budget {
            let socket = self.sockets[usize::from(slot)].as_mut()?;
            if let Err(when) = self.lane.ready(socket.volume, Nanos(now)) {
                socket.blocked = when.0 == u64::MAX;
                socket.until = if socket.blocked { 0 } else { when.0 };
                break;
            }
            let wanted = match socket.connection.next() {
                None => break,
                Some(Err(_)) => return None,
                Some(Ok(wanted)) => wanted,
            };
            count += 1;
            let Some(request) = wanted.request() else {
                cost += allocation::COST;
                self.ask_allocation(slot, Question::of(&wanted), now);
                continue;
            };
            cost += super::guests::cost_of(&request);
            let tag = Tag(mark::SOCKET | u64::from(slot) << 16 | u64::from(wanted.ticket.0));
            let volume = socket.volume;
            self.drive(|lane, driver| lane.submit(volume, tag, &request, Nanos(now), driver));
            self.pass_on();
        }
        Some((count, cost))
    }

    /// The lane answers.
    #[inline]
    pub(super) fn socket_replied(&mut self, slot: u16, ticket: u16, outcome: Outcome) {
        let socket = self.sockets[usize::from(slot)].as_mut();
        let socket = socket.expect("a client with requests in flight stays");
        socket.connection.replied(Ticket(ticket), outcome);
        self.touch(Front::Socket(slot));
        self.wake(Front::Socket(slot));
    }

    /// Sends what there is. A client that has ended goes.
    pub(super) fn publish_socket(&mut self, slot: u16) {
        let Some(socket) = &mut self.sockets[usize::from(slot)] else { return };
        if !socket.dead && !socket.stuck && socket.connection.has_output() {
            socket.again = true;
            match socket.transport.send(&mut socket.connection) {
                Ok(Sent::All) if socket.hold > 0 => {
                    // The client has something to do from now on.
                    socket.held = world::clock::monotonic_nanos() + socket.hold;
                }
                Ok(Sent::All) => {}
                Ok(Sent::Some) => {
                    socket.stuck = true;
                    let number = poll_number(slot, socket.turn | SENDS);
                    self.ring.poll_writable_once(number, socket.transport.socket());
                }
                Err(_) => socket.dead = true,
            }
        }
        if socket.dead || socket.connection.finished() {
            self.bury_socket(slot);
        }
    }

    /// Lets go of a client as soon as nothing of it is in flight.
    fn bury_socket(&mut self, slot: u16) -> Served {
        let gone = Served { worked: true, ..Served::GONE };
        let Some(socket) = &mut self.sockets[usize::from(slot)] else { return gone };
        socket.dead = true;
        for question in socket.questions.drain(..) {
            socket.connection.status(question.ticket, &[]);
        }
        if socket.connection.is_idle()
            && let Some(socket) = self.sockets[usize::from(slot)].take()
        {
            if socket.polled {
                self.ring.cancel_poll(poll_number(slot, socket.turn));
            }
            if socket.stuck {
                self.ring.cancel_poll(poll_number(slot, socket.turn | SENDS));
            }
            // The poll must be over before the descriptor's number is somebody else's.
            let _ = self.ring.submit();
            socket.transport.hang_up();
            (socket.gone)(socket.key);
        }
        gone
    }

    /// The ring says that a socket is readable, or takes what is sent.
    pub(super) fn socket_knocked(&mut self, slot: u16, turn: u16, more: bool) {
        let Some(Some(socket)) = self.sockets.get_mut(usize::from(slot)) else { return };
        if socket.turn != turn & !SENDS {
            return;
        }
        if turn & SENDS != 0 {
            socket.stuck = false;
        } else {
            socket.polled = more;
        }
        self.wake(Front::Socket(slot));
    }

    /// Until when it is not looked at; 0 when it is.
    pub(super) fn socket_waits(&self, slot: u16) -> u64 {
        self.sockets[usize::from(slot)].as_ref().map_or(0, |socket| socket.until.max(socket.held))
    }

    /// The lane wants to sleep.
    pub(super) fn arm_socket(&mut self, slot: u16, now: u64) -> Armed {
        let Some(socket) = &mut self.sockets[usize::from(slot)] else { return Armed::Knocks };
        if socket.dead {
            return Armed::Knocks;
        }
        if socket.stuck {
            return Armed::Waits(u64::MAX);
        }
        if socket.until.max(socket.held) > now {
            return Armed::Waits(socket.until.max(socket.held));
        }
        if socket.blocked || socket.full || !socket.questions.is_empty() {
            return Armed::Waits(u64::MAX);
        }
        if socket.readable || socket.again {
            return Armed::Busy;
        }
        if !socket.polled {
            socket.polled = true;
            // Once: while it is served, or held back, its bytes must not wake the lane.
            self.ring.poll_once(poll_number(slot, socket.turn), socket.transport.socket());
        }
        Armed::Knocks
    }

    /// Nothing came. If that is usual, it is not looked at before it knocks.
    fn may_knock(&mut self, slot: u16, now: u64) -> bool {
        let Some(socket) = &self.sockets[usize::from(slot)] else { return true };
        let quiet = !socket.connection.has_output() && socket.idle.is_over(now);
        quiet && matches!(self.arm_socket(slot, now), Armed::Knocks)
    }
}

fn poll_number(slot: u16, turn: u16) -> u64 {
    mark::POLL | mark::SOCKET | u64::from(turn) << 16 | u64::from(slot)
}
