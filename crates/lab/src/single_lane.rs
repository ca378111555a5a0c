//! One lane with one volume, in this thread and in time that is made up: to count what a
//! request costs, and to see how long it would take if the engine cost nothing.
//!
//! The medium is memory. Either the lane has it and copies itself, or each operation takes
//! a fixed time.

use std::collections::{BTreeMap, VecDeque};

use model::volume::Limits;
use uuid::Uuid;
use volume::directory::Change;
use volume::lane::command::{Answered, Command, CommandError};
use volume::lane::{Lane, MediumIndex, Op, PoolIndex, Port, Settings, VolumeHandle};
use volume::memory::{gather, scatter};
use volume::recover::{Piece, Regions, Trust, format, needs, recover};
use volume::seal::VolumeKey;
use volume::seal::keys::{NONCE, Owner, WrappingKey};
use volume::{BLOCK, MediumFault, Nanos, Outcome, Region, Request, Segment, Tag};

/// The only medium.
const MEDIUM: MediumIndex = MediumIndex(0);
/// Memory for data on its way.
const BUFFERS: usize = 8 << 20;
/// The tag of the only command.
const CREATE: Tag = Tag(u64::MAX);

/// How long a disk takes, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For a read.
    pub read: u64,
    /// For a write.
    pub write: u64,
    /// For a sync.
    pub sync: u64,
}

/// What is behind the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// Nothing.
    Null,
    /// The medium as it is.
    Raw,
    /// A pool.
    Thin,
    /// A pool, and it is encrypted.
    Encrypted,
}

/// What lane is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// What is behind its volume.
    pub back: Back,
    /// Bytes of the volume.
    pub bytes: u64,
    /// What it may use.
    pub limits: Limits,
    /// How long the disk takes; when absent the lane has the memory itself.
    pub times: Option<Times>,
}

/// The medium, and what the lane said.
#[derive(Debug)]
pub struct Disk {
    medium: Option<Region>,
    times: Option<Times>,
    now: u64,
    /// What is done when: the order decides among those of one moment.
    due: BTreeMap<(u64, u64), (Op, u32)>,
    order: u64,
    /// Requests that were answered.
    pub replies: VecDeque<(Tag, Outcome)>,
    answer: Option<Result<Answered, CommandError>>,
}

impl Disk {
    fn new(bytes: usize, times: Option<Times>) -> Self {
        Self {
            medium: Some(Region::leaked(bytes)),
            times,
            now: 1,
            due: BTreeMap::new(),
            order: 0,
            replies: VecDeque::new(),
            answer: None,
        }
    }
    fn medium(&mut self) -> &mut Region {
        self.medium.as_mut().expect("operations are asked for when the lane has not the memory")
    }
    fn done_at(&mut self, took: fn(&Times) -> u64, op: Op, bytes: usize) {
        let took = self.times.as_ref().map_or(0, took);
        self.order += 1;
        self.due.insert((self.now + took, self.order), (op, bytes as u32));
    }
}

impl Port for Disk {
    fn memory(&mut self, _: MediumIndex) -> Option<Region> {
        if self.times.is_some() { None } else { self.medium.take() }
    }
    fn read(&mut self, op: Op, _: MediumIndex, at: u64, into: &[Segment]) {
        let length = into.iter().map(Segment::len).sum();
        scatter(into, 0, self.medium().bytes(at as usize, length));
        self.done_at(|times| times.read, op, length);
    }
    fn write(&mut self, op: Op, _: MediumIndex, at: u64, from: &[Segment]) {
        let length = from.iter().map(Segment::len).sum();
        gather(from, 0, self.medium().bytes_mut(at as usize, length));
        self.done_at(|times| times.write, op, length);
    }
    fn sync(&mut self, op: Op, _: MediumIndex) {
        self.done_at(|times| times.sync, op, 0);
    }
    fn reply(&mut self, tag: Tag, outcome: Outcome) {
        self.replies.push_back((tag, outcome));
    }
    fn answer(&mut self, _: Tag, answer: Result<Answered, CommandError>) {
        self.answer = Some(answer);
    }
}

/// A lane with one volume.
#[derive(Debug)]
pub struct SingleLane {
    /// The lane.
    pub lane: Lane,
    /// What it drives.
    pub disk: Disk,
    /// Its volume.
    pub volume: VolumeHandle,
    /// When the lane wants its next turn by itself.
    wish: Option<Nanos>,
}

