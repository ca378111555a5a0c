//! A session: the state of one connection, and the loop that takes its messages.
//!
//! What happens in which order matters for whoever goes on after a crash. A message is
//! carried out, deposited, taken off the socket, answered. Carrying it out twice must
//! be harmless, because a successor may do so: each handler sees to that.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;
use vhost::vhost_user::message::BackendReq;

use crate::guest::{GuestMemory, Mapping, MemoryError, RegionSpec};
use crate::virtio_blk::Device;

use super::description::{Description, QueueDescription, VERSION};
use super::sink::Sink;
use super::wire::{self, Arrival};

/// So many queues a device of a session may have: their files fit one message to a keeper.
pub const QUEUES_MAX: u16 = 64;

/// Why a message was refused. The VMM hears only that it was.
#[derive(Debug, Error)]
pub enum Refusal {
    /// Unknown, or not negotiated.
    #[error("request {0} is not served")]
    Request(u32),
    /// Its body has another length, or values that are not allowed.
    #[error("the body of request {0} makes no sense")]
    Body(u32),
    /// It brought files it should not, or not those it should.
    #[error("request {0} came without its files, or with others")]
    Files(u32),
    /// Features that were not offered.
    #[error("features {0:#x} were taken that were not offered")]
    Features(u64),
    /// A queue that is served cannot be changed.
    #[error("queue {0} is served and cannot be changed")]
    Busy(u16),
    /// Memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The system, or the deposit.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// Why a session came to its end.
#[derive(Debug)]
pub enum Ended {
    /// The VMM closed the connection. All queues were stopped.
    Closed,
    /// We were asked to stop. Queues are served on; [`Session::description`] and
    /// [`Session::files`] are for a successor.
    Stopped,
    /// The VMM broke the protocol, or the socket failed. All queues were stopped.
    Failed(Refusal),
}

/// The files of a queue.
#[derive(Debug, Default)]
pub(super) struct QueueFiles {
    pub(super) kick: Option<OwnedFd>,
    pub(super) call: Option<OwnedFd>,
    pub(super) err: Option<OwnedFd>,
}

/// The channel to the VMM, shared with whoever tells of changes.
pub(super) type Channel = Arc<Mutex<Option<OwnedFd>>>;

/// One connection of a VMM.
#[derive(Debug)]
pub struct Session<S> {
    pub(super) device: Arc<Device>,
    pub(super) sink: S,
    pub(super) state: Description,
    pub(super) memory: Arc<GuestMemory>,
    pub(super) regions: Vec<(RegionSpec, OwnedFd)>,
    pub(super) in_flight: Option<(OwnedFd, Arc<Mapping>)>,
    pub(super) channel: Channel,
    pub(super) queues: Vec<QueueFiles>,
    pub(super) changed: bool,
    /// Queues whose records end when the message is deposited.
    pub(super) ended: Vec<u16>,
}

/// Tells the VMM of a session that the device has changed. From any thread.
#[derive(Clone, Debug)]
pub struct ChangeNotice(Channel);

impl ChangeNotice {
    /// The configuration space is another now: the volume has grown. Nothing happens
    /// when the VMM gave no channel, or does not read it.
    pub fn send(&self) {
        let channel = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = &*channel {
            let _ = wire::tell(channel.as_fd(), BackendReq::CONFIG_CHANGE_MSG as u32);
        }
    }
}

impl<S: Sink> Session<S> {
    /// A session of a VMM that has just connected.
    pub fn new(device: Arc<Device>, sink: S) -> Self {
        let count = usize::from(device.queues());
        assert!(device.queues() <= QUEUES_MAX, "a device has at most 64 queues");
        let queues = vec![QueueDescription::default(); count];
        let state = Description { version: VERSION, queues, ..Description::default() };
        Session {
            device,
            sink,
            state,
            memory: Arc::default(),
            regions: Vec::new(),
            in_flight: None,
            channel: Channel::default(),
            queues: (0..count).map(|_| QueueFiles::default()).collect(),
            changed: false,
            ended: Vec::new(),
        }
    }

