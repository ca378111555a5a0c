//! The new engine's side.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use model::volume::{DiskProtocol, PoolMedium};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use volume::Region;
use volume::lane::Capabilities;
use volume::recover::Regions;
use volume::seal::keys::{Cipher, KeyRing, Owner};
use world::clock::monotonic_nanos;
use world::disk::Medium;

use super::parcel::Parcel;
use super::shape::{OpenShape, Shape};
use super::word;
use crate::engine::book::Served;
use crate::engine::clients::{self, Clients};
use crate::engine::guests::{self, Guests, Held, Resumed, SessionDeposit};
use crate::engine::outside::Open;
use crate::engine::pools::{OpenPool, pool_key};
use crate::engine::start::{make, system};
use crate::engine::{Engine, EngineError, LANE, Settings, Table};
use crate::keeper::client::{Deposits, Keeper};
use crate::keeper::wire::{Channel, Kind, Message};
use crate::nbd::Connection;
use crate::orders::Serving;
use crate::reactor::{
    Estate, HeirLane, Inheritance, LaneHandle, NewSocket, Reactor, SavedLane, SocketKey,
};
use crate::shared::Shared;
use crate::shared::completions::Completions;
use crate::shared::page::StatusPage;
use crate::virtio_blk::Device;

/// What makes a client of a connection, by the client's number.
type Makers = HashMap<u64, Box<dyn FnOnce(Connection) -> NewSocket + Send>>;

/// The parcel is looked at without a rest as long as something came in this time,
/// nanoseconds: then with rests.
const LOOK: u64 = 3_000_000;
const REST: Duration = Duration::from_micros(50);
/// And for so long altogether: longer than the predecessor tries to leave.
const WATCH: u64 = 3_000_000_000;
/// What the predecessor counted is waited for so long.
const COUNTS: Duration = Duration::from_secs(2);

/// What comes with `paused`.
struct Offer {
    shape: Shape,
    completions: Completions,
    parcel: Parcel,
    files: Vec<OwnedFd>,
}

/// Takes over from a predecessor that lives. An error ends this process, and the
/// predecessor goes on.
pub(crate) fn take_over(
    settings: &Settings,
    keeper: Keeper,
    generation: u64,
    peer: OwnedFd,
) -> Result<(Arc<Engine>, Serving), EngineError> {
    let peer = Channel::over(peer);
    let taken = try_to(settings, keeper, generation, &peer);
    if let Err(error) = &taken {
        // It hears why; when it does not listen, it sees our end.
        peer.send(Kind::Put, word::REFUSED, error.to_string().as_bytes(), &[]).ok();
    }
    taken
}

fn try_to(
    settings: &Settings,
    keeper: Keeper,
    generation: u64,
    peer: &Channel,
) -> Result<(Arc<Engine>, Serving), EngineError> {
    let failed = system("the predecessor's state cannot be taken over");
    let offer = offered(peer).map_err(&failed)?;
    let (deposits, ..) = keeper.all().map_err(&failed)?;
    let page = file_of(&deposits, "page", 0).and_then(StatusPage::open).map_err(&failed)?;
    let started =
        LaneHandle::start("lane-0".into(), settings.lane, Region::leaked(2 << 20), |_| Ok(()));
    let (lane, ()) = started.map_err(&failed)?;
    let engine = make(settings, keeper, generation, "replaced the one before it", page, lane)?;
    let Prepared { mut waiting, held, sessions } =
        prepare(&engine, offer, &deposits).map_err(&failed)?;
    // Where both lanes have one core, looking would keep the other from serving.
    waiting.looks = settings.lane.core.is_none();
    let taken = receive(&engine, peer, waiting, &held).map_err(&failed)?;
    // From here on there is no way back: the lane is ours.
    engine.keeper.say(Kind::Committed, b"").map_err(&failed)?;
    peer.send(Kind::Put, word::TAKEN, b"", &[]).map_err(&failed)?;
    let Taken { decode, restore, gap } = taken;
    tracing::info!(decode, restore, gap, "the lane was taken (nanoseconds)");
    let serving = serve(&engine, sessions, &deposits).map_err(&failed)?;
    if let Err(error) = add_counts(&engine, peer) {
        tracing::warn!(%error, "what was counted before the replacement is lost");
    }
    Ok((engine, serving))
}

