//! Volumes and snapshots: found by name, made, changed and deleted.

use std::sync::mpsc::channel;

use model::secret::Sealed;
use model::volume::{Backing, DiskProblem, Limits, ScrubFound, Volume, VolumeSpec};
use model::{Bytes, Timestamp};
use volume::directory::{Change, Entry, Kind};
use volume::lane::PoolIndex;
use volume::lane::command::{Answered, Command, CommandError};
use volume::seal::keys::{Owner, VolumeKey};
use volume::{BLOCK, Nanos, VolumeNumber};
use world::clock::{Clock as _, SystemClock, monotonic_nanos};

use super::book::is_outside;
use super::outside::Open;
use super::problem::{check_name, gone, name_taken, problem, system, unknown_pool, unknown_volume};
use super::{Engine, Table};

/// The number of a volume's first key.
const FIRST_KEY: u32 = 1;

/// A volume, where it was found.
pub(super) enum Found {
    /// Outside all pools.
    Outside(VolumeSpec),
    /// In a pool.
    Inside(Inside),
}

/// A volume or snapshot of a pool.
pub(super) struct Inside {
    pub pool: String,
    pub index: PoolIndex,
    pub entry: Entry,
    /// The volume that it is a snapshot of, by name.
    pub of: Option<String>,
    pub encrypted: bool,
    pub clone_of: Option<String>,
}

impl Inside {
    /// Its name, as people say it.
    pub fn name(&self) -> String {
        match &self.of {
            Some(of) => format!("{of}@{}", self.entry.name),
            None => self.entry.name.clone(),
        }
    }
}

impl Engine {
    /// Everything in a pool.
    fn inside(&self, pool: &str, index: PoolIndex) -> Result<Vec<Inside>, DiskProblem> {
        let pool = pool.to_owned();
        let seen = self.lane.ask(move |lane| {
            let Some(directory) = lane.lane.directory(index) else { return Vec::new() };
            let name =
                |number: VolumeNumber| directory.entry(number).ok().map(|entry| entry.name.clone());
            let said = |number: VolumeNumber| {
                let entry = directory.entry(number).ok()?;
                Some(match entry.kind {
                    Kind::Snapshot { of, .. } => format!("{}@{}", name(of)?, entry.name),
                    Kind::Volume { .. } => entry.name.clone(),
                })
            };
            let each = |entry: &Entry| {
                let (of, clone_of) = match &entry.kind {
                    Kind::Snapshot { of, .. } => (name(*of), None),
                    Kind::Volume { clone_of, .. } => (None, clone_of.and_then(said)),
                };
                let owner = match &entry.kind {
                    Kind::Snapshot { of, .. } => {
                        directory.entry(*of).map(Entry::origin).unwrap_or_default()
                    }
                    Kind::Volume { origin, .. } => *origin,
                };
                let encrypted =
                    directory.origins.get(&owner).is_some_and(|origin| origin.key.is_some());
                let mapped = lane.lane.mapped(index, entry.number);
                let entry = Entry { indexes: Vec::new(), mapped, ..entry.clone() };
                Inside { pool: pool.clone(), index, entry, of, encrypted, clone_of }
            };
            directory.entries.values().filter(|entry| entry.leaving.is_none()).map(each).collect()
        });
        seen.map_err(gone)
    }

    /// Finds a volume or snapshot by its name.
    pub(super) fn find(&self, table: &Table, name: &str) -> Result<Found, DiskProblem> {
        if let Some(spec) = table.book.volume(name) {
            return Ok(Found::Outside(spec.clone()));
        }
        for (pool, open) in &table.pools {
            if let Some(found) =
                self.inside(pool, open.index)?.into_iter().find(|inside| inside.name() == name)
            {
                return Ok(Found::Inside(found));
            }
        }
        Err(unknown_volume(name))
    }

    /// A volume or snapshot of a pool; others are refused.
    fn find_inside(&self, table: &Table, name: &str) -> Result<Inside, DiskProblem> {
        match self.find(table, name)? {
            Found::Inside(inside) => Ok(inside),
            Found::Outside(_) => Err(problem(
                "not_in_a_pool",
                format!("`{name}` is not in a pool"),
                "only volumes of pools have snapshots, clones, growth and scrubs",
            )),
        }
    }

