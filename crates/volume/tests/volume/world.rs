//! A lane, its disk, the model, and front ends that ask for things by chance.

use std::collections::HashMap;
use std::ptr::NonNull;

use bedplate_volume::directory::{Change, Kind as EntryKind};
use bedplate_volume::lane::command::{Answered, Command, CommandError};
use bedplate_volume::lane::{Lane, MediumIndex, PoolIndex, Settings, VolumeHandle};
use bedplate_volume::recover::{Piece, Regions, Trust, format, needs, recover};
use bedplate_volume::seal::keys::{Cipher, VolumeKey};
use bedplate_volume::{Fault, Kind, Nanos, Outcome, Region, Request, Segment, Tag, VolumeNumber};
use model::volume::Limits;
use uuid::Uuid;

use super::disk::{Chance, Disk};
use super::memory::{cut_up, fill, segments, stamp_of};
use super::model::Model;

pub const SECTOR: usize = 512;
pub const POOL: PoolIndex = PoolIndex(0);

/// A request in flight, with its memory.
pub struct Asked {
    pub volume: usize,
    pub kind: Kind,
    pub sectors: std::ops::Range<usize>,
    pub memory: Vec<u8>,
    pub cuts: Vec<usize>,
    pub expect: Vec<u32>,
    pub begun: u64,
}

/// A volume that is used.
pub struct Used {
    pub number: VolumeNumber,
    pub handle: VolumeHandle,
    pub model: Model,
    pub busy: Vec<bool>,
    pub read_only: bool,
}

pub struct World {
    pub disk: Disk,
    pub lane: Lane,
    pub volumes: Vec<Used>,
    pub asked: HashMap<u64, Asked>,
    pub chance: Chance,
    pub now: Nanos,
    pub moment: u64,
    pub next: u64,
    pub stamp: u32,
    pub encrypted: bool,
    pub keys: HashMap<VolumeNumber, Vec<(bedplate_volume::Origin, [u8; 64])>>,
    /// The memory that outlives the process, as addresses.
    pub memory: [(usize, usize); 4],
    pub pool_bytes: u64,
    /// Faults are expected: a request may fail.
    pub may_fail: bool,
    pub failed: Vec<Fault>,
    pub frames: usize,
}

pub fn settings() -> Settings {
    Settings {
        dirty_pages: 24,
        idle: 50_000,
        log_age: 20_000,
        log_bytes: 8192,
        log_percent: 30,
        ..Settings::default()
    }
}

fn region(bytes: usize) -> (Region, (usize, usize)) {
    let region = Region::leaked(bytes);
    let address = region.address(0, bytes) as usize;
    (region, (address, bytes))
}

/// The same memory again, for a successor.
pub fn again((address, bytes): (usize, usize)) -> Region {
    let start = NonNull::new(address as *mut u8).expect("memory");
    // SAFETY: it is leaked memory of a lane that is not used any more.
    unsafe { Region::new(start, bytes) }
}