fn offered(peer: &Channel) -> io::Result<Offer> {
    let message = heard(peer)?;
    if message.key != word::PAUSED {
        return Err(strange("the predecessor begins with something else"));
    }
    let (bytes, mut fds) = whole(message)?;
    let shape: Shape = serde_json::from_slice(&bytes)?;
    if !shape.is_understood() {
        return Err(strange("the predecessor is too far away from this version"));
    }
    if fds.len() != shape.files.len() + 2 {
        return Err(strange("files are missing"));
    }
    let files = fds.split_off(2);
    let completions = Completions::open(fds.remove(0))?;
    let parcel = Parcel::open(fds.remove(0))?;
    Ok(Offer { shape, completions, parcel, files })
}

/// What the lane's thread waits with.
struct Waiting {
    parcel: Parcel,
    estate: Estate,
    inheritance: Inheritance,
    /// It looks at the parcel all the time.
    looks: bool,
}

/// What is ready before the lane's state comes.
struct Prepared {
    waiting: Waiting,
    held: Held,
    sessions: Vec<(String, Resumed)>,
}

fn prepare(engine: &Arc<Engine>, offer: Offer, deposits: &Deposits) -> io::Result<Prepared> {
    let Offer { shape, completions, parcel, files } = offer;
    for (file, descriptor) in shape.files.iter().zip(files) {
        let (at, medium) =
            (file.at, Medium::adopt(descriptor, file.path.clone()).map_err(io::Error::other)?);
        let put = engine.lane.ask(move |lane| lane.inherit_file(at, medium));
        put.map_err(io::Error::other)?.map_err(io::Error::other)?;
    }
    let pools = pools(engine, &shape, deposits)?;
    let mut table = engine.table();
    table.book = shape.book.clone();
    for (name, open) in &shape.open {
        let OpenShape { handle, node, medium, bytes, read_only, users } = *open;
        let capabilities = Capabilities {
            bytes,
            read_only,
            discard: medium.is_none(),
            block: volume::BLOCK as u32,
        };
        table.open.insert(name.clone(), Open { handle, node, medium, capabilities, users });
    }
    for served in &shape.served {
        let open = shape
            .open
            .get(&served.volume)
            .ok_or_else(|| strange("a volume is served and not open"))?;
        prepare_served(&mut table, served, open, deposits)?;
    }
    let held = Held::default();
    let (mut sessions, mut sockets, mut memory) = (Vec::new(), Makers::new(), HashMap::new());
    for (key, deposit) in deposits {
        if key.starts_with("vhost-session/") {
            let volume = deposit.read::<SessionDeposit>()?.volume;
            let guests =
                table.guests.get(&volume).ok_or_else(|| strange("a session of nothing"))?;
            sessions.push((volume, guests.resume(engine, deposit, Some(Arc::clone(&held)))?));
        } else if let Some(number) = key.strip_prefix("nbd-client/") {
            let number = number.parse().map_err(|_| strange("a client without a number"))?;
            let clients = table.clients.get(&deposit.read::<String>()?);
            let clients = clients.ok_or_else(|| strange("a client of nothing"))?;
            sockets.insert(number, clients.adopt(engine, SocketKey(number), deposit.fd(0)?));
            memory.insert(number, Shared::open(deposit.fd(1)?)?.region());
        }
    }
    let buffers = memory_of(deposits, "buffers", 0)?;
    let inheritance = Inheritance { guests: Vec::new(), sockets, memory, forwarded: completions };
    let estate = Estate { buffers, pools };
    let waiting = Waiting { parcel, estate, inheritance, looks: false };
    Ok(Prepared { waiting, held, sessions })
}

/// The memory and keys of each pool, in their order; memory that is a medium goes to the
/// lane.
fn pools(
    engine: &Arc<Engine>,
    shape: &Shape,
    deposits: &Deposits,
) -> io::Result<Vec<(Regions, KeyRing)>> {
    let mut ordered: Vec<_> = shape.pools.iter().collect();
    ordered.sort_by_key(|(_, pool)| pool.index);
    let mut all = Vec::new();
    for (name, pool) in ordered {
        let key = pool_key(name);
        let region = |at: usize| memory_of(deposits, &key, at);
        if pool.spec.medium == PoolMedium::Memory {
            let (at, memory) = (pool.medium.0, region(3)?);
            engine
                .lane
                .ask(move |lane| lane.inherit_memory(at, memory))
                .map_err(io::Error::other)?;
        }
        let mut keys = KeyRing::new();
        for (origin, sealed) in &pool.origins {
            let cipher = match sealed {
                None => Cipher::Plain,
                Some((sealed, volume, epoch)) => {
                    let owner = Owner { volume: *volume, epoch: *epoch };
                    Cipher::from(&engine.keys.open(sealed, owner).map_err(io::Error::other)?)
                }
            };
            keys.insert(*origin, cipher);
        }
        all.push((Regions { tail: region(0)?, frames: region(1)?, extents: region(2)? }, keys));
        let (spec, size, index) = (pool.spec.clone(), pool.size.0, pool.index);
        let called = name.clone();
        let named = engine.lane.ask(move |lane| lane.name_pool(index, &called));
        named.map_err(io::Error::other)?;
        let open = OpenPool { spec, index: pool.index, medium: pool.medium, size };
        engine.table().pools.insert(name.clone(), open);
    }
    Ok(all)
}

