//! One change of the index: records are applied to it, those of new mutations as those
//! of a log that is replayed. Applying a record twice, or again from another place, is
//! harmless: the place that is applied last counts.

use std::sync::Arc;

use redb::ReadableTable;

use super::books::{Books, Delta, shifted};
use super::kept::{BucketKept, Kept, Piece, decode, encode};
use super::keys;
use super::tables::{self, Tables};
use crate::bucket::Bucket;
use crate::entry::{Location, Sequence};
use crate::mutation::Which;
use crate::name::{BucketId, BucketName, Owner};
use crate::query::Usage;
use crate::quota::Project;
use crate::store::StoreError;
use crate::store::record::{Record, VersionRecord};

/// A change that is being put together.
pub struct Turn<'t, 'b> {
    pub tables: Tables<'t>,
    books: &'b Books,
    /// What it does to the books.
    pub delta: Delta,
}

impl<'t, 'b> Turn<'t, 'b> {
    /// Begins.
    pub fn new(tables: Tables<'t>, books: &'b Books) -> Self {
        Self { tables, books, delta: Delta::default() }
    }

    /// Ends: what is left to write is written.
    pub fn finish(mut self) -> Result<Delta, StoreError> {
        for (bucket, usage) in &self.delta.usage {
            let counts = (usage.versions, usage.bytes, usage.uploads);
            match *usage == Usage::default() {
                true => drop(self.tables.usage.remove(bucket.0)?),
                false => drop(self.tables.usage.insert(bucket.0, counts)?),
            }
        }
        Ok(self.delta)
    }

    /// A bucket, as it is within this change.
    pub fn bucket(&self, name: &BucketName) -> Option<Arc<Bucket>> {
        match self.delta.buckets.get(name) {
            Some(changed) => changed.clone(),
            None => self.books.buckets.get(name).cloned(),
        }
    }

    /// What a bucket holds, within this change.
    pub fn usage(&mut self, bucket: BucketId) -> Result<&mut Usage, StoreError> {
        if !self.delta.usage.contains_key(&bucket) {
            let there = self.tables.usage.get(bucket.0)?.map(|counts| counts.value());
            let (versions, bytes, uploads) = there.unwrap_or_default();
            self.delta.usage.insert(bucket, Usage { versions, bytes, uploads });
        }
        Ok(self.delta.usage.get_mut(&bucket).expect("it was put there"))
    }

    /// The project whose quota an owner uses.
    pub fn project(&self, owner: &Owner) -> Option<Arc<Project>> {
        self.books.projects.of(owner)
    }

    /// What a project's members hold, within this change.
    pub fn held(&self, project: &Project) -> Usage {
        let mut held = self.books.held(&project.members);
        for (bucket, now) in &self.delta.usage {
            let new = || self.delta.buckets.values().flatten().find(|new| new.id == *bucket);
            let owner = self.books.owner(*bucket).or_else(|| new().map(|new| &new.owner));
            if owner.is_some_and(|owner| project.members.contains(owner)) {
                held = shifted(held, self.books.usage(*bucket), *now);
            }
        }
        held
    }

    /// A version, and whether it is its key's newest.
    pub fn find(
        &self,
        bucket: BucketId,
        key: &str,
        which: Which,
    ) -> Result<Option<(Kept, bool)>, StoreError> {
        let Tables { current, versions, nulls, .. } = &self.tables;
        tables::find(current, versions, nulls, (bucket, key, which))
    }

    /// Applies a record that lies there.
    pub fn apply(
        &mut self,
        record: &Record,
        sequence: Sequence,
        at: Location,
    ) -> Result<(), StoreError> {
        match record {
            Record::Bucket(bucket) => self.put_bucket(bucket, at),
            Record::BucketGone(bucket) => self.remove_bucket(*bucket),
            Record::Version(version) => self.put_version(version, at),
            Record::Removed { bucket, key, sequence } => {
                self.remove_version(*bucket, key.as_str(), *sequence)
            }
            Record::Upload(upload) => self.put_upload(upload, sequence, at),
            Record::Part(part) => self.put_part(part, at),
            Record::Aborted { bucket, key, upload } => {
                self.remove_upload(*bucket, key.as_str(), *upload, &[])
            }
        }
    }

