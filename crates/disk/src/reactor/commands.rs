//! Commands to the lane, and who waits for them.

use std::sync::mpsc::Sender;

use volume::directory::Kind;
use volume::lane::command::{Answered, Command, CommandError};
use volume::lane::{Event, PoolIndex};
use volume::{Nanos, Tag, VolumeNumber};
use world::clock::monotonic_nanos;

use super::{Reactor, mark};

/// What is known of a pool beside what its lane knows.
#[derive(Debug, Default)]
pub(super) struct KnownPool {
    name: String,
    /// Blocks that were found damaged.
    damaged: u64,
}

impl Reactor {
    /// Gives the lane a command. `done` hears when it is carried out and durable.
    pub fn command(
        &mut self,
        pool: PoolIndex,
        command: Command,
        done: Sender<Result<Answered, CommandError>>,
    ) {
        self.next_command += 1;
        let number = self.next_command;
        self.commands.insert(number, done);
        let tag = Tag(mark::COMMAND | number);
        let now = Nanos(monotonic_nanos());
        self.drive(|lane, driver| lane.command(pool, tag, command, now, driver));
        self.pass_on();
    }

    pub(super) fn answered(&mut self, tag: Tag, answer: Result<Answered, CommandError>) {
        assert!(tag.0 & mark::MASK == mark::COMMAND, "a command's answer has a command's tag");
        // Nobody hears what was asked of a predecessor.
        if let Some(done) = self.commands.remove(&(tag.0 & !mark::MASK)) {
            let _ = done.send(answer);
        }
    }

    /// Tells what the lane noticed.
    pub(super) fn hear_events(&mut self) {
        let (events, lost) = self.lane.take_events();
        for event in events {
            self.hear_event(&event);
        }
        if lost > 0 {
            tracing::error!(lost, "a pool has more trouble than is told");
        }
    }

    fn hear_event(&mut self, event: &Event) {
        match *event {
            Event::Corrupt { pool, volume, lba, place } => {
                let volume = self.name_of(pool, volume);
                let known = self.known(pool);
                known.damaged += 1;
                let (pool, block, place) = (&known.name, lba.0, place.0);
                tracing::error!(
                    pool,
                    volume,
                    block,
                    place,
                    "a block is not what was written there; it is not given out"
                );
            }
            Event::CorruptPage { pool, place } => {
                let known = self.known(pool);
                known.damaged += 1;
                let (pool, place) = (&known.name, place.0);
                tracing::error!(
                    pool,
                    place,
                    "what the map says of this place is not so: a page of it is not what was \
                     written there, or it names a place that is not in use"
                );
            }
            Event::ReadFailed { pool, .. }
            | Event::WriteFailed { pool, .. }
            | Event::Frozen { pool, .. }
            | Event::CheckpointFailed { pool } => {
                let pool = &self.known(pool).name;
                tracing::error!(pool, ?event, "a pool has trouble");
            }
        }
    }

    /// The name of a volume or snapshot; of one that is gone, its number.
    fn name_of(&self, pool: PoolIndex, number: VolumeNumber) -> String {
        let entry = |number| self.lane.directory(pool)?.entries.get(&number);
        match entry(number).map(|entry| (&entry.kind, &entry.name)) {
            Some((Kind::Volume { .. }, name)) => name.clone(),
            Some((Kind::Snapshot { of, .. }, name)) => {
                let of = entry(*of).map_or("", |of| &of.name);
                format!("{of}@{name}")
            }
            None => format!("number {}", number.0),
        }
    }

    fn known(&mut self, pool: PoolIndex) -> &mut KnownPool {
        let at = usize::from(pool.0);
        if self.pools.len() <= at {
            self.pools.resize_with(at + 1, KnownPool::default);
        }
        &mut self.pools[at]
    }

    /// What people call a pool.
    pub fn name_pool(&mut self, pool: PoolIndex, name: &str) {
        name.clone_into(&mut self.known(pool).name);
    }

    /// Blocks of a pool that were found damaged.
    pub fn damaged(&self, pool: PoolIndex) -> u64 {
        self.pools.get(usize::from(pool.0)).map_or(0, |pool| pool.damaged)
    }

    /// Ends the lane's thread after this turn.
    pub fn end(&mut self) {
        self.over = true;
    }
}