/// A volume that is served, before anybody may connect.
fn prepare_served(
    table: &mut Table,
    served: &Served,
    open: &OpenShape,
    deposits: &Deposits,
) -> io::Result<()> {
    let volume = served.volume.clone();
    match served.protocol {
        DiskProtocol::VhostUser => {
            let device = Device::new(open.bytes, served.queues.max(1), served.read_only, &volume);
            let listener = file_of(deposits, &guests::listener_key(&volume), 0)?;
            table
                .guests
                .insert(volume, Guests::new(served.clone(), device, open.handle, listener)?);
        }
        DiskProtocol::Nbd => {
            let listener = file_of(deposits, &clients::listener_key(&volume), 0)?;
            table
                .clients
                .insert(volume, Clients::new(served.clone(), open.bytes, open.handle, listener));
        }
    }
    Ok(())
}

/// Says that all is ready, follows the predecessor, and takes the lane when it comes, on
/// the lane's own thread.
fn receive(
    engine: &Arc<Engine>,
    peer: &Channel,
    mut waiting: Waiting,
    held: &Held,
) -> io::Result<Taken> {
    waiting.inheritance.guests =
        std::mem::take(&mut *held.lock().unwrap_or_else(PoisonError::into_inner));
    let (ours, from) = (Arc::clone(engine), Channel::over(peer.as_fd().try_clone_to_owned()?));
    let (told, taken) = std::sync::mpsc::channel();
    engine
        .lane
        .tell(move |lane| {
            let _ = told.send(follow(lane, &ours, &from, waiting));
        })
        .map_err(io::Error::other)?;
    engine.keeper.say(Kind::Ready, b"")?;
    let shape = volume::saved::SHAPE.to_le_bytes();
    peer.send(Kind::Put, word::READY, &shape, &[engine.lane.bell().descriptor()])?;
    taken.recv().map_err(io::Error::other)?
}

/// Becomes the heir of the predecessor's lane, follows it as long as it serves, and takes
/// it.
fn follow(
    lane: &mut Reactor,
    engine: &Engine,
    peer: &Channel,
    waiting: Waiting,
) -> io::Result<Taken> {
    let Waiting { parcel, estate, mut inheritance, looks } = waiting;
    let message = heard(peer)?;
    if message.key != word::HEIR {
        return Err(strange("the predecessor does not say what its lane is"));
    }
    let (bytes, _) = whole(message)?;
    let saved = volume::saved::Saved::from_bytes(&bytes).map_err(io::Error::other)?;
    let guests = std::mem::take(&mut inheritance.guests);
    let mut heir = lane.prepare(saved, estate, guests).map_err(io::Error::other)?;
    crate::shared::fault_in_program();
    let warm = super::warm();
    let bytes = await_lane(&mut heir, &parcel, peer, looks)?;
    let content = if bytes.is_empty() { parcel.content() } else { Some(&bytes[..]) };
    let content = content.ok_or_else(|| strange("an empty parcel"))?;
    let taken = take(lane, engine, heir, inheritance, content);
    drop(warm);
    taken
}

/// Follows the predecessor until its lane is there: in these bytes, or in the parcel.
fn await_lane(
    heir: &mut HeirLane,
    parcel: &Parcel,
    peer: &Channel,
    looks: bool,
) -> io::Result<Vec<u8>> {
    peer.send(Kind::Put, word::FOLLOWS, b"", &[])?;
    loop {
        let message = heard(peer)?;
        match &message.key[..] {
            word::LANE => return Ok(whole(message)?.0),
            word::ROUND => {
                let (bytes, _) = whole(message)?;
                let round = volume::saved::decode(&bytes).map_err(io::Error::other)?;
                heir.follow(round).map_err(io::Error::other)?;
                peer.send(Kind::Put, word::FOLLOWS, b"", &[])?;
            }
            word::WATCH => {
                if watch(heir, parcel, peer, looks)? {
                    // The word that it was told with is read after the first turn.
                    return Ok(Vec::new());
                }
            }
            _ => return Err(strange("the predecessor sends no lane")),
        }
    }
}