impl World {
    pub fn new(mebibytes: u64, seed: u64) -> Self {
        Self::with(mebibytes, seed, false, 2 << 20)
    }
    pub fn with(mebibytes: u64, seed: u64, in_memory: bool, buffers: usize) -> Self {
        let bytes = mebibytes << 20;
        let mut disk = Disk::new(bytes as usize, seed);
        for byte in &mut disk.content[..8 << 20] {
            *byte = 0xA5;
        }
        for piece in format(bytes, *Uuid::from_u128(u128::from(seed)).as_bytes()).expect("a pool") {
            match piece {
                Piece::Zeros { at, bytes } => {
                    disk.content[at as usize..(at + bytes) as usize].fill(0)
                }
                Piece::Bytes { at, bytes } => {
                    disk.content[at as usize..at as usize + bytes.len()].copy_from_slice(&bytes)
                }
            }
        }
        let needs = needs(bytes);
        let (tail, a) = region(needs.tail);
        let (frames, b) = region(needs.frames);
        let (extents, c) = region(needs.extents);
        let (data, d) = region(buffers);
        let regions = Regions { tail, frames, extents };
        let recovered =
            recover(bytes, &mut disk.read_at(), regions, Trust::Power).expect("a new pool");
        if in_memory {
            disk = disk.into_memory();
        }
        let mut lane = Lane::new(settings(), data);
        lane.add_pool(MediumIndex(0), recovered, Nanos(1), &mut disk);
        let mut world = World {
            disk,
            lane,
            volumes: Vec::new(),
            asked: HashMap::new(),
            chance: Chance(seed.wrapping_mul(77) | 1),
            now: Nanos(1),
            moment: 0,
            next: 1,
            stamp: 1,
            encrypted: seed % 2 == 1,
            keys: HashMap::new(),
            memory: [a, b, c, d],
            pool_bytes: bytes,
            may_fail: false,
            failed: Vec::new(),
            frames: needs.frames,
        };
        world.settle();
        world
    }
    pub fn tag(&mut self) -> Tag {
        self.next += 1;
        Tag(self.next)
    }
    pub fn tick(&mut self) {
        self.now = self.now.plus(1 + self.chance.below(3_000));
        self.moment += 1;
    }
    /// Completes some, lets the lane do what it does, and looks at replies.
    pub fn step(&mut self) {
        self.tick();
        if self.chance.one_in(2) {
            self.disk.complete_one(&mut self.lane, self.now);
        }
        if self.chance.one_in(3) {
            self.lane.turn(self.now, &mut self.disk);
        }
        self.hear();
    }
    /// Until nothing is in flight.
    pub fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 1_000_000, "something never ends: {} in flight", self.lane.in_flight());
            self.tick();
            let busy = self.disk.complete_one(&mut self.lane, self.now);
            let wish = self.lane.turn(self.now, &mut self.disk);
            self.hear();
            if !busy
                && self.asked.is_empty()
                && self.lane.in_flight() == 0
                && wish != Some(self.now)
            {
                break;
            }
        }
    }
    pub fn hear(&mut self) {
        while let Some((tag, outcome)) = self.disk.replies.pop_front() {
            let asked = self.asked.remove(&tag.0).expect("a reply to what was asked, once");
            self.heard(&asked, outcome);
        }
    }
    fn heard(&mut self, asked: &Asked, outcome: Outcome) {
        let moment = self.moment;
        let used = &mut self.volumes[asked.volume];
        for sector in asked.sectors.clone() {
            used.busy[sector] = false;
        }
        if let Err(fault) = outcome {
            assert!(self.may_fail, "{:?} {:?} failed: {fault}", asked.kind, asked.sectors);
            self.failed.push(fault);
            return;
        }
        match asked.kind {
            Kind::Read => {
                for (index, sector) in asked.sectors.clone().enumerate() {
                    if used.model.uncertain(sector) {
                        continue;
                    }
                    let got = stamp_of(&asked.memory[index * SECTOR..(index + 1) * SECTOR]);
                    assert_eq!(got, asked.expect[index], "sector {sector} of {:?}", used.number);
                }
            }
            Kind::Flush => used.model.durable(asked.begun),
            // What a discard has of a block only in part stays as it is.
            Kind::Discard => {
                let all = asked.sectors.clone();
                let whole = all.start.div_ceil(8) * 8..all.end / 8 * 8;
                used.model.acknowledge(whole, moment);
            }
            _ => used.model.acknowledge(asked.sectors.clone(), moment),
        }
    }
    /// Asks for something by chance.
    pub fn ask(&mut self) {
        let volume = self.chance.below(self.volumes.len() as u64) as usize;
        let kind = match self.chance.below(20) {
            _ if self.volumes[volume].read_only => Kind::Read,
            0..9 => Kind::Write,
            9..16 => Kind::Read,
            16 => Kind::Discard,
            17 | 18 => Kind::WriteZeroes,
            _ => Kind::Flush,
        };
        let total = self.volumes[volume].model.sectors() as u64;
        let most = if self.chance.one_in(8) { 600 } else { 24 };
        let length = 1 + self.chance.below(most);
        let start = self.chance.below(total - length.min(total - 1));
        let (mut start, mut length) = (start, length.min(total - start));
        if self.chance.one_in(2) {
            (start, length) = (start / 8 * 8, length.next_multiple_of(8));
            length = length.min(total - start);
        }
        self.ask_for(volume, kind, start as usize..(start + length) as usize);
    }
    pub fn ask_for(&mut self, volume: usize, kind: Kind, sectors: std::ops::Range<usize>) {
        let handle = self.volumes[volume].handle;
        if self.lane.ready(handle, self.now).is_err() {
            return;
        }
        let sectors = if kind == Kind::Flush { 0..0 } else { sectors };
        if self.volumes[volume].busy[sectors.clone()].contains(&true) {
            return;
        }
        let bytes = sectors.len() * SECTOR;
        let mut memory =
            vec![0x5A; if matches!(kind, Kind::Read | Kind::Write) { bytes } else { 0 }];
        let expect: Vec<u32> =
            sectors.clone().map(|sector| self.volumes[volume].model.now(sector)).collect();
        for (index, sector) in sectors.clone().enumerate() {
            self.volumes[volume].busy[sector] = true;
            match kind {
                Kind::Write => {
                    self.stamp += 1;
                    fill(&mut memory[index * SECTOR..(index + 1) * SECTOR], self.stamp);
                    self.volumes[volume].model.begin(sector, self.stamp);
                }
                Kind::WriteZeroes => self.volumes[volume].model.begin(sector, 0),
                // Whole blocks become zeros, the rest stays.
                Kind::Discard if discards(&sectors, sector) => {
                    self.volumes[volume].model.begin(sector, 0)
                }
                _ => {}
            }
        }
        let cuts = cut_up(memory.len(), &mut self.chance);
        let tag = self.tag();
        let fua = self.chance.one_in(10);
        let asked = Asked { volume, kind, sectors, memory, cuts, expect, begun: self.moment };
        let (offset, length) = ((asked.sectors.start * SECTOR) as u64, bytes as u64);
        self.asked.insert(tag.0, asked);
        let segments = self.segments(tag);
        let request = Request { kind, offset, length, fua, segments: &segments };
        let now = self.now;
        self.lane.submit(handle, tag, &request, now, &mut self.disk);
        self.hear();
    }
    /// The memory of a request.
    pub fn segments(&mut self, tag: Tag) -> Vec<Segment> {
        segments(self.asked.get_mut(&tag.0).expect("asked"))
    }
    pub fn command(&mut self, command: Command) -> Tag {
        let tag = self.tag();
        let now = self.now;
        self.lane.command(POOL, tag, command, now, &mut self.disk);
        tag
    }
    /// A command, until it is answered.
    pub fn done(&mut self, command: Command) -> Result<Answered, CommandError> {
        let tag = self.command(command);
        for _ in 0..100_000 {
            if let Some(answer) = self.disk.answers.remove(&tag) {
                return answer;
            }
            self.tick();
            self.disk.complete_one(&mut self.lane, self.now);
            self.lane.turn(self.now, &mut self.disk);
            self.hear();
        }
        panic!("a command is never answered");
    }
    pub fn change(&mut self, change: Change) -> VolumeNumber {
        let key = match &change {
            Change::Create { key: Some(_), .. }
            | Change::Clone { key: Some(_), .. }
            | Change::Rekey { .. } => Some(self.key()),
            _ => None,
        };
        let bytes = key;
        let key = bytes.map(volume_key);
        match self
            .done(Command::Change { change: Box::new(change), key })
            .expect("a change that may be")
        {
            Answered::Changed(answer) => {
                if let (Some(origin), Some(bytes)) = (answer.origin, bytes) {
                    self.keys.entry(answer.number).or_default().push((origin, bytes));
                }
                answer.number
            }
            other => panic!("{other:?}"),
        }
    }
    fn key(&mut self) -> [u8; 64] {
        std::array::from_fn(|_| self.chance.next() as u8)
    }
    pub fn wrapped(&self) -> Option<model::secret::Sealed> {
        self.encrypted
            .then(|| model::secret::Sealed { key: "test".into(), ciphertext: vec![1].into() })
    }
    pub fn create(&mut self, blocks: u32) -> usize {
        let tag = self.next;
        let (id, name, key) =
            (Uuid::from_u128(u128::from(tag)), format!("volume-{tag}"), self.wrapped());
        let labels = std::collections::BTreeMap::new();
        let number = self.change(Change::Create {
            id,
            name,
            blocks,
            limits: Limits::NONE,
            key,
            now: 0,
            labels,
        });
        self.open(number, Model::new(blocks as usize * 8))
    }
    pub fn open(&mut self, number: VolumeNumber, model: Model) -> usize {
        let node = self.lane.gate().add(None, Limits::NONE, self.now);
        let handle = self.lane.open(POOL, number, node).expect("it is there");
        let busy = vec![false; model.sectors()];
        self.volumes.push(Used { number, handle, model, busy, read_only: false });
        self.volumes.len() - 1
    }
    pub fn snapshot(&mut self, volume: usize) -> (VolumeNumber, Model) {
        let tag = self.next;
        let (id, name, of) = (
            Uuid::from_u128(u128::from(tag)),
            format!("snapshot-{tag}"),
            self.volumes[volume].number,
        );
        // What is not acknowledged by now may be in it or not.
        let model = self.volumes[volume].model.clone();
        (self.change(Change::Snapshot { of, id, name, now: 0 }), model)
    }
    pub fn clone_of(&mut self, snapshot: VolumeNumber, model: &Model) -> usize {
        let tag = self.next;
        let (id, name, key) =
            (Uuid::from_u128(u128::from(tag)), format!("clone-{tag}"), self.wrapped());
        let number = self.change(Change::Clone {
            of: snapshot,
            id,
            name,
            limits: Limits::NONE,
            key,
            now: 0,
        });
        self.open(number, model.clone())
    }
    /// Reads all of every volume.
    pub fn verify(&mut self) {
        self.settle();
        for volume in 0..self.volumes.len() {
            let total = self.volumes[volume].model.sectors();
            for start in (0..total).step_by(256) {
                self.ask_for(volume, Kind::Read, start..(start + 256).min(total));
                self.settle();
            }
        }
    }
    /// The process ends and another begins: with the tail, or after a loss of power.
    pub fn reopen(&mut self, trust: Trust) {
        match trust {
            Trust::Process => self.disk.kill(),
            Trust::Power => self.disk.lose_power(),
        }
        self.disk.faults = super::disk::Faults::default();
        let regions = self.regions();
        let bytes = self.pool_bytes;
        let mut recovered = recover(bytes, &mut self.disk.read_at(), regions, trust)
            .expect("a pool that can be opened");
        for (origin, key) in self.keys.values().flatten() {
            recovered.keys.insert(*origin, Cipher::from(&volume_key(*key)));
        }
        self.lane = Lane::new(settings(), again(self.memory[3]));
        self.lane.add_pool(MediumIndex(0), recovered, self.now, &mut self.disk);
        for index in 0..self.volumes.len() {
            let node = self.lane.gate().add(None, Limits::NONE, self.now);
            let used = &mut self.volumes[index];
            used.handle =
                self.lane.open(POOL, used.number, node).expect("a volume that was durable");
            used.busy.fill(false);
        }
        self.asked.clear();
        self.look(trust);
    }
    pub fn regions(&self) -> Regions {
        let [tail, mut frames, extents, _] = self.memory;
        frames.1 = self.frames;
        Regions { tail: again(tail), frames: again(frames), extents: again(extents) }
    }
    /// Looks at everything after a death: is each sector something it may be?
    fn look(&mut self, trust: Trust) {
        for volume in 0..self.volumes.len() {
            let total = self.volumes[volume].model.sectors();
            for start in (0..total).step_by(256) {
                let sectors = start..(start + 256).min(total);
                let memory = self.read(volume, sectors.clone());
                for (index, sector) in sectors.enumerate() {
                    let got = stamp_of(&memory[index * SECTOR..(index + 1) * SECTOR]);
                    let used = &mut self.volumes[volume];
                    let may = if trust == Trust::Power {
                        used.model.after_power(sector)
                    } else {
                        used.model.after_kill(sector)
                    };
                    assert!(
                        may.contains(&got),
                        "sector {sector} of {:?}: {got}, but it may be {may:?}",
                        used.number
                    );
                    used.model.seen(sector, got);
                }
            }
        }
    }
    /// Reads without a look at the model.
    pub fn read(&mut self, volume: usize, sectors: std::ops::Range<usize>) -> Vec<u8> {
        self.try_read(volume, sectors).expect("a read")
    }
    pub fn try_read(
        &mut self,
        volume: usize,
        sectors: std::ops::Range<usize>,
    ) -> Result<Vec<u8>, Fault> {
        let tag = self.tag();
        let mut memory = vec![0; sectors.len() * SECTOR];
        let address = NonNull::new(memory.as_mut_ptr()).expect("memory");
        // SAFETY: the memory lives until the reply.
        let segments = [unsafe { Segment::new(address, memory.len() as u32) }];
        let (offset, length) = ((sectors.start * SECTOR) as u64, memory.len() as u64);
        let request = Request { kind: Kind::Read, offset, length, fua: false, segments: &segments };
        let (handle, now) = (self.volumes[volume].handle, self.now);
        self.lane.submit(handle, tag, &request, now, &mut self.disk);
        loop {
            if let Some(at) = self.disk.replies.iter().position(|(other, _)| *other == tag) {
                let (_, outcome) = self.disk.replies.remove(at).expect("just found");
                return outcome.map(|()| memory);
            }
            self.tick();
            self.disk.complete_one(&mut self.lane, self.now);
            self.lane.turn(self.now, &mut self.disk);
        }
    }
    pub fn snapshots(&self) -> usize {
        let directory = self.lane.directory(POOL).expect("a pool");
        directory
            .entries
            .values()
            .filter(|entry| matches!(entry.kind, EntryKind::Snapshot { .. }))
            .count()
    }
}

pub fn volume_key(bytes: [u8; 64]) -> VolumeKey {
    VolumeKey::new(bytes).expect("a key")
}

fn discards(range: &std::ops::Range<usize>, sector: usize) -> bool {
    let block = sector / 8 * 8;
    block >= range.start && block + 8 <= range.end
}
