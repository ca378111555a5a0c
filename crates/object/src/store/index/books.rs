//! What the writer keeps in memory beside the index: small, and needed for every
//! change. A change notes what it does to them in a [`Delta`], which counts only when
//! the change is made.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use redb::{Durability, ReadableDatabase, ReadableTable, WriteTransaction};

use serde::{Deserialize, Serialize};

use super::kept::{BucketKept, Piece, decode, encode};
use super::tables::{BUCKETS, LIVE, META, OWNERS, USAGE};
use crate::bucket::Bucket;
use crate::name::{BucketId, BucketName, Owner};
use crate::query::Usage;
use crate::quota::Projects;
use crate::store::StoreError;

/// Buckets by name.
pub type Buckets = BTreeMap<BucketName, Arc<Bucket>>;

/// The writer's books.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// Bytes of each segment that count.
    pub live: BTreeMap<u32, u64>,
    /// Buckets by name.
    pub buckets: Arc<Buckets>,
    /// Their names by number.
    pub names: HashMap<BucketId, BucketName>,
    /// Owners; their numbers begin with 1.
    pub owners: Arc<Vec<Owner>>,
    /// Their numbers.
    pub owner_numbers: HashMap<Owner, u32>,
    /// The sequence that comes next.
    pub next_sequence: u64,
    /// The bucket number that comes next.
    pub next_bucket: u32,
    /// What buckets hold that hold something.
    pub held_by_bucket: HashMap<BucketId, Usage>,
    /// What all buckets of an owner hold together.
    pub held_by_owner: HashMap<Owner, Usage>,
    /// Who shares a quota.
    pub projects: Arc<Projects>,
}

/// Something held, after a part of it was one thing and is another.
pub fn shifted(held: Usage, before: Usage, now: Usage) -> Usage {
    let shift = |held: u64, before: u64, now: u64| held.saturating_sub(before) + now;
    Usage {
        versions: shift(held.versions, before.versions, now.versions),
        bytes: shift(held.bytes, before.bytes, now.bytes),
        uploads: shift(held.uploads, before.uploads, now.uploads),
    }
}

/// What a change does to the books, and to others' caches.
#[derive(Debug, Default)]
pub struct Delta {
    /// Bytes of segments that count more or less.
    pub live: HashMap<u32, i64>,
    /// Buckets that are new, changed or gone.
    pub buckets: BTreeMap<BucketName, Option<Arc<Bucket>>>,
    /// New owners.
    pub owners: Vec<Owner>,
    /// What buckets hold now, where that changed.
    pub usage: BTreeMap<BucketId, Usage>,
    /// Pieces that count no more.
    pub freed: Vec<Piece>,
    /// Keys that changed.
    pub touched: Vec<(BucketId, Box<str>)>,
}

/// What an index says of itself.
#[derive(Serialize, Deserialize)]
struct Written {
    format: u16,
    next_sequence: u64,
    next_bucket: u32,
    mark: Mark,
}

/// The format of the index; another one is built anew.
const FORMAT: u16 = 1;

/// Up to where the index knows the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The log segment.
    pub segment: u32,
    /// The first byte that the index does not know.
    pub offset: u64,
    /// The batch that begins there.
    pub batch: u64,
}

impl Books {
    /// Takes what a change did. Returns the segments in which something counts more or
    /// less.
    pub fn take(&mut self, delta: &mut Delta) -> Vec<u32> {
        let changed = delta.live.keys().copied().collect();
        self.take_usage(delta);
        for (segment, change) in delta.live.drain() {
            let live = self.live.entry(segment).or_default();
            *live = live.checked_add_signed(change).expect("no more goes than was there");
            if *live == 0 {
                self.live.remove(&segment);
            }
        }
        for owner in delta.owners.drain(..) {
            let owners = Arc::make_mut(&mut self.owners);
            owners.push(owner.clone());
            self.owner_numbers.insert(owner, owners.len() as u32);
        }
        for (name, bucket) in &delta.buckets {
            let buckets = Arc::make_mut(&mut self.buckets);
            let old = match bucket {
                Some(bucket) => {
                    self.names.insert(bucket.id, name.clone());
                    buckets.insert(name.clone(), Arc::clone(bucket))
                }
                None => buckets.remove(name),
            };
            if let (Some(old), None) = (old, bucket) {
                self.names.remove(&old.id);
            }
        }
        changed
    }