/// Looks at the parcel until the lane is in it, and takes on the rounds that come before.
/// `false`: the predecessor speaks instead.
fn watch(heir: &mut HeirLane, parcel: &Parcel, peer: &Channel, looks: bool) -> io::Result<bool> {
    let began = monotonic_nanos();
    let mut latest = if looks { began } else { 0 };
    loop {
        for _ in 0..512 {
            if parcel.content().is_some() {
                return Ok(true);
            }
            if let Some(bytes) = parcel.round() {
                let saved = volume::saved::decode(bytes).map_err(io::Error::other)?;
                heir.rehearse(saved).map_err(io::Error::other)?;
                parcel.followed();
                if looks {
                    latest = monotonic_nanos();
                }
            }
            std::hint::spin_loop();
        }
        let now = monotonic_nanos();
        if now > began + WATCH {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let rest = if now > latest + LOOK { REST } else { Duration::ZERO };
        if speaks(peer, rest)? {
            return Ok(parcel.content().is_some());
        }
    }
}

/// Whether the other end has said something within a time.
fn speaks(peer: &Channel, time: Duration) -> io::Result<bool> {
    let timeout = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
    let mut fds = [PollFd::new(peer, PollFlags::IN)];
    Ok(rustix::io::retry_on_intr(|| poll(&mut fds, Some(&timeout)))? > 0)
}

/// What taking the lane took, in nanoseconds.
struct Taken {
    decode: u64,
    restore: u64,
    /// From the predecessor's last turn to our first.
    gap: u64,
}

/// The cut-over: nobody serves until it is done.
fn take(
    lane: &mut Reactor,
    engine: &Engine,
    heir: HeirLane,
    inheritance: Inheritance,
    bytes: &[u8],
) -> io::Result<Taken> {
    let came = monotonic_nanos();
    let saved: SavedLane = volume::saved::decode(bytes).map_err(io::Error::other)?;
    let read = monotonic_nanos();
    let idle = lane.take(heir, saved, inheritance).map_err(io::Error::other)?;
    // The commit, and at once the first turn.
    engine.page.own(LANE, engine.generation);
    let now = lane.first_turn();
    let gap = engine.page.polled(LANE, now);
    drop(idle);
    Ok(Taken { decode: read - came, restore: now - read, gap })
}

/// Adds what the predecessor counted.
fn add_counts(engine: &Arc<Engine>, peer: &Channel) -> io::Result<()> {
    while speaks(peer, COUNTS)? {
        let message = heard(peer)?;
        if message.key == word::COUNTED {
            let counted: Vec<_> = serde_json::from_slice(&whole(message)?.0)?;
            let add = move |lane: &mut Reactor| lane.lane.add_counted(&counted);
            return engine.lane.tell(add).map_err(io::Error::other);
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Serves everybody, after the commit.
fn serve(
    engine: &Arc<Engine>,
    sessions: Vec<(String, Resumed)>,
    deposits: &Deposits,
) -> io::Result<Serving> {
    let mut table = engine.table();
    let mut sessions: HashMap<String, Resumed> = sessions.into_iter().collect();
    for (volume, guests) in &mut table.guests {
        guests.go_on(engine, sessions.remove(volume))?;
    }
    for clients in table.clients.values_mut() {
        clients.go_on(engine)?;
    }
    drop(table);
    engine.take_orders(deposits)
}

fn heard(peer: &Channel) -> io::Result<Message> {
    peer.receive()?
        .ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the predecessor is gone"))
}

/// The bytes of a message, wherever they are, and its files.
fn whole(message: Message) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    if message.kind != Kind::Item {
        return Ok((message.bytes, message.fds));
    }
    let length =
        <[u8; 8]>::try_from(&message.bytes[..]).map_err(|_| strange("a length is missing"))?;
    let mut fds = message.fds;
    if fds.is_empty() {
        return Err(strange("a file is missing"));
    }
    let mut shared = Shared::open(fds.remove(0))?;
    let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > shared.len() {
        return Err(strange("a file is too short"));
    }
    Ok((shared.region().bytes(0, length).to_vec(), fds))
}

fn file_of(deposits: &Deposits, key: &str, at: usize) -> io::Result<OwnedFd> {
    let missing =
        || io::Error::new(io::ErrorKind::NotFound, format!("nothing is deposited as {key}"));
    deposits.get(key).ok_or_else(missing)?.fd(at)
}

/// Deposited memory, with what is in it mapped already.
fn memory_of(deposits: &Deposits, key: &str, at: usize) -> io::Result<Region> {
    let mut shared = Shared::open(file_of(deposits, key, at)?)?;
    shared.fault_in();
    Ok(shared.region())
}

fn strange(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
