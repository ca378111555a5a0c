//! A lane takes over from a predecessor, in one piece of work before its first turn: it
//! becomes an heir while the predecessor serves on, and goes on where that has stopped.
//!
//! What it does then it has done before, for states that the predecessor has left since. A
//! processor takes several times as long for what it does for the first time.

use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::Arc;

use volume::lane::{Heir, Lane, Settings, VolumeHandle};
use volume::recover::Regions;
use volume::saved::{RestoreError, Round, Saved};
use volume::seal::keys::KeyRing;
use volume::{Nanos, Region, Segment, Tag};
use world::clock::monotonic_nanos;
use world::disk::Medium;

use super::guests::refused;
use super::leaving::{SavedGuest, SavedLane, SavedSocket};
use super::sockets::NewSocket;
use super::{GuestKey, Reactor, SocketKey, mark};
use crate::guest::{GuestMemory, Hint};
use crate::nbd::Connection;
use crate::ring::Queue;
use crate::shared::completions::Completions;
use crate::vhost_user::QueueStart;

/// The memory of a lane, and the memory and keys of each pool, in their order.
pub struct Estate {
    /// Memory for data on its way.
    pub buffers: Region,
    /// That of the pools.
    pub pools: Vec<(Regions, KeyRing)>,
}

/// Everything of a lane that was made ready before it comes.
pub struct Inheritance {
    /// Queues of guests, with the memory that their sessions have mapped.
    pub guests: Vec<(GuestKey, VolumeHandle, QueueStart)>,
    /// What makes a client of a connection.
    pub sockets: HashMap<u64, Box<dyn FnOnce(Connection) -> NewSocket + Send>>,
    /// The memory of each client.
    pub memory: HashMap<u64, Region>,
    /// What the predecessor forwards.
    pub forwarded: Completions,
}

/// A lane and its queues, ready to go on where the predecessor will stop.
pub struct HeirLane {
    heir: Heir,
    /// In the order of their keys.
    guests: Vec<HeirGuest>,
}

struct HeirGuest {
    key: GuestKey,
    volume: VolumeHandle,
    /// None when it makes no sense.
    queue: Option<Queue>,
    memory: Arc<GuestMemory>,
}

impl Reactor {
    /// A file or device, where a predecessor had it.
    pub fn inherit_file(&mut self, at: u16, medium: Medium) -> Result<(), world::disk::RingError> {
        self.media.put_file(at, medium, &mut self.ring)
    }
    /// Memory, where a predecessor had it.
    pub fn inherit_memory(&mut self, at: u16, region: Region) {
        self.media.put_memory(at, region);
    }

    /// Makes the heir of a lane that serves on, and of the queues that are served. A queue
    /// that makes no sense is left out, and told of.
    pub fn prepare(
        &mut self,
        saved: Saved,
        estate: Estate,
        guests: Vec<(GuestKey, VolumeHandle, QueueStart)>,
    ) -> Result<HeirLane, RestoreError> {
        let Estate { buffers, pools } = estate;
        let settings = Settings::default();
        let heir = self.drive(|_, driver| Heir::new(settings, saved, buffers, pools, driver))?;
        let each = |(key, volume, start): (GuestKey, VolumeHandle, QueueStart)| {
            let QueueStart { config, memory, record } = start;
            let queue = Queue::heir(config, Arc::clone(&memory), record);
            let queue = queue.map_err(|broken| refused(key, broken)).ok();
            HeirGuest { key, volume, queue, memory }
        };
        let mut guests: Vec<_> = guests.into_iter().map(each).collect();
        guests.sort_by_key(|guest| guest.key);
        Ok(HeirLane { heir, guests })
    }

    /// Goes on where a predecessor stopped. After an error nothing has been touched that
    /// both can see, and the predecessor goes on. What comes back is no longer needed, and
    /// takes its time to be let go of.
    pub fn take(
        &mut self,
        heir: HeirLane,
        saved: SavedLane,
        inheritance: Inheritance,
    ) -> Result<Lane, String> {
        let Inheritance { mut sockets, memory, forwarded, .. } = inheritance;
        let connections = connections(saved.sockets, memory)?;
        let HeirLane { heir, mut guests } = heir;
        let places = places(&guests, &saved.guests)?;
        let maps = Maps::of(&guests, &places, &saved.guests, &connections, saved.memory);
        let mut segments = |tag: Tag| maps.find(tag);
        let now = Nanos(monotonic_nanos());
        let lane = heir.take(saved.lane, &mut segments, now).map_err(|error| error.to_string())?;
        let idle = std::mem::replace(&mut self.lane, lane);
        self.next_command = self.next_command.max(saved.next_command);
        self.forwarded = Some(forwarded);
        for (saved, at) in saved.guests.into_iter().zip(places) {
            let HeirGuest { key, volume, queue, memory } = &mut guests[at];
            let Some(mut queue) = queue.take() else { continue };
            match queue.take(&saved.queue) {
                Ok(()) => self.put_guest(saved.slot, *key, *volume, queue, Arc::clone(memory)),
                Err(broken) => refused(*key, broken),
            }
        }
        for (slot, SocketKey(key), connection) in connections {
            if let Some(make) = sockets.remove(&key) {
                self.put_socket(slot, make(connection));
            }
        }
        Ok(idle)
    }

