//! One moment of the index, for readers: the tables stay open and are shared until the
//! next change is made.

use std::sync::Arc;

use redb::{Database, ReadOnlyTable, ReadableDatabase};

use super::books::{Books, Buckets};
use super::kept::{Kept, PartKept, UploadKept, decode};
use super::keys;
use super::tables::{self, CURRENT, NULLS, PARTS, PIECES, UPLOADS, USAGE, VERSIONS};
use crate::entry::Sequence;
use crate::mutation::{UploadId, Which};
use crate::name::{BucketId, Owner};
use crate::query::Usage;
use crate::store::StoreError;

/// A moment.
pub struct View {
    pub current: ReadOnlyTable<&'static [u8], &'static [u8]>,
    pub versions: ReadOnlyTable<&'static [u8], &'static [u8]>,
    nulls: ReadOnlyTable<&'static [u8], u64>,
    pub uploads: ReadOnlyTable<&'static [u8], &'static [u8]>,
    pub parts: ReadOnlyTable<&'static [u8], &'static [u8]>,
    pub pieces: ReadOnlyTable<(u32, u64), u64>,

    usage: ReadOnlyTable<u32, (u64, u64, u64)>,
    /// Buckets by name.
    pub buckets: Arc<Buckets>,
    owners: Arc<Vec<Owner>>,
}

impl View {
    /// The moment of the last commit.
    pub fn new(database: &Database, books: &Books) -> Result<Self, StoreError> {
        let txn = database.begin_read()?;
        Ok(Self {
            current: txn.open_table(CURRENT)?,
            versions: txn.open_table(VERSIONS)?,
            nulls: txn.open_table(NULLS)?,
            uploads: txn.open_table(UPLOADS)?,
            parts: txn.open_table(PARTS)?,
            pieces: txn.open_table(PIECES)?,

            usage: txn.open_table(USAGE)?,
            buckets: Arc::clone(&books.buckets),
            owners: Arc::clone(&books.owners),
        })
    }

    /// A version.
    pub fn find(
        &self,
        bucket: BucketId,
        key: &str,
        which: Which,
    ) -> Result<Option<Kept>, StoreError> {
        let found = tables::find(&self.current, &self.versions, &self.nulls, (bucket, key, which))?;
        Ok(found.map(|(kept, _)| kept))
    }

    /// An owner by number.
    pub fn owner(&self, number: u32) -> Option<Owner> {
        self.owners.get((number as usize).checked_sub(1)?).cloned()
    }

    /// What a bucket holds.
    pub fn usage(&self, bucket: BucketId) -> Result<Usage, StoreError> {
        let counts = self.usage.get(bucket.0)?.map(|counts| counts.value());
        let (versions, bytes, uploads) = counts.unwrap_or_default();
        Ok(Usage { versions, bytes, uploads })
    }

    /// An upload.
    pub fn upload(
        &self,
        bucket: BucketId,
        key: &str,
        upload: UploadId,
    ) -> Result<Option<UploadKept>, StoreError> {
        let kept = self.uploads.get(keys::upload(bucket, key, upload).as_slice())?;
        kept.map(|kept| decode(kept.value())).transpose()
    }

    /// Parts of an upload after this one, at most so many.
    pub fn parts(
        &self,
        upload: Sequence,
        after: u16,
        limit: usize,
    ) -> Result<Vec<PartKept>, StoreError> {
        let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
        let (first, last) = (keys::part(upload, first), keys::part(upload, u16::MAX));
        let parts = self.parts.range(first.as_slice()..=last.as_slice())?;
        parts.take(limit).map(|part| decode(part?.1.value())).collect()
    }
}
