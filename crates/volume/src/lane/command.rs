//! Commands: what changes a pool's volumes and snapshots. Each is a record of the log,
//! and is answered when that is durable.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::directory::{Change, ChangeError};
use crate::request::Tag;
use crate::seal::keys::{Cipher, VolumeKey};
use crate::state::Answer;
use crate::units::{BLOCK, Nanos, Sequence, VolumeNumber};

use super::Lane;
use super::port::{PoolIndex, Port};
use super::scrub::ScrubReport;

/// What can be asked of a pool.
#[derive(Debug)]
pub enum Command {
    /// A change of the volumes: create, snapshot, clone, grow, limit, rekey, remove.
    Change {
        /// What is to change.
        change: Box<Change>,
        /// The key in it, open: from the change on the volume writes with it.
        key: Option<VolumeKey>,
    },
    /// Everything that a volume or snapshot holds is read and verified.
    Scrub {
        /// Which.
        number: VolumeNumber,
    },
    /// The log is emptied into the map on the medium.
    Checkpoint,
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The change is made.
    Changed(Answer),
    /// This is what was found.
    Scrubbed(ScrubReport),
    /// A checkpoint is committed that holds everything before the command.
    Checkpointed,
}

/// Why a command was not done. Codes are stable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CommandError {
    /// The change may not be.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// There is no such pool.
    #[error("this lane has no such pool")]
    Pool,
    /// The pool takes no changes any more.
    #[error("the pool takes no writes since its medium failed; see why, and open it again")]
    Frozen,
    /// It is open.
    #[error("the volume is being served; stop that first")]
    Open,
    /// One is running.
    #[error("a scrub of this pool is running; wait for it")]
    Scrubbing,
    /// The medium failed.
    #[error("the checkpoint failed; it is tried again later")]
    Failed,
}

impl CommandError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            CommandError::Change(error) => error.code(),
            CommandError::Pool => "pool_unknown",
            CommandError::Frozen => "pool_frozen",
            CommandError::Open => "volume_open",
            CommandError::Scrubbing => "scrub_running",
            CommandError::Failed => "checkpoint_failed",
        }
    }
}

/// A change that is made and not durable yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    #[serde(with = "crate::saved::tag")]
    pub tag: Tag,
    #[serde(with = "crate::saved::answer")]
    pub answer: Answer,
    pub by: Sequence,
}

impl Lane {
    /// Takes a command for a pool. It is answered when it is durable.
    pub fn command<P: Port>(
        &mut self,
        pool: PoolIndex,
        tag: Tag,
        command: Command,
        now: Nanos,
        port: &mut P,
    ) {
        let Some(place) = self.pools.get_mut(usize::from(pool.0)) else {
            return port.answer(tag, Err(CommandError::Pool));
        };
        if place.frozen.is_some() {
            return port.answer(tag, Err(CommandError::Frozen));
        }
        place.commands.push_back((tag, command));
        self.commands(pool, now, port);
        self.drain(now, port);
    }

    /// Carries commands out, in their order, as far as that is possible now.
    pub(super) fn commands<P: Port>(&mut self, index: PoolIndex, now: Nanos, port: &mut P) {
        if !self.pool(index).opened {
            return;
        }
        while let Some((tag, command)) = self.pool(index).commands.pop_front() {
            let done = match command {
                Command::Change { change, key } => self.change(index, tag, change, key, now, port),
                Command::Scrub { number } => self.begin_scrub(index, tag, number, port),
                Command::Checkpoint => {
                    let pool = self.pool(index);
                    pool.pressed = true;
                    pool.checkpoint_tags.push((tag, pool.log.appended()));
                    Ok(())
                }
            };
            if let Err(again) = done {
                self.pool(index).commands.push_front((tag, again));
                return;
            }
        }
    }

    /// Makes a change. It comes back when it must be tried again.
    fn change<P: Port>(
        &mut self,
        index: PoolIndex,
        tag: Tag,
        change: Box<Change>,
        key: Option<VolumeKey>,
        now: Nanos,
        port: &mut P,
    ) -> Result<(), Command> {
        if let Change::Remove { number } = &*change
            && self.handles(index, *number).next().is_some()
        {
            port.answer(tag, Err(CommandError::Open));
            return Ok(());
        }
        let pool = &mut self.pools[usize::from(index.0)];
        let answer = match pool.state.change(&change, &mut pool.log) {
            Ok(answer) => answer,
            Err(ChangeError::Busy) => {
                // Writes are in flight: new ones wait until they are done.
                if let Change::Snapshot { of, .. } = &*change {
                    pool.held = Some(*of);
                }
                return Err(Command::Change { change, key });
            }
            Err(ChangeError::LogFull) => {
                pool.pressed = true;
                self.commit(index, now, port);
                return Err(Command::Change { change, key });
            }
            Err(error) => {
                self.release_held(index);
                port.answer(tag, Err(error.into()));
                return Ok(());
            }
        };
        if let Some(origin) = answer.origin {
            pool.keys.insert(origin, key.as_ref().map_or(Cipher::Plain, Cipher::from));
        }
        pool.answers.push(Pending { tag, answer, by: answer.by });
        pool.reaping = true;
        self.release_held(index);
        self.changed(index, &change, now);
        self.commit(index, now, port);
        Ok(())
    }

    fn release_held(&mut self, index: PoolIndex) {
        if self.pool(index).held.take().is_some() {
            self.slab.append(&mut self.woken, &mut self.blocked);
        }
    }

    /// What a change means for volumes that are open.
    fn changed(&mut self, index: PoolIndex, change: &Change, now: Nanos) {
        let (Change::Grow { volume: number, .. } | Change::Limit { volume: number, .. }) = change
        else {
            return;
        };
        let handles: Vec<_> = self.handles(index, *number).collect();
        for handle in handles {
            match change {
                Change::Grow { blocks, .. } => {
                    self.volume(handle).bytes = u64::from(*blocks) * BLOCK as u64
                }
                Change::Limit { limits, .. } => {
                    let node = self.volume(handle).node;
                    self.gate.set(node, *limits, now);
                }
                _ => {}
            }
        }
    }

    /// Answers the commands that are durable.
    pub(super) fn answer_durable<P: Port>(&mut self, index: PoolIndex, port: &mut P) {
        let pool = self.pool(index);
        let durable = pool.log.durable();
        let (done, rest) = std::mem::take(&mut pool.answers)
            .into_iter()
            .partition(|pending| pending.by <= durable);
        pool.answers = rest;
        let done: Vec<Pending> = done;
        for pending in done {
            port.answer(pending.tag, Ok(Answered::Changed(pending.answer)));
        }
    }
}