    /// The first turn with a lane that was taken. When it began.
    pub fn first_turn(&mut self) -> u64 {
        let now = monotonic_nanos();
        self.turn(now);
        now
    }
}

impl HeirLane {
    /// The predecessor serves on. What changed of the large things since it said so last.
    pub fn follow(&mut self, round: Round) -> Result<(), RestoreError> {
        self.heir.follow(round)
    }

    /// Does what [`Reactor::take`] will do, as far as both do not see it. Clients are not
    /// among it.
    pub fn rehearse(&mut self, saved: SavedLane) -> Result<(), String> {
        let Self { heir, guests } = self;
        let places = places(guests, &saved.guests)?;
        let maps = Maps::of(guests, &places, &saved.guests, &[], saved.memory);
        let now = Nanos(monotonic_nanos());
        heir.rehearse(saved.lane, &mut |tag| maps.find(tag), now)
            .map_err(|error| error.to_string())?;
        drop(maps);
        for (saved, at) in saved.guests.iter().zip(places) {
            if let Some(queue) = &mut guests[at].queue {
                // The predecessor goes on with the ring, so it need not make sense just now.
                let _ = queue.take(&saved.queue);
            }
        }
        Ok(())
    }
}

/// Clients go on, each with its memory.
fn connections(
    saved: Vec<SavedSocket>,
    mut memory: HashMap<u64, Region>,
) -> Result<Vec<(u16, SocketKey, Connection)>, String> {
    let each = |socket: SavedSocket| {
        let region = memory.remove(&socket.key.0).ok_or("a client came without its memory")?;
        let connection = Connection::restore(socket.connection, region);
        Ok((socket.slot, socket.key, connection.map_err(|error| error.to_string())?))
    };
    saved.into_iter().map(each).collect()
}

/// Where the heirs of saved queues are.
fn places(heirs: &[HeirGuest], saved: &[SavedGuest]) -> Result<Vec<usize>, String> {
    let place = |guest: &SavedGuest| heirs.binary_search_by_key(&guest.key, |heir| heir.key);
    let found = saved.iter().map(place).collect::<Result<_, _>>();
    found.map_err(|_| "a queue came without its session".to_owned())
}

/// Where the memory of requests in flight is here.
struct Maps<'a> {
    /// By slot.
    guests: Vec<Option<&'a GuestMemory>>,
    connections: &'a [(u16, SocketKey, Connection)],
    /// Of guests, in the order of tags.
    asked: Vec<(u64, Vec<(u64, u32)>)>,
}

impl<'a> Maps<'a> {
    fn of(
        heirs: &'a [HeirGuest],
        places: &[usize],
        saved: &[SavedGuest],
        connections: &'a [(u16, SocketKey, Connection)],
        mut asked: Vec<(u64, Vec<(u64, u32)>)>,
    ) -> Self {
        asked.sort_unstable_by_key(|(tag, _)| *tag);
        let slots = saved.iter().map(|guest| usize::from(guest.slot) + 1).max().unwrap_or(0);
        let mut guests = vec![None; slots];
        for (guest, at) in saved.iter().zip(places) {
            guests[usize::from(guest.slot)] = Some(&*heirs[*at].memory);
        }
        Self { guests, connections, asked }
    }

    /// The memory of a request in flight.
    fn find(&self, tag: Tag) -> Vec<Segment> {
        let slot = (tag.0 >> 16) as u16;
        if tag.0 & mark::MASK == mark::SOCKET {
            let connection = self.connections.iter().find(|(at, ..)| *at == slot);
            let wanted = connection.and_then(|(.., connection)| {
                connection.in_flight().find(|wanted| u64::from(wanted.ticket.0) == tag.0 & 0xffff)
            });
            return wanted.map(|wanted| wanted.segments().to_vec()).unwrap_or_default();
        }
        let found = self.asked.binary_search_by_key(&tag.0, |(tag, _)| *tag);
        let list = found.map_or(&[][..], |at| &self.asked[at].1);
        let memory = self.guests.get(usize::from(slot)).copied().flatten();
        let mut hint = Hint::default();
        let each = |(address, length): &(u64, u32)| {
            let found =
                memory.and_then(|memory| memory.at(*address, u64::from(*length), &mut hint));
            crate::shared::submit::lent(found.unwrap_or_else(|| nowhere(*length)), *length)
        };
        list.iter().map(each).collect()
    }
}

/// Memory that nobody looks at, for a request of a guest that took its memory away.
fn nowhere(length: u32) -> NonNull<u8> {
    NonNull::new(Region::leaked(length as usize).address(0, length as usize)).expect("not at 0")
}