    pub(super) fn open_inside(&self, table: &Table, name: &str) -> Result<Open, DiskProblem> {
        let inside = self.find_inside(table, name)?;
        let (index, number) = (inside.index, inside.entry.number);
        self.in_lane(inside.entry.limits, move |lane, node| {
            let opened = lane.lane.open(index, number, node);
            opened.map(|handle| (handle, None)).map_err(|error| error.to_string())
        })
    }

    /// Has a pool do something, and waits until that is durable.
    fn command(&self, pool: PoolIndex, command: Command) -> Result<Answered, DiskProblem> {
        let (told, done) = channel();
        self.lane.tell(move |lane| lane.command(pool, command, told)).map_err(gone)?;
        let answered = done.recv().map_err(|_| gone(crate::reactor::Gone))?;
        answered.map_err(|error: CommandError| {
            problem(
                error.code(),
                error.to_string(),
                "see `bedplate volume list` and `bedplate pool list`",
            )
        })
    }

    /// Empties a pool's log into its map, at the end: the next start has nothing to replay.
    pub(super) fn checkpoint(&self, pool: PoolIndex) {
        if let Err(problem) = self.command(pool, Command::Checkpoint) {
            tracing::warn!(%problem, "a pool was not closed in good order; the next start replays its log");
        }
    }

    fn change(
        &self,
        pool: PoolIndex,
        change: Change,
        key: Option<VolumeKey>,
    ) -> Result<(), DiskProblem> {
        self.command(pool, Command::Change { change: Box::new(change), key }).map(drop)
    }

    pub(super) fn volume_create(&self, spec: VolumeSpec) -> Result<Volume, DiskProblem> {
        check_name(&spec.name)?;
        check_limits(&spec.limits)?;
        if spec.image.is_some() {
            let next =
                "leave the image out, serve the volume by NBD, and copy it in: qemu-img convert -n";
            return Err(problem("image_not_here", "the service itself opens no images", next));
        }
        let mut table = self.table();
        if self.find(&table, &spec.name).is_ok() {
            return Err(name_taken("volume", &spec.name));
        }
        let name = spec.name.clone();
        if is_outside(&spec.backing) {
            self.create_outside(&mut table, spec)?;
        } else {
            self.create_inside(&table, spec)?;
        }
        self.show(&table, &name)
    }

    fn create_outside(&self, table: &mut Table, spec: VolumeSpec) -> Result<(), DiskProblem> {
        if spec.encrypt {
            let next = "make a volume in a pool, or leave --encrypt out";
            return Err(problem("not_in_a_pool", "only volumes of pools are encrypted", next));
        }
        if spec.backing == Backing::Null
            && spec.size.is_none_or(|size| size.0 == 0 || size.0 % 512 != 0)
        {
            return Err(problem(
                "size_needed",
                "a null volume needs a size in sectors of 512 bytes",
                "say --size 1G",
            ));
        }
        if let Backing::Raw { path } = &spec.backing {
            drop(super::outside::open_medium(std::path::Path::new(path))?);
        }
        table.book.volumes.push(spec);
        self.keep_book(&table.book).map_err(|error| system("the book cannot be written", &error))
    }

    fn create_inside(&self, table: &Table, spec: VolumeSpec) -> Result<(), DiskProblem> {
        let Backing::Pool { name } = &spec.backing else { return Ok(()) };
        let pool = match (name, table.pools.len()) {
            (Some(name), _) => table.pools.get(name).ok_or_else(|| unknown_pool(name))?,
            (None, 1) => table.pools.values().next().expect("there is one"),
            (None, 0) => {
                return Err(problem(
                    "no_pool",
                    "there is no pool",
                    "make one: bedplate pool create NAME --file PATH --size 20G",
                ));
            }
            (None, _) => {
                return Err(problem(
                    "pool_needed",
                    "there are several pools",
                    "say which: --pool NAME",
                ));
            }
        };
        let size = spec
            .size
            .ok_or_else(|| problem("size_needed", "a volume needs a size", "say --size 20G"))?;
        let id = new_id()?;
        let (sealed, key) = self.new_key(spec.encrypt, id)?;
        let change = Change::Create {
            id,
            name: spec.name,
            blocks: blocks(size)?,
            limits: spec.limits,
            key: sealed,
            now: now(),
            labels: Default::default(),
        };
        self.change(pool.index, change, key)
    }

