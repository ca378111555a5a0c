//! The loop of a reactor: wait for events, read letters, serve whose turn it is.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::net::SocketFlags;
use world::clock::Clock;
use world::clock::monotonic_nanos;

use super::begin::stranger;
use super::cache::Cache;
use super::connection::Connection;
use super::drive::{Input, Next, hand_over, send_held, serve};
use super::lane::{HELD, Lane, Settings};
use super::mailbox::{Adopted, Handed, Mailbox, Message};
use super::places::Places;
use super::receive::taken;
use super::shares::Shares;
use super::slots::{Slots, Token};
use super::sweep::{CROWDED, overdue};
use super::wire::Wire;
use crate::access_log::Lines;
use crate::http::HttpDate;
use crate::metrics::Counters;
use crate::orders::Orders;
use crate::step::{Peer, Service, Step};

/// A socket that is listened at.
#[derive(Debug)]
pub struct Listener {
    /// The socket. It does not block.
    pub socket: OwnedFd,
    /// Its connections are encrypted.
    pub tls: bool,
}

/// A mover, before and while it runs.
pub struct Reactor {
    lane: Lane,
    epoll: OwnedFd,
    listeners: Vec<Listener>,
    /// New connections are taken.
    listens: bool,
    slots: Slots<Connection>,
    shares: Shares<Token>,
    letters: Vec<Message>,
    /// Those whose replies are held back.
    held: Vec<Token>,
    swept: u64,
    stopped: bool,
    successor: Option<std::sync::mpsc::Sender<Handed>>,
}

/// A piece of memory so large, once given back, has the system's allocator keep up to
/// twice as much of what is given back later. Records of TLS come and go by the hundred
/// KiB: without it each batch of them is mapped and faulted in anew.
const KEPT: usize = 1 << 20;

fn warm() {
    drop(std::hint::black_box(vec![1_u8; KEPT]));
}

/// Events at once.
const EVENTS: usize = 256;
/// Connections that are served before events are looked for again.
const SERVED: usize = 128;
/// Connections that are taken at once.
const TAKEN: usize = 64;
const SECOND: u64 = 1_000_000_000;
const BELL: u64 = u64::MAX;
const LISTENERS: u64 = u64::MAX - 1024;

/// Whom a reactor works with.
pub struct Company {
    pub service: Arc<dyn Service>,
    pub orders: Orders,
    pub mailbox: Arc<Mailbox>,
    pub counters: Arc<Counters>,
    pub lines: Lines,
    pub clock: Arc<dyn Clock>,
    /// What its requests' ids begin with.
    pub serial: u64,
}

impl Reactor {
    /// One that will listen at these sockets.
    ///
    /// # Errors
    /// When the system has no epoll instance for it.
    pub fn new(settings: Settings, company: Company, listeners: Vec<Listener>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let bell = epoll::EventData::new_u64(BELL);
        epoll::add(&epoll, &*company.mailbox, bell, epoll::EventFlags::IN)?;
        let lane = Lane {
            request_id: company.service.request_id(),
            service: company.service,
            orders: company.orders,
            mailbox: company.mailbox,
            clock: company.clock,
            cache: Cache::new(settings.cache),
            places: Places::new(settings.cache),
            counters: company.counters,
            lines: company.lines,
            date: HttpDate::default(),
            now: monotonic_nanos(),
            draining: false,
            hands_over: false,
            input: Input::default(),
            outputs: Vec::new(),
            block: Vec::new(),
            blocks: Vec::new(),
            blocks_out: 0,
            serial: company.serial,
            token: Token(0),
            settings,
        };
        let mut reactor = Self {
            lane,
            epoll,
            listeners,
            listens: false,
            slots: Slots::default(),
            shares: Shares::default(),
            letters: Vec::new(),
            held: Vec::new(),
            swept: 0,
            stopped: false,
            successor: None,
        };
        reactor.listen(true)?;
        Ok(reactor)
    }

    /// Runs until it is told to end, or has drained.
    ///
    /// # Errors
    /// When the system refuses to wait.
    pub fn run(mut self) -> io::Result<()> {
        self.pin();
        warm();
        let mut events = Vec::with_capacity(EVENTS);
        while !self.stopped {
            if self.lane.draining && self.slots.is_empty() {
                break;
            }
            let timeout = self.timeout();
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            self.lane.now = monotonic_nanos();
            self.lane.date.set(self.lane.clock.now());
            for event in &events {
                let (data, flags) = (event.data.u64(), event.flags);
                self.event(data, flags);
            }
            for _ in 0..SERVED {
                let Some((account, token)) = self.shares.pop() else { break };
                self.serve(account, token);
                if self.held.len() >= HELD {
                    self.send_held();
                }
            }
            self.send_held();
            if self.lane.now - self.swept >= SECOND {
                self.sweep();
            }
        }
        self.lane.lines.flush();
        Ok(())
    }

