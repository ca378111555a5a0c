//! Changes of the directory: checked, put into the log, applied.

use super::tree::Tree;
use super::{STEP_ROOM, State};
use crate::directory::{Change, ChangeError, Entry, Kind, MOST_ENTRIES, OriginEntry};
use crate::format::record::Record;
use crate::log::Log;
use crate::seal::keys::WrappedKey;
use crate::units::{Epoch, Origin, Sequence, VolumeNumber};

/// What a change made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The volume or snapshot that it made or changed.
    pub number: VolumeNumber,
    /// The owner that it made, when it made one: its key belongs on the ring.
    pub origin: Option<Origin>,
    /// Its record. People hear of the change when that is durable.
    pub by: Sequence,
}

impl State {
    /// Changes the directory, if that may be. A snapshot is refused as busy while blocks
    /// of the volume are given out and not mapped: hold its writes back and ask again.
    pub fn change(&mut self, change: &Change, log: &mut Log) -> Result<Answer, ChangeError> {
        self.allowed(change)?;
        let bytes = serde_json::to_vec(change).expect("a change is plain data");
        if log.room() < bytes.len() + STEP_ROOM {
            return Err(ChangeError::LogFull);
        }
        let by = log.append(&Record::Change(bytes));
        let (number, origin) = self.applied(change, by);
        Ok(Answer { number, origin, by })
    }

    fn allowed(&self, change: &Change) -> Result<(), ChangeError> {
        let directory = &self.directory;
        if matches!(change, Change::Create { .. } | Change::Snapshot { .. } | Change::Clone { .. })
            && directory.entries.len() >= MOST_ENTRIES
        {
            return Err(ChangeError::TooMany);
        }
        match change {
            Change::Create { name, blocks, .. } => {
                self.name_is_free(name)?;
                size(0, *blocks)
            }
            Change::Snapshot { of, name, .. } => {
                let volume = self.volume(*of)?;
                if directory.snapshot(volume.number, name).is_some() {
                    return Err(ChangeError::NameTaken(name.clone()));
                }
                self.is_quiet(*of)
            }
            Change::Clone { of, name, .. } => {
                self.name_is_free(name)?;
                let snapshot = self.present(*of)?;
                if snapshot.is_volume() {
                    return Err(ChangeError::NotASnapshot(snapshot.name.clone()));
                }
                Ok(())
            }
            Change::Grow { volume, blocks } => size(self.volume(*volume)?.blocks, *blocks),
            Change::Limit { volume, .. } | Change::Rekey { volume, .. } => {
                self.volume(*volume).map(|_| ())
            }
            Change::Remove { number } => {
                self.not_needed(self.present(*number)?)?;
                self.is_quiet(*number)
            }
            Change::Leaving { number, .. } | Change::Gone { number } => self.known(*number),
            Change::Forget { .. } => Ok(()),
        }
    }
    fn present(&self, number: VolumeNumber) -> Result<&Entry, ChangeError> {
        let entry = self.directory.entry(number)?;
        if entry.leaving.is_some() {
            Err(ChangeError::Leaving(entry.name.clone()))
        } else {
            Ok(entry)
        }
    }
    fn volume(&self, number: VolumeNumber) -> Result<&Entry, ChangeError> {
        let entry = self.present(number)?;
        if entry.is_volume() { Ok(entry) } else { Err(ChangeError::NotAVolume(entry.name.clone())) }
    }
    fn is_quiet(&self, volume: VolumeNumber) -> Result<(), ChangeError> {
        let busy = self.tree(volume).is_some_and(|tree| tree.unmapped > 0);
        if busy { Err(ChangeError::Busy) } else { Ok(()) }
    }
    fn name_is_free(&self, name: &str) -> Result<(), ChangeError> {
        match self.directory.volume(name) {
            Some(_) => Err(ChangeError::NameTaken(name.to_owned())),
            None => Ok(()),
        }
    }
    fn not_needed(&self, entry: &Entry) -> Result<(), ChangeError> {
        let by = match entry.kind {
            Kind::Volume { .. } => {
                self.directory.snapshots(entry.number).find(|one| one.leaving.is_none())
            }
            // A clone that goes away is not read any more, and gives back what is its own.
            Kind::Snapshot { .. } => {
                self.directory.clones(entry.number).find(|one| one.leaving.is_none())
            }
        };
        match by {
            Some(by) => Err(ChangeError::InUse { name: entry.name.clone(), by: by.name.clone() }),
            None => Ok(()),
        }
    }

