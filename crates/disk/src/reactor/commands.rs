//! Commands to the lane, and who waits for them.

use std::sync::mpsc::Sender;

use volume::lane::command::{Answered, Command, CommandError};
use volume::lane::{Event, PoolIndex};
use volume::{Nanos, Tag};
use world::clock::monotonic_nanos;

use super::{Reactor, mark};

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
            if let Event::Corrupt { pool, .. } | Event::CorruptPage { pool, .. } = &event {
                let at = usize::from(pool.0);
                if self.damaged.len() <= at {
                    self.damaged.resize(at + 1, 0);
                }
                self.damaged[at] += 1;
            }
            tracing::error!(?event, "a pool has trouble");
        }
        if lost > 0 {
            tracing::error!(lost, "a pool has more trouble than is told");
        }
    }

    /// Blocks of a pool that were found damaged.
    pub fn damaged(&self, pool: PoolIndex) -> u64 {
        self.damaged.get(usize::from(pool.0)).copied().unwrap_or(0)
    }

    /// Ends the lane's thread after this turn.
    pub fn end(&mut self) {
        self.over = true;
    }
}