    pub(super) fn counts(&mut self, at: Location) {
        *self.delta.live.entry(at.segment).or_default() += i64::from(at.length);
    }

    pub(super) fn counts_no_more(&mut self, at: Location) {
        *self.delta.live.entry(at.segment).or_default() -= i64::from(at.length);
    }

    /// Notes that a body lies there.
    pub(super) fn hold(&mut self, pieces: &[Piece]) -> Result<(), StoreError> {
        for piece in pieces {
            let before = self.tables.pieces.insert((piece.segment, piece.offset), piece.length)?;
            if before.is_none() {
                *self.delta.live.entry(piece.segment).or_default() += piece.length as i64;
            }
        }
        Ok(())
    }

    /// Notes that no body lies there any more.
    pub(super) fn release(&mut self, pieces: &[Piece]) -> Result<(), StoreError> {
        for piece in pieces {
            if let Some(length) = self.tables.pieces.remove((piece.segment, piece.offset))? {
                *self.delta.live.entry(piece.segment).or_default() -= length.value() as i64;
                self.delta.freed.push(*piece);
            }
        }
        Ok(())
    }

    fn owner(&mut self, owner: Option<&Owner>) -> Result<u32, StoreError> {
        let Some(owner) = owner else { return Ok(0) };
        if let Some(number) = self.books.owner_numbers.get(owner) {
            return Ok(*number);
        }
        let first = self.books.owners.len() as u32 + 1;
        if let Some(place) = self.delta.owners.iter().position(|known| known == owner) {
            return Ok(first + place as u32);
        }
        let number = first + self.delta.owners.len() as u32;
        self.tables.owners.insert(number, &*owner.0)?;
        self.delta.owners.push(owner.clone());
        Ok(number)
    }

    fn put_bucket(&mut self, bucket: &Bucket, at: Location) -> Result<(), StoreError> {
        let kept = BucketKept { head: at, bucket: bucket.clone() };
        let before = self.tables.buckets.insert(bucket.id.0, encode(&kept).as_slice())?;
        let before = before.map(|kept| decode::<BucketKept>(kept.value())).transpose()?;
        self.counts(at);
        if let Some(before) = before {
            self.counts_no_more(before.head);
        }
        self.delta.buckets.insert(bucket.name.clone(), Some(Arc::new(bucket.clone())));
        Ok(())
    }

    fn remove_bucket(&mut self, bucket: BucketId) -> Result<(), StoreError> {
        let before = self.tables.buckets.remove(bucket.0)?;
        let Some(before) = before.map(|kept| decode::<BucketKept>(kept.value())).transpose()?
        else {
            return Ok(());
        };
        self.counts_no_more(before.head);
        self.remove_uploads(bucket)?;
        self.delta.usage.insert(bucket, Usage::default());
        self.delta.buckets.insert(before.bucket.name, None);
        Ok(())
    }

    fn put_version(&mut self, version: &VersionRecord, at: Location) -> Result<(), StoreError> {
        let (bucket, key) = (version.bucket, version.key.as_str());
        let pieces: Vec<Piece> = version.extents.iter().map(Piece::from).collect();
        if let Some(upload) = version.upload {
            self.remove_upload(bucket, key, upload, &pieces)?;
        }
        if let Some(replaced) = version.replaces {
            self.remove_version(bucket, key, replaced)?;
        }
        self.hold(&pieces)?;
        if !pieces.is_empty() {
            self.tables.bodies.insert(version.sequence.0, encode(&pieces).as_slice())?;
        }
        let owner = self.owner(version.attributes.owner.as_ref())?;
        let kept = Kept { entry: version.entry(at), owner, outside: !pieces.is_empty() };
        self.counts(at);
        match self.insert(bucket, key, &kept)? {
            Some(before) => self.counts_no_more(before.entry.head),
            None => {
                let usage = self.usage(bucket)?;
                usage.versions += 1;
                usage.bytes += version.size;
            }
        }
        self.delta.touched.push((bucket, key.into()));
        Ok(())
    }

