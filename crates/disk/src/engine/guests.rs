//! Volumes that are served to virtual machines: a socket that a VMM connects to, and
//! the session with it.
//!
//! One VMM at a time has a volume. Its session is deposited with each change, so that
//! the next engine goes on with it, whether it takes over or comes after a crash.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};
use volume::lane::VolumeHandle;

use super::Engine;
use super::book::Served;
use crate::guest::GuestMemory;
use crate::keeper::client::Deposit;
use crate::listening::{Stop, accept, listen};
use crate::reactor::GuestKey;
use crate::ring::Position;
use crate::vhost_user::{Description, Ended, QueueStart, Session, Sink};
use crate::virtio_blk::Device;

/// A volume that is served.
pub(crate) struct Guests {
    pub served: Served,
    pub device: Arc<Device>,
    pub handle: VolumeHandle,
    /// The listening socket, for who goes on with it.
    listener: OwnedFd,
    stop: Stop,
    accepting: Option<JoinHandle<()>>,
    session: Arc<Mutex<Option<Running>>>,
}

/// A session and its thread.
struct Running {
    number: u64,
    stop: Stop,
    change: crate::vhost_user::ChangeNotice,
    /// Gives the session back when it was stopped; nothing when it ended.
    thread: JoinHandle<Option<(Session<ToLane>, UnixStream)>>,
}

/// What is deposited of a session, beside its socket (first) and files.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SessionDeposit {
    /// Of which volume.
    pub volume: String,
    /// Its number.
    pub number: u64,
    /// All else.
    pub description: Description,
}

/// Under which key the listening socket of a volume is deposited.
pub(crate) fn listener_key(volume: &str) -> String {
    format!("vhost-listener/{volume}")
}
fn session_key(number: u64) -> String {
    format!("vhost-session/{number}")
}

/// Queues that sessions attached, until the lane's state is here.
pub(crate) type Held = Arc<Mutex<Vec<(GuestKey, VolumeHandle, QueueStart)>>>;

/// The sink of a session: it has the queues served by the lane.
pub(crate) struct ToLane {
    engine: Arc<Engine>,
    number: u64,
    volume: String,
    handle: VolumeHandle,
    socket: OwnedFd,
    /// Queues that wait for what a predecessor saved of them, when there is one.
    held: Option<Held>,
}

impl Sink for ToLane {
    fn attach(&mut self, start: QueueStart) {
        let key = GuestKey { session: self.number, queue: start.config.index };
        let handle = self.handle;
        if let Some(held) = &self.held {
            held.lock().unwrap_or_else(PoisonError::into_inner).push((key, handle, start));
            return;
        }
        let added = self.engine.lane.ask(move |lane| lane.add_guest(key, handle, start));
        if let Err(gone) = added {
            tracing::warn!(%gone, "a queue is not served");
        }
    }
    fn stop(&mut self, queue: u16) -> Option<Position> {
        let key = GuestKey { session: self.number, queue };
        let (told, done) = channel();
        self.engine.lane.tell(move |lane| lane.stop_guest(key, told)).ok()?;
        done.recv().ok().flatten()
    }
    fn memory(&mut self, memory: Arc<GuestMemory>) {
        let number = self.number;
        if let Err(gone) = self.engine.lane.ask(move |lane| lane.set_guest_memory(number, &memory))
        {
            tracing::warn!(%gone, "new memory is not used");
        }
    }
    fn call(&mut self, queue: u16, call: Option<OwnedFd>) {
        let key = GuestKey { session: self.number, queue };
        if let Err(gone) = self.engine.lane.ask(move |lane| lane.set_guest_call(key, call)) {
            tracing::warn!(%gone, "answers are told to nobody");
        }
    }
    fn deposit(&mut self, description: &Description, files: &[BorrowedFd<'_>]) -> io::Result<()> {
        let description = description.clone();
        let deposit =
            SessionDeposit { volume: self.volume.clone(), number: self.number, description };
        let mut all = vec![self.socket.as_fd()];
        all.extend_from_slice(files);
        self.engine.keeper.put(&session_key(self.number), &deposit, &all)
    }
}

impl Guests {
    /// Serves a volume at a socket. `listener` is the one that an engine before us made.
    pub fn start(
        engine: &Arc<Engine>,
        served: Served,
        device: Device,
        handle: VolumeHandle,
        listener: Option<OwnedFd>,
    ) -> io::Result<Self> {
        let listener = match listener {
            Some(fd) => fd,
            None => listen(&served.socket)?.into(),
        };
        engine.keeper.put(&listener_key(&served.volume), &served, &[listener.as_fd()])?;
        let mut guests = Self::new(served, device, handle, listener)?;
        guests.go_on(engine, None)?;
        Ok(guests)
    }

    /// A volume that nobody may connect to before [`Guests::go_on`].
    pub fn new(
        served: Served,
        device: Device,
        handle: VolumeHandle,
        listener: OwnedFd,
    ) -> io::Result<Self> {
        Ok(Self {
            served,
            device: Arc::new(device),
            handle,
            listener,
            stop: Stop::new()?,
            accepting: None,
            session: Arc::default(),
        })
    }

