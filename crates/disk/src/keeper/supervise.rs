//! The keeper's loop: engines that run, come and go.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::KeeperError;
use super::engine::{Engine, Launch};
use super::restarts::{DEATHS, End, Restarts};
use super::store::Store;
use super::wire::{Channel, Kind, Message};
use crate::shared::signals::Signals;

const SECOND: u64 = 1_000_000_000;
/// A successor must be ready, and have taken over, in so long each.
const PATIENCE: u64 = 20 * SECOND;
/// An engine has so long to end in good order.
const GOODBYE: u64 = 60 * SECOND;

/// An engine that is to take over.
struct Successor {
    engine: Engine,
    deadline: u64,
}

/// The keeper.
pub struct Keeper {
    launch: Launch,
    signals: Signals,
    store: Store,
    current: Engine,
    successor: Option<Successor>,
    /// Replaced engines that still wait for their I/O.
    replaced: Vec<Engine>,
    /// Engines started so far.
    generation: u64,
    restarts: Restarts,
    /// By when the engine must be gone, once it was asked to.
    stop: Option<u64>,
    /// Held as long as the keeper lives.
    _lock: File,
}

/// Which of the descriptors that are waited for spoke.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    signal: bool,
    current: bool,
    current_dead: bool,
    successor: bool,
    successor_dead: bool,
}

impl Keeper {
    /// Starts the first engine.
    pub fn start(launch: Launch, signals: Signals, lock: File) -> io::Result<Self> {
        let current = Engine::start(&launch, None, 1)?;
        Ok(Self {
            launch,
            signals,
            store: Store::default(),
            current,
            successor: None,
            replaced: Vec::new(),
            generation: 1,
            restarts: Restarts::default(),
            stop: None,
            _lock: lock,
        })
    }

    /// Until an engine ended in good order.
    pub fn run(mut self) -> Result<(), KeeperError> {
        loop {
            let heard = self.wait()?;
            if heard.signal && self.signals.take() && self.stop.is_none() {
                self.stop = Some(world::clock::monotonic_nanos() + GOODBYE);
                self.tell(Kind::Stop, b"");
            }
            let current = self.current.generation;
            // The current engine's words first: what it deposited before it handed
            // over counts before what its successor says.
            if heard.current || heard.successor {
                self.hear_current();
            }
            // A successor may have taken over before the current one ended.
            if heard.successor || heard.current_dead {
                self.hear_successor();
            }
            if heard.successor_dead {
                self.refuse("it ended before it had taken over");
            }
            // Who ended was the current one, and still is: a replaced one may end.
            if heard.current_dead && self.current.generation == current && self.buried()? {
                return Ok(());
            }
            self.look_at_the_clock();
        }
    }

    /// Waits until somebody speaks, dies, or a deadline passes.
    fn wait(&mut self) -> io::Result<Heard> {
        self.replaced.retain_mut(|engine| !matches!(engine.child.try_wait(), Ok(Some(_))));
        let read = PollFlags::IN;
        let mut fds = vec![
            PollFd::new(&self.signals, read),
            PollFd::new(&self.current.channel, read),
            PollFd::new(&self.current.death, read),
        ];
        if let Some(successor) = &self.successor {
            fds.push(PollFd::new(&successor.engine.channel, read));
            fds.push(PollFd::new(&successor.engine.death, read));
        }
        for engine in &self.replaced {
            fds.push(PollFd::new(&engine.death, read));
        }
        let deadline = self.stop.into_iter().chain(self.successor.iter().map(|s| s.deadline)).min();
        let timeout = deadline.map(|deadline| {
            let left = deadline.saturating_sub(world::clock::monotonic_nanos()) + 1_000_000;
            Timespec { tv_sec: (left / SECOND) as i64, tv_nsec: (left % SECOND) as i64 }
        });
        rustix::io::retry_on_intr(|| poll(&mut fds, timeout.as_ref()))?;
        let spoke = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
        let beside = self.successor.is_some();
        Ok(Heard {
            signal: spoke(0),
            current: spoke(1),
            current_dead: spoke(2),
            successor: beside && spoke(3),
            successor_dead: beside && spoke(4),
        })
    }

    fn tell(&self, kind: Kind, bytes: &[u8]) {
        if let Err(error) = self.current.channel.send(kind, "", bytes, &[]) {
            tracing::warn!(%error, "the engine does not listen");
        }
    }

    /// Everything that the current engine said so far.
    fn hear_current(&mut self) {
        while let Some(message) = heard(&self.current.channel) {
            let Err(message) = self.store.take(message) else { continue };
            match message.kind {
                Kind::All => {
                    let told = self.store.tell(&self.current.channel, self.current.generation);
                    if let Err(error) = told {
                        tracing::warn!(%error, "the engine did not take its deposits");
                    }
                }
                Kind::Replace => self.replace(message.bytes),
                Kind::Ready => self.current.serves = true,
                Kind::Leaving => {
                    self.current.leaving = true;
                    let why = String::from_utf8_lossy(&message.bytes).into_owned();
                    tracing::info!(%why, "the engine ends in good order");
                }
                kind => tracing::warn!(?kind, "the engine says what it may not say now"),
            }
        }
    }