    /// Stays on its core. A machine that does not let it is no reason not to serve.
    fn pin(&self) {
        let Some(core) = self.lane.settings.core else { return };
        let mut cores = rustix::thread::CpuSet::new();
        if core < rustix::thread::CpuSet::MAX_CPU {
            cores.set(core);
            let _ = rustix::thread::sched_setaffinity(None, &cores);
        }
    }

    /// Not at all while somebody waits; a second while time is to be watched.
    fn timeout(&self) -> Option<Timespec> {
        match (self.shares.is_empty(), self.slots.len(), self.lane.lines.is_empty()) {
            (false, _, _) => Some(Timespec { tv_sec: 0, tv_nsec: 0 }),
            (true, 0, true) if self.listens => None,
            _ => Some(Timespec { tv_sec: 1, tv_nsec: 0 }),
        }
    }

    fn event(&mut self, data: u64, flags: epoll::EventFlags) {
        if data == BELL {
            return self.read_letters();
        }
        if data >= LISTENERS {
            return self.accept((data - LISTENERS) as usize);
        }
        let token = Token(data);
        let Some(connection) = self.slots.get(token) else { return };
        let ended = epoll::EventFlags::HUP | epoll::EventFlags::ERR | epoll::EventFlags::RDHUP;
        let wire = &mut connection.wire;
        wire.half_closed |= flags.intersects(ended);
        wire.readable |= flags.intersects(ended | epoll::EventFlags::IN);
        wire.writable |= flags.intersects(epoll::EventFlags::OUT | epoll::EventFlags::ERR);
        self.enqueue(token);
    }

    fn enqueue(&mut self, token: Token) {
        let Some(connection) = self.slots.get(token) else { return };
        if !connection.queued {
            connection.queued = true;
            self.shares.push(connection.account, token);
        }
    }

    fn serve(&mut self, account: u64, token: Token) {
        let Some(mut connection) = self.slots.lend(token) else { return };
        connection.queued = false;
        self.lane.token = token;
        let next = serve(&mut self.lane, &mut connection);
        self.shares.charge(account, connection.spent);
        self.settle(token, connection, next);
    }

    /// Sends what was held back.
    fn send_held(&mut self) {
        let mut held = std::mem::take(&mut self.held);
        for token in held.drain(..) {
            let Some(mut connection) = self.slots.lend(token) else { continue };
            let next = send_held(&mut self.lane, &mut connection);
            self.settle(token, connection, next);
        }
        self.held = held;
    }

    fn settle(&mut self, token: Token, connection: Box<Connection>, next: Next) {
        match next {
            Next::Wait => self.slots.give_back(token, connection),
            Next::Held => {
                self.slots.give_back(token, connection);
                self.held.push(token);
            }
            Next::Again => {
                self.slots.give_back(token, connection);
                self.enqueue(token);
            }
            Next::HandOver => {
                let connection = self.forget(token, connection);
                if let Some(successor) = &self.successor {
                    // Nobody there: the client is told by the end of the connection.
                    let _ = successor.send(hand_over(connection));
                }
            }
            Next::Close => {
                self.forget(token, connection);
            }
        }
    }

    fn forget(&mut self, token: Token, mut connection: Box<Connection>) -> Connection {
        // A socket that lives on elsewhere must not be heard of here.
        let _ = epoll::delete(&self.epoll, &connection.wire);
        if let Some(block) = connection.block.take() {
            self.lane.return_block(block);
        }
        self.slots.free(token);
        self.lane.counters.closed();
        if self.slots.len() + TAKEN < self.lane.settings.connections && !self.lane.draining {
            self.listen_again();
        }
        *connection
    }

