//! Objects that have come of age go: the rules of each bucket are looked at from time to
//! time, a bounded piece at a time. What goes, goes by mutations like all others.

use std::ops::Bound;

use model::Timestamp;
use world::files::Files;

use super::StoreError;
use super::index::kept::{Kept, decode};
use super::index::{keys, view::View};
use super::list;
use super::snapshot;
use super::snapshot::Shelf;
use super::writer::Writer;
use crate::bucket::{Bucket, Versioning};
use crate::entry::Sequence;
use crate::lifecycle::{self, Facts, Ripe};
use crate::mutation::{Delete, Mutation, UploadId, Which};
use crate::name::{BucketName, Key};
use crate::query::{Line, ListUploads};

/// Keys that are looked at in one step.
const STEP: usize = 100;

/// Where a sweep goes on.
#[derive(Clone, Debug, Default)]
pub struct Sweep {
    /// When the next one begins; none while one is under way.
    next: Option<Timestamp>,
    begun: bool,
    bucket: Option<BucketName>,
    /// The last key that was looked at.
    key: Option<String>,
}

impl<F: Files> Writer<F> {
    /// Looks at some keys. Whether there is more to do.
    pub(super) fn sweep_step(&mut self, now: Timestamp) -> bool {
        if self.dead.is_some() || self.sweep.next.is_some_and(|next| next > now) {
            return false;
        }
        if !self.sweep.begun {
            self.sweep = Sweep { begun: true, ..Sweep::default() };
        }
        let view = self.core.view();
        let first = match &self.sweep.bucket {
            // Within a bucket, or behind one that is finished.
            Some(name) if self.sweep.key.is_some() => Bound::Included(name),
            Some(name) => Bound::Excluded(name),
            None => Bound::Unbounded,
        };
        let mut buckets = view.buckets.range::<BucketName, _>((first, Bound::Unbounded));
        let found = buckets.find(|(_, bucket)| !bucket.config.lifecycle.is_empty());
        let Some((name, bucket)) = found else {
            let later = i64::try_from(self.core.settings.sweep_micros).unwrap_or(i64::MAX);
            let next = Some(Timestamp::from_micros(now.micros().saturating_add(later)));
            self.sweep = Sweep { next, ..Sweep::default() };
            return false;
        };
        if self.sweep.bucket.as_ref() != Some(name) {
            self.sweep.key = None;
        }
        self.sweep.bucket = Some(name.clone());
        match self.ripe(&view, bucket, now) {
            Ok(mutations) => drop(self.apply(mutations, now)),
            Err(error) => {
                self.core.tell(format!("{name} is not swept: {error}"));
                self.sweep.key = None;
            }
        }
        true
    }

    /// What has to go of the next keys.
    fn ripe(
        &mut self,
        view: &View,
        bucket: &Bucket,
        now: Timestamp,
    ) -> Result<Vec<Mutation>, StoreError> {
        let mut mutations = Vec::new();
        if self.sweep.key.is_none() {
            self.ripe_uploads(view, bucket, now, &mut mutations)?;
        }
        let place = self.sweep.key.as_deref().map(|key| keys::current(bucket.id, key));
        let lowest = keys::current(bucket.id, "");
        let first = place.as_deref().map_or(Bound::Included(lowest.as_slice()), Bound::Excluded);
        let last = keys::behind(&lowest).unwrap_or_else(|| vec![255; 5]);
        let mut keys = Vec::new();
        for found in
            view.current.range::<&[u8]>((first, Bound::Excluded(last.as_slice())))?.take(STEP)
        {
            let found = found?;
            let key = keys::key_of_current(found.0.value()).and_then(|key| Key::new(key).ok());
            let key = key.ok_or_else(|| StoreError::Damaged("a key of the index".to_owned()))?;
            keys.push((key, decode::<Kept>(found.1.value())?));
        }
        self.sweep.key = keys.last().filter(|_| keys.len() == STEP).map(|(key, _)| key.to_string());
        for (key, newest) in keys {
            self.ripe_key(view, bucket, (&key, newest), now, &mut mutations)?;
        }
        Ok(mutations)
    }

