//! A pool is formatted, and opened again: after a clean end, after the process was
//! killed, after a loss of power.
//!
//! The superblock names a checkpoint; the log is replayed from where that says. When
//! only the process died, everything that it handed to the system counts, and the tail
//! of the log in shared memory goes on where the log on the medium ends. After a loss of
//! power the last groups may be there without the data that they speak of: each write
//! that is not known to be synced is verified, and dropped when its data is not there.

use std::collections::HashMap;

use thiserror::Error;

use crate::directory::Directory as PoolDirectory;
use crate::format::record::Record;
use crate::format::superblock::{Copy, Directory, LogPosition, Superblock, VERSION};
use crate::format::{FormatError, Layout};
use crate::frames::Mapping;
use crate::log::{Faith, Log, Read, ReplayError, TailError, faith, replay};
use crate::memory::Region;
use crate::request::MediumFault;
use crate::seal::crc;
use crate::seal::keys::{Cipher, KeyRing};
use crate::state::{LoadError, State, extents_bytes, frames_bytes};
use crate::units::{BLOCK, Epoch, ExtentIndex, Lba, Origin, Place, Sequence, VolumeNumber};

/// What ended the last life of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Perhaps a loss of power: what was not synced may be missing. The tail of the log
    /// is forgotten.
    Power,
    /// Only the process: what the system had taken is there, and so is the tail. That is
    /// so only while the tail vouches for it: if it was left by a recovery after a loss of
    /// power before that had opened the pool, or by a life whose medium failed to sync,
    /// the pool is opened as after a loss of power. So is one without a tail.
    Process,
}

/// The memory of a pool.
#[derive(Debug)]
pub struct Regions {
    /// The tail of the log. Outlives the process.
    pub tail: Region,
    /// Pages of the map.
    pub frames: Region,
    /// The extent table.
    pub extents: Region,
}

/// How much memory a pool of so many blocks needs. Only what is touched is really used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Bytes for the tail.
    pub tail: usize,
    /// Bytes for the frames, if all of the map is to be in memory. Fewer will do.
    pub frames: usize,
    /// Bytes for the extent table.
    pub extents: usize,
}

/// A pool that can be served.
#[derive(Debug)]
pub struct Recovered {
    /// The metadata.
    pub state: State,
    /// The log.
    pub log: Log,
    /// The keys: those that are sealed are to be opened and put here.
    pub keys: KeyRing,
    /// The superblock that was found.
    pub superblock: Superblock,
    /// Which copy it is.
    pub copy: Copy,
    /// Records that were replayed.
    pub replayed: u64,
    /// Writes that were dropped: they had not been flushed, and their data is not there.
    pub dropped: u64,
    /// What was trusted in the end.
    pub trust: Trust,
}