    fn accept(&mut self, number: usize) {
        for _ in 0..TAKEN {
            if self.slots.len() >= self.lane.settings.connections {
                let _ = self.listen(false);
                return;
            }
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let Some(listener) = self.listeners.get(number) else { return };
            let tls = listener.tls;
            match rustix::net::acceptfrom_with(&listener.socket, flags) {
                Ok((socket, address)) => {
                    let address = address.and_then(|it| std::net::SocketAddr::try_from(it).ok());
                    let address = address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |it| it.ip());
                    let tls = if tls { self.lane.settings.tls.as_ref() } else { None };
                    let peer = Peer { address, tls: tls.is_some() };
                    let Ok(wire) = Wire::new(socket, tls) else { continue };
                    self.take_in(wire, peer, Vec::new());
                }
                Err(rustix::io::Errno::AGAIN) => return,
                Err(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) => {
                    // Until the next look at times: some will be closed.
                    let _ = self.listen(false);
                    return;
                }
                // That one connection is gone already.
                Err(_) => {}
            }
        }
    }

    fn take_in(&mut self, wire: Wire, peer: Peer, received: Vec<u8>) {
        // Without it a reply's last piece waits for an acknowledgement.
        let _ = rustix::net::sockopt::set_tcp_nodelay(&wire.socket, true);
        let deadline = self.lane.now + self.lane.settings.timeouts.head;
        let mut connection = Connection::new(wire, peer, stranger(peer.address), deadline);
        connection.inbox = received;
        let token = self.slots.insert(Box::new(connection));
        let connection = self.slots.get(token).expect("it was put in");
        let flags = epoll::EventFlags::IN
            | epoll::EventFlags::OUT
            | epoll::EventFlags::RDHUP
            | epoll::EventFlags::ET;
        let data = epoll::EventData::new_u64(token.0);
        if epoll::add(&self.epoll, &connection.wire, data, flags).is_err() {
            self.slots.free(token);
            return;
        }
        self.lane.counters.opened();
        self.enqueue(token);
    }

    fn listen_again(&mut self) {
        if !self.listens {
            let _ = self.listen(true);
        }
    }

    fn listen(&mut self, on: bool) -> io::Result<()> {
        if on == self.listens {
            return Ok(());
        }
        for (number, listener) in self.listeners.iter().enumerate() {
            if on {
                let data = epoll::EventData::new_u64(LISTENERS + number as u64);
                epoll::add(&self.epoll, &listener.socket, data, epoll::EventFlags::IN)?;
            } else {
                epoll::delete(&self.epoll, &listener.socket)?;
            }
        }
        self.listens = on;
        Ok(())
    }

    fn read_letters(&mut self) {
        let mut letters = std::mem::take(&mut self.letters);
        let mailbox = self.lane.mailbox.clone();
        mailbox.take(&mut letters);
        for letter in letters.drain(..) {
            self.letter(letter);
        }
        self.letters = letters;
    }

    fn letter(&mut self, letter: Message) {
        match letter {
            Message::Step(token, step) => self.comes(token, step),
            Message::Applied(token, then, result) => {
                let step = then(result);
                self.comes(token, step);
            }
            Message::AppliedAll(token, then, results) => {
                let step = then(results);
                self.comes(token, step);
            }
            Message::Ended(token, block, step) => {
                self.lane.return_block(block);
                self.comes(token, step);
            }
            Message::Taken(token, receive, block, result) => match self.slots.get(token) {
                Some(connection) => {
                    taken(&mut self.lane, connection, receive, block, result);
                    self.enqueue(token);
                }
                None => self.lane.return_block(block),
            },
            Message::Fetched(token) => {
                if let Some(connection) = self.slots.get(token) {
                    connection.fetching = false;
                    self.enqueue(token);
                }
            }
            Message::Adopt(adopted) => self.adopt(adopted),
            Message::Drain(successor) => self.drain(successor),
            Message::Stop => self.stopped = true,
        }
    }

    /// Takes a connection over. Who relays one has encrypted it: it is plain here, and its
    /// client comes straight here after the next reply.
    fn adopt(&mut self, adopted: Adopted) {
        let Adopted { socket, received, relayed } = adopted;
        let address = relayed.or_else(|| {
            let address = rustix::net::getpeername(&socket).ok()??;
            Some(std::net::SocketAddr::try_from(address).ok()?.ip())
        });
        let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let Ok(wire) = Wire::new(socket, None) else { return };
        self.take_in(wire, Peer { address, tls: relayed.is_some() }, received);
    }

    fn comes(&mut self, token: Token, step: Step) {
        if let Some(connection) = self.slots.get(token) {
            connection.coming = Some(step);
            self.enqueue(token);
        }
    }

    /// Takes no more connections. Those that wait to be taken are, unless a successor has
    /// the same sockets.
    fn drain(&mut self, successor: Option<std::sync::mpsc::Sender<Handed>>) {
        if successor.is_none() {
            for number in 0..self.listeners.len() {
                self.accept(number);
            }
        }
        let _ = self.listen(false);
        self.listeners.clear();
        self.lane.draining = true;
        self.lane.hands_over = successor.is_some();
        self.successor = successor;
        let tokens: Vec<Token> = self.slots.each().map(|(token, _)| token).collect();
        for token in tokens {
            self.enqueue(token);
        }
    }

    fn sweep(&mut self) {
        self.swept = self.lane.now;
        self.lane.lines.flush();
        let crowded = !self.listens && !self.lane.draining;
        let idle = self.lane.settings.timeouts.idle;
        let now = self.lane.now;
        let late: Vec<Token> = self
            .slots
            .each()
            .filter(|(_, connection)| {
                let early = crowded && connection.phase == super::connection::Phase::Idle;
                let allowed = if early { idle.saturating_sub(CROWDED) } else { 0 };
                connection.deadline.saturating_sub(allowed) <= now
            })
            .map(|(token, _)| token)
            .collect();
        for token in late {
            let Some(mut connection) = self.slots.lend(token) else { continue };
            let next = overdue(&mut connection, &*self.lane.service);
            self.settle(token, connection, next);
        }
        if crowded && self.slots.len() < self.lane.settings.connections {
            self.listen_again();
        }
    }
}