    /// Puts a version where it belongs; returns the same one as it was before.
    fn insert(
        &mut self,
        bucket: BucketId,
        key: &str,
        kept: &Kept,
    ) -> Result<Option<Kept>, StoreError> {
        let (place, value) = (keys::current(bucket, key), encode(kept));
        let newest = self.tables.current.get(place.as_slice())?;
        let newest = newest.map(|kept| decode::<Kept>(kept.value())).transpose()?;
        let sequence = kept.entry.sequence;
        match newest {
            Some(newest) if newest.entry.sequence == sequence => {
                self.tables.current.insert(place.as_slice(), value.as_slice())?;
                return Ok(Some(newest));
            }
            Some(newest) if newest.entry.sequence > sequence => {
                return self.insert_behind(bucket, key, kept);
            }
            Some(newest) => {
                self.insert_behind(bucket, key, &newest)?;
            }
            None => {}
        }
        self.tables.current.insert(place.as_slice(), value.as_slice())?;
        Ok(None)
    }

    fn insert_behind(
        &mut self,
        bucket: BucketId,
        key: &str,
        kept: &Kept,
    ) -> Result<Option<Kept>, StoreError> {
        let sequence = kept.entry.sequence;
        if kept.entry.null {
            self.tables.nulls.insert(keys::object(bucket, key).as_slice(), sequence.0)?;
        }
        let place = keys::version(bucket, key, sequence);
        let before = self.tables.versions.insert(place.as_slice(), encode(kept).as_slice())?;
        before.map(|kept| decode(kept.value())).transpose()
    }

    fn remove_version(
        &mut self,
        bucket: BucketId,
        key: &str,
        sequence: Sequence,
    ) -> Result<(), StoreError> {
        let Some((kept, newest)) = self.find(bucket, key, Which::At(sequence))? else {
            return Ok(());
        };
        if newest {
            self.promote(bucket, key)?;
        } else {
            self.tables.versions.remove(keys::version(bucket, key, sequence).as_slice())?;
            if kept.entry.null {
                self.tables.nulls.remove(keys::object(bucket, key).as_slice())?;
            }
        }
        self.counts_no_more(kept.entry.head);
        let usage = self.usage(bucket)?;
        usage.versions = usage.versions.saturating_sub(1);
        usage.bytes = usage.bytes.saturating_sub(kept.entry.size);
        if kept.outside {
            let pieces = self.tables.bodies.remove(sequence.0)?;
            let pieces: Option<Vec<Piece>> =
                pieces.map(|pieces| decode(pieces.value())).transpose()?;
            self.release(&pieces.unwrap_or_default())?;
        }
        self.delta.touched.push((bucket, key.into()));
        Ok(())
    }

    /// The newest of the other versions becomes the current one, if there is one.
    fn promote(&mut self, bucket: BucketId, key: &str) -> Result<(), StoreError> {
        let place = keys::current(bucket, key);
        let first = keys::object(bucket, key);
        let behind = keys::behind(&first).expect("it ends with 1");
        let next =
            self.tables.versions.range(first.as_slice()..behind.as_slice())?.next().transpose()?;
        let next = next.map(|(place, kept)| (place.value().to_vec(), kept.value().to_vec()));
        let Some((old, value)) = next else {
            self.tables.current.remove(place.as_slice())?;
            return Ok(());
        };
        self.tables.versions.remove(old.as_slice())?;
        if decode::<Kept>(&value)?.entry.null {
            self.tables.nulls.remove(first.as_slice())?;
        }
        self.tables.current.insert(place.as_slice(), value.as_slice())?;
        Ok(())
    }
}
