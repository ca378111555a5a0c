//! The engine under test: a lane with one pool on a model disk, its memory, and how it
//! comes and goes.

use std::collections::BTreeMap;

use model::volume::Limits;
use uuid::Uuid;
use volume::directory::Change;
use volume::format::Superblock;
use volume::lane::command::{Answered, Command, CommandError};
use volume::lane::{Frozen, Heir, Lane, MediumIndex, PoolIndex, Settings, VolumeHandle};
use volume::recover::{Piece, Recovered, Regions, Trust, needs, recover};
use volume::saved::{Saved, decode, encode};
use volume::units::BLOCK;
use volume::{Fault, Kind, MediumFault, Nanos, Outcome, Request, Segment, Tag, VolumeNumber};
use world::disk::{Fate, Ills, Image, ModelDisk};
use world::entropy::{Entropy, Seeded};

use super::client::Order;
use super::keys;
use super::memory::{Loan, Shelf};
use super::port::{Driver, Slowness, is_page};

/// Bytes of the log's tail. Few, so that it is often full.
const TAIL: usize = 256 << 10;
/// Bytes for pages of the map: few, so that they come and go.
const FRAMES: usize = 128 * BLOCK;
/// Bytes for data on its way.
const BUFFERS: usize = 2 << 20;
/// Which piece of the memory the tail is.
const TAIL_PIECE: usize = 0;
/// Which piece the medium is, when it is memory.
const MEDIUM_PIECE: usize = 4;
/// The only medium.
const MEDIUM: MediumIndex = MediumIndex(0);
/// So many turns and completions are enough for one read.
const PATIENCE: u32 = 20_000;

/// How an engine ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Crash {
    /// The process dies. What the disk has taken, and shared memory, stay.
    Kill,
    /// The power goes.
    Cut,
}

/// What kind of pool a lane has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// Only so many extents are for data, if said.
    pub extents: Option<u32>,
    /// Most of the volumes that are made are encrypted.
    pub sealed: bool,
    /// The medium is memory.
    pub memory: bool,
    /// The disk takes long, now and then.
    pub slow: bool,
}

/// A lane with one pool.
pub struct Engine {
    lane: Lane,
    /// The disk, and what the lane said.
    pub driver: Driver,
    pool: PoolIndex,
    handles: BTreeMap<VolumeNumber, VolumeHandle>,
    loan: Loan,
    now: Nanos,
    expected: Vec<Fault>,
    manner: Manner,
}

impl Engine {
    /// Formats a disk and opens it. Also gives the bytes of the disk that hold data and
    /// pages of maps.
    pub fn format(
        mut disk: ModelDisk,
        manner: Manner,
        shelf: &mut Shelf,
    ) -> Result<(Self, std::ops::Range<u64>), String> {
        let told = |error: volume::format::FormatError| error.to_string();
        let mut data = 0..0;
        for piece in volume::recover::format(disk.size(), [7; 16]).map_err(told)? {
            let (at, mut bytes) = match piece {
                Piece::Zeros { at, bytes } => (at, vec![0; bytes as usize]),
                Piece::Bytes { at, bytes } => (at, bytes),
            };
            // The last piece is the superblock, which says where everything is.
            if let Ok(Ok(mut found)) = bytes[..].try_into().map(Superblock::decode) {
                let layout = &mut found.layout;
                if let Some(extents) = manner.extents {
                    layout.end.0 = layout.end.0.min(layout.data.0 + extents);
                }
                data = layout.extents();
                bytes = found.encode().to_vec();
            }
            disk.write(0, at, bytes);
            while disk.finish().is_some() {}
        }
        disk.sync(0);
        disk.finish();
        let engine = Self::open(disk, manner, Crash::Cut, None, shelf)?;
        let extent = 16 * BLOCK as u64;
        Ok((engine, u64::from(data.start) * extent..u64::from(data.end) * extent))
    }

    /// Recovers what is on a disk, with the log's tail when the process died.
    pub fn open(
        disk: ModelDisk,
        manner: Manner,
        crash: Crash,
        tail: Option<&[u8]>,
        shelf: &mut Shelf,
    ) -> Result<Self, String> {
        let mut loan = Loan::default();
        match Self::begin(disk, manner, crash, tail, shelf, &mut loan) {
            Ok((lane, driver, pool)) => {
                let (handles, now, expected) = (BTreeMap::new(), Nanos(1), Vec::new());
                let mut engine = Self { lane, driver, pool, handles, loan, now, expected, manner };
                engine.open_all();
                Ok(engine)
            }
            Err(why) => {
                shelf.take_back(loan);
                Err(why)
            }
        }
    }

