//! Volumes that are served by NBD: a socket, and the clients on it.
//!
//! Each client's memory is shared memory, and its socket is deposited while it lives, so
//! that a live replacement takes it along. After a crash its small state is gone, and
//! nobody can know which requests of the bytes in its memory were answered: the socket
//! is closed, and clients that can, connect again.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use rustix::fs::Mode;
use volume::lane::VolumeHandle;

use super::Engine;
use super::book::Served;
use crate::nbd::connection::MEMORY;
use crate::nbd::{
    Arrived, Connection, Export, Exports, Listener, Listening, Rules, Sink, Transport,
};
use crate::reactor::{NewSocket, SocketKey};
use crate::shared::Shared;

/// A volume that is served.
pub(crate) struct Clients {
    pub served: Served,
    pub handle: VolumeHandle,
    export: Export,
    /// Of all its listeners: they count the clients together.
    rules: Rules,
    listener: Option<Listener>,
    /// The listening socket once more, for who goes on with it.
    socket: OwnedFd,
}

/// Under which key the listening socket of a volume is deposited.
pub(crate) fn listener_key(volume: &str) -> String {
    format!("nbd-listener/{volume}")
}
/// Under which key a client's socket and memory are deposited.
pub(crate) fn client_key(key: SocketKey) -> String {
    format!("nbd-client/{}", key.0)
}

/// Takes clients to the lane.
struct ToLane {
    engine: Arc<Engine>,
    volume: String,
    handle: VolumeHandle,
}

/// The one volume that a socket serves: under its name, and to who names none.
struct One(Export);

impl Exports for One {
    fn list(&self) -> Vec<Export> {
        vec![self.0.clone()]
    }
    fn find(&self, name: &str) -> Option<Export> {
        (name.is_empty() || name == self.0.name).then(|| self.0.clone())
    }
}

impl Clients {
    /// Serves a volume of so many bytes at a socket. `listener` is the one that an engine
    /// before us made.
    pub fn start(
        engine: &Arc<Engine>,
        served: Served,
        bytes: u64,
        handle: VolumeHandle,
        listener: Option<OwnedFd>,
    ) -> io::Result<Self> {
        let listening = match listener {
            Some(fd) => Listening::from_socket(fd)?,
            None => Listening::unix(&served.socket, Mode::RUSR | Mode::WUSR)?,
        };
        let socket = listening.as_fd().try_clone_to_owned()?;
        engine.keeper.put(&listener_key(&served.volume), &served, &[socket.as_fd()])?;
        let mut clients = Self::new(served, bytes, handle, socket);
        clients.listen(engine, listening)?;
        Ok(clients)
    }

    /// A volume that nobody may connect to before [`Clients::go_on`].
    pub fn new(served: Served, bytes: u64, handle: VolumeHandle, socket: OwnedFd) -> Self {
        let export = Export {
            name: served.volume.clone(),
            description: String::new(),
            size: bytes,
            read_only: served.read_only,
            key: u64::from(handle.0),
        };
        Self { served, handle, export, rules: Rules::default(), listener: None, socket }
    }

    fn listen(&mut self, engine: &Arc<Engine>, listening: Listening) -> io::Result<()> {
        let (volume, handle) = (self.served.volume.clone(), self.handle);
        let sink = Arc::new(ToLane { engine: Arc::clone(engine), volume, handle });
        let exports = Arc::new(One(self.export.clone()));
        let clock = Arc::new(world::SystemClock::default());
        let listener = Listener::start(listening, self.rules.clone(), exports, sink, clock);
        self.listener = Some(listener.map_err(io::Error::other)?);
        Ok(())
    }

    /// The volume has another size: clients that come from now on see it.
    pub fn resized(&mut self, engine: &Arc<Engine>, bytes: u64) -> io::Result<()> {
        self.export.size = bytes;
        self.pause();
        self.go_on(engine)
    }

    /// Accepts nobody. Clients that are served are served on.
    pub fn pause(&mut self) {
        self.listener = None;
    }

    /// Accepts again.
    pub fn go_on(&mut self, engine: &Arc<Engine>) -> io::Result<()> {
        let listening = Listening::from_socket(self.socket.try_clone()?)?;
        self.listen(engine, listening)
    }

    /// What makes a client of a connection that a predecessor had.
    pub fn adopt(
        &self,
        engine: &Arc<Engine>,
        key: SocketKey,
        socket: OwnedFd,
    ) -> Box<dyn FnOnce(Connection) -> NewSocket + Send> {
        let (volume, gone) = (self.handle, gone(engine, self.rules.open.adopt()));
        Box::new(move |connection| NewSocket {
            key,
            volume,
            connection,
            transport: Transport::Plain(socket),
            gone,
        })
    }

    /// Serves the volume no more: clients are hung up on when what they asked is answered.
    pub fn end(mut self, engine: &Engine) {
        self.pause();
        let handle = self.handle;
        if engine.lane.ask(move |lane| lane.retire_sockets(Some(handle))).is_err() {
            tracing::warn!("the lane has ended before its clients");
        }
        if let Err(error) = engine.keeper.delete(&listener_key(&self.served.volume)) {
            tracing::warn!(%error, "the keeper does not listen");
        }
        let _ = std::fs::remove_file(&self.served.socket);
    }
}

/// What happens when a client is gone.
fn gone(engine: &Arc<Engine>, permit: crate::nbd::Permit) -> Box<dyn FnOnce(SocketKey) + Send> {
    let engine = Arc::downgrade(engine);
    Box::new(move |key| {
        if let Some(engine) = engine.upgrade()
            && let Err(error) = engine.keeper.delete(&client_key(key))
        {
            tracing::warn!(%error, "the keeper does not listen");
        }
        drop(permit);
    })
}

impl Sink for ToLane {
    fn arrived(&self, client: Arrived) {
        let peer = client.peer.clone();
        if let Err(error) = self.take(client) {
            tracing::warn!(volume = self.volume, peer, %error, "an NBD client could not be served");
        }
    }
}

impl ToLane {
    fn take(&self, client: Arrived) -> io::Result<()> {
        let key = SocketKey(self.engine.number());
        let mut memory = Shared::create("bedplate-nbd", MEMORY)?;
        if client.transport.can_move() {
            let fds = [client.transport.socket(), memory.file()];
            self.engine.keeper.put(&client_key(key), &self.volume, &fds)?;
        }
        let connection = Connection::new(client.agreed, memory.region(), &client.rest);
        let new = NewSocket {
            key,
            volume: self.handle,
            connection,
            transport: client.transport,
            gone: gone(&self.engine, client.permit),
        };
        self.engine.lane.tell(move |lane| lane.add_socket(new)).map_err(io::Error::other)
    }
}
