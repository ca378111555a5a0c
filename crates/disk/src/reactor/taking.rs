//! A lane takes over from a predecessor, in one piece of work before its first turn: it
//! becomes an heir while the predecessor serves on, and goes on where that has stopped.

use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::Arc;

use volume::lane::{Heir, Lane, Settings, VolumeHandle};
use volume::recover::Regions;
use volume::saved::{RestoreError, Saved};
use volume::seal::keys::KeyRing;
use volume::{Nanos, Region, Segment, Tag};
use world::clock::monotonic_nanos;
use world::disk::Medium;

use super::guests::refused;
use super::leaving::SavedLane;
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

/// A queue that is ready to go on where its predecessor will stop.
pub struct HeirGuest {
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

    /// Makes the heir of a lane that serves on.
    pub fn prepare(&mut self, saved: Saved, estate: Estate) -> Result<Heir, RestoreError> {
        let Estate { buffers, pools } = estate;
        let settings = Settings::default();
        self.drive(|_, driver| Heir::new(settings, saved, buffers, pools, driver))
    }
    /// Makes the heirs of queues that are served. One that makes no sense is left out, and
    /// told of.
    pub fn prepare_guests(guests: Vec<(GuestKey, VolumeHandle, QueueStart)>) -> Vec<HeirGuest> {
        let each = |(key, volume, start): (GuestKey, VolumeHandle, QueueStart)| {
            let QueueStart { config, memory, record } = start;
            let queue = Queue::heir(config, Arc::clone(&memory), record);
            let queue = queue.map_err(|broken| refused(key, broken)).ok();
            HeirGuest { key, volume, queue, memory }
        };
        guests.into_iter().map(each).collect()
    }

    /// Goes on where a predecessor stopped. After an error nothing has been touched that
    /// both can see, and the predecessor goes on. What comes back is no longer needed, and
    /// takes its time to be let go of.
    pub fn take(
        &mut self,
        heir: Heir,
        saved: SavedLane,
        guests: Vec<HeirGuest>,
        inheritance: Inheritance,
    ) -> Result<Lane, String> {
        let Inheritance { mut sockets, mut memory, forwarded, .. } = inheritance;
        let mut connections = Vec::new();
        for socket in saved.sockets {
            let region = memory.remove(&socket.key.0).ok_or("a client came without its memory")?;
            let connection = Connection::restore(socket.connection, region)
                .map_err(|error| error.to_string())?;
            connections.push((socket.slot, socket.key, connection));
        }
        let maps = &guests;
        let slots: HashMap<u16, &GuestMemory> = saved
            .guests
            .iter()
            .filter_map(|guest| {
                let heir = maps.iter().find(|heir| heir.key == guest.key)?;
                Some((guest.slot, &*heir.memory))
            })
            .collect();
        let mut asked = saved.memory;
        asked.sort_unstable_by_key(|(tag, _)| *tag);
        let mut segments = |tag: Tag| find(tag, &asked, &slots, &connections);
        let now = Nanos(monotonic_nanos());
        let lane = heir.take(saved.lane, &mut segments, now).map_err(|error| error.to_string())?;
        let idle = std::mem::replace(&mut self.lane, lane);
        self.next_command = self.next_command.max(saved.next_command);
        self.forwarded = Some(forwarded);
        let mut guests = guests;
        for saved in saved.guests {
            let at = guests.iter().position(|heir| heir.key == saved.key);
            let HeirGuest { key, volume, queue, memory } =
                guests.swap_remove(at.ok_or("a queue came without its session")?);
            let Some(mut queue) = queue else { continue };
            match queue.take(&saved.queue) {
                Ok(()) => self.put_guest(saved.slot, key, volume, queue, memory),
                Err(broken) => refused(key, broken),
            }
        }
        for (slot, SocketKey(key), connection) in connections {
            if let Some(make) = sockets.remove(&key) {
                self.put_socket(slot, make(connection));
            }
        }
        Ok(idle)
    }
}

/// The memory of a request in flight, mapped here.
fn find(
    tag: Tag,
    asked: &[(u64, Vec<(u64, u32)>)],
    guests: &HashMap<u16, &GuestMemory>,
    connections: &[(u16, SocketKey, Connection)],
) -> Vec<Segment> {
    let slot = (tag.0 >> 16) as u16;
    if tag.0 & mark::MASK == mark::SOCKET {
        let connection = connections.iter().find(|(at, ..)| *at == slot);
        let wanted = connection.and_then(|(.., connection)| {
            connection.in_flight().find(|wanted| u64::from(wanted.ticket.0) == tag.0 & 0xffff)
        });
        return wanted.map(|wanted| wanted.segments().to_vec()).unwrap_or_default();
    }
    let found = asked.binary_search_by_key(&tag.0, |(tag, _)| *tag);
    let list = found.map_or(&[][..], |at| &asked[at].1);
    let mut hint = Hint::default();
    let each = |(address, length): &(u64, u32)| {
        let found =
            guests.get(&slot).and_then(|memory| memory.at(*address, u64::from(*length), &mut hint));
        crate::shared::submit::lent(found.unwrap_or_else(|| nowhere(*length)), *length)
    };
    list.iter().map(each).collect()
}

/// Memory that nobody looks at, for a request of a guest that took its memory away.
fn nowhere(length: u32) -> NonNull<u8> {
    NonNull::new(Region::leaked(length as usize).address(0, length as usize)).expect("not at 0")
}
