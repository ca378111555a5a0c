//! Pools: made, opened after a clean end or a crash, and shown.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use model::Bytes;
use model::volume::{DiskProblem, Pool, PoolMedium, PoolSpec};
use serde::{Deserialize, Serialize};
use volume::format::Layout;
use volume::lane::{MediumIndex, PoolIndex};
use volume::recover::{self, Piece, Recovered, Regions, Trust};
use volume::seal::keys::{Cipher, Owner};
use volume::{MediumFault, Nanos};
use world::clock::monotonic_nanos;
use world::disk::{Medium, Opening};

use super::outside::open_medium;
use super::problem::{check_name, gone, name_taken, problem, system, unknown_pool};
use super::steps::Steps;
use super::{Engine, Table};
use crate::keeper::client::Deposit;
use crate::shared::Shared;

/// The smallest pool, in bytes.
const LEAST: u64 = 16 << 20;

/// A pool of the lane.
#[derive(Clone, Debug)]
pub(crate) struct OpenPool {
    pub spec: PoolSpec,
    pub index: PoolIndex,
    pub medium: MediumIndex,
    pub size: u64,
}

/// What is deposited of a pool. Its files: the log's tail, the frames, the extent table,
/// and the medium when that is memory.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PoolDeposit {
    pub spec: PoolSpec,
    pub size: u64,
}

/// Under which key a pool is deposited.
pub(crate) fn pool_key(name: &str) -> String {
    format!("pool/{name}")
}

/// What a pool lies on, before the lane has it.
enum Ground {
    File(Medium),
    Memory(Shared),
}

impl Ground {
    fn size(&self) -> u64 {
        match self {
            Ground::File(medium) => medium.size(),
            Ground::Memory(memory) => memory.len() as u64,
        }
    }
    fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Ground::File(medium) => medium.descriptor(),
            Ground::Memory(memory) => memory.file(),
        }
    }
    /// Reads, with any alignment.
    fn read(&self, bounce: &mut Bounce, at: u64, into: &mut [u8]) -> Result<(), MediumFault> {
        bounce.read(self.descriptor(), at, into)
    }
    fn write(&self, bounce: &mut Bounce, piece: &Piece) -> io::Result<()> {
        match piece {
            Piece::Bytes { at, bytes } => {
                bounce.write(self.descriptor(), *at, Some(bytes), bytes.len() as u64)
            }
            Piece::Zeros { at, bytes } => bounce.write(self.descriptor(), *at, None, *bytes),
        }
    }
    /// Takes the room for the first bytes on the file system, where that can be done: a log
    /// that finds none freezes its pool.
    fn reserve(&self, bytes: u64) -> io::Result<()> {
        match self {
            Ground::File(medium) => medium.reserve(0, bytes).map(drop).map_err(io::Error::other),
            Ground::Memory(_) => Ok(()),
        }
    }
    fn sync(&self) -> io::Result<()> {
        match self {
            Ground::File(medium) => medium.sync_now(),
            Ground::Memory(_) => Ok(()),
        }
    }
}

/// Memory that direct I/O can use, for the time of an opening.
struct Bounce {
    memory: volume::Region,
    _shared: Shared,
}

impl Bounce {
    const BYTES: usize = 1 << 20;