    fn begin(
        disk: ModelDisk,
        manner: Manner,
        crash: Crash,
        tail: Option<&[u8]>,
        shelf: &mut Shelf,
        loan: &mut Loan,
    ) -> Result<(Lane, Driver, PoolIndex), String> {
        let size = disk.size();
        let mut memory = shelf.lend(TAIL, true, loan);
        if let Some(tail) = tail {
            memory.bytes_mut(0, TAIL).copy_from_slice(tail);
        }
        let regions = Regions {
            tail: memory,
            frames: shelf.lend(FRAMES, false, loan),
            extents: shelf.lend(needs(size).extents.next_multiple_of(BLOCK), true, loan),
        };
        let buffers = shelf.lend(BUFFERS, false, loan);
        let mut read = |at: u64, into: &mut [u8]| {
            if !disk.seen().holds(at, into.len()) {
                return Err(MediumFault::Short);
            }
            disk.seen().read(at, into);
            Ok(())
        };
        let trust = if crash == Crash::Cut { Trust::Power } else { Trust::Process };
        let mut recovered: Recovered =
            recover(size, &mut read, regions, trust).map_err(|error| error.to_string())?;
        recovered.keys = keys::of(recovered.state.directory())?;
        let (mut lane, mut driver) = (Lane::new(settings(), buffers), Driver::new(disk));
        let order = Seeded::new(driver.disk.seen().digest());
        driver.slowness = manner.slow.then(|| Slowness::new(order));
        if manner.memory {
            let mut medium = shelf.lend(size as usize, false, loan);
            driver.disk.seen().read(0, medium.bytes_mut(0, size as usize));
            driver.memory = Some(medium);
        }
        let pool = lane.add_pool(MEDIUM, recovered, Nanos(1), &mut driver);
        Ok((lane, driver, pool))
    }

    /// What recovers what a crash left of this one.
    ///
    /// Also says what it is to be judged as: a disk that failed to sync may have lost what
    /// it had taken, and the pool is opened as after a loss of power.
    pub fn successor(
        &self,
        disk: ModelDisk,
        crash: Crash,
        shelf: &mut Shelf,
    ) -> Result<(Self, Crash), String> {
        let mut tail = Vec::new();
        if crash == Crash::Kill {
            tail.resize(TAIL, 0);
            self.loan.look(TAIL_PIECE, &mut tail);
        }
        let tail = (crash == Crash::Kill).then_some(&tail[..]);
        let mut next = Self::open(disk, self.manner, crash, tail, shelf)?;
        next.expected.clone_from(&self.expected);
        let failed = self.lane.frozen(self.pool) == Some(Frozen::Sync);
        Ok((next, if failed { Crash::Cut } else { crash }))
    }

    /// The end: gives the disk and the memory back.
    pub fn stop(self) -> (ModelDisk, Loan) {
        (self.driver.disk, self.loan)
    }

    /// The disk as a crash leaves it, with fates by chance. Memory is as it was.
    pub fn after(&self, crash: Crash, entropy: &mut Seeded) -> ModelDisk {
        if self.manner.memory {
            let mut bytes = vec![0; self.driver.disk.size() as usize];
            self.loan.look(MEDIUM_PIECE, &mut bytes);
            let mut image = Image::new(bytes.len() as u64);
            image.write(0, &bytes);
            return ModelDisk::holding(image, Ills::default(), entropy.fork(1));
        }
        let pieces = self.driver.disk.pieces();
        let fates: Vec<Fate> = pieces.iter().map(|_| fate(entropy)).collect();
        let seed = entropy.fork(1);
        match crash {
            Crash::Cut => self.driver.disk.after_power_cut(&pieces, &fates, seed),
            Crash::Kill => {
                let answered = pieces.iter().filter(|piece| piece.answered).count();
                self.driver.disk.after_kill(&pieces, &fates[answered..], seed)
            }
        }
    }