    fn ripe_uploads(
        &self,
        view: &View,
        bucket: &Bucket,
        now: Timestamp,
        into: &mut Vec<Mutation>,
    ) -> Result<(), StoreError> {
        let rules = &bucket.config.lifecycle;
        if rules.iter().all(|rule| rule.abort_upload_days.is_none()) {
            return Ok(());
        }
        let page = ListUploads { limit: 10 * STEP, ..ListUploads::default() };
        for line in list::uploads(view, bucket.id, &page)?.lines {
            let Line::Item((key, upload, kept)) = line else { continue };
            let day = self.core.settings.day_seconds;
            let due = lifecycle::upload_due(rules, key.as_str(), kept.begun, day);
            if due.is_some_and(|due| due <= now) {
                into.push(Mutation::AbortUpload {
                    bucket: bucket.name.clone(),
                    key,
                    upload: UploadId(upload.0),
                });
            }
        }
        Ok(())
    }

    fn ripe_key(
        &self,
        view: &View,
        bucket: &Bucket,
        (key, newest): (&Key, Kept),
        now: Timestamp,
        into: &mut Vec<Mutation>,
    ) -> Result<(), StoreError> {
        let delete = |which: Option<Which>| {
            Mutation::Delete(Delete {
                bucket: bucket.name.clone(),
                key: key.clone(),
                which,
                conditions: crate::condition::Conditions::default(),
                bypass: false,
                owner: bucket.owner.clone(),
            })
        };
        let rules = &bucket.config.lifecycle;
        let day = self.core.settings.day_seconds;
        let older = match bucket.config.versioning {
            Versioning::Off => Vec::new(),
            Versioning::On | Versioning::Suspended => older(view, bucket, key)?,
        };
        let tags = self.tags(bucket, key, &newest)?;
        let facts = Facts { key: key.as_str(), size: newest.entry.size, tags: &tags };
        let lone = newest.entry.delete_marker.then_some(older.is_empty());
        match lifecycle::ripe(rules, &facts, (newest.entry.modified, lone), now, day) {
            Ripe::Stays => {}
            Ripe::Expires => into.push(delete(None)),
            Ripe::MarkerGoes => into.push(delete(Some(Which::At(newest.entry.sequence)))),
        }
        let mut since = newest.entry.modified;
        for (rank, kept) in older.iter().enumerate() {
            let tags = self.tags(bucket, key, kept)?;
            let facts = Facts { key: key.as_str(), size: kept.entry.size, tags: &tags };
            let due = lifecycle::noncurrent_due(rules, &facts, (since, rank as u32), day);
            if due.is_some_and(|due| due <= now) {
                into.push(delete(Some(Which::At(kept.entry.sequence))));
            }
            since = kept.entry.modified;
        }
        Ok(())
    }

    /// A version's tags, when a rule asks for any.
    #[expect(clippy::type_complexity, reason = "as in the attributes")]
    fn tags(
        &self,
        bucket: &Bucket,
        key: &Key,
        kept: &Kept,
    ) -> Result<Vec<(Box<str>, Box<str>)>, StoreError> {
        let asked = bucket.config.lifecycle.iter().any(|rule| !rule.filter.tags.is_empty());
        if !asked || kept.entry.delete_marker {
            return Ok(Vec::new());
        }
        let (header, bytes) = self.core.head(kept.entry.head, 1024)?;
        Ok(snapshot::version(key, kept.clone(), &header, &bytes)?.attributes.tags)
    }
}

/// Versions behind the newest.
fn older(view: &View, bucket: &Bucket, key: &Key) -> Result<Vec<Kept>, StoreError> {
    let first = keys::version(bucket.id, key.as_str(), Sequence(u64::MAX));
    let behind = keys::behind(&keys::object(bucket.id, key.as_str())).expect("it ends with 1");
    let versions = view.versions.range(first.as_slice()..behind.as_slice())?;
    versions.map(|kept| decode(kept?.1.value())).collect()
}