    pub(super) fn volume_snapshot(&self, volume: &str, name: &str) -> Result<Volume, DiskProblem> {
        check_name(name)?;
        let table = self.table();
        let inside = self.find_inside(&table, volume)?;
        let change = Change::Snapshot {
            of: inside.entry.number,
            id: new_id()?,
            name: name.to_owned(),
            now: now(),
        };
        self.change(inside.index, change, None)?;
        self.show(&table, &format!("{volume}@{name}"))
    }

    pub(super) fn volume_clone(
        &self,
        snapshot: &str,
        name: &str,
        limits: Limits,
    ) -> Result<Volume, DiskProblem> {
        check_name(name)?;
        check_limits(&limits)?;
        let table = self.table();
        if self.find(&table, name).is_ok() {
            return Err(name_taken("volume", name));
        }
        let inside = self.find_inside(&table, snapshot)?;
        let id = new_id()?;
        let (sealed, key) = self.new_key(inside.encrypted, id)?;
        let change = Change::Clone {
            of: inside.entry.number,
            id,
            name: name.to_owned(),
            limits,
            key: sealed,
            now: now(),
        };
        self.change(inside.index, change, key)?;
        self.show(&table, name)
    }

    pub(super) fn volume_grow(
        self: &std::sync::Arc<Self>,
        name: &str,
        size: Bytes,
    ) -> Result<Volume, DiskProblem> {
        let mut table = self.table();
        let inside = self.find_inside(&table, name)?;
        self.change(
            inside.index,
            Change::Grow { volume: inside.entry.number, blocks: blocks(size)? },
            None,
        )?;
        if let Some(open) = table.open.get_mut(name) {
            open.capabilities.bytes = size.0;
        }
        if let Some(guests) = table.guests.get(name) {
            guests.resized(size.0);
        }
        if let Some(clients) = table.clients.get_mut(name) {
            clients
                .resized(self, size.0)
                .map_err(|error| system("NBD clients do not see the new size", &error))?;
        }
        self.show(&table, name)
    }

    pub(super) fn volume_limit(&self, name: &str, limits: Limits) -> Result<Volume, DiskProblem> {
        check_limits(&limits)?;
        let mut table = self.table();
        match self.find(&table, name)? {
            Found::Inside(inside) => {
                self.change(
                    inside.index,
                    Change::Limit { volume: inside.entry.number, limits },
                    None,
                )?;
            }
            Found::Outside(_) => {
                let spec = table.book.volumes.iter_mut().find(|spec| spec.name == name);
                spec.expect("just found").limits = limits;
                self.keep_book(&table.book)
                    .map_err(|error| system("the book cannot be written", &error))?;
                if let Some(node) = table.open.get(name).map(|open| open.node) {
                    let set = self.lane.ask(move |lane| {
                        lane.lane.gate().set(node, limits, Nanos(monotonic_nanos()))
                    });
                    set.map_err(gone)?;
                }
            }
        }
        self.show(&table, name)
    }

    pub(super) fn volume_delete(&self, name: &str) -> Result<(), DiskProblem> {
        let mut table = self.table();
        if table.open.contains_key(name) {
            let next = format!(
                "stop that first: bedplate volume detach {name}, bedplate volume unserve {name}"
            );
            return Err(problem("volume_open", format!("`{name}` is being served"), next));
        }
        match self.find(&table, name)? {
            Found::Inside(inside) => {
                self.change(inside.index, Change::Remove { number: inside.entry.number }, None)
            }
            Found::Outside(_) => {
                table.book.volumes.retain(|spec| spec.name != name);
                self.keep_book(&table.book)
                    .map_err(|error| system("the book cannot be written", &error))
            }
        }
    }

