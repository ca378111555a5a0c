//! One moment of the store, for readers.

use std::sync::Arc;

use bytes::Bytes;

use super::StoreError;
use super::index::kept::{Kept, UploadKept};
use super::index::view::View;
use super::list;
use super::log::damaged;
use super::pins::Pin;
use super::record::{self, Header, Record};
use crate::Sequence;
use crate::bucket::Bucket;
use crate::entry::{Entry, Extent, Location, Version};
use crate::mutation::{UploadId, Which};
use crate::name::{BucketId, BucketName, Key, Owner};
use crate::query::{Line, ListKeys, ListUploads, ListVersions, Listed, Page, Part, Upload, Usage};

/// How much of a record is read at first: as long as most heads.
const GUESS: usize = 1024;

/// Reads records of the log.
pub(super) trait Shelf: Send + Sync {
    /// A record's head, verified; its body may be behind it.
    fn head(&self, at: Location, guess: usize) -> Result<(Header, Vec<u8>), StoreError>;
    /// A record with its body, verified.
    fn whole(&self, at: Location) -> Result<(Header, Vec<u8>), StoreError>;
}

/// One moment of the store. While it is held, nothing that it can find goes away.
pub struct Snapshot<'a> {
    pub(super) shelf: &'a dyn Shelf,
    pub(super) view: Arc<View>,
    #[expect(dead_code, reason = "it is held, not looked at")]
    pub(super) pin: Pin,
}

impl Snapshot<'_> {
    /// A bucket.
    pub fn bucket(&self, name: &BucketName) -> Option<Arc<Bucket>> {
        self.view.buckets.get(name).cloned()
    }

    /// All buckets, or an owner's, by name.
    pub fn buckets(&self, owner: Option<&Owner>) -> Vec<Arc<Bucket>> {
        let buckets = self.view.buckets.values();
        buckets.filter(|bucket| owner.is_none_or(|owner| bucket.owner == *owner)).cloned().collect()
    }

    /// What a bucket holds.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn usage(&self, bucket: BucketId) -> Result<Usage, StoreError> {
        self.view.usage(bucket)
    }

    /// A version's entry; delete markers too.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn entry(
        &self,
        bucket: BucketId,
        key: &str,
        which: Which,
    ) -> Result<Option<Entry>, StoreError> {
        Ok(self.view.find(bucket, key, which)?.map(|kept| kept.entry))
    }

    /// A version with all that is kept of it; delete markers too.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    pub fn version(
        &self,
        bucket: BucketId,
        key: &Key,
        which: Which,
    ) -> Result<Option<Version>, StoreError> {
        Ok(self.version_and_body(bucket, key, which, 0)?.map(|(version, _)| version))
    }

    /// The same, with the body when it lies beside the attributes and has at most
    /// `most` bytes: verified, and in one read.
    ///
    /// # Errors
    /// As for [`Snapshot::version`].
    pub fn version_and_body(
        &self,
        bucket: BucketId,
        key: &Key,
        which: Which,
        most: u32,
    ) -> Result<Option<(Version, Option<Bytes>)>, StoreError> {
        let Some(kept) = self.view.find(bucket, key.as_str(), which)? else { return Ok(None) };
        let at = kept.entry.head;
        let (header, bytes) = match !kept.outside && at.length <= most.saturating_add(4096) {
            true => self.shelf.whole(at)?,
            false => self.shelf.head(at, GUESS)?,
        };
        let version = version(key, kept, &header, &bytes)?;
        let end = header.head() + header.body as usize;
        let body = (header.body <= most && version.extents.len() <= 1 && bytes.len() >= end)
            .then(|| Bytes::from(bytes).slice(header.head()..end));
        let inside = version.extents.iter().all(|extent| extent.segment == at.segment);
        Ok(Some((version, body.filter(|_| inside))))
    }

    /// A page of current versions that are no delete markers. Each line has its owner.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn keys(
        &self,
        bucket: BucketId,
        list: &ListKeys,
    ) -> Result<Page<Listed, String>, StoreError> {
        list::keys(&self.view, bucket, list)
    }

    /// A page of all versions. Each line has its owner.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn versions(
        &self,
        bucket: BucketId,
        list: &ListVersions,
    ) -> Result<list::VersionPage, StoreError> {
        list::versions(&self.view, bucket, list)
    }

    /// A page of uploads.
    ///
    /// # Errors
    /// When the index or the log cannot be read.
    pub fn uploads(
        &self,
        bucket: BucketId,
        list: &ListUploads,
    ) -> Result<Page<Upload, (String, Option<UploadId>)>, StoreError> {
        let page = list::uploads(&self.view, bucket, list)?;
        let full = |line| match line {
            Line::Prefix(prefix) => Ok(Line::Prefix(prefix)),
            Line::Item((key, id, kept)) => Ok(Line::Item(self.whole_upload(key, id, &kept)?)),
        };
        let lines = page.lines.into_iter().map(full).collect::<Result<_, StoreError>>()?;
        Ok(Page { lines, next: page.next })
    }

    /// An upload.
    ///
    /// # Errors
    /// When the index or the log cannot be read.
    pub fn upload(
        &self,
        bucket: BucketId,
        key: &Key,
        upload: UploadId,
    ) -> Result<Option<Upload>, StoreError> {
        let kept = self.view.upload(bucket, key.as_str(), upload)?;
        kept.map(|kept| self.whole_upload(key.clone(), upload, &kept)).transpose()
    }

    fn whole_upload(
        &self,
        key: Key,
        id: UploadId,
        kept: &UploadKept,
    ) -> Result<Upload, StoreError> {
        let (header, bytes) = self.shelf.head(kept.head, GUESS)?;
        match record::payload(&header, &bytes) {
            Some(Record::Upload(record)) if header.sequence == id.0 && record.key == key => {
                let (class, checksum, attributes) =
                    (record.class, record.checksum, record.attributes);
                Ok(Upload { id, key, begun: record.begun, class, checksum, attributes })
            }
            _ => Err(damaged(kept.head)),
        }
    }

    /// Parts of an upload with a number above `after`.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn parts(
        &self,
        upload: UploadId,
        after: u16,
        limit: usize,
    ) -> Result<Page<Part, u16>, StoreError> {
        let mut parts = self.view.parts(upload.0, after, limit.saturating_add(1))?;
        let more = parts.len() > limit;
        parts.truncate(limit);
        let next = parts.last().map(|part| part.info.number).filter(|_| more);
        let line = |part: super::index::kept::PartKept| {
            Line::Item(Part { info: part.info, modified: part.modified })
        };
        Ok(Page { lines: parts.into_iter().map(line).collect(), next })
    }
}

/// A version from its record, when that is the one that is meant.
pub(super) fn version(
    key: &Key,
    kept: Kept,
    header: &Header,
    bytes: &[u8],
) -> Result<Version, StoreError> {
    let at = kept.entry.head;
    let record = match record::payload(header, bytes) {
        Some(Record::Version(record)) => record,
        _ => return Err(damaged(at)),
    };
    if record.sequence != kept.entry.sequence || record.key != *key {
        return Err(damaged(at));
    }
    let extents = match header.body {
        0 => record.extents,
        length => vec![Extent {
            segment: at.segment,
            offset: at.offset + header.head() as u64,
            length: u64::from(length),
            sums: vec![header.body_sum],
        }],
    };
    Ok(Version { key: key.clone(), entry: kept.entry, attributes: record.attributes, extents })
}

/// The sequence of a version, for messages.
pub(super) fn told(key: &str, sequence: Sequence) -> String {
    format!("version {} of {key:?}", sequence.0)
}