    /// What a `Change` record does, live and in replay.
    pub(super) fn applied(
        &mut self,
        change: &Change,
        by: Sequence,
    ) -> (VolumeNumber, Option<Origin>) {
        self.directory_is_news = true;
        match change.clone() {
            Change::Create { id, name, blocks, limits, key, now, labels } => {
                let (number, origin) = self.numbers(key);
                let kind = Kind::Volume { origin, base: Epoch(0), clone_of: None };
                let indexes = Vec::new();
                self.enter(Entry {
                    number,
                    id,
                    name,
                    kind,
                    blocks,
                    mapped: 0,
                    indexes,
                    created: now,
                    limits,
                    leaving: None,
                    labels,
                });
                (number, Some(origin))
            }
            Change::Snapshot { of, id, name, now } => (self.take_snapshot(of, id, name, now), None),
            Change::Clone { of, id, name, limits, key, now } => {
                let (number, origin) = self.numbers(key);
                self.settled_directory();
                let from = self.directory.entries.get(&of).expect("it was checked").clone();
                let Kind::Snapshot { epoch, .. } = from.kind else {
                    unreachable!("it was checked")
                };
                let kind = Kind::Volume { origin, base: epoch, clone_of: Some(of) };
                self.enter(Entry {
                    number,
                    id,
                    name,
                    kind,
                    created: now,
                    limits,
                    leaving: None,
                    ..from
                });
                (number, Some(origin))
            }
            Change::Grow { volume, blocks } => {
                self.directory.entries.get_mut(&volume).expect("it was checked").blocks = blocks;
                self.tree_mut(volume).expect("it was checked").grow(blocks);
                (volume, None)
            }
            Change::Limit { volume, limits } => {
                self.directory.entries.get_mut(&volume).expect("it was checked").limits = limits;
                (volume, None)
            }
            Change::Rekey { volume, key } => (volume, Some(self.new_key(volume, key))),
            Change::Remove { number } => (self.begin_to_leave(number, by), None),
            Change::Leaving { number, leaf } => (self.leave_up_to(number, leaf), None),
            Change::Gone { number } => (self.gone(number, by), None),
            Change::Forget { origin } => {
                let volume = self.directory.origins.remove(&origin).map(|entry| entry.volume);
                (volume.unwrap_or_default(), None)
            }
        }
    }

    fn numbers(&mut self, key: Option<WrappedKey>) -> (VolumeNumber, Origin) {
        let number = VolumeNumber(self.directory.next_number);
        self.directory.next_number += 1;
        (number, self.new_origin(number, 1, key))
    }
    fn new_origin(
        &mut self,
        volume: VolumeNumber,
        key_epoch: u32,
        key: Option<WrappedKey>,
    ) -> Origin {
        let origin = Origin(self.directory.next_origin);
        self.directory.next_origin += 1;
        self.directory.origins.insert(origin, OriginEntry { volume, key_epoch, key });
        origin
    }
    fn enter(&mut self, entry: Entry) {
        let number = entry.number;
        let mapped = entry.mapped;
        let before = self.directory.entries.insert(number, entry);
        assert!(before.is_none(), "numbers are used once");
        self.plant(number);
        self.tree_mut(number).expect("just planted").mapped = mapped;
    }

    fn take_snapshot(
        &mut self,
        of: VolumeNumber,
        id: uuid::Uuid,
        name: String,
        now: i64,
    ) -> VolumeNumber {
        let epoch = self.directory.epoch;
        self.directory.epoch = Epoch(epoch.0 + 1);
        let number = VolumeNumber(self.directory.next_number);
        self.directory.next_number += 1;
        self.settled_directory();
        let volume = self.directory.entries.get(&of).expect("it was checked").clone();
        let kind = Kind::Snapshot { of, epoch };
        let limits = model::volume::Limits::default();
        self.enter(Entry { number, id, name, kind, created: now, limits, leaving: None, ..volume });
        let tree = self.tree_mut(of).expect("it was checked");
        tree.shared_up_to = epoch;
        tree.passed = None;
        tree.share();
        number
    }

    fn new_key(&mut self, volume: VolumeNumber, key: WrappedKey) -> Origin {
        let last = self.directory.origins.values().filter(|origin| origin.volume == volume);
        let key_epoch = last.map(|origin| origin.key_epoch).max().unwrap_or(0) + 1;
        let new = self.new_origin(volume, key_epoch, Some(key));
        let entry = self.directory.entries.get_mut(&volume).expect("it was checked");
        if let Kind::Volume { origin, .. } = &mut entry.kind {
            *origin = new;
        }
        let tree: &mut Tree = self.tree_mut(volume).expect("it was checked");
        tree.origin = new;
        (tree.data, tree.pages) = (None, None);
        tree.holes.clear();
        new
    }
}

fn size(now: u32, wanted: u32) -> Result<(), ChangeError> {
    let most = State::most_blocks();
    if wanted > now && wanted <= most {
        Ok(())
    } else {
        Err(ChangeError::Size { now, wanted, most })
    }
}