    pub(super) fn scrub(&self, name: &str) -> Result<ScrubFound, DiskProblem> {
        // The table is not held: a scrub takes long.
        let inside = self.find_inside(&self.table(), name)?;
        match self.command(inside.index, Command::Scrub { number: inside.entry.number })? {
            Answered::Scrubbed(report) => Ok(ScrubFound {
                blocks: report.blocks,
                damaged: report.corrupt,
                unread: report.unread,
            }),
            Answered::Changed(_) | Answered::Checkpointed => {
                Ok(ScrubFound { blocks: 0, damaged: 0, unread: 0 })
            }
        }
    }

    /// A key for a volume, sealed and open, when it is to be encrypted.
    fn new_key(
        &self,
        encrypt: bool,
        id: uuid::Uuid,
    ) -> Result<(Option<Sealed>, Option<VolumeKey>), DiskProblem> {
        if !encrypt {
            return Ok((None, None));
        }
        let made = self.keys.make(Owner { volume: id, epoch: FIRST_KEY });
        let (sealed, key) = made.map_err(|error| system("no key can be made", &error))?;
        Ok((Some(sealed), Some(key)))
    }

    pub(super) fn volume_list(&self, table: &Table) -> Result<Vec<Volume>, DiskProblem> {
        let mut all = Vec::new();
        for spec in &table.book.volumes {
            all.push(self.told_outside(table, spec));
        }
        for (pool, open) in &table.pools {
            all.extend(
                self.inside(pool, open.index)?.iter().map(|inside| self.told_inside(table, inside)),
            );
        }
        Ok(all)
    }

    /// A volume with what was measured of it.
    pub(super) fn show(&self, table: &Table, name: &str) -> Result<Volume, DiskProblem> {
        let mut volume = match self.find(table, name)? {
            Found::Outside(spec) => self.told_outside(table, &spec),
            Found::Inside(inside) => self.told_inside(table, &inside),
        };
        if let Some(open) = table.open.get(name) {
            volume.latency = self.latency(open.handle)?;
        }
        Ok(volume)
    }

    fn told_outside(&self, table: &Table, spec: &VolumeSpec) -> Volume {
        let open = table.open.get(&spec.name);
        let bytes =
            open.map(|open| Bytes(open.capabilities.bytes)).or(spec.size).unwrap_or_default();
        Volume {
            name: spec.name.clone(),
            backing: spec.backing.clone(),
            size: bytes,
            used: Bytes(0),
            limits: spec.limits,
            encrypted: false,
            clone_of: None,
            created: None,
            attachments: self.attachments(table, &spec.name),
            latency: Vec::new(),
        }
    }

    fn told_inside(&self, table: &Table, inside: &Inside) -> Volume {
        let name = inside.name();
        Volume {
            backing: Backing::Pool { name: Some(inside.pool.clone()) },
            size: Bytes(u64::from(inside.entry.blocks) * BLOCK as u64),
            used: Bytes(u64::from(inside.entry.mapped) * BLOCK as u64),
            limits: inside.entry.limits,
            encrypted: inside.encrypted,
            clone_of: inside.clone_of.clone(),
            created: Some(Timestamp::from_micros(inside.entry.created)),
            attachments: self.attachments(table, &name),
            latency: Vec::new(),
            name,
        }
    }
}

fn check_limits(limits: &Limits) -> Result<(), DiskProblem> {
    limits.check().map_err(|error| {
        problem("limits_not_allowed", error.to_string(), "see `bedplate volume create --help`")
    })
}

fn blocks(size: Bytes) -> Result<u32, DiskProblem> {
    let blocks = u32::try_from(size.0.div_ceil(BLOCK as u64)).ok().filter(|blocks| *blocks > 0);
    blocks.ok_or_else(|| {
        problem(
            "size_not_allowed",
            format!("a volume cannot have {size}"),
            "up to 16 TiB, and not nothing",
        )
    })
}

fn new_id() -> Result<uuid::Uuid, DiskProblem> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| system("no random numbers", &error.into()))?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}

fn now() -> i64 {
    SystemClock::default().now().micros()
}