    fn new() -> io::Result<Self> {
        let mut shared = Shared::create("bedplate-bounce", Self::BYTES)?;
        let memory = shared.region();
        Ok(Self { memory, _shared: shared })
    }
    fn read(&mut self, from: BorrowedFd<'_>, at: u64, into: &mut [u8]) -> Result<(), MediumFault> {
        let mut at = at;
        for part in into.chunks_mut(Self::BYTES) {
            // Lengths are whole blocks wherever the format says so; others are rounded.
            let whole = part.len().next_multiple_of(4096);
            let mut done = 0;
            while done < part.len() {
                let bytes = self.memory.bytes_mut(done, whole - done);
                match rustix::io::pread(from, bytes, at + done as u64) {
                    Ok(0) => return Err(MediumFault::Short),
                    Ok(count) => done += count,
                    Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(MediumFault::Io(error.raw_os_error())),
                }
            }
            part.copy_from_slice(self.memory.bytes(0, part.len()));
            at += part.len() as u64;
        }
        Ok(())
    }
    fn write(
        &mut self,
        to: BorrowedFd<'_>,
        at: u64,
        bytes: Option<&[u8]>,
        length: u64,
    ) -> io::Result<()> {
        let mut done = 0;
        while done < length {
            let here = usize::try_from(length - done).unwrap_or(usize::MAX).min(Self::BYTES);
            let into = self.memory.bytes_mut(0, here);
            match bytes {
                Some(bytes) => into.copy_from_slice(&bytes[done as usize..done as usize + here]),
                None => into.fill(0),
            }
            let mut put = 0;
            while put < here {
                put += rustix::io::pwrite(
                    to,
                    self.memory.bytes(put, here - put),
                    at + done + put as u64,
                )?;
            }
            done += here as u64;
        }
        Ok(())
    }
}

impl Engine {
    /// Makes a pool, or opens the one that a file holds.
    pub(super) fn pool_create(&self, spec: PoolSpec) -> Result<Pool, DiskProblem> {
        check_name(&spec.name)?;
        let mut table = self.table();
        if table.pools.contains_key(&spec.name) {
            return Err(name_taken("pool", &spec.name));
        }
        let name = spec.name.clone();
        self.open_pool(&mut table, spec.clone(), None)?;
        table.book.pools.push(spec);
        self.keep_book(&table.book)
            .map_err(|error| system("the book cannot be written", &error))?;
        self.pool_show(&table, &name)
    }

    /// Opens a pool. `left` is what an engine that died had of it.
    pub(super) fn open_pool(
        &self,
        table: &mut Table,
        spec: PoolSpec,
        left: Option<&Deposit>,
    ) -> Result<(), DiskProblem> {
        let failed = |error: io::Error| system("the pool cannot be opened", &error);
        let (mut steps, name) = (Steps::begin(), spec.name.clone());
        let mut bounce = Bounce::new().map_err(failed)?;
        let ground = ground(&spec, left)?;
        let size = ground.size();
        steps.done("medium");
        if is_blank(&ground, &mut bounce)? {
            format(&ground, &mut bounce, size)?;
        }
        let memory = PoolMemory::new(size, left).map_err(failed)?;
        steps.done("memory");
        let recovered = memory.recover(&ground, &mut bounce, size, left.is_some())?;
        let (records, dropped) = (recovered.replayed, recovered.dropped);
        steps.done("recovery");
        self.add_pool(table, spec, ground, memory.files, recovered).map_err(failed)?;
        steps.done("lane");
        tracing::info!(pool = name, records, dropped, "the log was replayed");
        steps.tell("a pool was opened");
        Ok(())
    }

    fn add_pool(
        &self,
        table: &mut Table,
        spec: PoolSpec,
        ground: Ground,
        files: Vec<OwnedFd>,
        recovered: Recovered,
    ) -> io::Result<()> {
        let (size, name, called) = (ground.size(), spec.name.clone(), spec.name.clone());
        let mut recovered = recovered;
        self.unlock(&mut recovered, &name);
        let memory_file = match &ground {
            Ground::Memory(memory) => Some(memory.file().try_clone_to_owned()?),
            Ground::File(_) => None,
        };
        self.keep_pool(&spec, size, &files, memory_file.as_ref())?;
        let added = self.lane.ask(move |lane| {
            let medium = match ground {
                Ground::File(medium) => lane.add_file(medium).map_err(io::Error::other)?,
                Ground::Memory(mut memory) => lane.add_memory(memory.region()),
            };
            let index = lane.add_pool(medium, recovered, Nanos(monotonic_nanos()));
            lane.name_pool(index, &called);
            io::Result::Ok((index, medium))
        });
        let (index, medium) = added.map_err(io::Error::other)??;
        table.pools.insert(name, OpenPool { spec, index, medium, size });
        Ok(())
    }

