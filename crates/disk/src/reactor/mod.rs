//! The loop of a lane: one pinned thread that looks at queues, sockets and completions,
//! and drives a [`volume::lane::Lane`] with what it finds.
//!
//! A turn ([`turn`]): the clock is read; completions go to the lane; front ends that have
//! work give some requests, as long as their volumes' limits allow, in an order that is
//! fair ([`rounds`]); what the lane answered goes back, with one notification for each
//! front end; what the lane asked for goes to io_uring in one call. A lane that finds
//! nothing for a while ([`idle`]) asks its front ends to knock, and sleeps in io_uring.
//!
//! Other threads never touch any of this. They send work, a function that runs between
//! two turns ([`LaneHandle::ask`]).

mod allocation;
mod bell;
mod commands;
mod guests;
mod idle;
mod leaving;
mod media;
mod rounds;
mod sockets;
mod taking;
mod thread;
mod turn;

pub use bell::Bell;
pub use guests::GuestKey;
pub use idle::Polling;
pub use leaving::{Departure, SavedLane, Successor};
pub use media::Media;
pub use sockets::{NewSocket, SocketKey};
pub use taking::{Estate, HeirLane, Inheritance};
pub use thread::{Gone, LaneHandle, LaneSettings};

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use volume::Nanos;
use volume::lane::command::{Answered, CommandError};
use volume::lane::{Lane, MediumIndex};
use world::disk::Ring;

use crate::ring::Scratch;
use crate::shared::completions::Completions;
use guests::Guest;
use media::{Driver, Said};
use sockets::Socket;

/// Work for a lane.
pub type Work = Box<dyn FnOnce(&mut Reactor) + Send>;

/// Owners of extents, each with its sealed key, the volume that is bound to, and which
/// of its keys it is.
pub type SealedKeys = Vec<(volume::Origin, Option<(model::secret::Sealed, uuid::Uuid, u32)>)>;

/// Who hears how a command ended.
type Answers = Sender<Result<Answered, CommandError>>;

/// What a number of ours stands for, in its highest bits: tags of requests and commands,
/// and the polls of a ring.
mod mark {
    /// A request of a guest: slot, head.
    pub const GUEST: u64 = 1 << 56;
    /// A request of a socket: slot, ticket.
    pub const SOCKET: u64 = 2 << 56;
    /// A command.
    pub const COMMAND: u64 = 3 << 56;
    /// Which.
    pub const MASK: u64 = 0xff << 56;
    /// A poll of the ring. The bit is below those of the ring itself, and above those
    /// that operations of a lane use.
    pub const POLL: u64 = 1 << 61;
}

/// A lane and everything around it.
pub struct Reactor {
    /// The engine. What people ask for goes straight to it.
    pub lane: Lane,
    ring: Ring,
    media: Media,
    said: Said,
    scratch: Scratch,
    guests: Vec<Option<Guest>>,
    /// Their memory, as far as the kernel was told of it.
    pinned: crate::guest::Pinned,
    sockets: Vec<Option<Socket>>,
    /// Front ends that are looked at: the others knock.
    rounds: rounds::Rounds<Front>,
    /// Those that are looked at from the next turn on.
    woken: Vec<Front>,
    /// Those of them that have something to publish.
    touched: Vec<Front>,
    commands: HashMap<u64, Answers>,
    next_command: u64,
    work: Receiver<Work>,
    bell: Arc<Bell>,
    /// What came from the ring, until it is passed on.
    came: Vec<world::disk::Completion>,
    /// What a predecessor forwards.
    forwarded: Option<Completions>,
    polling: Polling,
    /// When there was work last, for the rings of nobody in particular.
    idle: idle::Idle,
    /// When the lane wants to be called.
    next_turn: Option<Nanos>,
    /// It is about to leave.
    departing: Option<Departure>,
    /// It has left, and forwards completions.
    leaving: Option<leaving::Forward>,
    /// Its successor has taken over for good.
    confirmed: bool,
    pools: Vec<commands::KnownPool>,
    /// It ends after this turn.
    over: bool,
}

/// A front end, by its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Front {
    Guest(u16),
    Socket(u16),
}

impl Reactor {
    /// The lane, and its port to the world.
    #[inline]
    fn drive<T>(&mut self, with: impl FnOnce(&mut Lane, &mut Driver<'_>) -> T) -> T {
        let mut driver =
            Driver { ring: &mut self.ring, media: &mut self.media, said: &mut self.said };
        with(&mut self.lane, &mut driver)
    }
    /// A file or device for a pool or a raw volume.
    pub fn add_file(
        &mut self,
        medium: world::disk::Medium,
    ) -> Result<MediumIndex, world::disk::RingError> {
        self.media.add_file(medium, &mut self.ring)
    }
    /// Memory for a pool.
    pub fn add_memory(&mut self, region: volume::Region) -> MediumIndex {
        self.media.add_memory(region)
    }
    /// Lets go of a medium.
    pub fn remove_medium(&mut self, medium: MediumIndex) -> Result<(), world::disk::RingError> {
        self.media.remove(medium, &mut self.ring)
    }
    /// The files and devices of the lane, for a successor.
    pub fn descriptors(
        &self,
    ) -> std::io::Result<Vec<(u16, std::path::PathBuf, std::os::fd::OwnedFd)>> {
        self.media.descriptors()
    }
    /// Owners of the extents of a pool, each with its sealed key, and whose that is.
    pub fn sealed_keys(&self, pool: volume::lane::PoolIndex) -> SealedKeys {
        let Some(directory) = self.lane.directory(pool) else { return Vec::new() };
        let id = |number| directory.entry(number).map(|entry| entry.id).ok();
        let each = |(origin, entry): (&volume::Origin, &volume::directory::OriginEntry)| {
            let key = entry
                .key
                .as_ref()
                .and_then(|key| Some((key.clone(), id(entry.volume)?, entry.key_epoch)));
            // A volume that was deleted took its key along: nothing of it is read again.
            (key.is_some() || entry.key.is_none()).then_some((*origin, key))
        };
        directory.origins.iter().filter_map(each).collect()
    }
    /// Opens a file or device as a volume.
    pub fn open_raw(
        &mut self,
        medium: MediumIndex,
        bytes: u64,
        node: volume::qos::Node,
    ) -> Result<volume::lane::VolumeHandle, volume::lane::OpenError> {
        self.drive(|lane, driver| lane.open_raw(medium, bytes, false, node, driver))
    }
    /// Adds a pool that was recovered.
    pub fn add_pool(
        &mut self,
        medium: MediumIndex,
        recovered: volume::recover::Recovered,
        now: Nanos,
    ) -> volume::lane::PoolIndex {
        let index = self.drive(|lane, driver| lane.add_pool(medium, recovered, now, driver));
        self.pass_on();
        index
    }
    /// Queues of guests and sockets of clients.
    pub fn fronts(&self) -> usize {
        self.guests.iter().flatten().count() + self.sockets.iter().flatten().count()
    }
}