/// Why a pool cannot be opened.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// The medium failed.
    #[error("the medium could not be read: {0}")]
    Medium(#[from] MediumFault),
    /// There is no good superblock.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The medium is smaller than the pool.
    #[error("the pool has {pool} bytes and the medium only {medium}: some of it is missing")]
    Small {
        /// Bytes of the pool.
        pool: u64,
        /// Bytes of the medium.
        medium: u64,
    },
    /// The directory is damaged.
    #[error("the directory of the pool is damaged")]
    Directory,
    /// The log is damaged.
    #[error(transparent)]
    Log(#[from] ReplayError),
    /// The tail of the log is of no use.
    #[error(transparent)]
    Tail(#[from] TailError),
    /// What they say does not fit together.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// A piece of a new pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Zeros: a hole will do.
    Zeros {
        /// From which byte on.
        at: u64,
        /// How many.
        bytes: u64,
    },
    /// These bytes.
    Bytes {
        /// From which byte on.
        at: u64,
        /// What.
        bytes: Vec<u8>,
    },
}

/// How much memory a pool on a medium of so many bytes needs.
pub fn needs(medium: u64) -> Needs {
    let blocks = blocks_of(medium);
    Needs { tail: 1 << 20, frames: frames_bytes(blocks), extents: extents_bytes(blocks) }
}

fn blocks_of(medium: u64) -> u32 {
    u32::try_from(medium / BLOCK as u64).unwrap_or(u32::MAX)
}

/// What is written to make a pool of a medium of so many bytes, in this order, with a
/// sync before the last piece and one after it: the last one makes it a pool.
///
/// # Errors
/// [`FormatError::TooSmall`].
pub fn format(medium: u64, pool: [u8; 16]) -> Result<Vec<Piece>, FormatError> {
    let blocks = blocks_of(medium);
    let layout = Layout::for_blocks(blocks)?;
    let directory =
        serde_json::to_vec(&PoolDirectory::default()).expect("a directory is plain data");
    let area = layout.directory[0];
    let start = LogPosition { offset: 0, incarnation: 0, sequence: Sequence(1), group: 1 };
    let superblock = Superblock {
        version: VERSION,
        pool,
        blocks,
        layout,
        incarnation: 0,
        generation: 0,
        log_start: start,
        directory: Directory {
            place: area.first,
            bytes: directory.len() as u32,
            crc: crc::crc32c(&directory),
        },
    };
    let mut padded = directory;
    padded.resize(padded.len().next_multiple_of(BLOCK), 0);
    Ok(vec![
        Piece::Zeros { at: 0, bytes: 2 * BLOCK as u64 },
        // A page of the table that was never written must not be taken for an old one.
        Piece::Zeros { at: layout.table.at(), bytes: layout.table.bytes() },
        Piece::Bytes { at: area.at(), bytes: padded },
        Piece::Bytes { at: Copy::First.at(), bytes: superblock.encode().to_vec() },
    ])
}

/// Opens a pool.
///
/// What is kept in memory meanwhile is bounded by the length of the log.
///
/// # Errors
/// [`RecoverError`]. The medium is not written.
pub fn recover(
    medium: u64,
    read: &mut Read<'_>,
    regions: Regions,
    trust: Trust,
) -> Result<Recovered, RecoverError> {
    let (superblock, copy) = superblock(medium, read)?;
    let directory = directory(&superblock, read)?;
    let Regions { tail, frames, extents } = regions;
    let trust = if faith(&tail) == Faith::Whole { trust } else { Trust::Power };
    let replayed = replay(read, &superblock)?;
    let mut state =
        State::load(superblock.layout, superblock.generation, &directory, frames, extents, read)?;
    let mut count = 0;
    let mut suspects = Vec::new();
    for record in replayed.records() {
        let record = record?;
        count += 1;
        if record.suspect && trust == Trust::Power {
            suspects.push((record.sequence, record.record));
        } else {
            state.replay(record.sequence, &record.record, read)?;
        }
    }
    let dropped = replay_suspects(&mut state, suspects, read)?;
    let log = match trust {
        Trust::Power => Log::begin(tail, &superblock, &replayed),
        Trust::Process => {
            let (log, records) = Log::resume(tail, &superblock, &replayed)?;
            for (sequence, record) in &records {
                state.replay(*sequence, record, read)?;
                count += 1;
            }
            log
        }
    };
    state.replayed();
    let mut keys = KeyRing::new();
    for (origin, entry) in &state.directory().origins {
        if entry.key.is_none() {
            keys.insert(*origin, Cipher::Plain);
        }
    }
    Ok(Recovered { state, log, keys, superblock, copy, replayed: count, dropped, trust })
}

fn superblock(medium: u64, read: &mut Read<'_>) -> Result<(Superblock, Copy), RecoverError> {
    let (mut first, mut second) = ([0; BLOCK], [0; BLOCK]);
    // One that cannot be read counts as damaged: that is what the other one is for.
    let one = read(Copy::First.at(), &mut first);
    let two = read(Copy::Second.at(), &mut second);
    if let (Err(fault), Err(_)) = (one, two) {
        return Err(fault.into());
    }
    let (superblock, copy) = Superblock::pick(&first, &second)?;
    let pool = u64::from(superblock.blocks) * BLOCK as u64;
    if pool > medium {
        return Err(RecoverError::Small { pool, medium });
    }
    Ok((superblock, copy))
}

fn directory(superblock: &Superblock, read: &mut Read<'_>) -> Result<Vec<u8>, RecoverError> {
    let Directory { place, bytes, crc } = superblock.directory;
    let length = bytes as usize;
    // The superblock was checked: the directory is inside its area.
    let mut directory = vec![0; length.next_multiple_of(BLOCK)];
    read(place.bytes(), &mut directory)?;
    directory.truncate(length);
    if crc::crc32c(&directory) == crc { Ok(directory) } else { Err(RecoverError::Directory) }
}

/// A record that may speak of data that is not there.
struct Suspect {
    sequence: Sequence,
    record: Record,
    /// Its data is there, or it has none.
    good: bool,
    /// The record that freed its place again.
    freed_by: Option<usize>,
}

/// Replays records that are not known to be synced, without those whose data is missing.
fn replay_suspects(
    state: &mut State,
    records: Vec<(Sequence, Record)>,
    read: &mut Read<'_>,
) -> Result<u64, RecoverError> {
    let mut suspects = verified(state, records, read)?;
    // A place that was freed may have been written again, but only after the record that
    // freed it was durable, with its data. So whoever is followed by a good record counts.
    for index in (0..suspects.len()).rev() {
        let followed = suspects[index].freed_by.is_some_and(|next| suspects[next].good);
        suspects[index].good |= followed;
    }
    let mut dropped = Dropped::default();
    for suspect in suspects {
        let mut record = suspect.record;
        dropped.mend(&mut record);
        if dropped.frees(&record) || (!suspect.good && dropped.takes(state, &record, read)?) {
            continue;
        }
        state.replay(suspect.sequence, &record, read)?;
    }
    Ok(dropped.count)
}

/// Writes that were dropped. Records behind them speak of the pool as if they had not been.
#[derive(Default)]
struct Dropped {
    count: u64,
    /// For the blocks that they wrote: their place, the one that is still there instead,
    /// and whether a snapshot needs that too.
    blocks: HashMap<(VolumeNumber, Lba), (Place, Place, bool)>,
}

impl Dropped {
    /// What a dropped write replaced is still there, and is what this record replaces.
    fn mend(&mut self, record: &mut Record) {
        if let Record::Write { volume, lba, old, kept, .. } = record
            && let Some((gone, still, was_kept)) = self.blocks.remove(&(*volume, *lba))
            && gone == *old
        {
            (*old, *kept) = (still, *kept || was_kept);
        }
    }
    /// Whether this record frees what is still there: the deletion of a snapshot found that
    /// nobody else had it, as the write that is dropped had replaced it.
    fn frees(&mut self, record: &Record) -> bool {
        let Record::Free { place, pages: false } = record else { return false };
        let mut still = self.blocks.values_mut().filter(|(_, still, _)| still == place);
        let Some((.., kept)) = still.next() else { return false };
        *kept = false;
        true
    }
    /// Drops a write whose data is not there, if what it replaced is. If not, the medium has
    /// lost more than it may: then nothing is given in place of it, and whoever reads the
    /// block hears that it is damaged.
    fn takes(
        &mut self,
        state: &mut State,
        record: &Record,
        read: &mut Read<'_>,
    ) -> Result<bool, RecoverError> {
        let Record::Write { volume, lba, place, old, kept, .. } = record else { return Ok(false) };
        let before = state.drop_write(*volume, *lba, *place, read)?;
        let same = before.place == *old;
        if !same || (old.is_some() && !is_there(state, *lba, before, read)) {
            return Ok(false);
        }
        self.blocks.insert((*volume, *lba), (*place, *old, *kept));
        self.count += 1;
        Ok(true)
    }
}

/// Whether what a block holds is on the medium.
fn is_there(state: &State, lba: Lba, mapping: Mapping, read: &mut Read<'_>) -> bool {
    let (origin, birth) = state.seal_of(mapping.place);
    let mut block = [0; BLOCK];
    read(mapping.place.bytes(), &mut block).is_ok()
        && crc::checksum(crc::seed(origin, lba, birth), &block) == mapping.crc
}

fn verified(
    state: &State,
    records: Vec<(Sequence, Record)>,
    read: &mut Read<'_>,
) -> Result<Vec<Suspect>, RecoverError> {
    let mut owners: HashMap<ExtentIndex, (Origin, Epoch)> = HashMap::new();
    let mut last: HashMap<(VolumeNumber, Lba), (usize, Place)> = HashMap::new();
    let mut suspects: Vec<Suspect> = Vec::with_capacity(records.len());
    let mut block = [0; BLOCK];
    for (index, (sequence, record)) in records.into_iter().enumerate() {
        let mut good = true;
        match &record {
            Record::Claim { extent, origin, birth, .. } => {
                owners.insert(*extent, (*origin, *birth));
            }
            Record::Write { volume, lba, place, crc, old, kept } => {
                if place.is_some() && state.layout().extents().contains(&place.extent().0) {
                    let owner = owners.get(&place.extent()).copied();
                    let (origin, birth) = owner.unwrap_or_else(|| state.seal_of(*place));
                    read(place.bytes(), &mut block)?;
                    good = crc::checksum(crc::seed(origin, *lba, birth), &block) == *crc;
                }
                if let Some((before, at)) = last.insert((*volume, *lba), (index, *place))
                    && at == *old
                    && !kept
                {
                    suspects[before].freed_by = Some(index);
                }
            }
            _ => {}
        }
        suspects.push(Suspect { sequence, record, good, freed_by: None });
    }
    Ok(suspects)
}

#[cfg(test)]
mod tests;