    fn accept(&mut self, engine: &Arc<Engine>) -> io::Result<()> {
        let listener = std::os::unix::net::UnixListener::from(self.listener.try_clone()?);
        let (engine, slot) = (Arc::clone(engine), Arc::clone(&self.session));
        let (device, handle) = (Arc::clone(&self.device), self.handle);
        let (volume, stop) = (self.served.volume.clone(), self.stop.clone());
        let each = move |socket: UnixStream| {
            let begun = begin(&engine, &volume, &device, handle, socket, &slot);
            if let Err(error) = begun {
                tracing::warn!(volume, %error, "a virtual machine could not be served");
            }
        };
        let run = move || accept(&listener, &stop, each);
        self.accepting = Some(std::thread::Builder::new().name("vhost-accept".into()).spawn(run)?);
        Ok(())
    }

    /// Whether a VMM is connected.
    pub fn is_connected(&self) -> bool {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        session.as_ref().is_some_and(|running| !running.thread.is_finished())
    }

    /// The volume has another size: the VMM is told.
    pub fn resized(&self, bytes: u64) {
        self.device.resize(bytes);
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = session.as_ref() {
            running.change.send();
        }
    }

    /// Goes on with a session that was deposited. Its queues are served at once (after a
    /// crash), or held for what a predecessor saved of them.
    pub fn resume(
        &self,
        engine: &Arc<Engine>,
        deposit: &Deposit,
        held: Option<Held>,
    ) -> io::Result<Resumed> {
        let saved: SessionDeposit = deposit.read()?;
        let socket = UnixStream::from(deposit.fd(0)?);
        let files =
            deposit.fds.iter().skip(1).map(OwnedFd::try_clone).collect::<io::Result<Vec<_>>>()?;
        let sink = ToLane {
            engine: Arc::clone(engine),
            number: saved.number,
            volume: saved.volume,
            handle: self.handle,
            socket: socket.try_clone()?.into(),
            held,
        };
        let device = Arc::clone(&self.device);
        let mut session =
            Session::resume(saved.description, files, device, sink).map_err(io::Error::other)?;
        session.serve_on().map_err(io::Error::other)?;
        session.sink().held = None;
        Ok(Resumed { number: saved.number, session, socket })
    }

    /// Listens to the VMM of a session that was resumed.
    pub fn listen_to(&self, resumed: Resumed) -> io::Result<()> {
        let running = spawn(resumed.session, resumed.socket)?;
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
        Ok(())
    }

    /// Takes no messages and no connections, and leaves the queues to be served on. What
    /// comes back is for [`Guests::go_on`].
    pub fn pause(&mut self) -> Option<Resumed> {
        self.stop.now();
        if let Some(thread) = self.accepting.take() {
            let _ = thread.join();
        }
        let running = self.session.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        running.stop.now();
        let (session, socket) = running.thread.join().ok().flatten()?;
        Some(Resumed { number: running.number, session, socket })
    }

    /// Takes connections and messages, after a pause or for the first time.
    pub fn go_on(&mut self, engine: &Arc<Engine>, paused: Option<Resumed>) -> io::Result<()> {
        self.stop = Stop::new()?;
        self.accept(engine)?;
        match paused {
            Some(paused) => self.listen_to(paused),
            None => Ok(()),
        }
    }

    /// Serves the volume no more: the VMM is hung up on.
    pub fn end(mut self, engine: &Engine) {
        if let Some(paused) = self.pause() {
            let number = paused.number;
            for queue in 0..self.device.queues() {
                let key = GuestKey { session: number, queue };
                let (told, done) = channel();
                if engine.lane.tell(move |lane| lane.stop_guest(key, told)).is_ok() {
                    let _ = done.recv();
                }
            }
            if let Err(error) = engine.keeper.delete(&session_key(number)) {
                tracing::warn!(%error, "the keeper does not listen");
            }
        }
        if let Err(error) = engine.keeper.delete(&listener_key(&self.served.volume)) {
            tracing::warn!(%error, "the keeper does not listen");
        }
        let _ = std::fs::remove_file(&self.served.socket);
    }
}

/// A session without a thread.
pub(crate) struct Resumed {
    number: u64,
    session: Session<ToLane>,
    socket: UnixStream,
}

/// A VMM has connected.
fn begin(
    engine: &Arc<Engine>,
    volume: &str,
    device: &Arc<Device>,
    handle: VolumeHandle,
    socket: UnixStream,
    slot: &Mutex<Option<Running>>,
) -> io::Result<()> {
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    if slot.as_ref().is_some_and(|running| !running.thread.is_finished()) {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another VMM is connected"));
    }
    let sink = ToLane {
        engine: Arc::clone(engine),
        number: engine.number(),
        volume: volume.to_owned(),
        handle,
        socket: socket.try_clone()?.into(),
        held: None,
    };
    *slot = Some(spawn(Session::new(Arc::clone(device), sink), socket)?);
    Ok(())
}

fn spawn(mut session: Session<ToLane>, socket: UnixStream) -> io::Result<Running> {
    let stop = Stop::new()?;
    let (ours, change, number) = (stop.clone(), session.change_notice(), session.sink().number);
    let run = move || {
        let ended = session.run(socket.as_fd(), ours.file());
        match ended {
            Ended::Stopped => return Some((session, socket)),
            Ended::Closed => tracing::info!(number, "a virtual machine disconnected"),
            Ended::Failed(refusal) => {
                tracing::warn!(number, %refusal, "a session with a VMM failed")
            }
        }
        let keeper = &session.sink().engine.keeper;
        if let Err(error) = keeper.delete(&session_key(number)) {
            tracing::warn!(%error, "the keeper does not listen");
        }
        None
    };
    let thread = std::thread::Builder::new().name("vhost-session".into()).spawn(run)?;
    Ok(Running { number, stop, change, thread })
}
