//! The old engine's side.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use model::Bytes;
use rustix::event::{PollFd, Timespec, poll};
use world::clock::monotonic_nanos;

use super::parcel::Parcel;
use super::shape::{FileShape, OpenShape, PoolShape, Shape, VERSION};
use super::word;
use crate::engine::guests::Resumed;
use crate::engine::{Engine, LANE, Table};
use crate::keeper::wire::{Channel, Kind, Message};
use crate::orders::Serving;
use crate::reactor::{Departure, Reactor, SavedLane, Successor};
use crate::shared::Shared;
use crate::shared::completions::Completions;

/// State that is longer than this goes in a file of its own.
const INLINE: usize = 96 << 10;
/// Turns that the lane is asked for a good moment.
const MOMENTS: u32 = 2000;
/// The successor follows so often at most before the cut-over.
const ROUNDS: usize = 16;
/// What changed is little when it is not more than this.
const LITTLE: usize = 64;
/// So often the lane's own thread tells the successor all that changed before it leaves.
const REHEARSALS: u32 = 4;
/// It leaves within this time or not at all, nanoseconds.
const LEAVES: u64 = 2_000_000_000;
/// A client over TLS has so many turns to take its last answers.
const TLS: u32 = 200;

/// How it ended, for the old engine.
pub(crate) enum Outcome {
    /// The successor serves. This process ends.
    HandedOver,
    /// This engine serves on.
    GoesOn,
}

/// Hands over to the successor that the keeper has started.
pub(crate) fn hand_over(
    engine: &Arc<Engine>,
    message: Message,
    serving: &mut Option<Serving>,
) -> Outcome {
    let Some(peer) = message.fds.into_iter().next() else { return Outcome::GoesOn };
    let peer = Channel::over(peer);
    let _no_orders = engine.orders.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(serving) = serving.take() {
        serving.end();
    }
    let paused = pause(&mut engine.table());
    match attempt(engine, &peer) {
        Ok(()) => {
            engine.replacing.ended(Ok(()));
            engine.replacing.answered();
            // The lane ends when nothing is in flight any more.
            while !engine.lane.is_over() {
                rest(Duration::from_millis(5));
            }
            Outcome::HandedOver
        }
        Err(why) => {
            tracing::warn!(why, "no replacement; this engine goes on");
            go_on(engine, paused);
            *serving = engine.take_orders_again();
            engine.replacing.ended(Err(why));
            Outcome::GoesOn
        }
    }
}

/// Sessions of VMMs that are not listened to, by volume.
type Paused = Vec<(String, Option<Resumed>)>;

fn pause(table: &mut Table) -> Paused {
    table.clients.values_mut().for_each(crate::engine::clients::Clients::pause);
    table.guests.iter_mut().map(|(volume, guests)| (volume.clone(), guests.pause())).collect()
}

fn go_on(engine: &Arc<Engine>, paused: Paused) {
    let mut table = engine.table();
    for (volume, session) in paused {
        let Some(guests) = table.guests.get_mut(&volume) else { continue };
        if let Err(error) = guests.go_on(engine, session) {
            tracing::error!(volume, %error, "a volume is not served to virtual machines any more");
        }
    }
    for (volume, clients) in &mut table.clients {
        if let Err(error) = clients.go_on(engine) {
            tracing::error!(volume, %error, "a volume takes no NBD clients any more");
        }
    }
}

/// Everything up to `taken`. The error says why the old engine goes on.
fn attempt(engine: &Arc<Engine>, peer: &Channel) -> Result<(), String> {
    let said = |error: io::Error| format!("the successor cannot be talked to: {error}");
    let completions = Completions::create().map_err(said)?;
    let parcel = Parcel::create().map_err(said)?;
    offer(engine, peer, &completions, &parcel).map_err(said)?;
    let ready = hear(peer, word::READY)?;
    let compact = ready.bytes == volume::saved::SHAPE.to_le_bytes();
    let wake = ready.fds.into_iter().next().ok_or("the successor has no bell")?;
    hang_up_tls(engine)?;
    let warm = engine.lane.ask(|_| super::warm()).map_err(|gone| gone.to_string())?;
    let given = bring_up_to_date(engine, peer, compact)
        .and_then(|()| give(engine, peer, (completions, wake), parcel, compact));
    drop(warm);
    if let Err(why) = given {
        engine.lane.ask(Reactor::come_back).map_err(|gone| gone.to_string())?;
        return Err(refusal(peer).unwrap_or(why));
    }
    match hear(peer, word::TAKEN) {
        Ok(_) => tell_counts(engine, peer),
        // It died. Whether it had taken the lane is on the page.
        Err(why) if engine.page.owner(LANE) == engine.generation => {
            let back = engine.lane.ask(Reactor::come_back);
            return Err(back.map_or_else(|gone| gone.to_string(), |()| why));
        }
        Err(why) => {
            tracing::error!(
                why,
                "the successor died after it had taken over; so do we, and the next engine recovers"
            );
            std::process::abort();
        }
    }
    engine.lane.tell(Reactor::confirm_leaving).map_err(|gone| gone.to_string())
}