    /// Deposits a pool, before anything is written to it.
    fn keep_pool(
        &self,
        spec: &PoolSpec,
        size: u64,
        files: &[OwnedFd],
        memory: Option<&OwnedFd>,
    ) -> io::Result<()> {
        let deposit = PoolDeposit { spec: spec.clone(), size };
        let fds: Vec<_> = files.iter().chain(memory).map(|fd| fd.as_fd()).collect();
        self.keeper.put(&pool_key(&spec.name), &deposit, &fds)
    }

    /// Opens the keys of a pool's volumes. One that cannot be opened keeps its volume shut.
    fn unlock(&self, recovered: &mut Recovered, pool: &str) {
        let directory = recovered.state.directory();
        let id = |number| directory.entry(number).map(|entry| entry.id).ok();
        let sealed: Vec<_> = directory
            .origins
            .iter()
            .filter_map(|(origin, entry)| {
                let owner = Owner { volume: id(entry.volume)?, epoch: entry.key_epoch };
                Some((*origin, entry.key.clone()?, owner))
            })
            .collect();
        for (origin, key, owner) in sealed {
            match self.keys.open(&key, owner) {
                Ok(key) => {
                    recovered.keys.insert(origin, Cipher::from(&key));
                }
                Err(error) => {
                    tracing::error!(pool, volume = %owner.volume, %error, "a volume stays locked")
                }
            }
        }
    }

    pub(super) fn pool_show(&self, table: &Table, name: &str) -> Result<Pool, DiskProblem> {
        let pool = table.pools.get(name).ok_or_else(|| unknown_pool(name))?.clone();
        let index = pool.index;
        let seen = self.lane.ask(move |lane| {
            let usage = lane.lane.usage(index);
            let volumes = lane.lane.directory(index).map_or(0, |directory| directory.entries.len());
            (usage, volumes, lane.lane.frozen(index), lane.damaged(index))
        });
        let (usage, volumes, frozen, damaged) = seen.map_err(gone)?;
        Ok(Pool {
            name: pool.spec.name,
            medium: pool.spec.medium,
            size: Bytes(pool.size),
            free: Bytes(usage.map_or(0, |usage| usage.capacity.saturating_sub(usage.used))),
            volumes: volumes as u32,
            frozen: frozen.map(|why| why.to_string()),
            damaged,
        })
    }

    pub(super) fn pool_list(&self, table: &Table) -> Result<Vec<Pool>, DiskProblem> {
        table.pools.keys().map(|name| self.pool_show(table, name)).collect()
    }
}

/// The memory of a pool: that of an engine that died where it counts, new where not.
struct PoolMemory {
    /// Tail, frames, extents.
    files: Vec<OwnedFd>,
    tail: Shared,
    needs: recover::Needs,
}

impl PoolMemory {
    fn new(size: u64, left: Option<&Deposit>) -> io::Result<Self> {
        let needs = recover::needs(size);
        let tail = match left {
            Some(deposit) => Shared::open(deposit.fd(0)?)?,
            None => Shared::create("bedplate-tail", needs.tail)?,
        };
        let mut files = vec![tail.file().try_clone_to_owned()?];
        for (name, bytes) in
            [("bedplate-frames", needs.frames), ("bedplate-extents", needs.extents)]
        {
            files.push(Shared::create(name, bytes)?.file().try_clone_to_owned()?);
        }
        Ok(Self { files, tail, needs })
    }
    fn regions(&self) -> io::Result<Regions> {
        let region = |at: usize| -> io::Result<volume::Region> {
            Ok(Shared::open(self.files[at].try_clone()?)?.region())
        };
        Ok(Regions { tail: region(0)?, frames: region(1)?, extents: region(2)? })
    }
    fn recover(
        &self,
        ground: &Ground,
        bounce: &mut Bounce,
        size: u64,
        crashed: bool,
    ) -> Result<Recovered, DiskProblem> {
        let trusts: &[Trust] =
            if crashed { &[Trust::Process, Trust::Power] } else { &[Trust::Power] };
        let mut last = None;
        for trust in trusts {
            let regions =
                self.regions().map_err(|error| system("no memory for the pool", &error))?;
            let mut read = |at: u64, into: &mut [u8]| ground.read(bounce, at, into);
            match recover::recover(size, &mut read, regions, *trust) {
                Ok(recovered) => return Ok(recovered),
                Err(error) => {
                    tracing::error!(%error, ?trust, tail = self.tail.len(), needs = ?self.needs, "a pool was not recovered");
                    last = Some(error);
                }
            }
        }
        let why = last.map(|error| error.to_string()).unwrap_or_default();
        Err(problem(
            "pool_not_recovered",
            format!("the pool cannot be opened: {why}"),
            "see docs/disk.md, `A pool that does not open`",
        ))
    }
}