    /// Who serves its queues.
    pub fn sink(&mut self) -> &mut S {
        &mut self.sink
    }
    /// To tell its VMM of changes of the device.
    pub fn change_notice(&self) -> ChangeNotice {
        ChangeNotice(Arc::clone(&self.channel))
    }
    /// The guest's memory as it is now.
    pub fn memory(&self) -> &Arc<GuestMemory> {
        &self.memory
    }
    /// All that a successor needs beside [`Self::files`].
    pub fn description(&self) -> &Description {
        &self.state
    }
    /// Calls with the files that the description counts, in its order.
    pub fn files<T>(&self, then: impl FnOnce(&[BorrowedFd<'_>]) -> T) -> T {
        let channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        let mut files: Vec<BorrowedFd<'_>> =
            self.regions.iter().map(|(_, file)| file.as_fd()).collect();
        files.extend(self.in_flight.iter().map(|(file, _)| file.as_fd()));
        files.extend(channel.iter().map(AsFd::as_fd));
        for queue in &self.queues {
            files.extend(
                [&queue.kick, &queue.call, &queue.err].into_iter().flatten().map(AsFd::as_fd),
            );
        }
        assert!(files.len() == self.state.files(), "the description counts the files");
        then(&files)
    }

    /// Takes messages until the VMM is gone, or `stop` can be read. The socket stays
    /// with the caller. Blocks: each session has a thread.
    pub fn run(&mut self, socket: BorrowedFd<'_>, stop: BorrowedFd<'_>) -> Ended {
        let ended = loop {
            match self.one(socket, stop) {
                Ok(None) => {}
                Ok(Some(ended)) => break ended,
                Err(refusal) => break Ended::Failed(refusal),
            }
        };
        if !matches!(ended, Ended::Stopped) {
            self.stop_all();
        }
        ended
    }

    fn one(
        &mut self,
        socket: BorrowedFd<'_>,
        stop: BorrowedFd<'_>,
    ) -> Result<Option<Ended>, Refusal> {
        let mut message = match wire::receive(socket, stop)? {
            Arrival::Message(message) => message,
            Arrival::Closed => return Ok(Some(Ended::Closed)),
            Arrival::Stopped => return Ok(Some(Ended::Stopped)),
        };
        let (request, files) = (message.request, std::mem::take(&mut message.files));
        let done = self.handle(request, &message.body, files);
        let deposited = self.deposit();
        message.consume(socket)?;
        self.forget_ended();
        deposited?;
        let wanted = message.need_reply && self.state.protocol & super::features::REPLY_ACK != 0;
        match done {
            Ok(Some(reply)) => {
                // Files go along as duplicates: ours stay open.
                wire::reply(socket, request, &reply.body, reply.file.as_ref().map(AsFd::as_fd))?;
            }
            Ok(None) if wanted => wire::reply(socket, request, &0u64.to_le_bytes(), None)?,
            Ok(None) => {}
            Err(refusal) if wanted && !super::features::is_question(request) => {
                tracing::warn!(request, %refusal, "a message of a VMM was refused");
                wire::reply(socket, request, &1u64.to_le_bytes(), None)?;
            }
            Err(refusal) => return Err(refusal),
        }
        Ok(None)
    }

    /// Keeps what has changed.
    pub(super) fn deposit(&mut self) -> Result<(), io::Error> {
        if !std::mem::take(&mut self.changed) {
            return Ok(());
        }
        self.state.revision += 1;
        let channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        self.state.regions = self.regions.iter().map(|(spec, _)| *spec).collect();
        self.state.in_flight = self.in_flight.is_some();
        self.state.channel = channel.is_some();
        drop(channel);
        for (queue, files) in self.state.queues.iter_mut().zip(&self.queues) {
            queue.kick = files.kick.is_some();
            queue.call = files.call.is_some();
            queue.err = files.err.is_some();
        }
        let mut files = Vec::new();
        self.files(|all| -> io::Result<()> {
            for file in all {
                files.push(file.try_clone_to_owned()?);
            }
            Ok(())
        })?;
        let files: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
        self.sink.deposit(&self.state, &files)
    }
}