/// The successor becomes an heir, and follows until little is different, while requests
/// are served on.
fn bring_up_to_date(engine: &Arc<Engine>, peer: &Channel, compact: bool) -> Result<(), String> {
    let gone = |gone: crate::reactor::Gone| gone.to_string();
    let said = |error: io::Error| format!("the successor cannot be talked to: {error}");
    let saved = engine.lane.ask(|lane| lane.lane.prepare_heir()).map_err(gone)?;
    crate::shared::fault_in_program();
    send(peer, word::HEIR, &saved.to_bytes(), &[]).map_err(said)?;
    hear(peer, word::FOLLOWS)?;
    // A checkpoint that is being written would make much different again.
    for _ in 0..MOMENTS {
        if engine.lane.ask(|lane| lane.prepare_to_leave(true)).map_err(gone)? {
            break;
        }
        rest(Duration::from_micros(500));
    }
    for _ in 0..ROUNDS {
        let round = engine.lane.ask(|lane| lane.lane.changes()).map_err(gone)?;
        send(peer, word::ROUND, &volume::saved::encode(&round, compact), &[]).map_err(said)?;
        hear(peer, word::FOLLOWS)?;
        if round.weight() <= LITTLE {
            break;
        }
    }
    Ok(())
}

/// What this engine counted. Nothing depends on it: it serves no more.
fn tell_counts(engine: &Arc<Engine>, peer: &Channel) {
    let Ok(counted) = engine.lane.ask(|lane| lane.lane.counted()) else { return };
    let bytes = serde_json::to_vec(&counted).expect("counts are plain data");
    if let Err(error) = send(peer, word::COUNTED, &bytes, &[]) {
        tracing::warn!(%error, "what was counted before the replacement is lost");
    }
}

/// Says what there is, with all files.
fn offer(
    engine: &Arc<Engine>,
    peer: &Channel,
    completions: &Completions,
    parcel: &Parcel,
) -> io::Result<()> {
    let files = engine.lane.ask(|lane| lane.descriptors()).map_err(io::Error::other)??;
    let table = engine.table();
    let pool = |pool: &crate::engine::pools::OpenPool| -> io::Result<PoolShape> {
        let index = pool.index;
        let origins =
            engine.lane.ask(move |lane| lane.sealed_keys(index)).map_err(io::Error::other)?;
        let (spec, medium, size) = (pool.spec.clone(), pool.medium, Bytes(pool.size));
        Ok(PoolShape { spec, index, medium, size, origins })
    };
    let each = |(name, open): (&String, _)| Ok((name.clone(), pool(open)?));
    let pools = table.pools.iter().map(each).collect::<io::Result<_>>()?;
    let open = |open: &crate::engine::outside::Open| OpenShape {
        handle: open.handle,
        node: open.node,
        medium: open.medium,
        bytes: open.capabilities.bytes,
        read_only: open.capabilities.read_only,
        users: open.users,
    };
    let guests = table.guests.values().map(|guests| guests.served.clone());
    let clients = table.clients.values().map(|clients| clients.served.clone());
    let shape = Shape {
        version: VERSION,
        book: table.book.clone(),
        files: files
            .iter()
            .map(|(at, path, _)| FileShape { at: *at, path: path.clone() })
            .collect(),
        pools,
        open: table.open.iter().map(|(name, volume)| (name.clone(), open(volume))).collect(),
        served: guests.chain(clients).collect(),
    };
    let mut fds = vec![completions.file(), parcel.as_fd()];
    fds.extend(files.iter().map(|(.., file)| file.as_fd()));
    send(peer, word::PAUSED, &serde_json::to_vec(&shape)?, &fds)
}

