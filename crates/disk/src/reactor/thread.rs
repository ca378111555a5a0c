//! The thread of a lane, and how others reach it.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use rustix::thread::{CpuSet, sched_setaffinity};
use thiserror::Error;
use volume::Region;
use volume::lane::{Lane, Settings};
use world::clock::monotonic_nanos;
use world::disk::{Ring, RingError, RingSettings};

use super::bell::Bell;
use super::idle::{Idle, Polling};
use super::media::{Media, Said};
use super::rounds::Rounds;
use super::{Reactor, Work, mark};
use crate::ring::Scratch;

/// How a lane runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneSettings {
    /// The core that it is pinned to.
    pub core: Option<u32>,
    /// How it polls.
    pub polling: Polling,
}

/// The lane's thread is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the thread of the lane has ended")]
pub struct Gone;

/// A lane, as other threads see it.
#[derive(Debug)]
pub struct LaneHandle {
    work: Sender<Work>,
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

/// An engine whose lane has panicked is of no use to anybody: the keeper starts the next
/// one, which goes on from what is deposited.
struct Fatal;

impl Drop for Fatal {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

impl LaneHandle {
    /// Starts a lane. `first` runs on its thread before the first turn: what it refuses
    /// refuses the start.
    pub fn start<T: Send + 'static>(
        name: String,
        settings: LaneSettings,
        buffers: Region,
        first: impl FnOnce(&mut Reactor) -> io::Result<T> + Send + 'static,
    ) -> io::Result<(Self, T)> {
        let bell = Arc::new(Bell::new()?);
        let (work, receiver) = channel();
        let (told, started) = channel();
        let theirs = Arc::clone(&bell);
        let run = move || {
            let made = Reactor::new(settings, buffers, receiver, theirs).and_then(|mut reactor| {
                let given = first(&mut reactor)?;
                Ok((reactor, given))
            });
            match made {
                Ok((reactor, given)) => {
                    let _ = told.send(Ok(given));
                    let fatal = Fatal;
                    reactor.run();
                    drop(fatal);
                }
                Err(error) => {
                    let _ = told.send(Err(error));
                }
            }
        };
        let thread = std::thread::Builder::new().name(name).spawn(run)?;
        let given = started.recv().map_err(|_| io::Error::other(Gone))??;
        Ok((Self { work, bell, thread: Some(thread) }, given))
    }

    /// Has something done between two turns, and waits for what it gives.
    pub fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Reactor) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let (told, answer) = channel();
        self.tell(move |reactor| {
            // Who asked may have given up.
            let _ = told.send(work(reactor));
        })?;
        answer.recv().map_err(|_| Gone)
    }

    /// Has something done between two turns.
    pub fn tell(&self, work: impl FnOnce(&mut Reactor) + Send + 'static) -> Result<(), Gone> {
        self.work.send(Box::new(work)).map_err(|_| Gone)?;
        self.bell.ring();
        Ok(())
    }

    /// What to write to when completions were forwarded.
    pub fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Waits for the end of the thread, which somebody asked for. `false`: it panicked.
    pub fn join(mut self) -> bool {
        self.thread.take().is_none_or(|thread| thread.join().is_ok())
    }

    /// Whether the thread has ended.
    pub fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Reactor {
    fn new(
        settings: LaneSettings,
        buffers: Region,
        work: std::sync::mpsc::Receiver<Work>,
        bell: Arc<Bell>,
    ) -> io::Result<Self> {
        if let Some(core) = settings.core {
            pin(core)?;
        }
        // A sleep of some microseconds is to last no longer. Refused, it is less exact.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1_000));
        let mut ring = Ring::new(RingSettings::default()).map_err(of_ring)?;
        ring.poll(mark::POLL, bell.descriptor());
        Ok(Self {
            lane: Lane::new(Settings::default(), buffers),
            ring,
            media: Media::default(),
            said: Said::default(),
            scratch: Scratch::default(),
            guests: Vec::new(),
            pinned: crate::guest::Pinned::default(),
            sockets: Vec::new(),
            rounds: Rounds::default(),
            woken: Vec::new(),
            touched: Vec::new(),
            commands: HashMap::new(),
            next_command: 0,
            work,
            bell,
            came: Vec::with_capacity(1024),
            forwarded: None,
            polling: settings.polling,
            idle: Idle::new(settings.polling, monotonic_nanos()),
            next_turn: None,
            departing: None,
            leaving: None,
            confirmed: false,
            pools: Vec::new(),
            over: false,
        })
    }
}

/// The error of a ring as one of the system.
pub fn of_ring(error: RingError) -> io::Error {
    io::Error::other(error)
}

fn pin(core: u32) -> io::Result<()> {
    let mut set = CpuSet::new();
    if core as usize >= CpuSet::MAX_CPU {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("there is no core {core}"),
        ));
    }
    set.set(core as usize);
    sched_setaffinity(None, &set).map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("cannot run on core {core}: {error}"))
    })
}