impl SingleLane {
    /// Makes it. `Err` says what the engine refuses.
    pub fn new(wish: &Wish) -> Result<Self, String> {
        let mut lane = Lane::new(Settings::default(), Region::leaked(BUFFERS));
        let node = lane.gate().add(None, wish.limits, Nanos(1));
        // A pool needs places for what is written anew, and for its map and log.
        let pool = 2 * wish.bytes as usize + (64 << 20);
        let (medium, thin) = match wish.back {
            Back::Null => (BLOCK, false),
            Back::Raw => (wish.bytes as usize, false),
            Back::Thin | Back::Encrypted => (pool, true),
        };
        let mut disk = Disk::new(medium, wish.times);
        let opened = match wish.back {
            Back::Null => lane.open_null(wish.bytes, node),
            Back::Raw => lane.open_raw(MEDIUM, wish.bytes, false, node, &mut disk),
            Back::Thin | Back::Encrypted => Ok(VolumeHandle(0)),
        };
        let volume = opened.map_err(|error| error.to_string())?;
        let mut single = Self { lane, disk, volume, wish: None };
        if thin {
            let pool = single.add_pool(medium as u64)?;
            single.create(pool, wish)?;
            let directory = single.lane.directory(pool).ok_or("the pool is not there")?;
            let number = *directory.entries.keys().next().ok_or("the volume is not there")?;
            let opened = single.lane.open(pool, number, node);
            single.volume = opened.map_err(|error| error.to_string())?;
        }
        Ok(single)
    }

    fn add_pool(&mut self, bytes: u64) -> Result<PoolIndex, String> {
        let medium = self.disk.medium();
        for piece in format(bytes, [7; 16]).map_err(|error| error.to_string())? {
            if let Piece::Bytes { at, bytes } = piece {
                medium.bytes_mut(at as usize, bytes.len()).copy_from_slice(&bytes);
            }
        }
        let needs = needs(bytes);
        let regions = Regions {
            tail: Region::leaked(needs.tail),
            frames: Region::leaked(needs.frames.next_multiple_of(BLOCK)),
            extents: Region::leaked(needs.extents.next_multiple_of(BLOCK)),
        };
        let mut read = |at: u64, into: &mut [u8]| {
            into.copy_from_slice(medium.bytes(at as usize, into.len()));
            Ok::<(), MediumFault>(())
        };
        let recovered = recover(bytes, &mut read, regions, Trust::Power);
        let recovered = recovered.map_err(|error| error.to_string())?;
        Ok(self.lane.add_pool(MEDIUM, recovered, self.now(), &mut self.disk))
    }

    fn create(&mut self, pool: PoolIndex, wish: &Wish) -> Result<(), String> {
        let id = Uuid::from_u64_pair(1, 1);
        let key = (wish.back == Back::Encrypted).then(|| {
            let secret = std::array::from_fn(|at| at as u8);
            VolumeKey::new(secret).expect("its halves differ")
        });
        let wrapping = WrappingKey::new("made up", [1; 32]);
        let owner = Owner { volume: id, epoch: 1 };
        let sealed = key.as_ref().map(|key| key.wrap(&wrapping, owner, [2; NONCE]));
        let change = Change::Create {
            id,
            name: "volume".into(),
            blocks: (wish.bytes / BLOCK as u64) as u32,
            limits: wish.limits,
            key: sealed,
            now: 0,
            labels: BTreeMap::new(),
        };
        let command = Command::Change { change: Box::new(change), key };
        self.lane.command(pool, CREATE, command, self.now(), &mut self.disk);
        while self.disk.answer.is_none() {
            self.turn();
            self.go_on(1_000_000);
        }
        let answer = self.disk.answer.take().expect("it was waited for");
        answer.map(drop).map_err(|error| error.to_string())
    }

    /// What time it is.
    pub fn now(&self) -> Nanos {
        Nanos(self.disk.now)
    }

    /// Whether the next request may be fetched.
    #[inline]
    pub fn is_ready(&mut self) -> bool {
        let now = self.now();
        self.lane.ready(self.volume, now).is_ok()
    }

    /// Asks for something, under a name of the caller's.
    #[inline]
    pub fn submit(&mut self, tag: u64, request: &Request<'_>) {
        let now = self.now();
        self.lane.submit(self.volume, Tag(tag), request, now, &mut self.disk);
    }

    /// The answers of a batch are visible, so many nanoseconds after it was fetched.
    #[inline]
    pub fn settle(&mut self, took: u64) {
        if self.lane.owes_times() {
            self.lane.settle(Nanos(self.disk.now + took));
        }
    }

    /// The lane has its turn.
    pub fn turn(&mut self) {
        let now = self.now();
        self.wish = self.lane.turn(now, &mut self.disk);
    }

    /// Time goes on until something happens, or for so long at most; what the disk has
    /// done by then the lane is told.
    pub fn go_on(&mut self, longest: u64) {
        let disk = self.disk.due.keys().next().map(|(when, _)| *when);
        let lane = self.wish.map(|wish| wish.0.max(self.disk.now + 1));
        let latest = self.disk.now + longest;
        self.disk.now = disk.into_iter().chain(lane).min().unwrap_or(latest).min(latest);
        while let Some(first) = self.disk.due.first_entry() {
            if first.key().0 > self.disk.now {
                break;
            }
            let (op, bytes) = first.remove();
            let now = self.now();
            self.lane.completed(op, Ok(bytes), now, &mut self.disk);
        }
    }
}