    /// What kind of pool it has.
    pub fn manner(&self) -> Manner {
        self.manner
    }

    /// A digest of the log's tail in memory.
    pub fn tail_digest(&self) -> u64 {
        let mut tail = vec![0; TAIL];
        self.loan.look(TAIL_PIECE, &mut tail);
        let words =
            tail.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes")));
        words.fold(0xcbf2_9ce4_8422_2325, |sum: u64, word| {
            (sum ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29)
        })
    }

    /// The volumes and snapshots that are there: number, name and size in bytes.
    pub fn entries(&self) -> Vec<(VolumeNumber, String, u64)> {
        let directory = self.lane.directory(self.pool).expect("the pool is there");
        let stays = directory.entries.values().filter(|entry| entry.leaving.is_none());
        stays
            .map(|entry| (entry.number, entry.name.clone(), u64::from(entry.blocks) * BLOCK as u64))
            .collect()
    }

    fn open_all(&mut self) {
        for (number, ..) in self.entries() {
            self.open_volume(number);
        }
    }

    fn open_volume(&mut self, number: VolumeNumber) {
        if self.handles.contains_key(&number) {
            return;
        }
        let node = self.lane.gate().add(None, Limits::default(), self.now);
        if let Ok(handle) = self.lane.open(self.pool, number, node) {
            self.handles.insert(number, handle);
        }
    }

    /// Asks for something.
    pub fn submit(&mut self, number: VolumeNumber, tag: Tag, request: &Request<'_>) {
        let Some(handle) = self.handles.get(&number) else {
            self.driver.replies.push((tag, Err(Fault::Closed)));
            return;
        };
        self.lane.submit(*handle, tag, request, self.now, &mut self.driver);
    }

    /// Orders a change. What is chosen in it is chosen by the seed.
    pub fn order(&mut self, tag: Tag, order: &Order, seed: u64) {
        let id = Uuid::from_u64_pair(seed, tag.0);
        let (now, limits) = (0, Limits::default());
        let secret = (self.manner.sealed && !seed.is_multiple_of(4)).then(|| keys::new(id));
        let (key, sealed) = secret.unzip();
        let change = match order.clone() {
            Order::Create { name, bytes } => {
                let blocks = (bytes / BLOCK as u64) as u32;
                Change::Create {
                    id,
                    name,
                    blocks,
                    limits,
                    key: sealed,
                    now,
                    labels: BTreeMap::new(),
                }
            }
            Order::Snapshot { of, name, .. } => Change::Snapshot { of, id, name, now },
            Order::Clone { of, name } => Change::Clone { of, id, name, limits, key: sealed, now },
            Order::Grow { volume, bytes } => {
                Change::Grow { volume, blocks: (bytes / BLOCK as u64) as u32 }
            }
            Order::Remove { number } => {
                if let Some(handle) = self.handles.remove(&number) {
                    self.lane.close(handle).expect("nothing of it is in flight");
                }
                Change::Remove { number }
            }
        };
        let command = Command::Change { change: Box::new(change), key };
        self.lane.command(self.pool, tag, command, self.now, &mut self.driver);
    }

    /// Which volume or snapshot an answer is about. It is open from now on.
    pub fn number_of(&mut self, answered: &Answered) -> VolumeNumber {
        let Answered::Changed(answer) = answered else { panic!("only changes are ordered") };
        let number = answer.number;
        if self.entries().iter().any(|(there, ..)| *there == number) {
            self.open_volume(number);
        }
        number
    }

    /// A removal was refused: it can be used again.
    pub fn reopen(&mut self) {
        self.open_all();
    }