    /// Starts a successor and connects the two.
    fn replace(&mut self, program: Vec<u8>) {
        if self.successor.is_some() || self.stop.is_some() {
            return self.tell(Kind::Refused, b"another replacement is under way, or the end");
        }
        let program =
            (!program.is_empty()).then(|| PathBuf::from(std::ffi::OsString::from_vec(program)));
        match self.connect(program) {
            Ok(engine) => {
                let deadline = world::clock::monotonic_nanos() + PATIENCE;
                self.successor = Some(Successor { engine, deadline });
            }
            Err(error) => self.tell(Kind::Refused, error.to_string().as_bytes()),
        }
    }

    fn connect(&mut self, program: Option<PathBuf>) -> io::Result<Engine> {
        let (old, new) = Channel::pair()?;
        self.generation += 1;
        let engine = Engine::start(&self.launch, program.as_deref(), self.generation)?;
        let told = engine
            .channel
            .send(Kind::Peer, "new", b"", &[new.as_fd()])
            .and_then(|()| self.current.channel.send(Kind::Peer, "old", b"", &[old.as_fd()]));
        match told {
            Ok(()) => Ok(engine),
            Err(error) => {
                engine.end();
                Err(error)
            }
        }
    }

    /// Everything that the successor said so far. When it has taken over, it is current.
    fn hear_successor(&mut self) {
        loop {
            let Some(successor) = &mut self.successor else { return };
            let Some(message) = heard(&successor.engine.channel) else { return };
            match message.kind {
                Kind::All => {
                    let engine = &successor.engine;
                    if let Err(error) = self.store.tell(&engine.channel, engine.generation) {
                        tracing::warn!(%error, "the successor did not take the deposits");
                    }
                }
                Kind::Ready => successor.deadline = world::clock::monotonic_nanos() + PATIENCE,
                Kind::Committed => {
                    let Some(successor) = self.successor.take() else { return };
                    let old = std::mem::replace(&mut self.current, successor.engine);
                    self.replaced.push(old);
                    self.current.serves = true;
                    self.restarts.well();
                    // What it said after this word counts as the current one's.
                    return self.hear_current();
                }
                kind => tracing::warn!(?kind, "the successor says what it may not say yet"),
            }
        }
    }

    /// The successor is no more: the old one goes on, if it can.
    fn refuse(&mut self, why: &str) {
        let Some(successor) = self.successor.take() else { return };
        tracing::warn!(generation = successor.engine.generation, why, "no replacement");
        successor.engine.end();
        self.tell(Kind::Refused, why.as_bytes());
    }

    /// The current engine is dead. Starts another, unless this is the end.
    fn buried(&mut self) -> Result<bool, KeeperError> {
        self.hear_current();
        let status = self.current.child.wait()?;
        if let Some(successor) = self.successor.take() {
            // It may hold half of the lanes: what counts is what was deposited.
            successor.engine.end();
        }
        if self.current.leaving || self.stop.is_some() {
            return Ok(true);
        }
        let now = world::clock::monotonic_nanos();
        let lived = Duration::from_nanos(now.saturating_sub(self.current.started));
        let killed = status.signal() == Some(rustix::process::Signal::KILL.as_raw());
        let end = End { served: self.current.serves, killed, lived };
        let Some(pause) = self.restarts.died(end, Duration::from_nanos(now)) else {
            return Err(KeeperError::Engine(format!(
                "the engine died {DEATHS} times at its start: {status}"
            )));
        };
        let generation = self.current.generation;
        tracing::error!(generation, %status, ?pause, "the engine died; starting the next");
        self.rest(pause);
        self.generation += 1;
        self.current = Engine::start(&self.launch, None, self.generation)?;
        Ok(false)
    }

    /// Between restarts.
    fn rest(&self, pause: Duration) {
        if pause.is_zero() {
            return;
        }
        let timeout =
            Timespec { tv_sec: pause.as_secs() as i64, tv_nsec: pause.subsec_nanos().into() };
        // A signal ends the pause early.
        poll(&mut [PollFd::new(&self.signals, PollFlags::IN)], Some(&timeout)).ok();
    }

    fn look_at_the_clock(&mut self) {
        let now = world::clock::monotonic_nanos();
        if self.successor.as_ref().is_some_and(|successor| now > successor.deadline) {
            self.refuse("it was not ready in time");
        }
        if self.stop.is_some_and(|deadline| now > deadline) {
            tracing::error!("the engine does not end; ending it");
            self.current.child.kill().ok();
        }
    }
}

/// The next message that is there. What is not understood is told and passed over.
fn heard(channel: &Channel) -> Option<Message> {
    loop {
        match channel.receive_now() {
            Ok(message) => return message,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!(%error, "an engine sent what is not understood");
            }
            Err(_) => return None,
        }
    }
}