    /// Before the buckets are taken: one that goes has its owner still.
    fn take_usage(&mut self, delta: &Delta) {
        let new: HashMap<BucketId, &Owner> =
            delta.buckets.values().flatten().map(|bucket| (bucket.id, &bucket.owner)).collect();
        for (bucket, now) in &delta.usage {
            let owner = new.get(bucket).copied().or_else(|| self.owner(*bucket)).cloned();
            let before = match *now == Usage::default() {
                true => self.held_by_bucket.remove(bucket),
                false => self.held_by_bucket.insert(*bucket, *now),
            };
            if let Some(owner) = owner {
                let held = self.held_by_owner.entry(owner).or_default();
                *held = shifted(*held, before.unwrap_or_default(), *now);
            }
        }
    }

    /// Whose a bucket is.
    pub fn owner(&self, bucket: BucketId) -> Option<&Owner> {
        Some(&self.buckets.get(self.names.get(&bucket)?)?.owner)
    }

    /// What a bucket holds.
    pub fn usage(&self, bucket: BucketId) -> Usage {
        self.held_by_bucket.get(&bucket).copied().unwrap_or_default()
    }

    /// What the buckets of these owners hold together.
    pub fn held(&self, owners: &[Owner]) -> Usage {
        let held = owners.iter().filter_map(|owner| self.held_by_owner.get(owner));
        held.fold(Usage::default(), |sum, held| shifted(sum, Usage::default(), *held))
    }

    /// Reads the books from an index; `None` when it is new, or of another format.
    pub fn load(database: &redb::Database) -> Result<Option<(Self, Mark)>, StoreError> {
        let txn = database.begin_read()?;
        let meta = match txn.open_table(META) {
            Ok(meta) => meta,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Some(written) = meta.get(0)? else { return Ok(None) };
        let written: Written = decode(written.value())?;
        if written.format != FORMAT {
            return Ok(None);
        }
        let (next_sequence, next_bucket) = (written.next_sequence, written.next_bucket);
        let mut books = Self { next_sequence, next_bucket, ..Self::default() };
        for live in txn.open_table(LIVE)?.iter()? {
            let (segment, bytes) = live?;
            books.live.insert(segment.value(), bytes.value());
        }
        let mut delta = Delta::default();
        for owner in txn.open_table(OWNERS)?.iter()? {
            delta.owners.push(Owner(owner?.1.value().into()));
        }
        for bucket in txn.open_table(BUCKETS)?.iter()? {
            let kept: BucketKept = decode(bucket?.1.value())?;
            delta.buckets.insert(kept.bucket.name.clone(), Some(Arc::new(kept.bucket)));
        }
        for usage in txn.open_table(USAGE)?.iter()? {
            let (bucket, counts) = usage?;
            let (versions, bytes, uploads) = counts.value();
            delta.usage.insert(BucketId(bucket.value()), Usage { versions, bytes, uploads });
        }
        books.take(&mut delta);
        Ok(Some((books, written.mark)))
    }

    /// Writes into a change of the index up to where it knows the log, and what counts
    /// in these segments: so that each commit says by itself what is to be replayed.
    pub fn note(
        &self,
        txn: &WriteTransaction,
        mark: Mark,
        changed: &[u32],
    ) -> Result<(), StoreError> {
        let (next_sequence, next_bucket) = (self.next_sequence, self.next_bucket);
        let written = Written { format: FORMAT, next_sequence, next_bucket, mark };
        txn.open_table(META)?.insert(0, encode(&written).as_slice())?;
        let mut live = txn.open_table(LIVE)?;
        for segment in changed {
            match self.live.get(segment) {
                Some(bytes) => drop(live.insert(segment, bytes)?),
                None => drop(live.remove(segment)?),
            }
        }
        Ok(())
    }
}

/// Says how a transaction is committed.
pub fn set_durability(txn: &mut WriteTransaction, durability: Durability) {
    txn.set_durability(durability).expect("the transaction has changed no savepoints");
}