    /// The next engine takes over, or begins to and is given up: with everything that is
    /// in flight, in the same memory. `segments` knows the memory of requests.
    pub fn replace(
        &mut self,
        segments: &mut dyn FnMut(Tag) -> Vec<Segment>,
        give_up: bool,
    ) -> Result<(), String> {
        let bytes = self.lane.prepare_heir().to_bytes();
        let saved = Saved::from_bytes(&bytes).map_err(|error| error.to_string())?;
        let keys = keys::of(self.lane.directory(self.pool).expect("the pool is there"))?;
        if self.manner.memory {
            self.driver.memory = Some(self.loan.again(MEDIUM_PIECE));
        }
        let [tail, frames, extents, buffers] = [0, 1, 2, 3].map(|piece| self.loan.again(piece));
        let pools = vec![(Regions { tail, frames, extents }, keys)];
        let heir = Heir::new(settings(), saved, buffers, pools, &mut self.driver);
        let mut heir = heir.map_err(|error| error.to_string())?;
        self.turn(1_000);
        let round = decode(&encode(&self.lane.changes(), true));
        heir.follow(round.map_err(|error| error.to_string())?)
            .map_err(|error| error.to_string())?;
        self.lane.prepare_to_save(true);
        for _ in 0..2 {
            self.come_to_rest()?;
            let told = decode(&encode(&self.lane.rehearse(), true));
            let told = told.map_err(|error| error.to_string())?;
            heir.rehearse(told, segments, self.now).map_err(|error| error.to_string())?;
            self.finish_one();
        }
        self.come_to_rest()?;
        if give_up {
            self.lane.prepare_to_save(false);
            return Ok(());
        }
        let changes = decode(&encode(&self.lane.save(self.now), false));
        let changes = changes.map_err(|error| error.to_string())?;
        self.lane = heir.take(changes, segments, self.now).map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Until a successor can be told how the lane is.
    fn come_to_rest(&mut self) -> Result<(), String> {
        for _ in 0..PATIENCE {
            if self.lane.can_save() {
                return Ok(());
            }
            if !self.finish_one() {
                self.turn(1_000_000);
            }
        }
        Err("it never comes to rest".to_owned())
    }

    /// The disk answers something. False: nothing waits for it.
    pub fn finish_one(&mut self) -> bool {
        let Some((op, result)) = self.driver.finish() else { return false };
        self.now = self.now.plus(500);
        self.lane.completed(op, result, self.now, &mut self.driver);
        true
    }

    /// Time passes, and the lane has its turn.
    pub fn turn(&mut self, nanos: u64) {
        self.now = self.now.plus(nanos);
        self.lane.turn(self.now, &mut self.driver);
    }

    /// Reads and waits, while nothing else is in flight. `None`: it never ends.
    pub fn read_now(
        &mut self,
        number: VolumeNumber,
        offset: u64,
        segments: &[Segment],
        tag: Tag,
    ) -> Option<Outcome> {
        let length = segments.iter().map(|segment| segment.len() as u64).sum();
        let request = Request { kind: Kind::Read, offset, length, fua: false, segments };
        self.submit(number, tag, &request);
        for _ in 0..PATIENCE {
            if let Some(at) = self.driver.replies.iter().position(|(reply, _)| *reply == tag) {
                return Some(self.driver.replies.remove(at).1);
            }
            if !self.finish_one() {
                self.turn(1_000_000);
            }
        }
        None
    }

    /// From now on the disk is as ill as this, and requests may fail with these.
    pub fn fall_ill(&mut self, ills: Ills, expected: Vec<Fault>) {
        // Nobody can notice that a page of the map was lost and an older one is there: a
        // disk that lies does so about data.
        let mut block = [0; BLOCK];
        for at in ills.within.clone().step_by(BLOCK) {
            self.driver.disk.seen().read(at, &mut block);
            if is_page(&block) {
                self.driver.disk.spare(at);
            }
        }
        self.driver.disk.set_ills(ills);
        self.expected = expected;
    }
    /// What requests may fail with.
    pub fn expected(&self) -> &[Fault] {
        &self.expected
    }
    /// Whether a command may be refused so, as the disk is.
    pub fn refusal_expected(&self, error: &CommandError) -> bool {
        match error {
            CommandError::Frozen => self.expected.contains(&Fault::Frozen),
            _ => false,
        }
    }
}

/// A lane that does by itself, in a short time, all that it does in a long one.
fn settings() -> Settings {
    Settings {
        log_age: 50_000_000,
        log_bytes: 16 << 10,
        dirty_pages: 24,
        log_percent: 50,
        log_records: 4096,
        idle: 2_000_000_000,
        pages_a_turn: 8,
    }
}

fn fate(entropy: &mut Seeded) -> Fate {
    match entropy.below(8) {
        0..3 => Fate::Lost,
        3..7 => Fate::Kept,
        _ => Fate::Torn(entropy.below(256) as u8),
    }
}