/// Sends bytes, in a file when they are long: then it is the first.
fn send(peer: &Channel, key: &str, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if bytes.len() <= INLINE {
        return peer.send(Kind::Put, key, bytes, fds);
    }
    let mut shared = Shared::create("bedplate-handover", bytes.len())?;
    shared.region().bytes_mut(0, bytes.len()).copy_from_slice(bytes);
    let mut all = vec![shared.file()];
    all.extend_from_slice(fds);
    let length = (bytes.len() as u64).to_le_bytes();
    peer.send(Kind::Item, key, &length, &all)
}

/// Connections over TLS cannot go to another process: they are hung up on.
fn hang_up_tls(engine: &Arc<Engine>) -> Result<(), String> {
    for _ in 0..TLS {
        let left =
            engine.lane.ask(Reactor::retire_fixed_sockets).map_err(|gone| gone.to_string())?;
        if left == 0 {
            return Ok(());
        }
        rest(Duration::from_millis(5));
    }
    Err("an NBD client over TLS does not end its request".into())
}

/// Has the lane leave, and waits until it has.
fn give(
    engine: &Arc<Engine>,
    peer: &Channel,
    forward: (Completions, OwnedFd),
    parcel: Parcel,
    compact: bool,
) -> Result<(), String> {
    let failed = |error: io::Error| format!("the successor cannot be talked to: {error}");
    let rounds = if compact { REHEARSALS } else { 0 };
    if rounds > 0 {
        send(peer, word::WATCH, b"", &[]).map_err(failed)?;
    }
    let (told, given) = channel();
    let successor = Box::new(Taker {
        engine: Arc::clone(engine),
        peer: Channel::over(peer.as_fd().try_clone_to_owned().map_err(failed)?),
        parcel,
        compact,
        told,
    });
    let until = monotonic_nanos() + LEAVES;
    let departure = Departure { successor, forward, rounds, until };
    engine.lane.tell(move |lane| lane.leave(departure)).map_err(|gone| gone.to_string())?;
    let given = given.recv().map_err(|_| "the lane has ended".to_owned())?;
    let Given { gather, encode, length } =
        given.ok_or("the lane was never at rest, or the successor does not follow it")?;
    tracing::info!(gather, encode, length, "the lane was given (nanoseconds, bytes)");
    Ok(())
}

/// The successor, for the lane's thread.
struct Taker {
    engine: Arc<Engine>,
    peer: Channel,
    parcel: Parcel,
    compact: bool,
    told: Sender<Option<Given>>,
}

/// What giving the lane took, and how much it was.
struct Given {
    gather: u64,
    encode: u64,
    length: usize,
}

impl Successor for Taker {
    fn follows(&self) -> bool {
        self.parcel.is_followed()
    }
    fn tell(&mut self, lane: &SavedLane) -> bool {
        self.parcel.put_round(&volume::saved::encode(lane, self.compact))
    }
    fn give(mut self: Box<Self>, lane: &SavedLane, stopped: u64) {
        let gathered = monotonic_nanos();
        self.engine.page.stopped(LANE, stopped);
        let bytes = volume::saved::encode(lane, self.compact);
        let left = if self.parcel.put(&bytes) { &[][..] } else { &bytes[..] };
        let (gather, encode) = (gathered - stopped, monotonic_nanos() - gathered);
        // It looks for it all the time, unless it sleeps.
        if let Err(error) = send(&self.peer, word::LANE, left, &[]) {
            tracing::warn!(%error, "the lane could not be sent");
        }
        let _ = self.told.send(Some(Given { gather, encode, length: bytes.len() }));
    }
    fn give_up(self: Box<Self>) {
        let _ = self.told.send(None);
    }
}

/// Why the successor does not want to, if it has said so.
fn refusal(peer: &Channel) -> Option<String> {
    let message = peer.receive_now().ok().flatten()?;
    let why = || format!("the successor refused: {}", String::from_utf8_lossy(&message.bytes));
    (message.key == word::REFUSED).then(why)
}

/// The next word of the successor, which must be this one.
fn hear(peer: &Channel, word: &str) -> Result<Message, String> {
    match peer.receive() {
        Ok(Some(message)) if message.key == word => Ok(message),
        Ok(Some(message)) if message.key == word::REFUSED => {
            Err(format!("the successor refused: {}", String::from_utf8_lossy(&message.bytes)))
        }
        Ok(Some(message)) => {
            Err(format!("the successor said `{}` instead of `{word}`", message.key))
        }
        Ok(None) => Err("the successor ended".into()),
        Err(error) => Err(format!("the successor cannot be heard: {error}")),
    }
}

fn rest(time: Duration) {
    let timeout = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
    let _ = poll(&mut [] as &mut [PollFd<'_>], Some(&timeout));
}