/// Opens or makes what a pool lies on.
fn ground(spec: &PoolSpec, left: Option<&Deposit>) -> Result<Ground, DiskProblem> {
    let needs_size = || {
        problem("size_needed", "a new pool needs a size", "say how large it is to be: --size 20G")
    };
    let failed = |error: io::Error| system("the pool's medium cannot be had", &error);
    match (&spec.medium, left) {
        (PoolMedium::Memory, Some(deposit)) => {
            Ok(Ground::Memory(deposit.fd(3).and_then(Shared::open).map_err(failed)?))
        }
        (PoolMedium::Memory, None) => {
            let bytes = whole(spec.size.ok_or_else(needs_size)?)?;
            Ok(Ground::Memory(Shared::create("bedplate-pool", bytes as usize).map_err(failed)?))
        }
        (PoolMedium::File { path }, _) => {
            let path = Path::new(path);
            if path.exists() {
                return open_medium(path).map(Ground::File);
            }
            let bytes = whole(spec.size.ok_or_else(needs_size)?)?;
            let made = Medium::create(path, bytes, false, Opening::default());
            made.map(Ground::File).map_err(|error| {
                problem("medium_not_made", error.to_string(), "choose another path")
            })
        }
    }
}

fn whole(size: Bytes) -> Result<u64, DiskProblem> {
    if size.0 < LEAST {
        return Err(problem(
            "pool_too_small",
            format!("a pool of {size} is too small"),
            "a pool has at least 16 MiB",
        ));
    }
    Ok(size.0 / 4096 * 4096)
}

/// Whether nothing is there: the first blocks are zeros. What is neither ours nor
/// nothing is refused by the recovery, never formatted.
fn is_blank(ground: &Ground, bounce: &mut Bounce) -> Result<bool, DiskProblem> {
    let mut first = vec![0; 64 << 10];
    let read = ground.read(bounce, 0, &mut first);
    read.map_err(|error| problem("medium_failed", error.to_string(), "check the medium"))?;
    Ok(first.iter().all(|byte| *byte == 0))
}

fn format(ground: &Ground, bounce: &mut Bounce, size: u64) -> Result<(), DiskProblem> {
    let failed = |error: io::Error| system("the pool cannot be formatted", &error);
    let mut id = [0; 16];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| failed(error.into()))?;
    let pieces = recover::format(size, id).map_err(|error| {
        problem("pool_too_small", error.to_string(), "a pool has at least 16 MiB")
    })?;
    let layout = Layout::for_blocks(u32::try_from(size / 4096).unwrap_or(u32::MAX));
    if let Ok(layout) = layout {
        ground.reserve(layout.data.first().bytes()).map_err(failed)?;
    }
    let last = pieces.len().saturating_sub(1);
    for (at, piece) in pieces.iter().enumerate() {
        if at == last {
            ground.sync().map_err(failed)?;
        }
        ground.write(bounce, piece).map_err(failed)?;
    }
    ground.sync().map_err(failed)
}
